//! Which run of a server the site uses if hosts reach different ones: one run is *registered*.
//! Pure.
//!
//! Another run replaces it only when no process uses the registered one any more. So a process that
//! reaches another run *challenges* it; the next process that looks through the registered run
//! *defends* it. Once a challenge has stood for as long as a belief may last, no process believes
//! the registered run. If MariaDB says that no process believes the cache, no challenge is needed.

use std::time::{Duration, Instant};

/// How long a challenge must stand if two runs were just in use side by side, and how long no
/// process challenges after a defence.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// For this long after a defence, two runs count as in use.
pub const CONTESTED: Duration = Duration::from_secs(60);

/// The registered run of a server, and a challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The registered run; empty: none yet.
    pub run: String,
    /// The runs registered before it, latest first, separated by spaces.
    pub previous: String,
    /// The present challenge: the run that it is for, and a unique part; empty: none.
    pub challenge: String,
    /// How long the challenge has stood, by MariaDB's clock.
    pub challenged: Duration,
    /// How long ago the run was last defended, if recently.
    pub defended: Option<Duration>,
}

/// What a process that reaches a run must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: it is the registered one.
    Holds,
    /// It is the registered one, and is challenged: the challenge is refused.
    Defends,
    /// No process uses another run: register this one.
    Takes,
    /// Another one is registered: challenge it, to learn whether any process uses it.
    Challenges,
    /// Another one is registered, and nothing can be done now.
    Waits,
}

impl Standing {
    /// Whether the run is registered once that is done.
    pub fn counts(self) -> bool {
        matches!(self, Standing::Holds | Standing::Defends | Standing::Takes)
    }
}

/// A challenge for a run.
pub fn challenge_of(run: &str, token: &str) -> String {
    format!("{run}|{token}")
}

impl Registration {
    /// What a process that reaches this run, and has known the present challenge for `known_for`,
    /// must do. No belief in another run lasts longer than `longest` after a challenge; without
    /// `is_believed` there is none.
    pub fn standing(
        &self,
        run: &str,
        is_believed: bool,
        known_for: Duration,
        longest: Duration,
    ) -> Standing {
        let challenger = self.challenge.split('|').next().unwrap_or_default();
        let patience = if self.defended.is_some() { longest.max(PATIENCE) } else { longest };
        // Processes that live for one call remember no challenge. If it has stood for long, its age
        // by MariaDB's clock counts.
        let is_old = self.challenged >= PATIENCE;
        let known_for = if is_old { known_for.max(self.challenged) } else { known_for };
        if self.run == run {
            return if challenger.is_empty() || challenger == run {
                Standing::Holds
            } else {
                Standing::Defends
            };
        }
        // If two runs were just in use, the registered one stays, although no process believes it
        // now.
        if self.run.is_empty() || !is_believed && self.defended.is_none() {
            return Standing::Takes;
        }
        if challenger == run {
            return if known_for >= patience { Standing::Takes } else { Standing::Waits };
        }
        // A dead run leaves its challenge behind.
        let is_free = if challenger.is_empty() {
            self.defended.is_none_or(|defended| defended >= PATIENCE)
        } else {
            known_for >= patience * 2
        };
        if is_free { Standing::Challenges } else { Standing::Waits }
    }
}

impl Registration {
    /// As [`Registration::standing`], for a server without beliefs: a new run is registered at
    /// once. A run that was registered before, and comes back, is in use beside its replacement,
    /// because a restarted server would have a new run.
    pub fn standing_of_new(&self, run: &str, known_for: Duration, longest: Duration) -> Standing {
        let is_known = run == self.run || self.previous.split(' ').any(|one| one == run);
        if !is_known && self.defended.is_none() && self.challenge.is_empty() {
            return Standing::Takes;
        }
        self.standing(run, true, known_for, longest)
    }
}

/// The last challenge that a process saw.
#[derive(Debug, Default)]
pub struct Challenge {
    token: String,
    since: Option<Instant>,
    /// No belief in another run lasts longer than this after the challenge.
    pub longest: Duration,
}

impl Challenge {
    /// How long this process has known a challenge; `None` if it is new.
    pub fn known_for(&self, token: &str, now: Instant) -> Option<Duration> {
        if self.token != token {
            return None;
        }
        self.since.map(|since| now.saturating_duration_since(since))
    }

    /// Remembers a challenge from now on.
    pub fn remember(&mut self, token: &str, now: Instant, longest: Duration) {
        token.clone_into(&mut self.token);
        self.since = Some(now);
        self.longest = longest;
    }
}

/// What a process last found about the run of a server that it reaches.
#[derive(Debug, Default)]
pub struct Reached {
    run: String,
    counts: bool,
    at: Option<Instant>,
}

impl Reached {
    /// Whether this run was registered when last looked up; `None` if that was not recent.
    pub fn counts(&self, run: &str, now: Instant, longest: Duration) -> Option<bool> {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < longest;
        (self.run == run && self.at.is_some_and(is_recent)).then_some(self.counts)
    }

    /// Remembers what was found.
    pub fn note(&mut self, run: &str, counts: bool, now: Instant) {
        *self = Reached { run: run.to_owned(), counts, at: Some(now) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(1);

    fn registered(run: &str, challenge: &str, defended: Option<u64>) -> Registration {
        Registration {
            run: run.to_owned(),
            previous: "before long-before ".to_owned(),
            challenge: challenge.to_owned(),
            challenged: Duration::ZERO,
            defended: defended.map(Duration::from_secs),
        }
    }

    fn standing(registration: &Registration, seconds: u64) -> Standing {
        registration.standing("mine", true, Duration::from_secs(seconds), LONGEST)
    }

    #[test]
    fn the_registered_run_counts_and_is_defended() {
        assert_eq!(standing(&registered("mine", "", None), 0), Standing::Holds);
        assert_eq!(standing(&registered("mine", "mine|1", None), 0), Standing::Holds);
        assert_eq!(standing(&registered("mine", "other|1", None), 9), Standing::Defends);
    }

    #[test]
    fn the_first_run_counts_at_once() {
        assert_eq!(standing(&Registration::default(), 0), Standing::Takes);
    }

    #[test]
    fn another_run_counts_once_nobody_has_defended_the_registered_one() {
        assert_eq!(standing(&registered("other", "", None), 0), Standing::Challenges);
        let challenged = registered("other", &challenge_of("mine", "1"), None);
        assert_eq!(standing(&challenged, 0), Standing::Waits);
        assert_eq!(standing(&challenged, 1), Standing::Takes);
    }

    #[test]
    fn another_run_counts_at_once_where_nobody_believes_the_registered_one() {
        let standing = |defended| {
            registered("other", "gone|1", defended).standing("mine", false, Duration::ZERO, LONGEST)
        };
        assert_eq!(standing(None), Standing::Takes);
        assert_eq!(standing(Some(6)), Standing::Waits);
    }

    #[test]
    fn a_new_run_of_the_journal_counts_at_once_and_one_that_comes_back_does_not() {
        let standing = |run, defended| {
            registered("other", "", defended).standing_of_new(run, Duration::ZERO, LONGEST)
        };
        assert_eq!(standing("other", None), Standing::Holds);
        assert_eq!(standing("mine", None), Standing::Takes);
        assert_eq!(standing("before", None), Standing::Challenges);
        assert_eq!(standing("long-before", None), Standing::Challenges);
        assert_eq!(standing("mine", Some(1)), Standing::Waits);
    }

    #[test]
    fn of_two_runs_in_use_one_stays() {
        assert_eq!(standing(&registered("other", "", Some(1)), 9), Standing::Waits);
        assert_eq!(standing(&registered("other", "", Some(6)), 0), Standing::Challenges);
        let challenged = registered("other", "mine|1", Some(6));
        assert_eq!(standing(&challenged, 1), Standing::Waits);
        assert_eq!(standing(&challenged, 5), Standing::Takes);
    }

    #[test]
    fn a_process_that_lives_for_one_call_takes_over_in_the_end() {
        let mut challenged = registered("other", "mine|1", None);
        challenged.challenged = Duration::from_secs(4);
        assert_eq!(standing(&challenged, 0), Standing::Waits);
        challenged.challenged = Duration::from_secs(5);
        assert_eq!(standing(&challenged, 0), Standing::Takes);
    }

    #[test]
    fn what_a_run_that_is_gone_left_behind_is_in_nobodys_way() {
        let challenged = registered("other", "gone|1", None);
        assert_eq!(standing(&challenged, 1), Standing::Waits);
        assert_eq!(standing(&challenged, 2), Standing::Challenges);
    }

    #[test]
    fn what_was_found_of_a_run_is_not_remembered_for_long() {
        let (mut reached, now) = (Reached::default(), Instant::now());
        assert_eq!(reached.counts("", now, LONGEST), None);
        reached.note("mine", true, now);
        assert_eq!(reached.counts("mine", now, LONGEST), Some(true));
        assert_eq!(reached.counts("mine", now + LONGEST, LONGEST), None);
        assert_eq!(reached.counts("other", now, LONGEST), None);
    }

    #[test]
    fn a_challenge_is_known_from_the_moment_that_it_was_seen() {
        let (mut known, now) = (Challenge::default(), Instant::now());
        assert_eq!(known.known_for("a", now), None);
        known.remember("a", now, LONGEST);
        assert_eq!(known.known_for("a", now + LONGEST), Some(LONGEST));
        assert_eq!(known.known_for("b", now + LONGEST), None);
    }
}

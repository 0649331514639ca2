//! When cached schedules are believed. Pure. [`crate::consistency::trust`] applies these rules.

use std::time::{Duration, Instant};

/// How long a look at MariaDB serves all processes that reach the journal. With the default lease,
/// it is renewed at every third confirmation, once a second. So no belief outlives a mark by more
/// than a second.
pub const LONGEST_LOOK: Duration = Duration::from_millis(660);
/// If the cache lacks answers of more students than this, all schedules become void, not only
/// theirs.
pub const MOST_UNSHOWN: usize = 1_000;
/// The season of a mark without a student, if a shard must only look up the active season and the
/// retired questions again. No season has this name.
pub const SEASON_MARK: &str = ":season";
/// A process that has known a confirmation for more than this many leases ignores it, whatever the
/// server's clock says.
const MOST_LEASES: u32 = 2;

/// A student whose cached schedule lacks an answer that counts, or may lack one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unshown {
    /// The student; empty: all students, or the season ([`SEASON_MARK`]).
    pub player: String,
    /// The season.
    pub season: String,
    /// The order of the newest answer, if it is unknown whether the schedule has it. `None`: the
    /// schedule lacks an answer.
    pub newest: Option<i64>,
}

impl Unshown {
    /// Whether all schedules may lack something.
    fn is_of_all(&self) -> bool {
        self.player.is_empty() && !self.is_of_season()
    }

    /// Whether the shard must only look up the active season and the retired questions again.
    pub fn is_of_season(&self) -> bool {
        self.player.is_empty() && self.season == SEASON_MARK
    }

    /// Whether a schedule whose head has this order must be dropped. A schedule that was shown the
    /// newest answer last has all answers before it. A later answer may have been computed from a
    /// schedule that lacks it.
    pub fn is_dropped(&self, order: Option<i64>) -> bool {
        self.newest.is_none() || self.newest != order
    }
}

/// The result of a look at MariaDB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// False if no process believes the cache any more.
    pub is_believed: bool,
    /// The students whose schedules lack an answer.
    pub unshown: Vec<Unshown>,
}

/// What must be done to the cache before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    Nothing,
    /// Drop the schedules of these students that lack an answer, and forget the active season if it
    /// has changed.
    Drop,
    /// Begin a new generation: all schedules are void.
    Renew,
}

impl Look {
    /// What must be done after this look. Marks of some students do not affect the others: all
    /// schedules become void only if many lack an answer.
    pub fn repair(&self) -> Repair {
        let lacking = self.unshown.iter().filter(|one| one.newest.is_none()).count();
        if lacking > MOST_UNSHOWN || self.unshown.iter().any(Unshown::is_of_all) {
            Repair::Renew
        } else if self.is_believed && self.unshown.is_empty() {
            Repair::Nothing
        } else {
            Repair::Drop
        }
    }
}

/// How long cached schedules may still be believed once a mark is in MariaDB: as long as a
/// confirmation lasts, plus as long as a look is shared. If the journal was told to end the shared
/// look, only the former.
pub fn longest_belief(lease: Duration, is_journal_told: bool) -> Duration {
    if is_journal_told { lease } else { LONGEST_LOOK + lease }
}

/// The last confirmation that a process saw, and since when it has known it.
#[derive(Debug, Default)]
pub struct Sighting {
    token: String,
    since: Option<Instant>,
}

impl Sighting {
    /// Whether a confirmation counts. A server whose clock is set back would keep it too long.
    pub fn is_fresh(&mut self, token: &str, lease: Duration, now: Instant) -> bool {
        if token.is_empty() {
            return false;
        }
        if self.token == token {
            return self
                .since
                .is_some_and(|since| now.duration_since(since) <= lease * MOST_LEASES);
        }
        token.clone_into(&mut self.token);
        self.since = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unshown(player: &str, newest: Option<i64>) -> Unshown {
        Unshown { player: player.to_owned(), season: "SEASON-2026".to_owned(), newest }
    }

    fn look(students: usize, is_believed: bool) -> Look {
        Look { is_believed, unshown: vec![unshown("a", None); students] }
    }

    #[test]
    fn few_are_dropped_and_for_many_all_are_given_up() {
        assert_eq!(look(0, true).repair(), Repair::Nothing);
        assert_eq!(look(0, false).repair(), Repair::Drop);
        assert_eq!(look(MOST_UNSHOWN, true).repair(), Repair::Drop);
        assert_eq!(look(MOST_UNSHOWN + 1, true).repair(), Repair::Renew);
        let everybody = vec![unshown("", None)];
        assert_eq!(Look { is_believed: true, unshown: everybody }.repair(), Repair::Renew);
        let doubted = vec![unshown("a", Some(1)); MOST_UNSHOWN + 1];
        assert_eq!(Look { is_believed: true, unshown: doubted }.repair(), Repair::Drop);
        let season = vec![Unshown { season: SEASON_MARK.to_owned(), ..unshown("", None) }];
        assert_eq!(Look { is_believed: true, unshown: season }.repair(), Repair::Drop);
    }

    #[test]
    fn a_schedule_stays_that_was_shown_the_newest_answer_last() {
        let doubted = unshown("a", Some(5));
        assert!(!doubted.is_dropped(Some(5)));
        assert!([None, Some(4), Some(6)].into_iter().all(|order| doubted.is_dropped(order)));
        assert!(unshown("a", None).is_dropped(Some(5)));
    }

    #[test]
    fn a_confirmation_that_does_not_end_is_noticed() {
        let (lease, now) = (Duration::from_millis(300), Instant::now());
        let mut sighting = Sighting::default();
        assert!(!sighting.is_fresh("", lease, now));
        assert!(sighting.is_fresh("a", lease, now));
        assert!(sighting.is_fresh("a", lease, now + lease));
        assert!(!sighting.is_fresh("a", lease, now + lease * 3));
        assert!(sighting.is_fresh("b", lease, now + lease * 3));
    }

    #[test]
    fn a_process_that_cannot_tell_the_journal_waits_for_the_longest_look() {
        let lease = Duration::from_millis(300);
        assert_eq!(longest_belief(lease, true), lease);
        assert_eq!(longest_belief(lease, false), LONGEST_LOOK + lease);
    }
}

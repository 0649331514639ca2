//! Taking a student's answers (spec section 3).
//!
//! The new states are computed from what the student's last submission left. The entry is appended
//! to the journal only if no other submission came first, then shown in the cache. An entry that
//! the journal does not take goes into `memora_journal` as it is. Before an answer that the cache
//! was not shown is acknowledged, nobody believes what is cached of its student.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::consistency::cache_access::Attempt;
use crate::consistency::rehydrate::{Records, other_season_if_archived};
use crate::engine::active_season::ActiveSeason;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::clock::now_us;
use crate::rules::entry::Entry;
use crate::rules::head::Head;
use crate::rules::latency::Call;
use crate::rules::plan::{Plan, by_question, plan};
use crate::rules::review::Review;
use crate::rules::submission::{Submission, check_player};
use crate::servers::mariadb::journal;
use crate::servers::mariadb::seasons::{self, Link};
use crate::servers::redis::cache::{self, Lookup, Student, Wanted};
use crate::servers::redis::journal::{Appended, NewEntry};

/// How often a submission is computed anew when another of the same student comes first.
const MOST_CONFLICTS: u32 = 20;

/// The acknowledgement of a submission.
#[derive(Debug)]
pub struct SubmitAnswer {
    /// To ask later whether it is in MariaDB.
    pub job_id: String,
    /// The season the answers count for.
    pub season: String,
    /// How many answers were taken.
    pub processed: usize,
    /// How many questions were answered right; one that was so twice counts once.
    pub correct: usize,
    /// How many questions are due now.
    pub remaining: u64,
    /// How many answers led to stability 1, 2, 3 and 4.
    pub stability_counts: [u32; 4],
    /// True for the one submission that should queue a drain.
    pub drain_wanted: bool,
}

/// What is known of the student before their answers count.
struct Before {
    season: String,
    /// The season as the cache knows it, where it uses the cache and the cache answers.
    cached: Option<Arc<ActiveSeason>>,
    uses_cache: bool,
    head: Head,
    tracked: u64,
    states: HashMap<String, Review>,
    /// Every state of the student is in `states`.
    all_states: bool,
    /// False when answers that wait in the journal may be missing.
    is_whole: bool,
    /// False when nobody could look whether the cache lacks an answer.
    is_sure: bool,
}

/// Where an entry was kept.
enum Kept {
    /// In the journal's stream; true for the one submission that should queue a drain.
    InStream(bool),
    /// In `memora_journal`, under this id.
    InTable(i64),
    /// Nowhere: another submission of the student came first.
    Nowhere,
}

impl Engine {
    /// Takes a submission. When this returns, it is durable and the next read shows it.
    ///
    /// # Errors
    /// Nothing was acknowledged, and the student should be told so.
    pub fn submit(&self, player: &str, submission: &Submission) -> Result<SubmitAnswer> {
        self.take(player, submission, links_of(submission))
    }

    /// As [`Engine::submit`], of a student for whom no session vouches: a user whom Frappe has,
    /// named in any case.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn rate(&self, user: &str, submission: &Submission) -> Result<SubmitAnswer> {
        let take = |player: &str| {
            let mut links = links_of(submission);
            links.push((Link::Player, player.to_owned()));
            self.take(player, submission, links)
        };
        match take(user) {
            Err(refusal @ Error::InvalidInput(_)) => {
                let found =
                    self.process().database.with(|database| seasons::user_named(database, user))?;
                found.filter(|name| name != user).map_or(Err(refusal), |name| take(&name))
            }
            taken => taken,
        }
    }

    fn take(
        &self,
        player: &str,
        submission: &Submission,
        mut links: Vec<(Link, String)>,
    ) -> Result<SubmitAnswer> {
        let began = Instant::now();
        check_player(player)?;
        let process = self.process();
        for conflicts in 0..MOST_CONFLICTS {
            let before = self.before(&process, player, submission, &links)?;
            links.clear();
            let now = now_us();
            self.notice_clock(&process, player, before.head.seconds_ahead(now));
            let order = before.head.next_order(now, process.random());
            let mut plan =
                plan(&self.settings.zone, submission, &before.states, order, now / 1_000_000);
            self.check_room(&before, &plan)?;
            let times = (now, order);
            let token = process.token();
            let states = std::mem::take(&mut plan.reviews);
            let mut entry =
                Entry::new(token, times, before.head, submission, &before.states, states);
            entry.is_sure = before.is_sure;
            let mut head = Head { order, ..before.head };
            let drain_wanted = match self.keep(&process, player, &before, &entry)? {
                Kept::Nowhere => {
                    self.settle_conflict(&process, player, &before, conflicts);
                    continue;
                }
                Kept::InStream(drain_wanted) => {
                    head.journal = order;
                    drain_wanted
                }
                Kept::InTable(id) => {
                    head.table = id;
                    false
                }
            };
            let remaining = self.show(&process, player, &before, head, &entry.states)?;
            self.notice_overdue(&process);
            self.count_call(&process, Call::Submit, began);
            return Ok(SubmitAnswer {
                job_id: entry.token,
                season: before.season,
                processed: submission.answers.len(),
                correct: plan.correct,
                remaining,
                stability_counts: plan.stability_counts,
                drain_wanted,
            });
        }
        Err(Error::Unavailable {
            server: Server::Journal,
            cause: format!("{MOST_CONFLICTS} other submissions of the same student came first"),
            broken: false,
        })
    }

    /// Keeps an entry where it is safe: in the journal, else in MariaDB.
    fn keep(
        &self,
        process: &Process,
        player: &str,
        before: &Before,
        entry: &Entry,
    ) -> Result<Kept> {
        let text = entry
            .to_text()
            .map_err(|error| Error::Fault(format!("answers cannot be written: {error}")))?;
        let season = before.season.as_str();
        let new = NewEntry {
            player,
            season,
            knows: before.head.journal,
            order: entry.order,
            token: &entry.token,
            text: &text,
        };
        // What was computed without the journal never goes into it, though it may be back by now:
        // nobody could tell that it does not know what waits there.
        let mut was_sent = false;
        let appended = before.is_whole.then(|| {
            process.journal.with(|journal| {
                was_sent = true;
                self.journal_scripts.append(journal, &self.settings.keys, &new)
            })
        });
        match appended {
            Some(Ok(Appended::Added { drain_wanted })) => {
                self.notice_recovery(process, Server::Journal);
                return Ok(Kept::InStream(drain_wanted));
            }
            Some(Ok(Appended::Conflict)) => return Ok(Kept::Nowhere),
            Some(Err(error)) if !error.is_failure_of(Server::Journal) => return Err(error),
            Some(Err(error)) => {
                self.notice_outage(process, Server::Journal, &error);
                // A server that answered with an error has not taken it.
                was_sent &= matches!(error, Error::Unavailable { .. });
            }
            None => {}
        }
        let kept = process.database.with(|database| {
            let kept = journal::append(database, &entry.token, (player, season), &text);
            // Perhaps it was, and only the reply was lost.
            was_sent |= matches!(kept, Err(Error::Unavailable { .. }));
            kept
        });
        match kept {
            Ok(id) => Ok(Kept::InTable(id)),
            Err(error) if was_sent => Err(error.unsettled()),
            Err(error) => Err(error),
        }
    }

    /// What the student's answers are computed from: the cache's word, else MariaDB's and the
    /// journal's.
    fn before(
        &self,
        process: &Process,
        player: &str,
        submission: &Submission,
        links: &[(Link, String)],
    ) -> Result<Before> {
        let ids = submission.question_ids();
        let found = self.with_cache(process, |active| {
            self.before_from_cache(process, active, player, &ids, links)
        });
        let (before, known) = match found {
            Err(error) if error.is_failure_of(Server::Cache) => {
                let season = self.season_from_database(process)?;
                let (season, uses_cache) = season.ok_or_else(no_season)?;
                (self.before_from_database(process, player, season, uses_cache)?, Vec::new())
            }
            found => found?,
        };
        for (link, known) in links.iter().zip(known.into_iter().chain(std::iter::repeat(false))) {
            if !known {
                self.check_link(process, link)?;
            }
        }
        Ok(before)
    }

    fn before_from_cache(
        &self,
        process: &Process,
        active: &Arc<ActiveSeason>,
        player: &str,
        ids: &[String],
        links: &[(Link, String)],
    ) -> Result<Attempt<(Before, Vec<bool>)>> {
        let season = active.name.as_deref().unwrap_or_default();
        let student = Student {
            keys: &self.settings.keys,
            player,
            season,
            season_token: &active.token,
            generation: active.generation,
        };
        let members: Vec<String> = links.iter().map(|(link, name)| link.member(name)).collect();
        self.ask_cache(process, active, |cache| {
            self.cache_scripts.lookup(cache, student, &members, &Wanted::Questions(ids))
        })?
        .and_then(|asked| {
            let season = active.name.clone().ok_or_else(no_season)?;
            if !active.uses_cache {
                return Ok((
                    self.before_from_database(process, player, season, false)?,
                    Vec::new(),
                ));
            }
            let cached = Arc::clone(active);
            Ok(match asked.value {
                Some(lookup) => Before::from_lookup(season, cached, lookup, asked.is_sure),
                None => {
                    let records = self.load_and_fill(process, active, player, &season)?;
                    (Before::from_records(season, Some(cached), true, records), Vec::new())
                }
            })
        })
        .or_else(other_season_if_archived)
    }

    fn before_from_database(
        &self,
        process: &Process,
        player: &str,
        season: String,
        uses_cache: bool,
    ) -> Result<Before> {
        let records = self.load_records(process, player, &season)?;
        Ok(Before::from_records(season, None, uses_cache, records))
    }

    fn check_link(&self, process: &Process, (link, name): &(Link, String)) -> Result<()> {
        let keys = &self.settings.keys;
        let check = || {
            if process.database.with(|database| seasons::link_exists(database, *link, name))? {
                return Ok(());
            }
            let shown: String =
                name.chars().filter(|letter| !letter.is_control()).take(60).collect();
            Err(Error::InvalidInput(format!("Nothing was saved: there is no {link} \"{shown}\".")))
        };
        check()?;
        let member = [link.member(name)];
        let remembered = process.cache.with(|cache| cache::remember_links(cache, keys, &member));
        if let Err(error) = remembered {
            log::debug!("the {link} {name} could not be remembered: {error}");
            return Ok(());
        }
        // Deleted, and forgotten, before it was remembered?
        check().inspect_err(|_| {
            let forgotten = process.cache.with(|cache| cache::forget_link(cache, keys, &member[0]));
            if let Err(error) = forgotten {
                log::warn!("the {link} {name} could not be forgotten: {error}");
            }
        })
    }

    fn check_room(&self, before: &Before, plan: &Plan) -> Result<()> {
        let most = self.settings.max_questions;
        if plan.added > 0 && before.tracked + plan.added > most {
            return Err(Error::InvalidInput(format!(
                "Nothing was saved: you track {} questions already, and a season has room for \
                 {most}.",
                before.tracked
            )));
        }
        Ok(())
    }

    /// Another submission of the student is in the journal. Either it will be in the cache in a
    /// moment, or whoever made it died before that: then the student's cache is loaded anew.
    fn settle_conflict(&self, process: &Process, player: &str, before: &Before, conflicts: u32) {
        sleep(Duration::from_millis(u64::from(conflicts.min(5))));
        if conflicts >= 2 && before.cached.is_some() {
            let keys = &self.settings.keys;
            let dropped = process.cache.with(|cache| {
                cache::drop_students(cache, keys, [(player, before.season.as_str())])
            });
            if let Err(error) = dropped {
                log::warn!("the cache of {player} could not be dropped: {error}");
            }
        }
    }

    /// Shows the acknowledged answers in the cache, or makes sure that nobody believes what it has
    /// of the student. Returns how many questions are due now.
    ///
    /// # Errors
    /// [`Error::Unsettled`]: neither can be done. The answers are kept, but others may not see them.
    fn show(
        &self,
        process: &Process,
        player: &str,
        before: &Before,
        head: Head,
        states: &[Review],
    ) -> Result<u64> {
        let keys = &self.settings.keys;
        let now = now_us() / 1_000_000;
        let season = before.season.as_str();
        let drop_student = || {
            process
                .cache
                .with(|cache| cache::drop_students(cache, keys, [(player, season)]))
                .map(|_| None)
        };
        let shown = match &before.cached {
            Some(active) => process.cache.with(|cache| {
                if *active.run_id != cache.run_id {
                    // Whatever this other run of the cache has is not believed before it has a new
                    // generation.
                    return cache::drop_students(cache, keys, [(player, season)]).map(|_| None);
                }
                let student = Student {
                    keys,
                    player,
                    season,
                    season_token: "",
                    generation: active.generation,
                };
                let heads = (before.head, head);
                let ttl = self.settings.cache_ttl_seconds;
                self.cache_scripts.apply(cache, student, heads, states, now, ttl)
            }),
            // The season's cache may come into use again: it must not keep what is old now.
            None => drop_student(),
        };
        let shown = match shown {
            Err(Error::Refused { cause, .. }) => {
                log::warn!("the cache refuses the answers of {player}: {cause}");
                drop_student()
            }
            shown => shown,
        };
        match shown {
            Ok(Some(remaining)) => return Ok(remaining),
            Ok(None) => {}
            Err(error) if before.uses_cache => {
                self.make_unbelieved(process, player, season).map_err(Error::unsettled)?;
                self.notice_outage(process, Server::Cache, &error);
            }
            Err(_) => {}
        }
        Ok(self.remaining(process, player, before, states, now))
    }

    fn remaining(
        &self,
        process: &Process,
        player: &str,
        before: &Before,
        changed: &[Review],
        now: i64,
    ) -> u64 {
        let mut states: Vec<Review> = if before.all_states {
            before.states.values().cloned().collect()
        } else {
            // Only a number for the student's eyes: not worth an error now that his answers are
            // safe.
            self.load_records(process, player, &before.season)
                .map(|records| records.reviews)
                .unwrap_or_default()
        };
        let newer = by_question(changed.to_vec());
        states.retain(|review| !newer.contains_key(&review.question_id));
        states.extend(newer.into_values());
        states.iter().filter(|review| review.next_review <= now).count() as u64
    }
}

impl Before {
    fn from_lookup(
        season: String,
        cached: Arc<ActiveSeason>,
        lookup: Lookup,
        is_sure: bool,
    ) -> (Before, Vec<bool>) {
        let before = Before {
            season,
            cached: Some(cached),
            uses_cache: true,
            head: lookup.head,
            tracked: lookup.records,
            states: by_question(lookup.reviews),
            all_states: false,
            is_whole: true,
            is_sure,
        };
        (before, lookup.links)
    }

    fn from_records(
        season: String,
        cached: Option<Arc<ActiveSeason>>,
        uses_cache: bool,
        records: Records,
    ) -> Before {
        Before {
            season,
            cached,
            uses_cache,
            head: records.head,
            tracked: records.reviews.len() as u64,
            states: by_question(records.reviews),
            all_states: true,
            is_whole: records.is_whole,
            is_sure: true,
        }
    }
}

fn links_of(submission: &Submission) -> Vec<(Link, String)> {
    let subject = submission.subject.clone().map(|name| (Link::Subject, name));
    let topic = submission.topic.clone().map(|name| (Link::Topic, name));
    subject.into_iter().chain(topic).collect()
}

fn no_season() -> Error {
    Error::SeasonUnavailable("Nothing was saved: no season is active.".to_owned())
}

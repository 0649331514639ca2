//! Taking a student's answers (spec section 3).
//!
//! The new states are computed from what the student's last submission left, written to the journal only
//! if no other submission came first, then shown in the cache. What cannot be told to the cache is made
//! unbelievable before the answer is acknowledged; what cannot be written to the journal is written to
//! MariaDB at once.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mysql::Conn;
use sha2::{Digest, Sha256};

use crate::clock::now_us;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::latency::Call;
use crate::mariadb::key_range::Place;
use crate::mariadb::records::{self, Audit, NewState};
use crate::mariadb::seasons::{self, Link};
use crate::mariadb::shape::LIVE;
use crate::mariadb::{archive, blind, in_transaction_again, storage};
use crate::plan::{Plan, by_question, plan};
use crate::redis::cache::{self, Lookup, Student, Wanted};
use crate::redis::journal::{Appended, NewEntry};
use crate::rehydrate::{Attempt, Records, other_season_if_archived};
use crate::review::Review;
use crate::submission::{Submission, check_player};
use crate::trust::Lease;

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
    /// How many of them were right.
    pub correct: usize,
    /// How many questions are due now.
    pub remaining: u64,
    /// How many answers led to stability 1, 2, 3 and 4.
    pub stability_counts: [u32; 4],
    /// True for the one submission that should queue a drain.
    pub drain_wanted: bool,
}

/// What is known of the student before his answers count.
struct Before {
    season: String,
    /// The lease, where the season uses the cache and the cache answers.
    lease: Option<Lease>,
    uses_cache: bool,
    head: i64,
    tracked: u64,
    states: HashMap<String, Review>,
    /// Every state of the student is in `states`.
    all_states: bool,
    /// False when answers that wait in the journal may be missing.
    is_whole: bool,
}

impl Engine {
    /// Takes a submission. When this returns, it is durable and the next read shows it.
    ///
    /// # Errors
    /// Nothing was acknowledged, and the student should be told so.
    pub fn submit(&self, player: &str, submission: &Submission) -> Result<SubmitAnswer> {
        let began = Instant::now();
        check_player(player)?;
        let process = self.process();
        let mut links_are_known = false;
        for conflicts in 0..MOST_CONFLICTS {
            let before = self.before(&process, player, submission, &mut links_are_known)?;
            let plan = plan(&self.settings.zone, submission, &before.states, answered_after(before.head));
            self.check_room(&before, &plan)?;
            let payload = to_json(&plan.reviews)?;
            let token = process.token();
            let entry = NewEntry {
                player,
                season: &before.season,
                heads: (before.head, plan.head),
                token: &token,
                payload: &payload,
            };
            // What was computed without the journal never goes into it, though it may be back by now: its states
            // would win over those that wait there.
            let appended = before.is_whole.then(|| {
                process
                    .journal
                    .with(|journal| self.journal_scripts.append(journal, &self.settings.keys, &entry))
            });
            let (plan, job_id, drain_wanted) = match appended {
                Some(Ok(Appended::Added { id, drain_wanted })) => {
                    self.notice_recovery(&process, Server::Journal);
                    (plan, id, drain_wanted)
                }
                Some(Ok(Appended::Conflict)) => {
                    self.settle_conflict(&process, player, &before, conflicts);
                    continue;
                }
                Some(Err(error)) if !error.is_failure_of(Server::Journal) => return Err(error),
                unavailable => {
                    if let Some(Err(error)) = unavailable {
                        self.notice_outage(&process, Server::Journal, &error);
                    }
                    let job_id = format!("direct-{token}");
                    let plan = self.write_at_once(&process, player, submission, &before, &plan, &job_id)?;
                    (plan, job_id, false)
                }
            };
            let remaining = self.show(&process, player, &before, &plan);
            self.count_call(&process, Call::Submit, began);
            return Ok(SubmitAnswer {
                job_id,
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

    /// What the student's answers are computed from: the cache's word, else MariaDB's and the journal's.
    fn before(
        &self,
        process: &Process,
        player: &str,
        submission: &Submission,
        links_are_known: &mut bool,
    ) -> Result<Before> {
        let ids = submission.question_ids();
        let links = if *links_are_known { Vec::new() } else { links_of(submission) };
        let found =
            self.with_cache(process, |lease| self.before_from_cache(process, lease, player, &ids, &links));
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
        *links_are_known = true;
        Ok(before)
    }

    fn before_from_cache(
        &self,
        process: &Process,
        lease: &Lease,
        player: &str,
        ids: &[String],
        links: &[(Link, String)],
    ) -> Result<Attempt<(Before, Vec<bool>)>> {
        let active = self.active_season(process, lease)?;
        let season = active.name.as_deref().unwrap_or_default();
        let student = Student {
            keys: &self.settings.keys,
            player,
            season,
            season_token: &active.token,
            generation: lease.generation,
        };
        let members: Vec<String> = links.iter().map(|(link, name)| link.member(name)).collect();
        Self::ask_cache(process, lease, |cache| {
            self.cache_scripts.lookup(cache, student, &members, &Wanted::Questions(ids))
        })?
        .and_then(|warm| {
            let season = active.name.clone().ok_or_else(no_season)?;
            let lease = active.uses_cache.then(|| lease.clone());
            let Some(lease) = lease else {
                return Ok((self.before_from_database(process, player, season, false)?, Vec::new()));
            };
            Ok(match warm {
                Some(lookup) => Before::from_lookup(season, lease, lookup),
                None => {
                    let records = self.load_and_fill(process, &lease, player, &season)?;
                    (Before::from_records(season, Some(lease), true, records), Vec::new())
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
            let shown: String = name.chars().take(60).collect();
            Err(Error::InvalidInput(format!("Nothing was saved: there is no {link} {shown:?}.")))
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
            if let Err(error) = process.cache.with(|cache| cache::forget_links(cache, keys)) {
                log::warn!("the {link} {name} could not be forgotten: {error}");
            }
        })
    }

    fn check_room(&self, before: &Before, plan: &Plan) -> Result<()> {
        let most = self.settings.max_questions;
        if plan.added > 0 && before.tracked + plan.added > most {
            return Err(Error::InvalidInput(format!(
                "Nothing was saved: you track {} questions already, and a season has room for {most}.",
                before.tracked
            )));
        }
        Ok(())
    }

    /// Another submission of the student is in the journal. Either it will be in the cache in a moment, or
    /// whoever made it died before that: then the student's cache is loaded anew.
    fn settle_conflict(&self, process: &Process, player: &str, before: &Before, conflicts: u32) {
        sleep(Duration::from_millis(u64::from(conflicts.min(5))));
        if conflicts >= 2 && before.lease.is_some() {
            let keys = &self.settings.keys;
            let dropped =
                process.cache.with(|cache| cache::drop_student(cache, keys, player, &before.season));
            if let Err(error) = dropped {
                log::warn!("the cache of {player} could not be dropped: {error}");
            }
        }
    }

    /// Writes the answers to MariaDB, which the student waits for: the journal is out of reach.
    ///
    /// `attempted` is what the journal was asked to take. A journal that hung may have taken it after all:
    /// what is in MariaDB from there already must not count twice.
    fn write_at_once(
        &self,
        process: &Process,
        player: &str,
        submission: &Submission,
        before: &Before,
        attempted: &Plan,
        job_id: &str,
    ) -> Result<Plan> {
        let ids = submission.question_ids();
        let zone = &self.settings.zone;
        let season = before.season.as_str();
        let mut written: Option<Plan> = None;
        process.database.with(|database| {
            storage::check_primary_key(database, &LIVE)?;
            in_transaction_again(database, |database| {
                if !archive::lock_archived(database, &[season])?.is_empty() {
                    return Err(Error::SeasonArchived(season.to_owned()));
                }
                let stored = records::lock(database, zone, (player, season), &ids)?;
                // By a journal that took it after all, or by a first run whose connection broke.
                let done = [Some(attempted), written.as_ref()]
                    .into_iter()
                    .flatten()
                    .find(|plan| stored.iter().any(|review| review.answered_at_us == plan.head));
                let plan = match done {
                    Some(plan) => plan.clone(),
                    None => self.plan_on_table(database, player, submission, before, stored, attempted)?,
                };
                let payload = to_json(&plan.reviews)?;
                let mut rows: Vec<NewState<'_>> =
                    plan.reviews.iter().map(|review| NewState { player, season, review }).collect();
                rows.sort_unstable_by(|one, other| one.key().cmp(&other.key()));
                records::upsert(database, zone, Place::Live, &rows)?;
                let audit = audit(job_id, player, season, &plan.reviews, &payload);
                records::audit(database, zone, &[audit])?;
                written = Some(plan.clone());
                Ok(plan)
            })
        })
    }

    /// Computes the answers from what the table has now. Where answers that wait in the journal may be
    /// missing, keeps them with what they were computed from.
    fn plan_on_table(
        &self,
        database: &mut Conn,
        player: &str,
        submission: &Submission,
        before: &Before,
        stored: Vec<Review>,
        attempted: &Plan,
    ) -> Result<Plan> {
        let mut states: Vec<Review> = before.states.values().cloned().collect();
        crate::rehydrate::overlay(&mut states, stored);
        let head = states.iter().map(|review| review.answered_at_us).fold(before.head, i64::max);
        let states = by_question(states);
        let plan = plan(&self.settings.zone, submission, &states, answered_after(head));
        if !before.is_whole {
            let season = before.season.as_str();
            let ids = submission.question_ids();
            let known: Vec<Review> = ids.iter().filter_map(|id| states.get(id)).cloned().collect();
            let mut blind = blind::of_student(database, player, season, true)?.unwrap_or_default();
            blind.add(&known, submission, plan.head, attempted.head);
            blind::save(database, player, season, &blind, plan.head)?;
        }
        Ok(plan)
    }

    /// Shows the acknowledged answers in the cache, or makes sure that nobody believes the cache. Returns
    /// how many questions are due now.
    fn show(&self, process: &Process, player: &str, before: &Before, plan: &Plan) -> u64 {
        let keys = &self.settings.keys;
        let now = now_us() / 1_000_000;
        let season = before.season.as_str();
        let shown = match &before.lease {
            Some(lease) => process.cache.with(|cache| {
                if *lease.run_id != cache.run_id {
                    // Whatever this other run of the cache has is not believed before it has a new generation.
                    return cache::drop_student(cache, keys, player, season).map(|_| None);
                }
                let student =
                    Student { keys, player, season, season_token: "", generation: lease.generation };
                let heads = (before.head, plan.head);
                let ttl = self.settings.cache_ttl_seconds;
                self.cache_scripts.apply(cache, student, heads, &plan.reviews, now, ttl)
            }),
            // The season's cache may come into use again: it must not keep what is old now.
            None => {
                process.cache.with(|cache| cache::drop_student(cache, keys, player, season)).map(|_| None)
            }
        };
        let shown = match shown {
            Err(Error::Refused { cause, .. }) => {
                log::warn!("the cache refuses the answers of {player}: {cause}");
                process.cache.with(|cache| cache::drop_student(cache, keys, player, season)).map(|_| None)
            }
            shown => shown,
        };
        match shown {
            Ok(Some(remaining)) => return remaining,
            Ok(None) => {}
            Err(error) if before.uses_cache => {
                self.distrust_cache(process);
                self.notice_outage(process, Server::Cache, &error);
            }
            Err(_) => {}
        }
        self.remaining(process, player, before, plan, now)
    }

    fn remaining(&self, process: &Process, player: &str, before: &Before, plan: &Plan, now: i64) -> u64 {
        let mut states: Vec<Review> = if before.all_states {
            before.states.values().cloned().collect()
        } else {
            // Only a number for the student's eyes: not worth an error now that his answers are safe.
            self.load_records(process, player, &before.season)
                .map(|records| records.reviews)
                .unwrap_or_default()
        };
        crate::rehydrate::overlay(&mut states, plan.reviews.clone());
        states.iter().filter(|review| review.next_review <= now).count() as u64
    }
}

impl Before {
    fn from_lookup(season: String, lease: Lease, lookup: Lookup) -> (Before, Vec<bool>) {
        let before = Before {
            season,
            lease: Some(lease),
            uses_cache: true,
            head: lookup.head,
            tracked: lookup.records,
            states: by_question(lookup.reviews),
            all_states: false,
            is_whole: true,
        };
        (before, lookup.links)
    }

    fn from_records(season: String, lease: Option<Lease>, uses_cache: bool, records: Records) -> Before {
        Before {
            season,
            lease,
            uses_cache,
            head: records.head,
            tracked: records.reviews.len() as u64,
            states: by_question(records.reviews),
            all_states: true,
            is_whole: records.is_whole,
        }
    }
}

/// What an audit record says of a submission.
pub(crate) fn audit<'a>(
    job_id: &'a str,
    player: &'a str,
    season: &'a str,
    reviews: &[Review],
    payload: &str,
) -> Audit<'a> {
    let checksum = Sha256::digest(payload.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Audit {
        job_id,
        player,
        season,
        answers: reviews.len(),
        answered_at_us: reviews.iter().map(|review| review.answered_at_us).max().unwrap_or(0),
        persisted_at_us: now_us(),
        checksum,
    }
}

fn to_json(reviews: &[Review]) -> Result<String> {
    serde_json::to_string(reviews)
        .map_err(|error| Error::Fault(format!("answers cannot be written: {error}")))
}

/// The time of new answers, Unix microseconds: later than `head`, even when the clock went back.
fn answered_after(head: i64) -> i64 {
    now_us().max(head + 1)
}

fn links_of(submission: &Submission) -> Vec<(Link, String)> {
    let subject = submission.subject.clone().map(|name| (Link::Subject, name));
    let topic = submission.topic.clone().map(|name| (Link::Topic, name));
    subject.into_iter().chain(topic).collect()
}

fn no_season() -> Error {
    Error::SeasonUnavailable("Nothing was saved: no season is active.".to_owned())
}

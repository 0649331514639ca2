//! Taking a student's answers (spec section 3).
//!
//! The new states are computed from the student's last ones. The entry is appended to the journal
//! only if no other submission came first, then shown in the cache. An entry that the journal does
//! not take is kept unchanged in `memora_journal`. An answer that the cache was not shown is
//! acknowledged only once no process believes its student's cached schedule.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::acknowledgement::{Acknowledgement, Keyed, fingerprint, has_key, token_of};
use crate::rules::clock::now_us;
use crate::rules::entry::Entry;
use crate::rules::experience::xp_earned;
use crate::rules::head::Head;
use crate::rules::latency::Call;
use crate::rules::leech::leeches;
use crate::rules::names::check_player;
use crate::rules::plan::plan;
use crate::rules::review::Review;
use crate::rules::submission::Submission;
use crate::servers::mariadb::journal;
use crate::servers::mariadb::seasons::{self, Link};
use crate::servers::redis::journal::{Appended, NewEntry, StreamEntry, is_replicated};
use crate::students::known_state::Before;
use crate::students::submit_answer::SubmitAnswer;

/// How often a submission is computed again if another one of the student comes first.
const MOST_CONFLICTS: u32 = 60;
/// For how long it is computed again, because its caller gives up at some time.
const LONGEST_CONFLICT: Duration = Duration::from_secs(10);
/// This many conflicts of one head mean that no process shows what came after it.
const STUCK_AFTER: u32 = 5;

/// What came before a submission while it was computed.
pub(super) struct Conflicts {
    began: Instant,
    /// How often another submission came before it.
    count: u32,
    /// The last head that it was computed from, and how often in a row.
    head: (Head, u32),
}

impl Default for Conflicts {
    fn default() -> Conflicts {
        Conflicts { began: Instant::now(), count: 0, head: (Head::default(), 0) }
    }
}

impl Conflicts {
    /// Notes a conflict with this head. True at every fifth one in a row: no process shows what
    /// came after it.
    fn note(&mut self, head: Head) -> bool {
        self.count += 1;
        let times = if self.head.0 == head { self.head.1 + 1 } else { 1 };
        let is_stuck = times == STUCK_AFTER;
        self.head = (head, if is_stuck { 0 } else { times });
        is_stuck
    }
}

/// The outcome of keeping an entry.
pub(super) enum Keeping {
    /// It is kept.
    Done(Kept),
    /// Another submission of the student came first.
    Conflict,
    /// The journal has the submission, which has a key, as another entry.
    InJournal(StreamEntry),
}

/// Where an entry was kept: in one place, or in both.
#[derive(Default)]
pub(super) struct Kept {
    /// In the journal's stream; true for the one submission that should queue a drain.
    in_stream: Option<bool>,
    /// In `memora_journal`, under this id.
    in_table: Option<i64>,
}

impl Kept {
    /// Whether this submission should queue a drain.
    pub(super) fn drain_wanted(&self) -> bool {
        self.in_stream.unwrap_or(false)
    }

    /// What is known of the student once an entry of this order is kept.
    pub(super) fn head(&self, before: Head, order: i64) -> Head {
        Head {
            order,
            journal: self.in_stream.map_or(before.journal, |_| order),
            table: self.in_table.unwrap_or(before.table),
        }
    }
}

impl Engine {
    /// Takes a submission. When this returns, it is durable and the next read shows it.
    ///
    /// # Errors
    /// If nothing was acknowledged; the student must be told so.
    pub fn submit(&self, player: &str, submission: &Submission) -> Result<SubmitAnswer> {
        self.take(player, submission, links_of(submission))
    }

    /// As [`Engine::submit`], for a student without a session: an existing user, whose name may
    /// have any case.
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
        let key = submission.key.as_deref();
        let key = key.map(|key| (token_of(player, key), fingerprint(submission)));
        let key = key.as_ref().map(|(token, print)| (token.as_str(), print.as_str()));
        if let Some(key) = key
            && let Some(answer) = self.answered_before(&process, key)?
        {
            return Ok(answer);
        }
        let submission = &*submission.arrived(now_us() / 1_000_000)?;
        let mut conflicts = Conflicts::default();
        loop {
            let before = self.before(&process, player, submission, &links)?;
            links.clear();
            let scheduled;
            let submission = if before.scheduling.is_default() {
                submission
            } else {
                scheduled = before.scheduled(player, submission);
                &scheduled
            };
            let now = now_us();
            self.notice_clock(&process, player, before.head.seconds_ahead(now));
            let order = before.head.next_order(now, process.random());
            let mut plan =
                plan(&self.settings.zone, submission, &before.states, order, now / 1_000_000);
            self.check_room(&before, plan.added)?;
            let times = (now, order);
            let token = key.map_or_else(|| process.token(), |(token, _)| token.to_owned());
            let states = std::mem::take(&mut plan.reviews);
            let is_due = |state: &&Review| {
                state.next_review <= now / 1_000_000 && !before.hidden.contains(&state.question_id)
            };
            let rungs = usize::from(before.scheduling.most_rungs());
            let told = Acknowledgement {
                processed: submission.answers.len(),
                correct: plan.correct,
                xp_earned: xp_earned(plan.correct, submission.total_combo),
                remaining: before.others_due + states.iter().filter(is_due).count() as u64,
                stability_counts: plan.stability_counts[..rungs].to_vec(),
                leeches: leeches(submission, &before.states, &states, self.settings.leech_lapses),
            };
            let mut entry =
                Entry::new(token, times, before.head, submission, &before.states, states);
            if key.is_some() {
                entry = entry.that_can_be_undone(&before.states);
            }
            entry.is_sure = before.is_sure;
            entry.keyed = key.map(|(_, fingerprint)| Keyed {
                fingerprint: fingerprint.to_owned(),
                told: told.clone(),
            });
            let kept = match (self.keep(&process, player, &before, &entry)?, key) {
                (Keeping::Done(kept), _) => kept,
                (Keeping::InJournal(found), Some(key)) => {
                    return self.tell_of_journal(&process, found, key);
                }
                _ => {
                    self.settle_conflict(&process, player, &before, &mut conflicts)?;
                    if let Some(key) = key
                        && let Some(answer) = self.answered_before(&process, key)?
                    {
                        return Ok(answer);
                    }
                    continue;
                }
            };
            let head = kept.head(before.head, order);
            self.show(&process, player, &before, head, &entry.states)?;
            self.notice_overdue(&process);
            self.count_call(&process, Call::Submit, began);
            return Ok(SubmitAnswer {
                job_id: entry.token,
                season: before.season,
                told,
                drain_wanted: kept.drain_wanted(),
                is_first: true,
            });
        }
    }

    /// Keeps an entry where it is safe: in the journal and its replicas, otherwise in MariaDB.
    pub(super) fn keep(
        &self,
        process: &Process,
        player: &str,
        before: &Before,
        entry: &Entry,
    ) -> Result<Keeping> {
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
        // An entry computed without the journal is never appended to it, although it may be back by
        // now: nothing would show that the entry does not know what waits there.
        let mut may_be_kept = false;
        let mut kept = Kept::default();
        let replicas = self.replicas(process);
        let appended = (before.is_whole && self.journal_counts(process)).then(|| {
            process.journal.with(|journal| {
                let keys = &self.settings.keys;
                let appended = self.journal_scripts.append(journal, keys, &new, replicas);
                may_be_kept |= match &appended {
                    Ok(Appended::Added { .. }) => true,
                    Ok(Appended::Conflict | Appended::Known) => false,
                    // What its replicas say comes after the append.
                    Err(error) => error.may_have_been_done() || replicas.count > 0,
                };
                appended
            })
        });
        match appended {
            Some(Ok(Appended::Added { drain_wanted, is_replicated })) => {
                self.notice_recovery(process, Server::Journal);
                process.replicas.note(is_replicated);
                kept.in_stream = Some(drain_wanted);
                if is_replicated {
                    return Ok(Keeping::Done(kept));
                }
            }
            Some(Ok(Appended::Conflict)) => return Ok(Keeping::Conflict),
            Some(Ok(Appended::Known)) => match self.in_journal(process, &entry.token)? {
                // The reply to this append was lost, and it was sent again.
                Some(found) if found.text == text => {
                    kept.in_stream = Some(false);
                    let keys = &self.settings.keys;
                    if process.journal.with(|journal| is_replicated(journal, keys, replicas))? {
                        return Ok(Keeping::Done(kept));
                    }
                }
                Some(found) => return Ok(Keeping::InJournal(found)),
                // It has just left.
                None => return Ok(Keeping::Conflict),
            },
            Some(Err(error)) if !error.is_failure_of(Server::Journal) => return Err(error),
            Some(Err(error)) => {
                self.notice_outage(process, Server::Journal, &error);
                if has_key(&entry.token) {
                    return Err(if may_be_kept { error.unsettled() } else { error });
                }
            }
            // The table could not say that the journal has the same submission.
            None if has_key(&entry.token) => {
                return Err(Error::NotRegistered { server: Server::Journal });
            }
            None => {}
        }
        let patience = self.settings.database.reply_patience();
        let in_table = process.database.with(|database| {
            let (token, student) = (entry.token.as_str(), (player, season));
            let until_us = journal::until_us(database, patience)?;
            let id = journal::append_in_time(database, token, student, &text, until_us);
            may_be_kept |= id.as_ref().is_err_and(Error::may_have_been_done);
            id
        });
        match in_table {
            Ok(id) => Ok(Keeping::Done(Kept { in_table: Some(id), ..kept })),
            Err(error) if may_be_kept => Err(error.unsettled()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn check_room(&self, before: &Before, added: u64) -> Result<()> {
        let most = self.settings.max_questions;
        if added > 0 && before.tracked + added > most {
            return Err(Error::InvalidInput(format!(
                "Nothing was saved: you track {} questions already, and a season has room for \
                 {most}.",
                before.tracked
            )));
        }
        Ok(())
    }

    /// Another submission of the student is in the journal. Either it will be in the cache soon, or
    /// its process died before that: then the student's cache is loaded again.
    ///
    /// # Errors
    /// [`Error::Overtaken`] once that has happened too often, or for too long.
    pub(super) fn settle_conflict(
        &self,
        process: &Process,
        player: &str,
        before: &Before,
        conflicts: &mut Conflicts,
    ) -> Result<()> {
        let is_stuck = conflicts.note(before.head);
        if conflicts.count >= MOST_CONFLICTS || conflicts.began.elapsed() >= LONGEST_CONFLICT {
            return Err(Error::Overtaken { count: conflicts.count });
        }
        // A random time, so that submissions that conflicted do not conflict again.
        let longest = u64::from(conflicts.count.min(6) - 1) * 2_000;
        sleep(Duration::from_micros(process.random() % (1 + longest)));
        if is_stuck && before.cached.is_some() {
            let dropped = process.cache.drop_students([(player, before.season.as_str())]);
            if let Err(error) = dropped {
                log::warn!("the cache of {player} could not be dropped: {error}");
            }
        }
        Ok(())
    }
}

fn links_of(submission: &Submission) -> Vec<(Link, String)> {
    let subject = submission.subject.clone().map(|name| (Link::Subject, name));
    let topic = submission.topic.clone().map(|name| (Link::Topic, name));
    subject.into_iter().chain(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_loaded_again_once_nobody_shows_what_came_before() {
        let head = |order| Head { order, journal: order, table: 0 };
        let mut conflicts = Conflicts::default();
        let stuck: Vec<bool> = (0..10).map(|_| conflicts.note(head(1))).collect();
        assert_eq!(stuck, [[false, false, false, false, true]; 2].concat());
        let mut conflicts = Conflicts::default();
        assert!((1..9).all(|order| !conflicts.note(head(order / 2))));
        assert_eq!(conflicts.count, 8);
    }
}

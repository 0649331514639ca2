//! Undoes a submission with a key: its questions get back the states that they had before.
//!
//! An undo is an entry like any other, with those states. Its token is made from the
//! submission's, so it counts once, however often it is sent. It is computed only from MariaDB and
//! the journal, as of one moment: a process that cannot ask both does not know whether there is
//! something newer. It does not count if its questions were answered again before it is applied
//! (`rules/lineage.rs`), so it is acknowledged only once it is certain to count
//! (`Engine::has_undone`). The model has the same steps (`tests/model/undo.rs`).

use crate::consistency::moment::Moment;
use crate::consistency::rehydrate::Records;
use crate::engine::{Engine, Process};
use crate::error::{Error, NotUndone, Result, Server};
use crate::rules::acknowledgement::{Acknowledgement, Keyed, token_of, undo_token_of};
use crate::rules::answer::Observed;
use crate::rules::answer_log;
use crate::rules::clock::now_us;
use crate::rules::counted_on::{self, counts_on};
use crate::rules::entry::{Entry, From};
use crate::rules::head::Head;
use crate::rules::lineage::{States, apply, counts, holds, lay_over};
use crate::rules::names::check_player;
use crate::rules::plan::by_question;
use crate::rules::season::Season;
use crate::rules::submission::Submission;
use crate::rules::undo::{LONGEST_US, Replaced, unpack};
use crate::servers::mariadb::audits::{self, Undoable};
use crate::servers::mariadb::{archive, journal, seasons, suspended};
use crate::servers::redis::pending::Pending;
use crate::students::known_state::Before;
use crate::students::sent_again::Key;
use crate::students::submit::{Conflicts, Keeping};
use crate::students::submit_answer::SubmitAnswer;

/// The fingerprint of every undo: one token undoes one submission.
const FINGERPRINT: &str = "undo";

/// A submission that can be undone, and what it replaced.
struct Found {
    replaced: Replaced,
    /// What the student was told.
    told: Acknowledgement,
    /// Answers of a lesson earn no XP.
    is_lesson: bool,
}

/// What is known of the student before a submission is undone.
struct Known {
    found: Found,
    records: Records,
}

impl Engine {
    /// Undoes a student's submission with this id. When this returns, the undo is durable, and the
    /// next read shows it. A repeated call gets the same answer. It tells how many answers were
    /// undone, and the XP that they had earned.
    ///
    /// # Errors
    /// [`Error::NotUndone`] if it cannot be undone, [`Error::SeasonArchived`],
    /// [`Error::NotCertain`] if that is not known yet; and when a server is down.
    pub fn undo(&self, player: &str, submission_id: &str) -> Result<SubmitAnswer> {
        check_player(player)?;
        let process = self.process();
        let undone = token_of(player, submission_id);
        let token = undo_token_of(&undone);
        let key = (token.as_str(), FINGERPRINT);
        let mut conflicts = Conflicts::default();
        loop {
            if let Some(answer) = self.undone_before(&process, key)? {
                return self.if_it_counts(&process, player, &undone, answer);
            }
            let season = self.season_of(&process, player, &undone)?;
            let known = self.replaced_by(&process, (player, &season.name), &undone);
            let Known { found, records } = match known {
                // Another process may have undone it meanwhile.
                Err(error @ Error::NotUndone(_)) => {
                    let answer = self.undone_before(&process, key)?.ok_or(error)?;
                    return self.if_it_counts(&process, player, &undone, answer);
                }
                known => known?,
            };
            let now = now_us();
            if now.saturating_sub(found.replaced.at_us) > LONGEST_US {
                return Err(Error::NotUndone(NotUndone::TooLate));
            }
            let order = records.head.next_order(now, process.random());
            let standing = by_question(records.reviews.clone());
            let states = found.replaced.restored(order, |id| standing.get(id));
            let ids: Vec<String> = states.iter().map(|state| state.question_id.clone()).collect();
            let retired = self.retired_now(&process)?;
            let before = Before::from_records(season, None, records, (&ids, &retired));
            let is_due = |id: &String, next_review: i64| {
                next_review <= now / 1_000_000 && !before.hidden.contains(id)
            };
            let due = states.iter().filter(|state| is_due(&state.question_id, state.next_review));
            let told = Acknowledgement {
                xp_earned: if found.is_lesson { 0 } else { found.told.xp_earned },
                remaining: before.others_due + due.count() as u64,
                leeches: Vec::new(),
                ..found.told
            };
            let from = ids.iter().map(|id| (id.clone(), standing.get(id).map(From::of)));
            let entry = Entry {
                at_us: now,
                kept_at_us: now,
                base: before.head,
                from: from.collect(),
                keyed: Some(Keyed { fingerprint: FINGERPRINT.to_owned(), told: told.clone() }),
                undoes: Some(undone.clone()),
                ..Entry::of_states(token.clone(), states)
            };
            let kept = match self.keep(&process, player, &before, &entry)? {
                Keeping::Done(kept) => kept,
                Keeping::InJournal(found) => {
                    let answer = self.tell_of_journal(&process, found, key)?;
                    return self.if_it_counts(&process, player, &undone, answer);
                }
                Keeping::Conflict => {
                    self.settle_conflict(&process, player, &before, &mut conflicts)?;
                    continue;
                }
            };
            let answer = SubmitAnswer {
                job_id: entry.token,
                season: before.season.clone(),
                told,
                drain_wanted: kept.drain_wanted(),
                is_first: true,
            };
            // This comes first: while it is unknown whether the undo counts, reads show what the
            // journals say.
            let head = kept.head(before.head, order);
            self.show(&process, player, &before, head, &entry.states)?;
            return self.if_it_counts(&process, player, &undone, answer).map_err(Error::unsettled);
        }
    }

    /// The answer to an undo that was kept before.
    fn undone_before(&self, process: &Process, key: Key<'_>) -> Result<Option<SubmitAnswer>> {
        match self.answered_before(process, key) {
            // What the student was told is no longer known, or the student was erased.
            Err(Error::InvalidInput(_)) => Err(Error::NotUndone(NotUndone::Unknown)),
            found => found,
        }
    }

    /// The answer to an undo that was kept, if it counts.
    fn if_it_counts(
        &self,
        process: &Process,
        player: &str,
        undone: &str,
        answer: SubmitAnswer,
    ) -> Result<SubmitAnswer> {
        let student = (player, answer.season.as_str());
        if self.has_undone(process, student, (undone, &answer.job_id))? {
            return Ok(answer);
        }
        Err(Error::NotUndone(NotUndone::ChangedSince))
    }

    /// Whether an undo that was kept counts.
    ///
    /// # Errors
    /// [`Error::NotCertain`] while an entry that it does not know may still come before it.
    fn has_undone(
        &self,
        process: &Process,
        (player, season): (&str, &str),
        (undone, token): (&str, &str),
    ) -> Result<bool> {
        let pending = self.pending_in_registered(process, player, season)?;
        // Another server may take the journal's place after a drain has taken something from this
        // one.
        let may_fail_over = self.replicas(process).count > 0;
        let is_it = |entry: &Entry| entry.token == token && !entry.has_counted();
        let waits = |pending: &Pending| pending.entries.iter().find(|entry| is_it(entry)).cloned();
        let (moment, in_stream, is_written, written) = process.database.with(|database| {
            let pending = self.with_lacking(database, &pending)?;
            let in_stream = waits(&pending[0]);
            if in_stream.as_ref().is_some_and(|entry| entry.base.table > 0) {
                journal::wait_for_others(database, player, season)?;
            }
            let moment = self.moment(database, (player, season), &pending[0])?;
            // Later: it is either among the entries or written by now.
            let is_written = !audits::audited(database, &[token])?.is_empty();
            Ok((moment, in_stream, is_written, audits::undoable(database, undone)?))
        })?;
        let Moment { records, entries, in_table, .. } = moment;
        if is_written {
            // Then the submission is marked as undone, if its audit record still exists.
            let is_marked =
                |written: Undoable| written.replaced.is_some_and(|left| left.is_empty());
            return Ok(written.is_none_or(is_marked));
        }
        let place = entries.iter().position(is_it).ok_or(Error::NotCertain)?;
        let entry = &entries[place];
        let mut states = States::default();
        states.extend(records);
        let mut is_settled = true;
        for entry in &entries[..place] {
            // An entry that is computed again gets an order that depends on what is written with
            // it.
            let is_held = holds(&states, entry);
            let changed = apply(&self.settings.zone, &mut states, entry);
            is_settled &= if entry.has_counted() { changed.is_empty() } else { is_held };
        }
        // A drain may have taken an entry of the table, or the submission, without this one.
        let is_other = |(id, other): &(i64, String)| *id > entry.base.table && other != token;
        let has_place = in_stream.is_some() && !in_table.iter().any(is_other);
        if may_fail_over || !has_place || !is_settled {
            return Err(Error::NotCertain);
        }
        Ok(counts(&states, entry))
    }

    /// What of a student is in the journal, which must be the registered one.
    fn pending_in_registered(
        &self,
        process: &Process,
        player: &str,
        season: &str,
    ) -> Result<Vec<Pending>> {
        let pending = self.pending_of(process, &[player], season)?;
        if self.journal_counts(process) {
            return Ok(pending);
        }
        Err(Error::NotRegistered { server: Server::Journal })
    }

    /// The season of a submission.
    fn season_of(&self, process: &Process, player: &str, token: &str) -> Result<Season> {
        let unknown = || Error::NotUndone(NotUndone::Unknown);
        let season = match self.in_journal(process, token)? {
            Some(entry) if entry.player == player => entry.season,
            Some(_) => return Err(unknown()),
            None => process
                .database
                .with(|database| match audits::undoable(database, token)? {
                    Some(Undoable { season, .. }) => Ok(Some(season)),
                    None => Ok(journal::by_token(database, token)?.map(|entry| entry.season)),
                })?
                .ok_or_else(unknown)?,
        };
        process.database.with(|database| seasons::named(database, &season))?.ok_or_else(unknown)
    }

    /// What a submission replaced, if its questions are still as it left them, and the student's
    /// records, both of one moment.
    fn replaced_by(
        &self,
        process: &Process,
        (player, season): (&str, &str),
        token: &str,
    ) -> Result<Known> {
        let pending = self.pending_in_registered(process, player, season)?;
        let (moment, written, suspended, is_archived) = process.database.with(|database| {
            let pending = self.with_lacking(database, &pending)?;
            let moment = self.moment(database, (player, season), &pending[0])?;
            // Later: it is either among the entries or written by now.
            let written = audits::undoable(database, token)?;
            let suspended = suspended::of_students(database, &[player])?.remove(player);
            let is_archived = archive::is_archived(database, season)?;
            Ok((moment, written, suspended.unwrap_or_default(), is_archived))
        })?;
        if is_archived {
            return Err(Error::SeasonArchived(season.to_owned()));
        }
        let Moment { records, entries, head, .. } = moment;
        let is_it = |entry: &Entry| entry.token == token && !entry.has_counted();
        let found = match entries.iter().position(is_it) {
            Some(place) => {
                let (before, rest) = entries.split_at(place);
                let mut states = States::default();
                states.extend(records.clone());
                for entry in before {
                    apply(&self.settings.zone, &mut states, entry);
                }
                self.of_waiting(states, rest)?
            }
            None => of_written(written)?,
        };
        let (reviews, newest) = lay_over(&self.settings.zone, records, &entries);
        let is_unchanged = |id: &str| {
            let state = reviews.iter().find(|review| review.question_id == id);
            state.is_some_and(|state| state.answered_at_us == found.replaced.order)
        };
        if !found.replaced.states.iter().all(|(id, _)| is_unchanged(id)) {
            return Err(Error::NotUndone(NotUndone::ChangedSince));
        }
        let head = Head { order: head.order.max(newest), ..head };
        Ok(Known { found, records: Records { reviews, head, suspended, is_whole: true } })
    }

    /// What the first of these waiting entries replaces of these states.
    fn of_waiting(&self, states: States, entries: &[Entry]) -> Result<Found> {
        let entry = entries.first().ok_or(Error::NotUndone(NotUndone::Unknown))?;
        let told = entry.keyed.as_ref().ok_or(Error::NotUndone(NotUndone::Unprepared))?;
        if counts_on(&states, entry).contains(&counted_on::Before::Overridden) {
            return Err(Error::NotUndone(NotUndone::ChangedSince));
        }
        if !holds(&states, entry) {
            // It is computed again when it is written, and the order of its states is known only
            // then.
            return Err(Error::NotCertain);
        }
        // What it was computed from may be missing.
        let known = |id: &String| {
            let known = entry.before.iter().find(|state| state.question_id == *id);
            known.or_else(|| states.state(id).map(|(state, _)| state)).cloned()
        };
        let changed = entry.states.iter().map(|state| &state.question_id);
        Ok(Found {
            replaced: Replaced {
                at_us: entry.at_us,
                order: entry.order,
                states: changed.map(|id| (id.clone(), known(id))).collect(),
            },
            told: told.told.clone(),
            is_lesson: is_lesson(&entry.submission),
        })
    }
}

/// What a submission that was written has replaced.
fn of_written(written: Option<Undoable>) -> Result<Found> {
    let Undoable { told, replaced, log, .. } =
        written.ok_or(Error::NotUndone(NotUndone::Unknown))?;
    let replaced = replaced.filter(|replaced| !replaced.is_empty());
    let (Some(Keyed { told, .. }), Some(replaced)) = (told, replaced) else {
        return Err(Error::NotUndone(NotUndone::Unprepared));
    };
    let unreadable = |reason: String| {
        Error::Fault(format!("what a submission has replaced cannot be read: {reason}"))
    };
    let answers = answer_log::unpack(&log).map_err(unreadable)?;
    let answers = answers.into_iter().map(|logged| logged.answer).collect();
    let submission = Submission { answers, ..Submission::default() };
    let replaced = unpack(&replaced, submission.question_ids()).map_err(unreadable)?;
    Ok(Found { replaced, told, is_lesson: is_lesson(&submission) })
}

fn is_lesson(submission: &Submission) -> bool {
    submission.answers.iter().any(|answer| matches!(answer.observed, Observed::Lesson { .. }))
}

//! Writing what has gathered in the journal to MariaDB, over all students at once.
//!
//! Entries leave the journal only after their transaction is committed. A drain that dies in between
//! leaves them to the next one; writing them again changes nothing.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mysql::Conn;

use crate::clock::now_us;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::mariadb::poison::{self, Poison};
use crate::mariadb::records::{self, NewState};
use crate::mariadb::shape::LIVE;
use crate::mariadb::{DEADLOCK, blind, in_transaction, is_data_error, storage};
use crate::redis::journal::{self, Entry};
use crate::review::Review;
use crate::submit::audit;

/// Submissions that are taken from the journal at a time.
const BATCH: usize = 1_000;
/// Transactions that a batch is written in, side by side.
const WRITERS: usize = 2;
/// An entry that another drain took this long ago, in milliseconds, is taken over: that drain is dead.
const TAKE_OVER_AFTER_MS: u64 = 20_000;
const FORGET_CONSUMER_AFTER_MS: u64 = 3_600_000;
/// By how much the clocks of two machines of a bench may differ, in microseconds.
const CLOCKS_DIFFER_US: i64 = 60_000_000;
/// How often a batch that lost a deadlock is written again at once.
const MOST_DEADLOCKS: u32 = 20;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Submissions that left the journal.
    pub submissions: usize,
    /// States that were written.
    pub answers: usize,
    /// Records that could not be written and were set aside.
    pub set_aside: usize,
    /// Submissions that are still in the journal.
    pub remaining: u64,
}

/// An entry whose states could be read.
struct Decoded {
    entry: Entry,
    reviews: Vec<Review>,
}

impl Engine {
    /// Drains the journal until it is empty or `patience` is over.
    ///
    /// # Errors
    /// When the journal is out of reach, or MariaDB stays so; nothing is lost then.
    pub fn drain(&self, patience: Duration) -> Result<DrainReport> {
        let process = self.process();
        let keys = &self.settings.keys;
        let deadline = Instant::now() + patience;
        let began_us = now_us();
        let consumer = process.token();
        process.journal.with(|journal| {
            journal::clear_drain_flag(journal, keys)?;
            journal::make_group(journal, keys)
        })?;
        let mut report = DrainReport::default();
        loop {
            let entries = process.journal.with(|journal| {
                let abandoned = journal::take_over(journal, keys, &consumer, TAKE_OVER_AFTER_MS, BATCH)?;
                if abandoned.is_empty() {
                    journal::take_new(journal, keys, &consumer, BATCH)
                } else {
                    Ok(abandoned)
                }
            })?;
            if entries.is_empty() {
                break;
            }
            self.persist_with_patience(&process, &entries, deadline, &mut report)?;
            process.journal.with(|journal| self.journal_scripts.acknowledge(journal, keys, &entries))?;
            report.submissions += entries.len();
            if Instant::now() >= deadline {
                break;
            }
        }
        report.remaining = process.journal.with(|journal| {
            journal::forget_consumers(journal, keys, FORGET_CONSUMER_AFTER_MS)?;
            Ok(journal::backlog(journal, keys)?.0)
        })?;
        if report.remaining == 0 {
            let forgotten =
                process.database.with(|database| blind::forget(database, began_us - CLOCKS_DIFFER_US));
            if let Err(error) = forgotten {
                log::debug!("answers that are settled stay in memora_blind_answer for now: {error}");
            }
        }
        Ok(report)
    }

    /// Writes entries; while MariaDB cannot, tries again in ever longer intervals until the deadline.
    fn persist_with_patience(
        &self,
        process: &Process,
        entries: &[Entry],
        deadline: Instant,
        report: &mut DrainReport,
    ) -> Result<()> {
        let mut pause = FIRST_RETRY;
        let mut deadlocks = 0;
        loop {
            match self.persist_in_parallel(process, entries) {
                Ok((answers, set_aside)) => {
                    report.answers += answers;
                    report.set_aside += set_aside;
                    return Ok(());
                }
                Err(error @ Error::Fault(_)) => return Err(error),
                // Two drains came into each other's way, and this one lost: it goes on at once.
                Err(Error::Refused { code: DEADLOCK, .. }) if deadlocks < MOST_DEADLOCKS => deadlocks += 1,
                Err(error) if Instant::now() + pause < deadline => {
                    log::warn!(
                        "{} submissions could not be written, next try in {pause:?}: {error}",
                        entries.len()
                    );
                    sleep(pause);
                    pause = (pause * 2).min(LONGEST_RETRY);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes entries on several connections, each with students of its own: MariaDB uses one core for each.
    /// Threads of this call alone, so there is none for a fork to lose.
    fn persist_in_parallel(&self, process: &Process, entries: &[Entry]) -> Result<(usize, usize)> {
        let parts = by_students(entries, WRITERS);
        std::thread::scope(|scope| {
            let writers: Vec<_> = parts
                .iter()
                .map(|part| scope.spawn(|| process.background.with(|database| self.persist(database, part))))
                .collect();
            // All are waited for, so that none still writes when the first error is seen.
            let outcomes: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            let panicked = |_| Err(Error::Fault("a writer of the drain panicked: see the log".to_owned()));
            outcomes.into_iter().try_fold((0, 0), |sum, outcome| {
                let (written, set_aside) = outcome.unwrap_or_else(panicked)?;
                Ok((sum.0 + written, sum.1 + set_aside))
            })
        })
    }

    /// Writes entries, and sets aside what cannot be written. Returns how many states of each.
    fn persist(&self, database: &mut Conn, entries: &[Entry]) -> Result<(usize, usize)> {
        storage::check_primary_key(database, &LIVE)?;
        let mut decoded = Vec::with_capacity(entries.len());
        let mut set_aside = 0;
        for entry in entries {
            match read(entry) {
                Ok(reviews) => decoded.push(Decoded { entry: entry.clone(), reviews }),
                Err(reason) => {
                    self.set_aside(database, entry, 0, "", &reason, &entry.payload)?;
                    set_aside += 1;
                }
            }
        }
        let (written, more_set_aside) = self.write(database, &decoded)?;
        Ok((written, set_aside + more_set_aside))
    }

    /// Writes entries in one transaction; where the data itself is at fault, halves them until what is at
    /// fault stands alone.
    fn write(&self, database: &mut Conn, entries: &[Decoded]) -> Result<(usize, usize)> {
        match self.write_whole(database, entries) {
            Err(error) if is_data_error(&error) => match entries {
                [one] => self.write_singly(database, one),
                _ => {
                    let (left, right) = entries.split_at(entries.len() / 2);
                    let (left, right) = (self.write(database, left)?, self.write(database, right)?);
                    Ok((left.0 + right.0, left.1 + right.1))
                }
            },
            written => written.map(|written| (written, 0)),
        }
    }

    fn write_whole(&self, database: &mut Conn, entries: &[Decoded]) -> Result<usize> {
        if entries.is_empty() {
            return Ok(0);
        }
        let zone = &self.settings.zone;
        let states = newest_states(entries);
        let audits: Vec<_> = entries
            .iter()
            .map(|Decoded { entry, reviews }| {
                audit(&entry.id, &entry.player, &entry.season, reviews, &entry.payload)
            })
            .collect();
        in_transaction(database, |database| {
            if !states.is_empty() {
                records::save(database, zone, &states)?;
            }
            self.settle_blind_answers(database, entries)?;
            records::audit(database, zone, &audits)
        })?;
        Ok(entries.iter().map(|decoded| decoded.reviews.len()).sum())
    }

    fn write_singly(&self, database: &mut Conn, decoded: &Decoded) -> Result<(usize, usize)> {
        let Decoded { entry, reviews } = decoded;
        let zone = &self.settings.zone;
        let mut set_aside = 0;
        for (ordinal, review) in reviews.iter().enumerate() {
            let state = [NewState { player: &entry.player, season: &entry.season, review }];
            match in_transaction(database, |database| records::save(database, zone, &state)) {
                Err(error) if is_data_error(&error) => {
                    let payload = serde_json::to_string(review).unwrap_or_default();
                    let reason = error.to_string();
                    self.set_aside(database, entry, ordinal, &review.question_id, &reason, &payload)?;
                    set_aside += 1;
                }
                written => written?,
            }
        }
        let audit = audit(&entry.id, &entry.player, &entry.season, reviews, &entry.payload);
        in_transaction(database, |database| {
            self.settle_blind_answers(database, std::slice::from_ref(decoded))?;
            records::audit(database, zone, &[audit])
        })?;
        Ok((reviews.len() - set_aside, set_aside))
    }

    /// Replays answers that were taken without knowing these entries. After the entries were written: then
    /// no such answer can come in unseen any more.
    fn settle_blind_answers(&self, database: &mut Conn, entries: &[Decoded]) -> Result<()> {
        let mut players: Vec<&str> = entries.iter().map(|decoded| decoded.entry.player.as_str()).collect();
        players.dedup();
        for (player, season, mut blind) in blind::of_students(database, &players)? {
            let states = entries
                .iter()
                .filter(|decoded| decoded.entry.player == player && decoded.entry.season == season)
                .flat_map(|decoded| &decoded.reviews);
            if blind.learn(states) {
                let zone = &self.settings.zone;
                blind::correct(database, zone, (&player, &season), &blind.replay(zone))?;
                blind::save(database, &player, &season, &blind, now_us())?;
            }
        }
        Ok(())
    }

    fn set_aside(
        &self,
        database: &mut Conn,
        entry: &Entry,
        ordinal: usize,
        question_id: &str,
        reason: &str,
        payload: &str,
    ) -> Result<()> {
        log::error!(
            "a record of submission {} of {} was set aside as a Poison Review: {reason}",
            entry.id,
            entry.player
        );
        let (player, season, job_id) = (&entry.player, &entry.season, &entry.id);
        let poison = Poison { job_id, ordinal, player, season, question_id, reason, payload };
        let zone = &self.settings.zone;
        in_transaction(database, |database| poison::set_aside(database, zone, now_us(), &poison))
    }
}

/// Cuts entries into about `count` parts of like size, with each student's in one part and in their order.
fn by_students(entries: &[Entry], count: usize) -> Vec<Vec<Entry>> {
    let mut sorted = entries.to_vec();
    sorted.sort_by(|one, other| one.player.cmp(&other.player));
    let size = sorted.len().div_ceil(count);
    let mut parts: Vec<Vec<Entry>> = Vec::new();
    for entry in sorted {
        match parts.last_mut() {
            Some(part)
                if part.len() < size || part.last().is_some_and(|last| last.player == entry.player) =>
            {
                part.push(entry);
            }
            _ => parts.push(vec![entry]),
        }
    }
    parts
}

/// Reads an entry's states; else says why they cannot be read.
fn read(entry: &Entry) -> std::result::Result<Vec<Review>, String> {
    if entry.player.is_empty() || entry.season.is_empty() {
        return Err("the entry names no player or no season".to_owned());
    }
    journal::read_payload(&entry.payload)
}

/// The newest state of each record, in the order of the primary key: a row is written once a batch.
fn newest_states(entries: &[Decoded]) -> Vec<NewState<'_>> {
    let mut newest: HashMap<(&str, &str, &str), NewState<'_>> = HashMap::new();
    for Decoded { entry, reviews } in entries {
        for review in reviews {
            let state = NewState { player: &entry.player, season: &entry.season, review };
            let is_newer = newest
                .get(&state.key())
                .is_none_or(|known| known.review.answered_at_us < review.answered_at_us);
            if is_newer {
                newest.insert((&entry.player, &entry.season, &review.question_id), state);
            }
        }
    }
    let mut states: Vec<_> = newest.into_values().collect();
    states.sort_unstable_by(|one, other| one.key().cmp(&other.key()));
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(player: &str, reviews: Vec<Review>) -> Decoded {
        let (id, season, payload) = ("1-0".to_owned(), "SEASON-2026".to_owned(), String::new());
        Decoded { entry: Entry { id, player: player.to_owned(), season, payload }, reviews }
    }

    #[test]
    fn a_students_entries_stay_together() {
        let entry = |number: usize, player: &str| Entry {
            id: format!("{number}-0"),
            player: player.to_owned(),
            season: String::new(),
            payload: String::new(),
        };
        let entries: Vec<_> =
            ["b", "a", "b", "c", "b", "b"].into_iter().zip(0..).map(|(p, n)| entry(n, p)).collect();
        let parts = by_students(&entries, 2);
        let players: Vec<Vec<&str>> =
            parts.iter().map(|part| part.iter().map(|entry| entry.player.as_str()).collect()).collect();
        assert_eq!(players, [vec!["a", "b", "b", "b", "b"], vec!["c"]]);
        let ids: Vec<_> = parts[0].iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, ["1-0", "0-0", "2-0", "4-0", "5-0"]);
        assert!(by_students(&[], 2).is_empty());
    }

    #[test]
    fn each_record_is_written_once_in_key_order() {
        let review = |id: &str, answered_at_us| Review { answered_at_us, ..Review::new(id) };
        let entries = [
            decoded("b", vec![review("q", 2), review("p", 1)]),
            decoded("a", vec![review("q", 1)]),
            decoded("b", vec![review("q", 1)]),
        ];
        let states = newest_states(&entries);
        let found: Vec<_> = states
            .iter()
            .map(|state| (state.player, state.review.question_id.as_str(), state.review.answered_at_us))
            .collect();
        assert_eq!(found, [("a", "q", 1), ("b", "p", 1), ("b", "q", 2)]);
    }
}

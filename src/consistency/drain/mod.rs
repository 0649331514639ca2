//! Writes what has gathered in the journal and in `memora_journal` to MariaDB, for all students at
//! once. Only the drain writes students' records.
//!
//! For each student it takes everything that waits in either place, so it sees what was computed
//! from what. Each entry counts once: its audit record, written in the same transaction, is named
//! after its token. Entries leave the journal only after their transaction is committed. A drain
//! that dies in between leaves them to the next one.
//!
//! What was written is kept for a while in the journal's Redis (see `written_lately`), in case the
//! database loses it.

pub(crate) mod audit;
mod complete;
mod counted;
mod hand_over;
mod overtaken;
mod persist;
mod persistence_times;
mod replaced;
mod report;
mod set_aside;
mod take;
mod waiting;
mod write;
mod written_lately;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, BlockingRetryable, ExponentialBuilder};

use self::complete::by_student;
use self::persistence_times::count_persisted;
pub use self::report::DrainReport;
use self::take::{BATCH, take};
use self::waiting::Waiting;
use crate::engine::threads::with_threads;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::servers::mariadb::journal::{self as kept, TableEntry};
use crate::servers::redis::journal::{self, StreamEntry};

/// How many transactions write a batch in parallel.
const WRITERS: usize = 2;
const FORGET_CONSUMER_AFTER_MS: u64 = 3_600_000;
/// The pauses between tries while a server does not answer.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(Duration::from_secs(10))
    .without_max_times();

impl Engine {
    /// Drains the journal and `memora_journal` until they are empty or `patience` is over.
    ///
    /// # Errors
    /// When the journal is out of reach, or MariaDB stays out of reach; nothing is lost then.
    pub fn drain(&self, patience: Duration) -> Result<DrainReport> {
        let process = self.process();
        let keys = &self.settings.keys;
        let deadline = Instant::now() + patience;
        let consumer = process.token();
        let has_group = process.journal.with(|journal| {
            journal::clear_drain_flag(journal, keys)?;
            journal::make_group(journal, keys)
        })?;
        let mut report = DrainReport::default();
        if self.journal_counts(&process) {
            if let Err(error) = self.notice_replaced_journal(&process) {
                log::debug!("it is unknown whether the journal is the same as before: {error}");
            }
            let consumer = has_group.then_some(consumer.as_str());
            self.write_all(&process, consumer, deadline, &mut report)?;
        } else if has_group {
            self.hand_over(&process, &consumer, deadline)?;
        }
        let in_table = process.drain.with(kept::backlog)?.0;
        let in_stream = process.journal.with(|journal| {
            if has_group {
                journal::forget_consumers(journal, keys, FORGET_CONSUMER_AFTER_MS)?;
            }
            Ok(journal::backlog(journal, keys)?.0)
        })?;
        let in_both = self.in_both_places(&process, &process.drain, (in_stream, in_table))?;
        report.remaining = (in_stream + in_table).saturating_sub(in_both);
        self.tell_latency(&process);
        Ok(report)
    }

    /// Writes what waits in both places. Without a consumer name, the stream is only read.
    fn write_all(
        &self,
        process: &Process,
        consumer: Option<&str>,
        deadline: Instant,
        report: &mut DrainReport,
    ) -> Result<()> {
        let keys = &self.settings.keys;
        self.write_again_if_needed(process, deadline, report);
        let (mut last_id, mut last_of_stream) = (0, String::new());
        loop {
            let stream = process.journal.with(|journal| match consumer {
                Some(consumer) => take(journal, keys, consumer),
                None => journal::after(journal, keys, &last_of_stream, BATCH),
            })?;
            let table = process.drain.with(|database| kept::after(database, last_id, BATCH));
            let table = match table {
                // The stream's entries have been taken, so they are tried: MariaDB may return in
                // time.
                Err(error) if !stream.is_empty() => {
                    log::warn!("memora_journal cannot be read: {error}");
                    Vec::new()
                }
                table => table?,
            };
            if stream.is_empty() && table.is_empty() {
                break;
            }
            last_id = table.last().map_or(last_id, |entry| entry.id);
            if let Some(entry) = stream.last() {
                last_of_stream.clone_from(&entry.id);
            }
            self.drain_whole(process, stream, table, deadline, report)?;
            self.let_go(process, deadline, report);
            if Instant::now() >= deadline {
                break;
            }
        }
        self.let_go(process, deadline, report);
        Ok(())
    }

    /// Writes a batch, at first without the entries that arrived before the one they were computed
    /// from.
    fn drain_whole(
        &self,
        process: &Process,
        stream: Vec<StreamEntry>,
        table: Vec<TableEntry>,
        deadline: Instant,
        report: &mut DrainReport,
    ) -> Result<()> {
        let early = self.drain_batch(process, stream, table, &HashSet::new(), deadline, report)?;
        // What they were computed from existed before them: it is seen now, among what waits or
        // what was written lately, or it is lost.
        if !early.0.is_empty() {
            let (tokens, stream, table) = early;
            self.drain_batch(process, stream, table, &tokens, deadline, report)?;
        }
        Ok(())
    }

    /// Writes a batch and takes it out of the journal. For students with an entry that came early,
    /// returns what is left: the tokens, and the entries of the stream and of the table. Entries
    /// whose tokens are in `lost` no longer wait for a predecessor.
    fn drain_batch(
        &self,
        process: &Process,
        stream: Vec<StreamEntry>,
        table: Vec<TableEntry>,
        lost: &HashSet<String>,
        deadline: Instant,
        report: &mut DrainReport,
    ) -> Result<(HashSet<String>, Vec<StreamEntry>, Vec<TableEntry>)> {
        let (waiting, written) = with_threads(WRITERS, |threads| {
            let beside = with_patience(deadline, || self.complete(process, &stream, &table, lost))?;
            let waiting = by_student(threads, stream, &table, beside);
            with_patience(deadline, || self.drop_lacking(process, &waiting))?;
            let written = with_patience(deadline, || {
                self.persist_in_parallel(process, threads, &waiting, lost)
            })?;
            Ok((waiting, written))
        })?;
        report.answers += written.answers;
        report.set_aside += written.set_aside;
        let done: Vec<(&StreamEntry, &str)> = waiting
            .iter()
            .flat_map(|student| student.stream.iter().zip(&student.stream_tokens))
            .filter(|(_, token)| written.done.contains(*token))
            .map(|(entry, token)| (entry, token.as_str()))
            .collect();
        let before: HashSet<&str> = done
            .iter()
            .filter(|(entry, _)| entry.written.is_some())
            .map(|(_, token)| *token)
            .collect();
        report.submissions += written.done.len() - before.len();
        count_persisted(process, &waiting, |token| {
            written.done.contains(token) && !before.contains(token)
        });
        self.acknowledge(process, &done)?;
        let is_early = |student: &Waiting| {
            student.entries.iter().any(|entry| written.early.contains(&entry.token))
        };
        let (mut tokens, mut left_stream, mut left_table) =
            (HashSet::new(), Vec::new(), Vec::new());
        let is_left = |token: &String| !written.done.contains(token);
        for student in waiting.into_iter().filter(is_early) {
            tokens.extend(student.entries.iter().map(|entry| entry.token.clone()).filter(is_left));
            let stream = student.stream.into_iter().zip(student.stream_tokens);
            left_stream.extend(stream.filter(|(_, token)| is_left(token)).map(|(one, _)| one));
            left_table.extend(student.table.into_iter().filter(|entry| is_left(&entry.token)));
        }
        Ok((tokens, left_stream, left_table))
    }
}

/// Repeats the work at growing intervals while a server does not answer, until the deadline.
fn with_patience<T>(deadline: Instant, work: impl FnMut() -> Result<T>) -> Result<T> {
    let pauses = PAUSES.build().take_while(|pause| Instant::now() + *pause < deadline);
    work.retry(pauses)
        .when(|error| !matches!(error, Error::Fault(_)))
        .notify(|error, pause| {
            log::warn!("answers could not be written, next try in {pause:?}: {error}");
        })
        .call()
}

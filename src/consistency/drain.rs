//! Writing what has gathered in the journal and in `memora_journal` to MariaDB, over all students
//! at once. The drain alone writes students' records.
//!
//! Of each student it takes everything that waits in either place, so it sees what was computed
//! from what. Each entry counts once: its audit record, in the same transaction, has its token for
//! a name. Entries leave the journal only after their transaction is committed. A drain that dies
//! in between leaves them to the next one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mysql::Conn;

use crate::consistency::write::{audit, checksum};
use crate::engine::outages::OutageNews;
use crate::engine::settings::DRAIN_LOCK_WAIT_SECONDS;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::entry::Entry;
use crate::rules::lineage::in_order;
use crate::servers::mariadb::audits::Audit;
use crate::servers::mariadb::errors::{
    DUPLICATE, NOT_NULL, is_contention, is_data_error, is_locked_out,
};
use crate::servers::mariadb::journal::{self as kept, TableEntry};
use crate::servers::mariadb::shape::LIVE;
use crate::servers::mariadb::{set_lock_wait, storage};
use crate::servers::redis::journal::{self, StreamEntry, kept_at_us, place};
use crate::servers::redis::schedules;

/// Submissions that are taken from each place at a time.
const BATCH: usize = 1_000;
/// Transactions that a batch is written in, side by side.
const WRITERS: usize = 2;
/// An entry that another drain took this long ago, in milliseconds, is taken over: that drain is
/// dead.
const TAKE_OVER_AFTER_MS: u64 = 20_000;
const FORGET_CONSUMER_AFTER_MS: u64 = 3_600_000;
/// How often both places are read until they are of one moment.
const MOST_READS: u32 = 100;
/// How often a batch that others came in the way of is written again at once.
const MOST_CONTENTIONS: u32 = 20;
const CONTENTION_PAUSE: Duration = Duration::from_millis(5);
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

/// Everything of one student and season that waits, as it was found.
struct Gathered {
    player: String,
    season: String,
    stream: Vec<StreamEntry>,
    table: Vec<TableEntry>,
}

/// Everything of one student and season that waits.
pub(crate) struct Waiting {
    pub player: String,
    pub season: String,
    /// In the order of the stream.
    stream: Vec<StreamEntry>,
    table: Vec<TableEntry>,
    /// What of it can be read, in the order in which it counts.
    pub entries: Vec<Entry>,
    /// What cannot be read: the name it is set aside under, its text, the reason.
    unreadable: Vec<(String, String, String)>,
    /// The token of each entry of the stream.
    stream_tokens: Vec<String>,
    /// SHA-256 over the text of each entry, by its token.
    checksums: HashMap<String, String>,
}

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Written {
    pub answers: usize,
    pub set_aside: usize,
    /// Tokens of submissions that are in MariaDB now.
    pub done: HashSet<String>,
    /// Tokens of entries that were computed from something that is not there.
    pub early: HashSet<String>,
    /// Players and seasons whose answers were computed again.
    pub replayed: Vec<(String, String)>,
}

impl Written {
    fn add(&mut self, other: Written) {
        self.answers += other.answers;
        self.set_aside += other.set_aside;
        self.done.extend(other.done);
        self.early.extend(other.early);
        self.replayed.extend(other.replayed);
    }
}

impl Engine {
    /// Drains both places until they are empty or `patience` is over.
    ///
    /// # Errors
    /// When the journal is out of reach, or MariaDB stays so; nothing is lost then.
    pub fn drain(&self, patience: Duration) -> Result<DrainReport> {
        let process = self.process();
        let keys = &self.settings.keys;
        let deadline = Instant::now() + patience;
        let consumer = process.token();
        process.journal.with(|journal| {
            journal::clear_drain_flag(journal, keys)?;
            journal::make_group(journal, keys)
        })?;
        if let Err(error) = self.notice_replaced_journal(&process) {
            log::debug!("nobody can tell whether the journal is the same as before: {error}");
        }
        let mut report = DrainReport::default();
        let mut last_id = 0;
        loop {
            let stream = process.journal.with(|journal| {
                let abandoned =
                    journal::take_over(journal, keys, &consumer, TAKE_OVER_AFTER_MS, BATCH)?;
                if abandoned.is_empty() {
                    journal::take_new(journal, keys, &consumer, BATCH)
                } else {
                    Ok(abandoned)
                }
            })?;
            let table = process.drain.with(|database| kept::after(database, last_id, BATCH));
            let table = match table {
                // The stream's entries have been taken: they are written when MariaDB is back in
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
            let early =
                self.drain_batch(&process, stream, table, &HashSet::new(), deadline, &mut report)?;
            // What they were computed from was there before them: it is seen now, or lost.
            if !early.0.is_empty() {
                let (tokens, stream, table) = early;
                self.drain_batch(&process, stream, table, &tokens, deadline, &mut report)?;
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        let waiting = process.drain.with(kept::backlog)?.0;
        report.remaining = waiting
            + process.journal.with(|journal| {
                journal::forget_consumers(journal, keys, FORGET_CONSUMER_AFTER_MS)?;
                Ok(journal::backlog(journal, keys)?.0)
            })?;
        Ok(report)
    }

    /// Looks whether the journal's Redis is the one that the last drain met. One that was
    /// restarted, restored or failed over may have lost answers that were acknowledged.
    fn notice_replaced_journal(&self, process: &Process) -> Result<()> {
        // In this order: what another drain has seen since is newer, and no sign of a loss.
        let known = process.drain.with(kept::last_run)?;
        let (run_id, newest) = process.journal.with(|journal| {
            Ok((journal.run_id.clone(), journal::newest_id(journal, &self.settings.keys)?))
        })?;
        if known.as_ref().is_some_and(|(run, id)| *run == run_id && *id == newest) {
            return Ok(());
        }
        let is_first = process
            .drain
            .with(|database| kept::remember_run(database, known.as_ref(), &run_id, &newest))?;
        let Some((old_run, old_id)) = known else { return Ok(()) };
        let is_older = place(&newest) < place(&old_id);
        if is_first && (old_run != run_id || is_older) {
            if is_older {
                log::error!(
                    "the journal came back older: answers that it had acknowledged are gone from it"
                );
            } else {
                log::warn!(
                    "the journal was restarted, or is another server: it may have lost its last \
                     answers"
                );
            }
            process.drain.with(|database| kept::note_loss(database, kept_at_us(&newest)))?;
            process.outages.tell(OutageNews::JournalReplaced(is_older));
        }
        Ok(())
    }

    /// Writes a batch and takes it out of the journal. Returns what is left of students of whom an
    /// entry came early: the tokens, and the entries. Those named in `lost` wait for nothing any
    /// more.
    fn drain_batch(
        &self,
        process: &Process,
        stream: Vec<StreamEntry>,
        table: Vec<TableEntry>,
        lost: &HashSet<String>,
        deadline: Instant,
        report: &mut DrainReport,
    ) -> Result<(HashSet<String>, Vec<StreamEntry>, Vec<TableEntry>)> {
        let (keys, scripts) = (&self.settings.keys, &self.journal_scripts);
        let waiting = with_patience(deadline, || self.complete(process, &stream, &table))?;
        let written =
            with_patience(deadline, || self.persist_in_parallel(process, &waiting, lost))?;
        self.drop_overtaken(process, &waiting, &written);
        report.answers += written.answers;
        report.set_aside += written.set_aside;
        report.submissions += written.done.len();
        let done: Vec<(&StreamEntry, &str)> = waiting
            .iter()
            .flat_map(|student| student.stream.iter().zip(&student.stream_tokens))
            .filter(|(_, token)| written.done.contains(*token))
            .map(|(entry, token)| (entry, token.as_str()))
            .collect();
        process.journal.with(|journal| scripts.acknowledge(journal, keys, &done))?;
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

    /// Drops the cached schedules that lack an answer which is written now: it was computed again,
    /// or its process died between the journal and the cache. Once it has left the journal, nobody
    /// else could tell.
    fn drop_overtaken(&self, process: &Process, waiting: &[Waiting], written: &Written) {
        let keys = &self.settings.keys;
        let dropped = process.cache.with(|cache| {
            let heads = schedules::heads(cache, keys, waiting.iter().map(Waiting::name))?;
            let lacking = waiting.iter().zip(heads).filter(|(student, head)| {
                let newest = student.newest_of(&written.done);
                head.is_some_and(|head| newest.is_some_and(|order| head.order < order))
            });
            let replayed =
                written.replayed.iter().map(|(player, season)| (player.as_str(), season.as_str()));
            schedules::drop_students(
                cache,
                keys,
                lacking.map(|(student, _)| student.name()).chain(replayed),
            )
        });
        if let Err(error) = dropped {
            log::debug!(
                "the schedules of {} students are left to reconciliation: {error}",
                waiting.len()
            );
        }
    }

    /// What waits of some students in the stream beside the entries that were taken, and in the
    /// table, both as of one moment: the table does not change between two looks at it. Else an
    /// entry of the table could seem older than one of the stream that it came after.
    fn read_both(
        &self,
        process: &Process,
        students: &[(&str, &str)],
        players: &[&str],
        taken: &[StreamEntry],
    ) -> Result<(Vec<StreamEntry>, Vec<TableEntry>)> {
        let keys = &self.settings.keys;
        let taken: HashSet<&str> = taken.iter().map(|entry| entry.id.as_str()).collect();
        let mut before = process.drain.with(|database| kept::of_students(database, players))?;
        for _ in 0..MOST_READS {
            let stream = process.journal.with(|journal| {
                let waiting = journal::waiting_ids(journal, keys, students)?;
                let mut ids: Vec<String> = waiting.into_iter().flat_map(|(_, ids)| ids).collect();
                ids.retain(|id| !taken.contains(id.as_str()));
                journal::entries_of(journal, keys, &ids)
            })?;
            let table = process.drain.with(|database| kept::of_students(database, players))?;
            let is_same = table.len() == before.len()
                && table.iter().zip(&before).all(|(one, other)| one.id == other.id);
            if is_same {
                return Ok((stream, table));
            }
            before = table;
        }
        Err(Error::Unavailable {
            server: Server::Database,
            cause: "memora_journal changes faster than it can be read".to_owned(),
            broken: false,
        })
    }

    /// Everything that waits of the students of a batch, in both places.
    fn complete(
        &self,
        process: &Process,
        stream: &[StreamEntry],
        table: &[TableEntry],
    ) -> Result<Vec<Waiting>> {
        let mut students: BTreeMap<(String, String), (Vec<StreamEntry>, Vec<TableEntry>)> =
            BTreeMap::new();
        for entry in stream {
            let student = (entry.player.clone(), entry.season.clone());
            students.entry(student).or_default().0.push(entry.clone());
        }
        for entry in table {
            students.entry((entry.player.clone(), entry.season.clone())).or_default();
        }
        let names: Vec<(&str, &str)> =
            students.keys().map(|(player, season)| (player.as_str(), season.as_str())).collect();
        let mut players: Vec<&str> = names.iter().map(|(player, _)| *player).collect();
        players.dedup();
        let (others, kept) = self.read_both(process, &names, &players, stream)?;
        for entry in others {
            if let Some(student) = students.get_mut(&(entry.player.clone(), entry.season.clone())) {
                student.0.push(entry);
            }
        }
        for entry in kept {
            if let Some(student) = students.get_mut(&(entry.player.clone(), entry.season.clone())) {
                student.1.push(entry);
            }
        }
        let gathered: Vec<Gathered> = students
            .into_iter()
            .map(|((player, season), (stream, table))| Gathered { player, season, stream, table })
            .collect();
        // To read an entry takes as long as to write it.
        std::thread::scope(|scope| {
            let size = gathered.len().div_ceil(WRITERS).max(1);
            let mut readers = Vec::new();
            let mut rest = gathered;
            while !rest.is_empty() {
                let others = rest.split_off(rest.len().min(size));
                let part = std::mem::replace(&mut rest, others);
                readers
                    .push(scope.spawn(|| part.into_iter().map(Waiting::new).collect::<Vec<_>>()));
            }
            let mut waiting = Vec::new();
            for reader in readers {
                let panicked =
                    |_| Error::Fault("a reader of the drain panicked: see the log".to_owned());
                waiting.extend(reader.join().map_err(panicked)?);
            }
            Ok(waiting)
        })
    }

    /// Writes students' entries on several connections: MariaDB uses one core for each. Threads of
    /// this call alone, so there is none for a fork to lose.
    fn persist_in_parallel(
        &self,
        process: &Process,
        waiting: &[Waiting],
        lost: &HashSet<String>,
    ) -> Result<Written> {
        let parts = in_parts(waiting, WRITERS);
        std::thread::scope(|scope| {
            let writers: Vec<_> = parts
                .iter()
                .map(|part| {
                    scope
                        .spawn(|| process.drain.with(|database| self.persist(database, part, lost)))
                })
                .collect();
            // All are waited for, so that none still writes when the first error is seen.
            let outcomes: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            let mut written = Written::default();
            for outcome in outcomes {
                let panicked =
                    |_| Err(Error::Fault("a writer of the drain panicked: see the log".to_owned()));
                written.add(outcome.unwrap_or_else(panicked)?);
            }
            Ok(written)
        })
    }

    /// Writes some students' entries, and sets aside what cannot be written.
    fn persist(
        &self,
        database: &mut Conn,
        waiting: &[Waiting],
        lost: &HashSet<String>,
    ) -> Result<Written> {
        storage::check_primary_key(database, &LIVE)?;
        let mut written = Written::default();
        for student in waiting {
            written.add(self.set_aside_unreadable(database, student)?);
        }
        let parts: Vec<&Waiting> =
            waiting.iter().filter(|student| !student.entries.is_empty()).collect();
        let outcome = self.write(database, &parts, lost);
        set_lock_wait(database, DRAIN_LOCK_WAIT_SECONDS)?;
        written.add(outcome?);
        Ok(written)
    }

    /// Writes students' entries in one transaction. Where the data is at fault, or somebody has
    /// locked a row, halves them until those concerned stand alone.
    fn write(
        &self,
        database: &mut Conn,
        waiting: &[&Waiting],
        lost: &HashSet<String>,
    ) -> Result<Written> {
        let error = match self.write_together(database, waiting, lost) {
            Err(error) if is_data_error(&error) || is_locked_out(&error) => error,
            written => return written,
        };
        match waiting {
            [student] if is_locked_out(&error) => {
                log::warn!(
                    "answers of {} wait: another transaction has locked their records",
                    student.player
                );
                Ok(Written::default())
            }
            [student] => self.write_one_by_one(database, student, lost),
            _ => {
                if is_locked_out(&error) {
                    // It was waited for once; now it is only looked for.
                    set_lock_wait(database, 0)?;
                }
                let (left, right) = waiting.split_at(waiting.len() / 2);
                let mut written = self.write(database, left, lost)?;
                written.add(self.write(database, right, lost)?);
                Ok(written)
            }
        }
    }

    fn write_together(
        &self,
        database: &mut Conn,
        waiting: &[&Waiting],
        lost: &HashSet<String>,
    ) -> Result<Written> {
        let mut contentions = 0;
        let mut is_expected = true;
        loop {
            match self.write_in_transaction(database, waiting, lost, is_expected) {
                // Something stands where it was not expected: it is looked at.
                Err(Error::Refused { server: Server::Database, code: NOT_NULL, .. })
                    if is_expected =>
                {
                    is_expected = false;
                }
                // Another drain has written some of it.
                Err(error) if contentions < MOST_CONTENTIONS && came_in_the_way(&error) => {
                    contentions += 1;
                    sleep(CONTENTION_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }
}

impl Waiting {
    fn new(gathered: Gathered) -> Waiting {
        let Gathered { player, season, mut stream, table } = gathered;
        stream.sort_by_key(|entry| place(&entry.id));
        let mut checksums = HashMap::new();
        let (mut of_stream, mut of_table) = (Vec::new(), Vec::new());
        let (mut unreadable, mut stream_tokens) = (Vec::new(), Vec::new());
        let is_named = !player.is_empty() && !season.is_empty();
        let read = |text: &str, id: &str| {
            if is_named {
                return Entry::read(text, id);
            }
            Err("the entry names no player or no season".to_owned())
        };
        for entry in &stream {
            match read(&entry.text, &entry.id) {
                Ok(read) => {
                    checksums.insert(read.token.clone(), checksum(&entry.text));
                    stream_tokens.push(read.token.clone());
                    of_stream.push(read.kept_at(kept_at_us(&entry.id)));
                }
                Err(reason) => {
                    stream_tokens.push(entry.id.clone());
                    unreadable.push((entry.id.clone(), entry.text.clone(), reason));
                }
            }
        }
        for entry in &table {
            match read(&entry.text, &entry.token) {
                Ok(read) => {
                    checksums.insert(read.token.clone(), checksum(&entry.text));
                    of_table.push((entry.id, read.kept_at(entry.kept_at_us)));
                }
                Err(reason) => unreadable.push((entry.token.clone(), entry.text.clone(), reason)),
            }
        }
        let entries = in_order(of_stream, of_table);
        Waiting { player, season, stream, table, entries, unreadable, stream_tokens, checksums }
    }

    /// Whether each entry was computed from the one before it, as those of the stream are.
    pub(crate) fn is_chain(&self) -> bool {
        self.table.is_empty()
            && self.entries.iter().all(|entry| !entry.submission.answers.is_empty())
    }

    /// Player and season.
    pub(crate) fn name(&self) -> (&str, &str) {
        (&self.player, &self.season)
    }

    /// The same, to keep.
    pub(crate) fn owned_name(&self) -> (String, String) {
        (self.player.clone(), self.season.clone())
    }

    /// The order of the newest submission that is done.
    fn newest_of(&self, done: &HashSet<String>) -> Option<i64> {
        self.entries
            .iter()
            .filter(|entry| done.contains(&entry.token))
            .map(|entry| entry.order)
            .max()
    }

    /// What the audit record of an entry says.
    pub(crate) fn audit<'a>(&'a self, entry: &'a Entry) -> Audit<'a> {
        let checksum = self.checksums.get(&entry.token).cloned().unwrap_or_default();
        audit(&entry.token, self.name(), entry, checksum)
    }

    /// What cannot be read: name, text, reason.
    pub(crate) fn unreadable(&self) -> &[(String, String, String)] {
        &self.unreadable
    }

    /// The ids in `memora_journal` of submissions that are done.
    pub(crate) fn ids_of<'a>(
        &'a self,
        done: &'a HashSet<String>,
    ) -> impl Iterator<Item = i64> + 'a {
        self.table.iter().filter(|entry| done.contains(&entry.token)).map(|entry| entry.id)
    }
}

/// Tries again in ever longer intervals until the deadline, while a server does not answer.
fn with_patience<T>(deadline: Instant, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    let mut pause = FIRST_RETRY;
    loop {
        match work() {
            Err(error)
                if !matches!(error, Error::Fault(_)) && Instant::now() + pause < deadline =>
            {
                log::warn!("answers could not be written, next try in {pause:?}: {error}");
                sleep(pause);
                pause = (pause * 2).min(LONGEST_RETRY);
            }
            outcome => return outcome,
        }
    }
}

fn came_in_the_way(error: &Error) -> bool {
    is_contention(error)
        || matches!(error, Error::Refused { server: Server::Database, code: DUPLICATE, .. })
}

/// Cuts students into about `count` parts of like size.
fn in_parts(waiting: &[Waiting], count: usize) -> Vec<&[Waiting]> {
    let all: usize = waiting.iter().map(|student| student.entries.len().max(1)).sum();
    let size = all.div_ceil(count).max(1);
    let mut parts = Vec::new();
    let (mut begin, mut filled) = (0, 0);
    for (place, student) in waiting.iter().enumerate() {
        filled += student.entries.len().max(1);
        if filled >= size {
            parts.push(&waiting[begin..=place]);
            (begin, filled) = (place + 1, 0);
        }
    }
    if begin < waiting.len() {
        parts.push(&waiting[begin..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(player: &str, entries: usize) -> Waiting {
        let entry = Entry::of_states("1-0".to_owned(), Vec::new());
        let (player, season) = (player.to_owned(), "SEASON-2026".to_owned());
        let mut waiting =
            Waiting::new(Gathered { player, season, stream: Vec::new(), table: Vec::new() });
        waiting.entries = vec![entry; entries];
        waiting
    }

    #[test]
    fn parts_are_of_like_size_and_have_everybody() {
        for sizes in [&[][..], &[1], &[5, 1], &[1, 5], &[1, 1, 1, 1], &[3, 1, 2, 4]] {
            let all: Vec<Waiting> = sizes.iter().map(|size| waiting("a", *size)).collect();
            let parts = in_parts(&all, 2);
            assert!(parts.len() <= 2);
            let together: usize = parts.iter().map(|part| part.len()).sum();
            assert_eq!(together, sizes.len());
        }
    }
}

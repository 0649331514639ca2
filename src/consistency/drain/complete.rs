//! Reads what waits in both places, the journal's stream and `memora_journal`, as of one moment.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::waiting::Waiting;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::entry::Entry;
use crate::servers::mariadb::journal::{self as kept, TableEntry};
use crate::servers::redis::journal::{self, StreamEntry, kept_at_us};
use crate::servers::redis::pending::pending_ids;
use crate::servers::redis::written;

/// How often both places are read before the drain gives up on finding them unchanged.
const MOST_READS: u32 = 100;

/// What else waits of some students, besides the entries that were taken: in the stream and in the
/// table.
type Beside = (Vec<StreamEntry>, Vec<TableEntry>);

impl Engine {
    /// Everything that waits of the students of a batch, in both places. If `lost` has tokens of
    /// entries that came early, it also returns what was written lately: the database may lack it.
    pub(super) fn complete(
        &self,
        process: &Process,
        stream: &[StreamEntry],
        table: &[TableEntry],
        lost: &HashSet<String>,
    ) -> Result<Beside> {
        let of_stream = stream.iter().map(StreamEntry::student);
        let students: BTreeSet<(&str, &str)> =
            of_stream.chain(table.iter().map(TableEntry::student)).collect();
        let students: Vec<(&str, &str)> = students.into_iter().collect();
        let mut players: Vec<&str> = students.iter().map(|(player, _)| *player).collect();
        players.dedup();
        let (others, mut kept) =
            self.read_both(process, &students, &players, stream, !lost.is_empty())?;
        kept.extend(self.keep_lacking(process, stream, &others, &kept)?);
        Ok((others, kept))
    }

    /// Copies to `memora_journal` the entries that the journal no longer has, or that its replicas
    /// lack. After a failover, a load that asks the promoted replica must find them until they are
    /// written. Returns the entries that it adds.
    fn keep_lacking(
        &self,
        process: &Process,
        taken: &[StreamEntry],
        others: &[StreamEntry],
        table: &[TableEntry],
    ) -> Result<Vec<TableEntry>> {
        let (keys, replicas) = (&self.settings.keys, self.replicas(process));
        let mut added = Vec::new();
        if replicas.count == 0 {
            return Ok(added);
        }
        let found = || taken.iter().chain(others).filter(|entry| entry.written.is_none());
        let ids: Vec<String> = found().map(|entry| entry.id.clone()).collect();
        let confirmed = process.journal.with(|journal| {
            let there = journal::entries_of(journal, keys, &ids)?;
            Ok(journal::is_replicated(journal, keys, replicas)?.then_some(there))
        })?;
        process.replicas.note(confirmed.is_some());
        let confirmed: HashSet<String> =
            confirmed.into_iter().flatten().map(|entry| entry.id).collect();
        let in_table: HashSet<&str> = table.iter().map(|entry| entry.token.as_str()).collect();
        for StreamEntry { id, player, season, text, .. } in found() {
            // Unreadable entries are set aside, wherever they are.
            let Ok(entry) = Entry::read(text, id) else { continue };
            if !confirmed.contains(id) && !in_table.contains(entry.token.as_str()) {
                let row = process.drain.with(|database| {
                    kept::append(database, &entry.token, (player, season), text)
                })?;
                added.push(TableEntry {
                    id: row,
                    token: entry.token,
                    player: player.clone(),
                    season: season.clone(),
                    text: text.clone(),
                    // It was kept when the stream got it.
                    kept_at_us: kept_at_us(id),
                });
            }
        }
        Ok(added)
    }

    /// What waits of some students in the table, and in the stream besides the entries that were
    /// taken. Both are as of one moment: the table did not change between two reads of it.
    /// Otherwise an entry of the table could seem older than an entry of the stream that came
    /// before it.
    fn read_both(
        &self,
        process: &Process,
        students: &[(&str, &str)],
        players: &[&str],
        taken: &[StreamEntry],
        with_written: bool,
    ) -> Result<(Vec<StreamEntry>, Vec<TableEntry>)> {
        let keys = &self.settings.keys;
        let taken: HashSet<&str> = taken.iter().map(|entry| entry.id.as_str()).collect();
        let mut before = process.drain.with(|database| kept::of_students(database, players))?;
        for _ in 0..MOST_READS {
            let stream = process.journal.with(|journal| {
                let pending = pending_ids(journal, keys, students)?;
                let is_other = |id: &str| !taken.contains(id);
                let waiting = pending.iter().flat_map(|ids| &ids.waiting);
                let waiting: Vec<String> = waiting.filter(|id| is_other(id)).cloned().collect();
                let mut found = journal::entries_of(journal, keys, &waiting)?;
                if with_written {
                    let written = pending.iter().flat_map(|ids| &ids.written);
                    let written = written
                        .filter(|one| is_other(&one.id) && written::is_told_by_audit(&one.place));
                    let places: Vec<&str> = written.map(|one| one.place.as_str()).collect();
                    found.extend(written::at(journal, keys, &places)?);
                }
                Ok(found)
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
            answered: false,
        })
    }
}

/// Groups what waits by student, sorted by player and season.
pub(super) fn by_student(
    threads: &ThreadPool,
    stream: Vec<StreamEntry>,
    table: &[TableEntry],
    (others, kept): Beside,
) -> Vec<Waiting> {
    let mut students: BTreeMap<(String, String), Beside> = BTreeMap::new();
    for entry in stream {
        let student = (entry.player.clone(), entry.season.clone());
        students.entry(student).or_default().0.push(entry);
    }
    for entry in table {
        students.entry((entry.player.clone(), entry.season.clone())).or_default();
    }
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
    // Parsing an entry takes as long as writing it.
    threads.install(|| {
        students.into_par_iter().map(|(name, found)| Waiting::new(name, found)).collect()
    })
}

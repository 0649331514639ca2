//! A student's records and waiting answers in MariaDB and the journals, as of one moment.

use std::borrow::Cow;
use std::collections::HashMap;

use mysql::Conn;

use crate::engine::Engine;
use crate::error::Result;
use crate::rules::entry::Entry;
use crate::rules::head::Head;
use crate::rules::in_order::{in_order, left_of};
use crate::rules::lineage::Record;
use crate::servers::mariadb::audits;
use crate::servers::mariadb::journal::{self, TableEntry};
use crate::servers::mariadb::records;
use crate::servers::mariadb::transaction::at_one_moment;
use crate::servers::redis::journal::kept_at_us;
use crate::servers::redis::pending::Pending;
use crate::servers::redis::written::{self, WrittenId};

/// A student's records as the table has them, and what must be applied to them.
pub(crate) struct Moment {
    pub records: Vec<Record>,
    /// In the order in which they count.
    pub entries: Vec<Entry>,
    /// Those of them that wait in `memora_journal`: id and token.
    pub in_table: Vec<(i64, String)>,
    /// The head of these records and entries.
    pub head: Head,
}

impl Engine {
    /// Reads a student's records, and which of `pending` and of `memora_journal` must still be
    /// applied to them. It uses one snapshot: an answer that is written meanwhile must not count
    /// twice.
    pub(crate) fn moment(
        &self,
        database: &mut Conn,
        (player, season): (&str, &str),
        pending: &Pending,
    ) -> Result<Moment> {
        let zone = &self.settings.zone;
        let (records, table, written) = at_one_moment(database, |database| {
            let records = records::standing(database, zone, player, season)?;
            let table = read_entries(journal::of_student(database, player, season)?);
            let of_table = table.iter().map(|(_, entry)| entry);
            let tokens: Vec<&str> =
                pending.entries.iter().chain(of_table).map(|entry| entry.token.as_str()).collect();
            let written = audits::audited(database, &tokens)?;
            Ok((records, table, written))
        })?;
        let of_records = records.iter().map(|record| record.review.answered_at_us).max();
        let of_stream = pending.entries.iter().map(|entry| entry.order).max();
        let newest = of_records.unwrap_or(0).max(pending.head);
        let head = Head {
            order: newest,
            journal: newest.max(of_stream.unwrap_or(0)),
            table: table.iter().map(|(id, _)| *id).max().unwrap_or(0),
        };
        // Either place may still have a written entry: the table gets an entry that replicas of the
        // journal lack, perhaps after a drain has seen it in the stream.
        let left = |entry: &Entry| left_of(entry, &written);
        let stream = pending.entries.iter().filter_map(left).collect();
        let table: Vec<(i64, Entry)> =
            table.iter().filter_map(|(id, entry)| Some((*id, left(entry)?))).collect();
        let in_table = table.iter().map(|(id, entry)| (*id, entry.token.clone())).collect();
        Ok(Moment { records, entries: in_order(stream, table), in_table, head })
    }

    /// The waiting entries of some students, and those written lately that this database lacks.
    pub(crate) fn with_lacking<'a>(
        &self,
        database: &mut Conn,
        pending: &'a [Pending],
    ) -> Result<Cow<'a, [Pending]>> {
        let lacking = lacking(database, pending.iter().flat_map(|one| &one.written))?;
        if lacking.is_empty() {
            return Ok(Cow::Borrowed(pending));
        }
        let keys = &self.settings.keys;
        let places: Vec<&str> = lacking.iter().map(|one| one.place.as_str()).collect();
        // A missing one has been written again meanwhile, and the records are read later.
        let found = self.process().journal.with(|journal| written::at(journal, keys, &places))?;
        let mut texts: HashMap<String, String> =
            found.into_iter().map(|entry| (entry.id, entry.text)).collect();
        let mut pending = pending.to_vec();
        for one in &mut pending {
            let ids: Vec<&String> = one.written.iter().map(|written| &written.id).collect();
            let read = |id: &&String| {
                let entry = Entry::read(&texts.remove(*id)?, id).ok()?;
                Some(entry.kept_at(kept_at_us(id)))
            };
            let again: Vec<Entry> = ids.iter().filter_map(read).collect();
            if !again.is_empty() {
                one.entries.extend(again);
                // Orders grow in the stream.
                one.entries.sort_by_key(|entry| entry.order);
            }
        }
        Ok(Cow::Owned(pending))
    }
}

/// The submissions that were written lately but that this database lacks: it is older than the one
/// to which they were written.
fn lacking<'a>(
    database: &mut Conn,
    written: impl IntoIterator<Item = &'a WrittenId>,
) -> Result<Vec<&'a WrittenId>> {
    let written: Vec<&WrittenId> = told_by_audit(written).collect();
    let tokens: Vec<&str> = written.iter().map(|one| one.token.as_str()).collect();
    let audited = audits::audited(database, &tokens)?;
    Ok(written.into_iter().filter(|one| !audited.contains(&one.token)).collect())
}

/// The submissions whose audit records tell whether they are written.
pub(super) fn told_by_audit<'a>(
    written: impl IntoIterator<Item = &'a WrittenId>,
) -> impl Iterator<Item = &'a WrittenId> {
    written.into_iter().filter(|one| written::is_told_by_audit(&one.place))
}

/// Entries with their ids. The drain sets an unreadable one aside; the student's other answers
/// still count.
pub(crate) fn read_entries(found: Vec<TableEntry>) -> Vec<(i64, Entry)> {
    let read = |found: TableEntry| {
        let entry = Entry::read(&found.text, &found.token).ok()?;
        Some((found.id, entry.kept_at(found.kept_at_us)))
    };
    found.into_iter().filter_map(read).collect()
}

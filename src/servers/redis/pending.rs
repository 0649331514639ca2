//! Some students' submissions in the journal: those that wait, and those that were written lately.

use std::collections::HashMap;

use super::RedisConnection;
use super::journal::{StreamEntry, entries_of, is_id, kept_at_us, place};
use super::keys::Keys;
use super::written::{self, WrittenId};
use crate::error::{Error, Result};
use crate::rules::entry::Entry;

/// How often to read students' submissions if some leave the stream meanwhile.
const MOST_READS: u32 = 3;

/// A student's submissions that are still in the journal.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// The order of the student's newest entry; 0 if the journal knows none.
    pub head: i64,
    /// The entries that wait, in the order of the stream.
    pub entries: Vec<Entry>,
    /// Those that were written to MariaDB lately.
    pub written: Vec<WrittenId>,
}

/// Which submissions of a student are still in the journal.
#[derive(Clone, Debug, Default)]
pub struct PendingIds {
    /// The order of the student's newest entry; 0 if the journal knows none.
    pub head: i64,
    /// The ids of those that wait, in the order of the stream.
    pub waiting: Vec<String>,
    /// Those that were written to MariaDB lately.
    pub written: Vec<WrittenId>,
}

/// Which submissions of some students are still in the journal.
pub fn pending_ids(
    connection: &mut RedisConnection,
    keys: &Keys,
    students: &[(&str, &str)],
) -> Result<Vec<PendingIds>> {
    let mut pipeline = redis::pipe();
    for (player, season) in students {
        pipeline.cmd("HGETALL").arg(keys.pending(player, season));
    }
    let found: Vec<Vec<(String, String)>> = connection.pipeline(&pipeline)?;
    let pending = found.into_iter().map(|fields| {
        let mut ids = PendingIds::default();
        for (field, value) in fields {
            if field == "head" {
                ids.head = value.parse().unwrap_or(0);
            } else if is_id(&field) {
                match WrittenId::read(&field, &value) {
                    Some(written) => ids.written.push(written),
                    None => ids.waiting.push(field),
                }
            }
        }
        ids.waiting.sort_by_key(|id| place(id));
        ids
    });
    Ok(pending.collect())
}

/// Some students' submissions that are on their way to MariaDB, or were written there lately, in
/// the students' order. What leaves the journal meanwhile is in MariaDB, so callers that read both
/// must read the journal first.
pub fn pending(
    connection: &mut RedisConnection,
    keys: &Keys,
    players: &[&str],
    season: &str,
) -> Result<Vec<Pending>> {
    let students: Vec<(&str, &str)> = players.iter().map(|player| (*player, season)).collect();
    let (mut pending, mut found) = (Vec::new(), Vec::new());
    for _ in 0..MOST_READS {
        pending = pending_ids(connection, keys, &students)?;
        let ids: Vec<String> = pending.iter().flat_map(|ids| ids.waiting.clone()).collect();
        found = entries_of(connection, keys, &ids)?;
        if found.len() == ids.len() {
            break;
        }
        // One of them left the stream meanwhile: it is among those written by now.
    }
    let mut entries: HashMap<String, Entry> = HashMap::with_capacity(found.len());
    for StreamEntry { id, text, .. } in found {
        // An unreadable entry is the drain's to set aside; the student's other answers still count.
        if let Ok(entry) = Entry::read(&text, &id) {
            let entry = entry.kept_at(kept_at_us(&id));
            entries.insert(id, entry);
        }
    }
    let pending = pending.into_iter().map(|PendingIds { head, waiting, written }| Pending {
        head,
        entries: waiting.iter().filter_map(|id| entries.remove(id)).collect(),
        written,
    });
    Ok(pending.collect())
}

/// A submission that is in the journal, by its token, or by the id that older versions gave it.
pub fn submission(
    connection: &mut RedisConnection,
    keys: &Keys,
    token: &str,
) -> Result<Option<StreamEntry>> {
    let known: Option<String> =
        connection.command(redis::cmd("HGET").arg(keys.tokens()).arg(token))?;
    if let Some(place) = known.as_deref().and_then(|known| known.strip_prefix('w')) {
        return Ok(written::at(connection, keys, &[place])?.pop());
    }
    match known.or_else(|| is_id(token).then(|| token.to_owned())) {
        // Redis refuses a number that is too large for an id; no submission has one.
        Some(id) => match entries_of(connection, keys, &[id]) {
            Err(Error::Refused { .. }) => Ok(None),
            found => Ok(found?.pop()),
        },
        None => Ok(None),
    }
}

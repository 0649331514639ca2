//! Submissions that were written to MariaDB lately. They stay in the journal's Redis for a while:
//! if the database loses them, as a replica that was behind does, they are written to it again.

use std::time::Duration;

use ::redis::{Script, Value};

use super::journal::{StreamEntry, entries, kept_at_us, with_pending, with_places};
use super::keys::Keys;
use super::{RedisConnection, text, unexpected};
use crate::error::{Error, Result};
use crate::rules::clock::now_us;

/// How long a missing audit record proves that a submission is missing: longer than MariaDB is ever
/// down. Audit records are kept for twice as long (`memory_review_audit.py`).
const TOLD_BY_AUDIT_US: i64 = 24 * 3_600 * 1_000_000;
/// Most submissions that are kept.
const MOST_KEPT: usize = 50_000;
/// Submissions that a script processes at a time, so that other calls wait only briefly.
const AT_ONCE: usize = 100;

/// A submission that was written lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenId {
    /// Its id in the stream of submissions.
    pub id: String,
    /// Where it is among those that were written lately.
    pub place: String,
    /// Its token.
    pub token: String,
}

impl WrittenId {
    /// Reads what a student's pending submissions say about one of them; `None`: it waits.
    pub fn read(id: &str, value: &str) -> Option<WrittenId> {
        let (place, token) = value.split_once(' ')?;
        Some(WrittenId { id: id.to_owned(), place: place.to_owned(), token: token.to_owned() })
    }
}

/// A submission that was written lately, with its token.
#[derive(Clone, Debug)]
pub struct Written {
    /// As it stood in the stream; without its text, unless that was asked for.
    pub entry: StreamEntry,
    /// Its token.
    pub token: String,
}

/// The scripts.
pub struct WrittenScripts {
    keep: Script,
    without_texts: Script,
}

impl Default for WrittenScripts {
    fn default() -> Self {
        WrittenScripts {
            keep: Script::new(include_str!("lua/keep.lua")),
            without_texts: Script::new(include_str!("lua/written.lua")),
        }
    }
}

impl WrittenScripts {
    /// Moves submissions that are in MariaDB, each with its token, from the stream to here. False:
    /// Redis refuses, for example because it is full; some may have been moved.
    pub fn keep(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        entries: &[(&StreamEntry, &str)],
    ) -> Result<bool> {
        for entries in entries.chunks(AT_ONCE) {
            let mut call = self.keep.key(with_pending(keys, entries));
            with_places(&mut call, entries);
            match connection.script::<()>(&call) {
                Err(refusal @ Error::Refused { .. }) => {
                    log::warn!("redis_queue does not keep what was written lately: {refusal}");
                    return Ok(false);
                }
                kept => kept?,
            }
        }
        Ok(true)
    }

    /// Up to 100 of the oldest that were kept for this long, or are more than may be kept, without
    /// their texts.
    pub fn past(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        kept: Duration,
    ) -> Result<Vec<Written>> {
        self.without_texts(connection, keys, &kept.as_millis().to_string(), AT_ONCE)
    }

    /// The newest, latest first, without their texts.
    pub fn newest(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        most: usize,
    ) -> Result<Vec<Written>> {
        self.without_texts(connection, keys, "", most)
    }

    fn without_texts(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        kept_ms: &str,
        most: usize,
    ) -> Result<Vec<Written>> {
        let mut call = self.without_texts.key(keys.written());
        call.arg(kept_ms).arg(MOST_KEPT).arg(most);
        // Bytes that are not text must not keep a drain from the entries after them.
        let found: Vec<[Vec<u8>; 5]> = connection.script(&call)?;
        let found = found.into_iter().map(|texts| {
            let [place, id, token, player, season] =
                texts.map(|text| String::from_utf8_lossy(&text).into_owned());
            let written = Some(place);
            let entry = StreamEntry { id, player, season, text: String::new(), written };
            Written { entry, token }
        });
        Ok(found.collect())
    }
}

/// Whether a submission in this place was written so lately that a missing audit record means that
/// the database lacks it. The audit records of older submissions may have been cleared.
pub fn is_told_by_audit(place: &str) -> bool {
    now_us() - kept_at_us(place) < TOLD_BY_AUDIT_US
}

/// Those after a place (empty: from the start), oldest first, each with its own place.
pub fn after(
    connection: &mut RedisConnection,
    keys: &Keys,
    place: &str,
    most: usize,
) -> Result<Vec<(String, Written)>> {
    let begin = if place.is_empty() { "-".to_owned() } else { format!("({place}") };
    let mut command = redis::cmd("XRANGE");
    command.arg(keys.written()).arg(begin).arg("+").arg("COUNT").arg(most);
    written(connection.command(&command)?)
}

/// Those that are still in some places.
pub fn at(
    connection: &mut RedisConnection,
    keys: &Keys,
    places: &[&str],
) -> Result<Vec<StreamEntry>> {
    let mut all = Vec::with_capacity(places.len());
    for places in places.chunks(AT_ONCE) {
        let mut pipeline = redis::pipe();
        for place in places {
            pipeline.cmd("XRANGE").arg(keys.written()).arg(place).arg(place);
        }
        let answers: Vec<Value> = connection.pipeline(&pipeline)?;
        for answer in answers {
            all.extend(written(answer)?.into_iter().map(|(_, found)| found.entry));
        }
    }
    Ok(all)
}

/// Those of some submissions, by their tokens, that were written lately.
pub fn of_tokens(
    connection: &mut RedisConnection,
    keys: &Keys,
    tokens: &[String],
) -> Result<Vec<StreamEntry>> {
    let mut found = Vec::new();
    for tokens in tokens.chunks(AT_ONCE) {
        let known: Vec<Option<String>> =
            connection.command(redis::cmd("HMGET").arg(keys.tokens()).arg(tokens))?;
        let places: Vec<&str> =
            known.iter().flatten().filter_map(|known| known.strip_prefix('w')).collect();
        found.extend(at(connection, keys, &places)?);
    }
    Ok(found)
}

/// How many there are.
pub fn count(connection: &mut RedisConnection, keys: &Keys) -> Result<u64> {
    connection.command(redis::cmd("XLEN").arg(keys.written()))
}

/// Reads the list that XRANGE returns: places, and what is there.
fn written(value: Value) -> Result<Vec<(String, Written)>> {
    let list = match value {
        Value::Array(list) => list,
        Value::Nil => return Ok(Vec::new()),
        other => return Err(unexpected(&other)),
    };
    let mut all = Vec::with_capacity(list.len());
    for item in list {
        let (mut id, mut token) = (String::new(), String::new());
        if let Value::Array(parts) = &item
            && let Some(Value::Array(fields)) = parts.get(1)
        {
            for pair in fields.chunks_exact(2) {
                match text(pair[0].clone())?.as_str() {
                    "id" => id = text(pair[1].clone())?,
                    "token" => token = text(pair[1].clone())?,
                    _ => {}
                }
            }
        }
        for entry in entries(Value::Array(vec![item]))? {
            let place = entry.id.clone();
            let entry = StreamEntry { id: id.clone(), written: Some(place.clone()), ..entry };
            all.push((place, Written { entry, token: token.clone() }));
        }
    }
    Ok(all)
}

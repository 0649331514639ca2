//! The journal's commands and scripts: the stream of submissions, a student's pending ones, and
//! when MariaDB was looked at.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::{FromRedisValue, Script, ScriptInvocation, Value};

use super::keys::{GROUP, Keys};
use super::look::LookNote;
use super::replicas::Replicas;
use super::{RedisConnection, clock, confirm, text, unexpected};
use crate::error::{Error, Result};
use crate::rules::acknowledgement::has_key;

/// How long a queued drain keeps others from being queued; the scripts have the same number.
const DRAIN_FLAG_SECONDS: u64 = 60;

/// Submissions that are read or acknowledged at a time, so that other calls wait only briefly.
const AT_ONCE: usize = 100;

/// Tokens that are looked up at a time.
const TOKENS_AT_ONCE: usize = 1_000;

/// The journal's scripts.
pub struct JournalScripts {
    append: Script,
    acknowledge: Script,
    confirm: Script,
    void: Script,
    overdue: Script,
}

impl Default for JournalScripts {
    fn default() -> Self {
        JournalScripts {
            append: Script::new(include_str!("lua/append.lua")),
            acknowledge: Script::new(include_str!("lua/acknowledge.lua")),
            confirm: Script::new(include_str!("lua/confirm.lua")),
            void: Script::new(include_str!("lua/void.lua")),
            overdue: Script::new(include_str!("lua/overdue.lua")),
        }
    }
}

/// The outcome of an append.
pub enum Appended {
    /// The submission is in the journal.
    Added {
        /// True for the one caller that should queue a drain.
        drain_wanted: bool,
        /// Whether as many replicas have it as must.
        is_replicated: bool,
    },
    /// Another submission of the student came first.
    Conflict,
    /// A submission with the same key is in the journal: this one, or the same sent before.
    Known,
}

/// A submission to be appended.
pub struct NewEntry<'a> {
    /// The student.
    pub player: &'a str,
    /// The season.
    pub season: &'a str,
    /// The order of the newest entry of the stream that it knows.
    pub knows: i64,
    /// Its own order.
    pub order: i64,
    /// Its unique token.
    pub token: &'a str,
    /// The entry as text.
    pub text: &'a str,
}

/// One submission as it stands in the stream.
#[derive(Clone, Debug, Default)]
pub struct StreamEntry {
    /// Id in the stream.
    pub id: String,
    /// The student.
    pub player: String,
    /// The season.
    pub season: String,
    /// The entry as text.
    pub text: String,
    /// Its place among those that were written to MariaDB lately; `None`: it waits.
    pub written: Option<String>,
}

impl StreamEntry {
    /// Player and season.
    pub fn student(&self) -> (&str, &str) {
        (&self.player, &self.season)
    }
}

impl JournalScripts {
    /// Appends a submission, and asks replicas whether they have it. Safe to repeat: the token is
    /// recognised. A submission that arrives when its caller no longer waits is refused.
    pub fn append(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        entry: &NewEntry<'_>,
        replicas: Replicas,
    ) -> Result<Appended> {
        let pending = keys.pending(entry.player, entry.season);
        let mut call =
            self.append.key(&[keys.stream(), pending, keys.drain_queued(), keys.tokens()]);
        call.arg(entry.knows)
            .arg(entry.order)
            .arg(entry.token)
            .arg(entry.player)
            .arg(entry.season)
            .arg(entry.text)
            .arg(connection.until_us())
            .arg(u8::from(has_key(entry.token)));
        let (answer, is_replicated): (Vec<Value>, _) =
            connection.replicated_script(&call, replicas)?;
        match (answer.first(), answer.get(2)) {
            (_, Some(queued)) => {
                Ok(Appended::Added { drain_wanted: *queued == Value::Int(1), is_replicated })
            }
            (None, _) => Err(connection.too_late()),
            (Some(kind), _) if text(kind.clone())? == "known" => Ok(Appended::Known),
            _ => Ok(Appended::Conflict),
        }
    }

    /// Removes submissions, each with its token, from the journal and from those written lately.
    pub fn acknowledge(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        entries: &[(&StreamEntry, &str)],
    ) -> Result<()> {
        for entries in entries.chunks(AT_ONCE) {
            let mut call = self.acknowledge.key(with_pending(keys, entries));
            with_places(&mut call, entries);
            connection.script::<()>(&call)?;
        }
        Ok(())
    }

    /// Voids what was computed from a student's submissions so far: an append that does not know
    /// this `order` is a conflict, until `seconds` after nothing is pending.
    pub fn void(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        (player, season): (&str, &str),
        (order, seconds): (i64, u64),
    ) -> Result<()> {
        let mut call = self.void.key(keys.pending(player, season));
        connection.script(call.arg(order).arg(seconds))
    }

    /// True for the one caller in a minute that should queue a drain, because submissions have
    /// waited for too long.
    pub fn claim_overdue(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        longest_wait: Duration,
    ) -> Result<bool> {
        let names = [keys.stream(), keys.drain_queued()];
        let mut call = self.overdue.key(&names);
        call.arg(longest_wait.as_millis().to_string());
        Ok(connection.script::<u64>(&call)? == 1)
    }

    /// Notes that MariaDB was looked at, for a shard of the cache. False: the look was revoked, or
    /// took too long.
    pub fn confirm_look(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        shard: &str,
        note: &LookNote<'_>,
    ) -> Result<bool> {
        let note = note.text(connection);
        let notes = [keys.database_claim(shard), keys.database_look(shard)];
        confirm(connection, &self.confirm, &notes, &note)
    }
}

/// The keys of a script that takes submissions out of the journal.
pub(super) fn with_pending(keys: &Keys, entries: &[(&StreamEntry, &str)]) -> Vec<String> {
    let mut names = vec![keys.stream(), keys.tokens(), keys.written()];
    names.extend(entries.iter().map(|(entry, _)| keys.pending(&entry.player, &entry.season)));
    names
}

/// The arguments of such a script.
pub(super) fn with_places(call: &mut ScriptInvocation<'_>, entries: &[(&StreamEntry, &str)]) {
    call.arg(GROUP);
    for (entry, token) in entries {
        call.arg(&entry.id).arg(token).arg(entry.written.as_deref().unwrap_or_default());
    }
}

/// When an entry was kept, Unix microseconds by the server's clock.
pub fn kept_at_us(id: &str) -> i64 {
    i64::try_from(place(id).0.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

/// Where an entry stands in the stream.
pub fn place(id: &str) -> (u64, u64) {
    let (time, count) = id.split_once('-').unwrap_or((id, ""));
    (time.parse().unwrap_or(0), count.parse().unwrap_or(0))
}

/// Whether enough replicas have everything that the journal has now; true if none is asked.
pub fn is_replicated(
    connection: &mut RedisConnection,
    keys: &Keys,
    replicas: Replicas,
) -> Result<bool> {
    if replicas.count == 0 {
        return Ok(true);
    }
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg(keys.confirmed()).arg("").arg("EX").arg(1).ignore();
    connection.replicated(&mut pipeline, replicas)
}

pub(super) fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(time, count)| {
        [time, count]
            .iter()
            .all(|part| (1..=20).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Those of some entries that are still in the stream, by their ids.
pub fn entries_of(
    connection: &mut RedisConnection,
    keys: &Keys,
    ids: &[String],
) -> Result<Vec<StreamEntry>> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let mut pipeline = redis::pipe();
        for id in ids {
            pipeline.cmd("XRANGE").arg(keys.stream()).arg(id).arg(id);
        }
        let answers: Vec<Value> = connection.pipeline(&pipeline)?;
        for answer in answers {
            found.extend(entries(answer)?);
        }
    }
    Ok(found)
}

/// Creates the consumer group, unless it exists. Returns false if it cannot exist because the Redis
/// is full.
pub fn make_group(connection: &mut RedisConnection, keys: &Keys) -> Result<bool> {
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATE").arg(keys.stream()).arg(GROUP).arg("0").arg("MKSTREAM");
    match connection.command::<()>(&command) {
        Err(Error::Refused { cause, .. }) if cause.contains("BUSYGROUP") => Ok(true),
        // A full Redis refuses even if the group exists; draining makes room.
        Err(Error::Refused { cause, .. }) if cause.contains("OOM") => {
            let groups = connection.command(redis::cmd("XINFO").arg("GROUPS").arg(keys.stream()));
            match groups {
                Err(Error::Refused { .. }) => Ok(false),
                groups => groups.map(|groups: Vec<Value>| !groups.is_empty()),
            }
        }
        outcome => outcome.map(|()| true),
    }
}

/// The oldest entries after an id (empty: from the start), whichever consumer has taken them. For a
/// stream without a group.
pub fn after(
    connection: &mut RedisConnection,
    keys: &Keys,
    id: &str,
    most: usize,
) -> Result<Vec<StreamEntry>> {
    let from = if id.is_empty() { "-".to_owned() } else { format!("({id}") };
    let mut command = redis::cmd("XRANGE");
    command.arg(keys.stream()).arg(from).arg("+").arg("COUNT").arg(most);
    entries(connection.command(&command)?)
}

/// Takes entries for this consumer, `most` of each kind: those that another one took and did not
/// finish within `idle_ms` milliseconds, and new ones.
pub fn take(
    connection: &mut RedisConnection,
    keys: &Keys,
    consumer: &str,
    idle_ms: u64,
    most: usize,
) -> Result<Vec<StreamEntry>> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("XAUTOCLAIM").arg(keys.stream()).arg(GROUP).arg(consumer).arg(idle_ms);
    pipeline.arg("0").arg("COUNT").arg(most);
    pipeline.cmd("XREADGROUP").arg("GROUP").arg(GROUP).arg(consumer).arg("COUNT").arg(most);
    pipeline.arg("STREAMS").arg(keys.stream()).arg(">");
    let (mut abandoned, new): (Vec<Value>, Value) = connection.pipeline(&pipeline)?;
    let mut taken = match abandoned.len() {
        0 | 1 => Vec::new(),
        _ => entries(abandoned.swap_remove(1))?,
    };
    match new {
        Value::Nil => {}
        Value::Array(mut streams) => match streams.pop() {
            Some(Value::Array(mut stream)) => {
                taken.extend(entries(stream.pop().unwrap_or(Value::Nil))?);
            }
            other => return Err(unexpected(&other.unwrap_or(Value::Nil))),
        },
        other => return Err(unexpected(&other)),
    }
    Ok(taken)
}

/// Removes consumers that hold nothing and were idle for `idle_ms` milliseconds.
pub fn forget_consumers(connection: &mut RedisConnection, keys: &Keys, idle_ms: u64) -> Result<()> {
    let consumers: Vec<HashMap<String, Value>> =
        connection.command(redis::cmd("XINFO").arg("CONSUMERS").arg(keys.stream()).arg(GROUP))?;
    for mut consumer in consumers {
        let mut number = |field| {
            u64::from_redis_value(consumer.remove(field).unwrap_or(Value::Nil)).unwrap_or(0)
        };
        if number("pending") == 0 && number("idle") > idle_ms {
            let name = text(consumer.remove("name").unwrap_or(Value::Nil))?;
            let mut command = redis::cmd("XGROUP");
            command.arg("DELCONSUMER").arg(keys.stream()).arg(GROUP).arg(name);
            connection.command::<()>(&command)?;
        }
    }
    Ok(())
}

/// How many submissions wait, and for how many microseconds the oldest has, by the server's clock.
pub fn backlog(connection: &mut RedisConnection, keys: &Keys) -> Result<(u64, i64)> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("XLEN").arg(keys.stream());
    pipeline.cmd("XRANGE").arg(keys.stream()).arg("-").arg("+").arg("COUNT").arg(1);
    pipeline.cmd("TIME");
    let (length, oldest, now): (u64, Value, (i64, i64)) = connection.pipeline(&pipeline)?;
    let oldest = entries(oldest)?.into_iter().next();
    let age = oldest.map_or(0, |entry| (clock::unix_us(now) - kept_at_us(&entry.id)).max(0));
    Ok((length, age))
}

/// How many of these submissions wait in the stream.
pub fn count_waiting(
    connection: &mut RedisConnection,
    keys: &Keys,
    tokens: &[String],
) -> Result<u64> {
    let mut count = 0;
    for tokens in tokens.chunks(TOKENS_AT_ONCE) {
        let known: Vec<Option<String>> =
            connection.command(redis::cmd("HMGET").arg(keys.tokens()).arg(tokens))?;
        // For one that was written lately, the value is its place there.
        count += known.iter().flatten().filter(|id| is_id(id)).count() as u64;
    }
    Ok(count)
}

/// How long this run of the server has been up, in microseconds.
pub fn uptime_us(connection: &mut RedisConnection) -> Result<i64> {
    let about: String = connection.command(redis::cmd("INFO").arg("server"))?;
    let seconds = about.lines().find_map(|line| line.strip_prefix("uptime_in_seconds:"));
    let seconds = seconds.and_then(|seconds| seconds.parse::<i64>().ok()).unwrap_or(0);
    Ok(seconds.saturating_mul(1_000_000))
}

/// The newest id that the stream has given; empty if there is no stream.
pub fn newest_id(connection: &mut RedisConnection, keys: &Keys) -> Result<String> {
    let about = connection.command(redis::cmd("XINFO").arg("STREAM").arg(keys.stream()));
    let mut about: HashMap<String, Value> = match about {
        Err(Error::Refused { .. }) => return Ok(String::new()),
        about => about?,
    };
    text(about.remove("last-generated-id").unwrap_or(Value::Nil))
}

/// Clears the drain flag when a drain begins: the next submission may queue another.
pub fn clear_drain_flag(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    connection.command(redis::cmd("DEL").arg(keys.drain_queued()))
}

/// True for the one caller in a minute that should queue a drain.
pub fn claim_drain(connection: &mut RedisConnection, keys: &Keys) -> Result<bool> {
    let mut command = redis::cmd("SET");
    command.arg(keys.drain_queued()).arg("1").arg("NX").arg("EX").arg(DRAIN_FLAG_SECONDS);
    Ok(connection.command::<Option<String>>(&command)?.is_some())
}

/// One setting of the server; `None` if memora's user may not read it.
pub fn setting(connection: &mut RedisConnection, name: &str) -> Result<Option<String>> {
    match connection.command::<Vec<String>>(redis::cmd("CONFIG").arg("GET").arg(name)) {
        Ok(pair) => Ok(pair.into_iter().nth(1)),
        Err(Error::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the server keeps an append-only file, according to INFO.
pub fn is_kept_on_disk(connection: &mut RedisConnection) -> Result<bool> {
    let about: String = connection.command(redis::cmd("INFO").arg("persistence"))?;
    Ok(about.lines().any(|line| line == "aof_enabled:1"))
}

/// Reads a list of entries, as XRANGE and similar commands return it. A missing field is left
/// empty: the drain sets such an entry aside, so it never blocks the rest.
pub(super) fn entries(value: Value) -> Result<Vec<StreamEntry>> {
    let list = match value {
        Value::Array(list) => list,
        Value::Nil => return Ok(Vec::new()),
        other => return Err(unexpected(&other)),
    };
    let mut entries = Vec::with_capacity(list.len());
    for item in list {
        let Value::Array(parts) = item else { continue };
        let mut parts = parts.into_iter();
        let id = text(parts.next().unwrap_or(Value::Nil))?;
        let mut entry = StreamEntry { id, ..StreamEntry::default() };
        if let Some(Value::Array(fields)) = parts.next() {
            let mut fields = fields.into_iter();
            while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
                let (Value::BulkString(field), Value::BulkString(value)) = (field, value) else {
                    continue;
                };
                let value = String::from_utf8(value)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                match field.as_slice() {
                    b"player" => entry.player = value,
                    b"season" => entry.season = value,
                    // `answers` in entries of the first version.
                    b"entry" | b"answers" => entry.text = value,
                    _ => {}
                }
            }
        }
        entries.push(entry);
    }
    Ok(entries)
}

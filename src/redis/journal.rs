//! What is asked of the journal's Redis: the stream of submissions, a student's pending ones, and trust.

use ::redis::{FromRedisValue, Value};

use super::keys::{GROUP, Keys};
use super::{LuaScript, RedisConnection, text, unexpected};
use crate::error::{Error, Result};
use crate::review::Review;

/// How long a student's head is kept when nothing of his is pending: longer than any cached set lives.
const HEAD_SECONDS: u64 = 30 * 24 * 3600;

/// The journal's scripts.
pub struct JournalScripts {
    append: LuaScript,
    pending: LuaScript,
    acknowledge: LuaScript,
    trust: LuaScript,
}

impl Default for JournalScripts {
    fn default() -> Self {
        JournalScripts {
            append: LuaScript::new(include_str!("lua/append.lua")),
            pending: LuaScript::new(include_str!("lua/pending.lua")),
            acknowledge: LuaScript::new(include_str!("lua/acknowledge.lua")),
            trust: LuaScript::new(include_str!("lua/trust.lua")),
        }
    }
}

/// What became of an append.
pub enum Appended {
    /// The submission is in the journal.
    Added {
        /// Its id in the stream.
        id: String,
        /// True for the one caller that should queue a drain.
        drain_wanted: bool,
    },
    /// Another submission of the student came first.
    Conflict,
}

/// A submission to be appended.
pub struct NewEntry<'a> {
    /// The student.
    pub player: &'a str,
    /// The season.
    pub season: &'a str,
    /// Head that the states were computed from, and head after them.
    pub heads: (i64, i64),
    /// Unlike any other submission's.
    pub token: &'a str,
    /// The new states as JSON.
    pub payload: &'a str,
}

/// One submission as it stands in the stream.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Id in the stream.
    pub id: String,
    /// The student.
    pub player: String,
    /// The season.
    pub season: String,
    /// The new states as JSON.
    pub payload: String,
}

/// A student's submissions that are still in the journal.
#[derive(Clone, Default)]
pub struct Pending {
    /// Time of the student's last submission, Unix microseconds; 0 where the journal knows none.
    pub head: i64,
    /// The states, in no order; a question can come more than once.
    pub reviews: Vec<Review>,
}

/// What the journal says about the cache.
#[derive(Clone, Debug)]
pub struct TrustState {
    /// Cached sets of another generation are not believed.
    pub generation: u64,
    /// False while the cache is known to have missed an answer.
    pub is_ok: bool,
    /// The run of the cache's Redis that is believed.
    pub run_id: String,
    /// Milliseconds since the cache was given up.
    pub lost_for_ms: u64,
}

/// What to do with the trust in the cache.
pub enum TrustAction<'a> {
    /// Only read it.
    Read,
    /// The cache missed an answer in this generation.
    Lost(u64),
    /// The cache answers, and this is its run id.
    Found(&'a str),
    /// Make all cached sets void, those up to this generation at least.
    Renew(u64),
}

impl JournalScripts {
    /// Appends a submission. Safe to repeat: the token is recognised.
    pub fn append(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        entry: &NewEntry<'_>,
    ) -> Result<Appended> {
        let call = self
            .append
            .call(&[keys.stream(), keys.pending(entry.player, entry.season), keys.drain_queued()])
            .arg(entry.heads.0)
            .arg(entry.heads.1)
            .arg(entry.token)
            .arg(entry.player)
            .arg(entry.season)
            .arg(entry.payload);
        let answer: Vec<Value> = connection.script(&call)?;
        match <[Value; 3]>::try_from(answer) {
            Ok([_, id, queued]) => {
                Ok(Appended::Added { id: text(id)?, drain_wanted: queued == Value::Int(1) })
            }
            Err(_) => Ok(Appended::Conflict),
        }
    }

    /// What of some students is still on its way to MariaDB, in their order.
    pub fn pending(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        players: &[&str],
        season: &str,
    ) -> Result<Vec<Pending>> {
        let mut names = vec![keys.stream()];
        names.extend(players.iter().map(|player| keys.pending(player, season)));
        let answers: Vec<Vec<Option<String>>> = connection.script(&self.pending.call(&names))?;
        let pending = answers.into_iter().map(|answer| {
            let mut answer = answer.into_iter();
            let head = answer.next().flatten().and_then(|head| head.parse().ok()).unwrap_or(0);
            // An unreadable entry is the drain's to set aside; the student's other answers still count.
            let reviews =
                answer.flatten().flat_map(|payload| read_payload(&payload).unwrap_or_default()).collect();
            Pending { head, reviews }
        });
        Ok(pending.collect())
    }

    /// Takes submissions that are in MariaDB out of the journal.
    pub fn acknowledge(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        entries: &[Entry],
    ) -> Result<()> {
        let mut names = vec![keys.stream()];
        names.extend(entries.iter().map(|entry| keys.pending(&entry.player, &entry.season)));
        let mut call = self.acknowledge.call(&names).arg(GROUP).arg(HEAD_SECONDS);
        for entry in entries {
            call.push(&entry.id);
        }
        connection.script::<()>(&call)?;
        Ok(())
    }

    /// Reads or changes the trust in the cache.
    pub fn trust(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        action: &TrustAction<'_>,
    ) -> Result<TrustState> {
        let (what, generation, run_id) = match action {
            TrustAction::Read => ("read", 0, ""),
            TrustAction::Lost(generation) => ("lost", *generation, ""),
            TrustAction::Found(run_id) => ("found", 0, *run_id),
            TrustAction::Renew(void) => ("renew", *void, ""),
        };
        let call = self.trust.call(&[keys.trust()]).arg(what).arg(generation).arg(run_id);
        let (generation, state, run_id, lost_for_ms): (u64, String, String, u64) =
            connection.script(&call)?;
        Ok(TrustState { generation, is_ok: state == "ok", run_id, lost_for_ms })
    }
}

/// Reads the states of an entry.
///
/// # Errors
/// The reason, for the administrator, when the text is not what memora writes.
pub fn read_payload(payload: &str) -> std::result::Result<Vec<Review>, String> {
    serde_json::from_str(payload).map_err(|error| format!("the entry cannot be read: {error}"))
}

/// Makes the consumer group; harmless where it exists.
pub fn make_group(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATE").arg(keys.stream()).arg(GROUP).arg("0").arg("MKSTREAM");
    match connection.command::<()>(&command) {
        // A Redis that is full refuses to make what is there, too; draining is what makes room in it.
        Err(Error::Refused { cause, .. }) if cause.contains("BUSYGROUP") || cause.contains("OOM") => Ok(()),
        outcome => outcome,
    }
}

/// Takes new entries for this consumer.
pub fn take_new(
    connection: &mut RedisConnection,
    keys: &Keys,
    consumer: &str,
    most: usize,
) -> Result<Vec<Entry>> {
    let mut command = redis::cmd("XREADGROUP");
    command
        .arg("GROUP")
        .arg(GROUP)
        .arg(consumer)
        .arg("COUNT")
        .arg(most)
        .arg("STREAMS")
        .arg(keys.stream())
        .arg(">");
    match connection.command(&command)? {
        Value::Nil => Ok(Vec::new()),
        Value::Array(mut streams) => match streams.pop() {
            Some(Value::Array(mut stream)) => entries(stream.pop().unwrap_or(Value::Nil)),
            other => Err(unexpected(&other.unwrap_or(Value::Nil))),
        },
        other => Err(unexpected(&other)),
    }
}

/// Takes over entries that another consumer took and did not finish within `idle_ms` milliseconds.
pub fn take_over(
    connection: &mut RedisConnection,
    keys: &Keys,
    consumer: &str,
    idle_ms: u64,
    most: usize,
) -> Result<Vec<Entry>> {
    let mut command = redis::cmd("XAUTOCLAIM");
    command.arg(keys.stream()).arg(GROUP).arg(consumer).arg(idle_ms).arg("0").arg("COUNT").arg(most);
    let mut answer: Vec<Value> = connection.command(&command)?;
    if answer.len() < 2 {
        return Ok(Vec::new());
    }
    entries(answer.swap_remove(1))
}

/// Removes consumers that hold nothing and were idle for `idle_ms` milliseconds.
pub fn forget_consumers(connection: &mut RedisConnection, keys: &Keys, idle_ms: u64) -> Result<()> {
    let consumers: Vec<std::collections::HashMap<String, Value>> =
        connection.command(redis::cmd("XINFO").arg("CONSUMERS").arg(keys.stream()).arg(GROUP))?;
    for mut consumer in consumers {
        let mut number =
            |field| u64::from_redis_value(consumer.remove(field).unwrap_or(Value::Nil)).unwrap_or(0);
        if number("pending") == 0 && number("idle") > idle_ms {
            let name = text(consumer.remove("name").unwrap_or(Value::Nil))?;
            let mut command = redis::cmd("XGROUP");
            command.arg("DELCONSUMER").arg(keys.stream()).arg(GROUP).arg(name);
            connection.command::<()>(&command)?;
        }
    }
    Ok(())
}

/// How many submissions wait, and the id of the oldest.
pub fn backlog(connection: &mut RedisConnection, keys: &Keys) -> Result<(u64, Option<String>)> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("XLEN").arg(keys.stream());
    pipeline.cmd("XRANGE").arg(keys.stream()).arg("-").arg("+").arg("COUNT").arg(1);
    let (length, oldest): (u64, Value) = connection.pipeline(&pipeline)?;
    Ok((length, entries(oldest)?.into_iter().next().map(|entry| entry.id)))
}

/// One entry by its id.
pub fn find(connection: &mut RedisConnection, keys: &Keys, id: &str) -> Result<Option<Entry>> {
    let found = connection.command(redis::cmd("XRANGE").arg(keys.stream()).arg(id).arg(id))?;
    Ok(entries(found)?.into_iter().next())
}

/// A drain begins: the next submission may queue another.
pub fn clear_drain_flag(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    connection.command(redis::cmd("DEL").arg(keys.drain_queued()))
}

/// One setting of the server; `None` where it may not be read.
pub fn setting(connection: &mut RedisConnection, name: &str) -> Result<Option<String>> {
    match connection.command::<Vec<String>>(redis::cmd("CONFIG").arg("GET").arg(name)) {
        Ok(pair) => Ok(pair.into_iter().nth(1)),
        Err(Error::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the list of entries that XRANGE and its kin give. A field that is missing is left empty: such
/// an entry is set aside by the drain, and never blocks the rest.
fn entries(value: Value) -> Result<Vec<Entry>> {
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
        let mut entry = Entry { id, player: String::new(), season: String::new(), payload: String::new() };
        if let Some(Value::Array(fields)) = parts.next() {
            let mut fields = fields.into_iter();
            while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
                let Value::BulkString(value) = value else { continue };
                let value = String::from_utf8_lossy(&value).into_owned();
                match text(field).unwrap_or_default().as_str() {
                    "player" => entry.player = value,
                    "season" => entry.season = value,
                    "answers" => entry.payload = value,
                    _ => {}
                }
            }
        }
        entries.push(entry);
    }
    Ok(entries)
}

//! The cached students: each season's, by the time at which their schedules expire, and the
//! schedules of many.
//!
//! Redis can find the keys of a season only by a scan of all keys, other programs' included. So a
//! list of the cached students is kept beside the schedules. A schedule that Redis evicted stays
//! in this list until it would have expired, or until a read misses it.

use ::redis::{RedisResult, Value};

use super::cache::TOPICS;
use super::dump::sorted_set;
use super::keys::Keys;
use super::scan::scan_season;
use super::student::generation_of;
use super::{RedisConnection, unexpected};
use crate::error::{Error, Result, Server};
use crate::rules::diff::CachedSchedule;

/// How many expired students leave the list at a time, so that others do not wait long.
const MOST_EXPIRED: usize = 2_000;

/// Redis keeps a sorted set with no more members than this in another form
/// (`zset-max-listpack-entries`).
const COMPACT: usize = 128;

/// What is cached of a season.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeasonCache {
    /// Students with a schedule; an estimate if Redis has evicted some, or some have another
    /// generation.
    pub students: u64,
    /// Bytes of their schedules, estimated from some of them.
    pub memory_bytes: u64,
}

/// Counts the students of a season, of this generation if it is known, and measures the memory of
/// `weighed` of them. `now` is in Unix seconds. Takes the same few steps however many there are.
pub fn season_cache(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    generation: Option<u64>,
    (now, weighed): (i64, usize),
) -> Result<SeasonCache> {
    let list = keys.students(season);
    let mut pipeline = redis::pipe();
    pipeline
        .cmd("ZRANGEBYSCORE")
        .arg(&list)
        .arg("-inf")
        .arg(now)
        .arg("LIMIT")
        .arg(0)
        .arg(MOST_EXPIRED);
    pipeline.cmd("ZCOUNT").arg(&list).arg(format!("({now}")).arg("+inf");
    pipeline.cmd("ZRANDMEMBER").arg(&list).arg(weighed).arg("WITHSCORES");
    let (expired, students, mut some): (Vec<String>, u64, Vec<(String, f64)>) =
        connection.pipeline(&pipeline)?;
    some.retain(|(_, until)| *until > now as f64);
    let mut pipeline = redis::pipe();
    if !expired.is_empty() {
        // A student who is being cached again just now is removed too, and is missing from the
        // counts until their next answer.
        pipeline.cmd("ZREM").arg(&list).arg(expired).ignore();
    }
    for (player, _) in &some {
        pipeline.cmd("ZSCORE").arg(keys.schedule(player, season)).arg("");
        for key in keys.all_of(player, season) {
            pipeline.cmd("MEMORY").arg("USAGE").arg(key);
        }
    }
    if pipeline.is_empty() {
        return Ok(SeasonCache { students, memory_bytes: 0 });
    }
    // The marker of a schedule, then how many bytes its keys have.
    let found: Vec<Option<f64>> = connection.pipeline(&pipeline)?;
    let is_of_now = |found: &&[Option<f64>]| {
        let of_marker = found[0].map(generation_of);
        let is_void = generation.is_some() && of_marker.is_some() && of_marker != generation;
        found[1].is_some() && !is_void
    };
    let present = found.chunks_exact(4).filter(is_of_now).count() as u64;
    let bytes: f64 = found.chunks_exact(4).flat_map(|found| &found[1..]).flatten().sum();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bytes = bytes as u64;
    let asked = (some.len() as u64).max(1);
    Ok(SeasonCache { students: students * present / asked, memory_bytes: students * bytes / asked })
}

/// How many students of a season are in the list.
pub fn count(connection: &mut RedisConnection, keys: &Keys, season: &str) -> Result<u64> {
    connection.command(redis::cmd("ZCARD").arg(keys.students(season)))
}

/// Some students of the list, at random, none twice.
pub fn at_random(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    most: usize,
) -> Result<Vec<String>> {
    connection.command(redis::cmd("ZRANDMEMBER").arg(keys.students(season)).arg(most))
}

/// Some students of the list whose schedules expire before `moment`, in Unix seconds.
pub fn until(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    moment: i64,
    most: usize,
) -> Result<Vec<String>> {
    let mut command = redis::cmd("ZRANGEBYSCORE");
    command
        .arg(keys.students(season))
        .arg("-inf")
        .arg(format!("({moment}"))
        .arg("LIMIT")
        .arg(0)
        .arg(most);
    connection.command(&command)
}

/// Adds cached students who are missing from the list; `until` is the Unix time at which their
/// schedules expire.
pub fn remember(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    players: &[&str],
    until: i64,
) -> Result<()> {
    let mut command = redis::cmd("ZADD");
    command.arg(keys.students(season)).arg("NX");
    for player in players {
        command.arg(until).arg(player);
    }
    connection.command(&command)
}

/// Removes students from the list: nothing of them is cached.
pub fn forget(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    players: &[&str],
) -> Result<()> {
    connection.command(redis::cmd("ZREM").arg(keys.students(season)).arg(players))
}

/// Empties the list.
pub fn clear(connection: &mut RedisConnection, keys: &Keys, season: &str) -> Result<()> {
    connection.command(redis::cmd("UNLINK").arg(keys.students(season)))
}

/// Scans a part of the whole cache for schedules of a season, including those in no list. Returns
/// the next cursor, 0 at the end, and the students.
pub fn scan(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    cursor: u64,
) -> Result<(u64, Vec<String>)> {
    let (cursor, found) = scan_season(connection, keys, season, cursor)?;
    let players = found.iter().filter_map(|key| keys.player_of(key, season)).map(str::to_owned);
    Ok((cursor, players.collect()))
}

/// Reads all that is cached of some students, in their order.
///
/// # Arguments
/// `players`: each with the number of records that they are expected to have.
pub fn read(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    players: &[(&str, usize)],
) -> Result<Vec<CachedSchedule>> {
    let (mut schedules, mut others) = (Vec::with_capacity(players.len()), Vec::new());
    let asked = players.iter().map(|(player, records)| (*player, *records > COMPACT));
    for (place, found) in ask(connection, keys, season, asked)?.into_iter().enumerate() {
        if found.is_none() {
            others.push((place, players[place].0));
        }
        schedules.push(found.unwrap_or_default());
    }
    if !others.is_empty() {
        let asked = others.iter().map(|(_, player)| (*player, false));
        let found = ask(connection, keys, season, asked)?;
        for ((place, _), found) in others.iter().zip(found) {
            schedules[*place] = found.ok_or_else(|| unexpected(&Value::Nil))?;
        }
    }
    Ok(schedules)
}

/// Reads all that is cached of some students, the dates of those with the flag by DUMP, because
/// Redis spends more on writing numbers as text than on finding them. `None`: their dates cannot be
/// read in this way.
fn ask<'a>(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    players: impl Iterator<Item = (&'a str, bool)> + Clone,
) -> Result<Vec<Option<CachedSchedule>>> {
    let mut pipeline = redis::pipe();
    // A schedule's key of the wrong type must not prevent reading the others.
    pipeline.ignore_errors();
    for (player, is_dumped) in players.clone() {
        let key = keys.schedule(player, season);
        if is_dumped {
            pipeline.cmd("DUMP").arg(key);
        } else {
            pipeline.cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES");
        }
        pipeline.cmd("HGETALL").arg(keys.details(player, season));
        // Read after the others: while it exists, nothing has changed them.
        pipeline.cmd("GET").arg(keys.fence(player, season));
    }
    let answers: Vec<RedisResult<Value>> = connection.pipeline(&pipeline)?;
    let (mut answers, mut schedules) = (answers.into_iter(), Vec::new());
    for (_, is_dumped) in players {
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let (dates, details, fence) = (next(), next(), next());
        schedules.push(schedule(is_dumped, dates, details, fence)?);
    }
    Ok(schedules)
}

/// What is cached of a student, from the answers.
fn schedule(
    is_dumped: bool,
    dates: RedisResult<Value>,
    details: RedisResult<Value>,
    fence: RedisResult<Value>,
) -> Result<Option<CachedSchedule>> {
    let is_broken = dates.is_err() || details.is_err();
    let dates = match dates {
        Ok(Value::BulkString(dump)) if is_dumped => sorted_set(&dump),
        // Not every user of Redis may run DUMP.
        Err(_) if is_dumped => None,
        dates => Some(scores(strings(dates)?)?),
    };
    let Some(mut dates) = dates else { return Ok(None) };
    let details = strings(details)?;
    let is_there = is_broken || !dates.is_empty() || !details.is_empty();
    let mut schedule = CachedSchedule { is_there, ..CachedSchedule::default() };
    schedule.fence = strings(fence)?.pop().and_then(|fence| String::from_utf8(fence).ok());
    // The generation in which it is complete is the date of the question without a name.
    if let Some(place) = dates.iter().position(|(id, _)| id.is_empty()) {
        schedule.marker = Some(dates.swap_remove(place).1);
    }
    schedule.dates = dates;
    schedule.details.reserve(details.len() / 2);
    for (id, detail) in pairs(details) {
        if id.is_empty() {
            schedule.head = std::str::from_utf8(&detail).ok().and_then(|head| head.parse().ok());
        } else if id == TOPICS.as_bytes() {
            schedule.retired = version(&detail);
        } else if !id.starts_with(b"\0") {
            // A field that begins with NUL is not a question's.
            schedule.details.push((id, detail));
        }
    }
    Ok(Some(schedule))
}

/// The version of the retired questions in the field that counts those of topics; 0: no question
/// was retired before.
fn version(topics: &[u8]) -> u64 {
    let text = std::str::from_utf8(topics).unwrap_or_default();
    let version = text.split_once(' ').and_then(|(counts, _)| counts.split_once(','));
    version.and_then(|(_, version)| version.parse().ok()).unwrap_or(0)
}

/// Members and their scores.
fn scores(members: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, f64)>> {
    pairs(members)
        .map(|(id, score)| {
            let score = std::str::from_utf8(&score).ok().and_then(|score| score.parse().ok());
            Ok((id, score.ok_or_else(|| unexpected(&Value::Nil))?))
        })
        .collect()
}

fn pairs(values: Vec<Vec<u8>>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut values = values.into_iter();
    std::iter::from_fn(move || Some((values.next()?, values.next()?)))
}

/// An answer's strings; none for a key of the wrong type.
fn strings(answer: RedisResult<Value>) -> Result<Vec<Vec<u8>>> {
    match answer {
        Ok(Value::Array(values)) => values.into_iter().map(string).collect(),
        Ok(Value::Nil) => Ok(Vec::new()),
        Ok(value) => Ok(vec![string(value)?]),
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(Vec::new()),
        Err(error) => Err(Error::from_redis(Server::Cache, &error)),
    }
}

fn string(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => Err(unexpected(&other)),
    }
}

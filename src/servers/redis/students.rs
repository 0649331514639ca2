//! Who is cached: each season's students, by the time at which their schedules go, and what is
//! cached of many.
//!
//! Redis tells nobody which keys it has of a season but by looking at all of them, those of others
//! included. So who is cached is kept beside the schedules. A schedule that Redis evicted stays in
//! this list until its time is over, or until somebody looks for it.

use ::redis::{RedisResult, Value};

use super::keys::Keys;
use super::scan::scan_season;
use super::{RedisConnection, unexpected};
use crate::error::{Error, Result, Server};
use crate::rules::diff::CachedSchedule;

/// Students whose time is over that leave the list at a time: others wait for no more than these.
const MOST_EXPIRED: usize = 2_000;

/// What is cached of a season.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeasonCache {
    /// Students with a schedule, an estimate where Redis has evicted some, or where some are of
    /// another generation.
    pub students: u64,
    /// Bytes of their schedules, estimated from some of them.
    pub memory_bytes: u64,
}

/// Counts the students of a season, those of this generation where it is known, and weighs so many.
/// The same few steps however many there are.
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
        // One who comes back at this moment leaves it, too: the counts lack them until their next
        // answer.
        pipeline.cmd("ZREM").arg(&list).arg(expired).ignore();
    }
    for (player, _) in &some {
        pipeline.cmd("ZSCORE").arg(keys.schedule(player, season)).arg("");
        pipeline.cmd("MEMORY").arg("USAGE").arg(keys.schedule(player, season));
        pipeline.cmd("MEMORY").arg("USAGE").arg(keys.details(player, season));
    }
    if pipeline.is_empty() {
        return Ok(SeasonCache { students, memory_bytes: 0 });
    }
    let found: Vec<Option<u64>> = connection.pipeline(&pipeline)?;
    let is_of_now = |found: &&[Option<u64>]| {
        let is_void = generation.is_some() && found[0].is_some() && found[0] != generation;
        found[1].is_some() && !is_void
    };
    let present = found.chunks_exact(3).filter(is_of_now).count() as u64;
    let bytes: u64 = found.chunks_exact(3).flat_map(|found| &found[1..]).flatten().sum();
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

/// Some students of the list whose schedules go before a moment.
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

/// Puts students into the list who are cached and not in it.
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

/// Takes students out of the list: nothing is cached of them.
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

/// Looks through a part of the whole cache for schedules of a season, those of no list included.
/// Returns where to go on, 0 at the end, and the students.
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
pub fn read(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    players: &[&str],
) -> Result<Vec<CachedSchedule>> {
    let mut pipeline = redis::pipe();
    // A key of another kind in the place of a schedule is no reason not to read the others.
    pipeline.ignore_errors();
    for player in players {
        pipeline.cmd("ZRANGE").arg(keys.schedule(player, season)).arg(0).arg(-1).arg("WITHSCORES");
        pipeline.cmd("HGETALL").arg(keys.details(player, season));
        // After the others: as long as it stands, nothing has changed them.
        pipeline.cmd("GET").arg(keys.fence(player, season));
    }
    let answers: Vec<RedisResult<Value>> = connection.pipeline(&pipeline)?;
    let mut answers = answers.into_iter();
    let mut schedules = Vec::with_capacity(players.len());
    while let (Some(dates), Some(details), Some(fence)) =
        (answers.next(), answers.next(), answers.next())
    {
        let is_broken = dates.is_err() || details.is_err();
        let (dates, details) = (strings(dates)?, strings(details)?);
        let is_there = is_broken || !dates.is_empty() || !details.is_empty();
        let mut schedule = CachedSchedule { is_there, ..CachedSchedule::default() };
        schedule.fence = strings(fence)?.pop().and_then(|fence| String::from_utf8(fence).ok());
        schedule.dates.reserve(dates.len() / 2);
        for (id, score) in pairs(dates) {
            let score = std::str::from_utf8(&score).ok().and_then(|score| score.parse().ok());
            let score = score.ok_or_else(|| unexpected(&Value::Nil))?;
            if id.is_empty() {
                schedule.marker = Some(score)
            } else {
                schedule.dates.insert(id, score);
            }
        }
        schedule.details = pairs(details).collect();
        let head = schedule.details.remove(&b""[..]);
        schedule.head = head.and_then(|head| std::str::from_utf8(&head).ok()?.parse().ok());
        schedules.push(schedule);
    }
    Ok(schedules)
}

fn pairs(values: Vec<Vec<u8>>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut values = values.into_iter();
    std::iter::from_fn(move || Some((values.next()?, values.next()?)))
}

/// An answer's strings; none for a key of another kind.
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

//! Students' cached schedules, without a script: dropping and reading them, and removing questions
//! by hand.

use super::RedisConnection;
use super::keys::Keys;
use super::student::generation_of;
use crate::error::Result;
use crate::rules::head::Head;

/// The latest time that a score can be; the completeness marker and hidden questions have higher
/// scores.
const END_OF_TIME: i64 = 99_999_999_999;

/// Drops the schedules of some students, given as player and season, and voids loads that are under
/// way. True: one of them was cached, or was being loaded.
pub fn drop_students<'a>(
    connection: &mut RedisConnection,
    keys: &Keys,
    students: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<bool> {
    let mut pipeline = redis::pipe();
    for (player, season) in students {
        let names = [
            keys.schedule(player, season),
            keys.details(player, season),
            keys.by_subject(player, season),
            keys.fence(player, season),
        ];
        pipeline.cmd("UNLINK").arg(&names);
        pipeline.cmd("ZREM").arg(keys.students(season)).arg(player).ignore();
    }
    if pipeline.is_empty() {
        return Ok(false);
    }
    let dropped: Vec<u32> = connection.pipeline(&pipeline)?;
    Ok(dropped.iter().any(|count| *count > 0))
}

/// The heads of some students' cached schedules, in the students' order; `None`: no head is cached.
pub fn heads<'a>(
    connection: &mut RedisConnection,
    keys: &Keys,
    students: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Option<Head>>> {
    let mut pipeline = redis::pipe();
    for (player, season) in students {
        pipeline.cmd("HGET").arg(keys.details(player, season)).arg("");
    }
    if pipeline.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<Option<String>> = connection.pipeline(&pipeline)?;
    Ok(found.into_iter().map(|head| head?.parse().ok()).collect())
}

/// Cached dates of a student, by question, up to a given time, most overdue first. Reads only the
/// cache, complete or not.
pub fn scores(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
    until: Option<i64>,
    limit: Option<u32>,
) -> Result<Vec<(String, f64)>> {
    let mut command = redis::cmd("ZRANGEBYSCORE");
    command
        .arg(keys.schedule(player, season))
        .arg("-inf")
        .arg(until.unwrap_or(END_OF_TIME))
        .arg("WITHSCORES");
    if let Some(limit) = limit {
        command.arg("LIMIT").arg(0).arg(limit);
    }
    connection.command(&command)
}

/// How many cached dates of a student are at or before a given time.
pub fn count(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
    until: Option<i64>,
) -> Result<u64> {
    let key = keys.schedule(player, season);
    connection.command(redis::cmd("ZCOUNT").arg(key).arg("-inf").arg(until.unwrap_or(END_OF_TIME)))
}

/// Removes one question from the cache only. True: it was there.
pub fn remove(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
    question_id: &str,
) -> Result<bool> {
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    pipeline.cmd("ZREM").arg(keys.schedule(player, season)).arg(question_id);
    pipeline.cmd("ZREM").arg(keys.by_subject(player, season)).arg(question_id).ignore();
    pipeline.cmd("HDEL").arg(keys.details(player, season)).arg(question_id).ignore();
    let (removed,): (u32,) = connection.pipeline(&pipeline)?;
    Ok(removed > 0)
}

/// What `MEMORY USAGE` says; `None`: there is no such key.
type Bytes = Option<u64>;

/// A student's cache in numbers: the generation of its marker, if it has one, and bytes of memory.
pub fn weigh(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
) -> Result<(Option<u64>, u64)> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("ZSCORE").arg(keys.schedule(player, season)).arg("");
    for key in keys.all_of(player, season) {
        pipeline.cmd("MEMORY").arg("USAGE").arg(key);
    }
    let (marker, of_schedule, of_details, of_subject): (Option<f64>, Bytes, Bytes, Bytes) =
        connection.pipeline(&pipeline)?;
    let bytes = [of_schedule, of_details, of_subject].into_iter().flatten().sum();
    Ok((marker.map(generation_of), bytes))
}

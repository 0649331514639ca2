//! Scanning a whole Redis, a part at a time.

use super::RedisConnection;
use super::keys::Keys;
use crate::error::Result;

/// Scans a part of the cache for keys of a season, and perhaps others. Returns the next cursor, 0
/// at the end, and the keys.
pub fn scan_season(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    cursor: u64,
) -> Result<(u64, Vec<String>)> {
    scan(connection, &keys.season_pattern(season), cursor)
}

/// Scans a whole Redis, a part at a time, each from the last cursor.
pub fn look_through(mut part: impl FnMut(u64) -> Result<u64>) -> Result<()> {
    let mut cursor = 0;
    loop {
        cursor = part(cursor)?;
        if cursor == 0 {
            return Ok(());
        }
    }
}

fn scan(
    connection: &mut RedisConnection,
    pattern: &str,
    cursor: u64,
) -> Result<(u64, Vec<String>)> {
    let mut command = redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1_000);
    let (cursor, found): (u64, Vec<Vec<u8>>) = connection.command(&command)?;
    // A key that is not text is not memora's.
    Ok((cursor, found.into_iter().filter_map(|key| String::from_utf8(key).ok()).collect()))
}

/// Scans a part of either Redis for memora's keys of this site, and removes them. Returns the next
/// cursor; 0: the end.
pub fn clear_site(connection: &mut RedisConnection, keys: &Keys, cursor: u64) -> Result<u64> {
    let (cursor, found) = scan(connection, &keys.own_pattern(), cursor)?;
    remove(connection, &found)?;
    Ok(cursor)
}

/// Scans a part of the cache for keys of a season's students, and removes them. Returns the next
/// cursor; 0: the end.
pub fn clear_season(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    cursor: u64,
) -> Result<u64> {
    let (cursor, mut found) = scan_season(connection, keys, season, cursor)?;
    found.retain(|key| keys.is_of_season(key, season));
    remove(connection, &found)?;
    Ok(cursor)
}

/// Removes keys, each by itself: in a Redis Cluster they may be in several slots.
fn remove(connection: &mut RedisConnection, keys: &[String]) -> Result<()> {
    let mut pipeline = redis::pipe();
    for key in keys {
        pipeline.cmd("UNLINK").arg(key).ignore();
    }
    if pipeline.is_empty() { Ok(()) } else { connection.pipeline(&pipeline) }
}

/// A key of the cache's database that is not memora's, if the first part of a scan has one.
pub fn stranger(connection: &mut RedisConnection) -> Result<Option<String>> {
    let (_, found) = scan(connection, "*", 0)?;
    Ok(found.into_iter().find(|key| !Keys::is_own(key)))
}

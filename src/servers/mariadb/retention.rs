//! Flags old archived records for deletion, and deletes flagged ones.

use mysql::{Conn, Value};

use super::dates::date_value;
use super::key_range::{Key, KeyRange, Place};
use super::shape::ARCHIVE;
use super::statements::{row, run};
use crate::error::Result;
use crate::rules::clock::SiteZone;

/// The progress of flagging in each season.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_retention` (\
    season VARCHAR(140) NOT NULL PRIMARY KEY, after_player VARCHAR(140) NOT NULL, \
    after_question VARCHAR(140) NOT NULL, is_flagged TINYINT NOT NULL) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// For this long after a season was archived, in seconds, records may be added to it: a late answer
/// has the time at which it was given.
const LATE_SECONDS: i64 = 86_400;

/// The next season in the archive, in the order of names: one step in its index.
pub fn next_season(connection: &mut Conn, after: &str) -> Result<Option<String>> {
    let sql = format!(
        "SELECT season FROM `{}` FORCE INDEX (PRIMARY) WHERE season > ? ORDER BY season LIMIT 1",
        ARCHIVE.table
    );
    row(connection, &sql, (after,))
}

/// The record after which a season's records that were archived before a given time (Unix seconds)
/// must be flagged. `None`: all are flagged, or none can be that old.
pub fn flagging_from(
    connection: &mut Conn,
    season: &str,
    archived_before: i64,
) -> Result<Option<Key>> {
    // Records from before memora's archive belong to a season that it does not know, and may have
    // any age.
    let is_young = "SELECT 1 FROM memora_archive WHERE season = ? AND season <> '' \
        AND (finished_at_us IS NULL OR finished_at_us >= ?)";
    let last_us = (archived_before - LATE_SECONDS) * 1_000_000;
    if row::<u8>(connection, is_young, (season, last_us))?.is_some() {
        return Ok(None);
    }
    let sql =
        "SELECT after_player, after_question, is_flagged FROM memora_retention WHERE season = ?";
    Ok(match row::<(String, String, bool)>(connection, sql, (season,))? {
        None => Some(Key::default()),
        Some((_, _, true)) => None,
        Some((player, question_id, false)) => Some(Key { player, question_id }),
    })
}

/// Flags the records of a range that were archived before a time (Unix seconds). Returns how many.
pub fn flag(
    connection: &mut Conn,
    zone: &SiteZone,
    range: &KeyRange,
    archived_before: i64,
) -> Result<u64> {
    let sql = format!(
        "UPDATE {} SET r.eligible_for_deletion = 1 WHERE {} AND r.eligible_for_deletion = 0 AND \
         r.archived_at < ?",
        Place::Archive.records_of(&range.season),
        range.condition()
    );
    let mut params: Vec<Value> = range.params();
    params.push(date_value(zone, archived_before));
    run(connection, &sql, params)?;
    Ok(connection.affected_rows())
}

/// Notes that flagging has reached the end of a range. A season that memora archived is finished at
/// its end; any other starts over.
pub fn note_flagged(connection: &mut Conn, range: &KeyRange) -> Result<()> {
    let after = range.until.clone().unwrap_or_default();
    let sql = "INSERT INTO memora_retention (season, after_player, after_question, is_flagged) \
        VALUES (?, ?, ?, ? AND EXISTS (SELECT 1 FROM memora_archive AS a WHERE a.season = ?)) \
        ON DUPLICATE KEY UPDATE after_player = VALUES(after_player), \
        after_question = VALUES(after_question), is_flagged = VALUES(is_flagged)";
    let season = range.season.as_str();
    run(connection, sql, (season, after.player, after.question_id, range.until.is_none(), season))
}

/// Forgets a season that was deleted.
pub fn forget(connection: &mut Conn, season: &str) -> Result<()> {
    run(connection, "DELETE FROM memora_retention WHERE season = ?", (season,))
}

/// How many records were in a season when it was archived, or, by MariaDB's estimate, how many are
/// in the whole archive.
pub fn estimated_rows(connection: &mut Conn, season: Option<&str>) -> Result<u64> {
    let of_all = "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
    AND TABLE_NAME = ?";
    let of_one = "SELECT verified FROM memora_archive WHERE season = ?";
    let found: Option<Option<u64>> = match season {
        None => row(connection, of_all, (ARCHIVE.table,))?,
        Some(season) => row(connection, of_one, (season,))?,
    };
    Ok(found.flatten().unwrap_or(0))
}

/// Deletes the records of a range that are flagged. Returns how many.
pub fn delete(connection: &mut Conn, range: &KeyRange) -> Result<u64> {
    let sql = format!(
        "DELETE r FROM {} WHERE {} AND r.eligible_for_deletion = 1",
        Place::Archive.records_of(&range.season),
        range.condition()
    );
    run(connection, &sql, range.params())?;
    Ok(connection.affected_rows())
}

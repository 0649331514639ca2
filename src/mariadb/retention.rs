//! Archived records that are old: flagged for deletion, then deleted.

use mysql::{Conn, Value};

use super::key_range::{KeyRange, Place};
use super::shape::ARCHIVE;
use super::{date_value, row, run};
use crate::clock::SiteZone;
use crate::error::Result;

/// The next season in the archive, in the order of names: one step in its index.
pub fn next_season(connection: &mut Conn, after: &str) -> Result<Option<String>> {
    let sql = format!(
        "SELECT season FROM `{}` FORCE INDEX (PRIMARY) WHERE season > ? ORDER BY season LIMIT 1",
        ARCHIVE.table
    );
    row(connection, &sql, (after,))
}

/// Flags the records of a range that were archived before a moment (Unix seconds). Returns how many.
pub fn flag(connection: &mut Conn, zone: &SiteZone, range: &KeyRange, archived_before: i64) -> Result<u64> {
    let sql = format!(
        "UPDATE {} SET r.eligible_for_deletion = 1 WHERE {} AND r.eligible_for_deletion = 0 AND r.archived_at < ?",
        Place::Archive.records_of(&range.season),
        range.condition()
    );
    let mut params: Vec<Value> = range.params();
    params.push(date_value(zone, archived_before));
    run(connection, &sql, params)?;
    Ok(connection.affected_rows())
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

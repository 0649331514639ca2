//! Rows of a season that stand in the default partition though the season has one of its own.
//!
//! MariaDB (10.11.19) leaves them there when the partition is added, and no statement that names
//! the season looks there: it reads the season's partition alone. So the condition here hides the
//! season from MariaDB.

use mysql::Conn;

use super::shape::LIVE;
use super::{row, run};
use crate::error::Result;

/// What the default partition is called while its strays are moved, for the lock of the table to
/// cover it.
pub const ALIAS: &str = "stray";
const OF_SEASON: &str = "CONCAT(season, '') = ?";

/// Whether the default partition has rows of a season. It is read as a whole: it is all but empty
/// where seasons get their partitions within seconds.
pub fn has_strays(connection: &mut Conn, season: &str) -> Result<bool> {
    let table = LIVE.table;
    let sql = format!("SELECT 1 FROM `{table}` PARTITION (p_default) WHERE {OF_SEASON} LIMIT 1");
    Ok(row::<u8>(connection, &sql, (season,))?.is_some())
}

/// Moves them into their partition. Of two rows of one question the newer wins: one was written
/// while the other could not be seen. Killed between the two statements, it can be done again.
pub fn move_strays(connection: &mut Conn, season: &str) -> Result<()> {
    let table = LIVE.table;
    let columns: Vec<String> = LIVE
        .columns(connection)?
        .into_iter()
        .map(|name| format!("`{}`", name.replace('`', "``")))
        .collect();
    let is_key = |name: &str| LIVE.primary_key.iter().any(|key| name == format!("`{key}`"));
    // The assignments run from left to right: what all others compare with comes last.
    let newer_wins: Vec<String> = columns
        .iter()
        .filter(|name| !is_key(name) && *name != "`answered_at_us`")
        .map(|name| {
            format!(
                "`{table}`.{name} = IF(VALUES(answered_at_us) > COALESCE(`{table}`.answered_at_us, \
                 0), \
                 VALUES({name}), `{table}`.{name})"
            )
        })
        .collect();
    let (list, newer_wins) = (columns.join(", "), newer_wins.join(", "));
    let copy = format!(
        "INSERT INTO `{table}` ({list}) SELECT {list} FROM `{table}` PARTITION (p_default) AS \
         {ALIAS} WHERE {OF_SEASON} \
         ON DUPLICATE KEY UPDATE {newer_wins}, `{table}`.answered_at_us = \
         GREATEST(COALESCE(VALUES(answered_at_us), 0), COALESCE(`{table}`.answered_at_us, 0))"
    );
    let remove = format!("DELETE FROM `{table}` PARTITION (p_default) WHERE {OF_SEASON}");
    // Not in one transaction: to begin one would give the table free.
    run(connection, &copy, (season,))?;
    run(connection, &remove, (season,))
}

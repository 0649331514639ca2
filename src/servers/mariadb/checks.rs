//! `memora_check`: counts the checks of whether the cache belongs to this database. A database that
//! was restored from a backup has counted fewer checks than the cache remembers.

use mysql::Conn;

use super::statements::{row, run};
use crate::error::Result;

/// One row.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_check` (\
    id TINYINT NOT NULL PRIMARY KEY, checks BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB";

/// The row, which is never removed.
pub const ROW: &str = "INSERT IGNORE INTO `memora_check` (id, checks) VALUES (1, 0)";

/// How many checks there have been.
pub fn count(connection: &mut Conn) -> Result<u64> {
    Ok(row(connection, "SELECT checks FROM `memora_check` WHERE id = 1", ())?.unwrap_or(0))
}

/// Counts another check. Returns the new number.
pub fn add(connection: &mut Conn) -> Result<u64> {
    run(
        connection,
        "UPDATE `memora_check` SET checks = LAST_INSERT_ID(checks + 1) WHERE id = 1",
        (),
    )?;
    Ok(connection.last_insert_id())
}

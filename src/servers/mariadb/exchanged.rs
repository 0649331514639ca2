//! Tables that are exchanged with a partition of the live table: their rows are outside the live
//! table. If the process or MariaDB is killed meanwhile, such a table is left behind.

use mysql::Conn;

use super::errors::NO_SUCH_TABLE;
use super::shape::LIVE;
use super::statements::{row, rows, run_text};
use crate::error::{Error, Result};

/// An empty table older than this belongs to a dead process.
const OLD: &str = "INTERVAL 1 HOUR";

/// What such a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Rows of the default partition, which move to their own partitions. Each process has its own
    /// table, because locks here do not cover processes on other nodes of Galera. A table with rows
    /// means that reads may have lacked rows.
    Moving,
    /// The records of an archived season, from when they leave the live table until they are
    /// removed.
    Freed,
}

impl Purpose {
    const ALL: [Purpose; 2] = [Purpose::Moving, Purpose::Freed];

    /// The prefix of these tables' names. Older versions had one table of exactly this name.
    fn beginning(self) -> &'static str {
        match self {
            Purpose::Moving => "memora_moving",
            Purpose::Freed => "memora_freed",
        }
    }
}

/// Such a table.
pub struct Exchanged {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it was made long ago.
    pub is_old: bool,
}

/// Creates an empty table. Returns its name, which is always new: if MariaDB is killed while it
/// creates or removes a table, a leftover file can keep the name in use.
pub fn make(connection: &mut Conn, purpose: Purpose) -> Result<String> {
    let unique: Option<String> = row(connection, "SELECT REPLACE(UUID(), '-', '')", ())?;
    let name = format!("{}_{}", purpose.beginning(), unique.unwrap_or_default());
    // Not LIKE and REMOVE PARTITIONING: if MariaDB is killed while it makes or removes many files,
    // some can be left.
    let shown: Option<(String, String)> =
        row(connection, &format!("SHOW CREATE TABLE `{}`", LIVE.table), ())?;
    let (_, create) = shown.unwrap_or_default();
    let (create, _) = create.split_once("\n PARTITION BY ").unwrap_or((&create, ""));
    run_text(connection, &create.replacen(&format!("`{}`", LIVE.table), &name, 1))?;
    Ok(name)
}

/// All such tables.
pub fn all(connection: &mut Conn) -> Result<Vec<Exchanged>> {
    let mut all = Vec::new();
    for purpose in Purpose::ALL {
        let sql = format!(
            "SELECT TABLE_NAME, CREATE_TIME < NOW() - {OLD} FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE '{}%'",
            purpose.beginning().replace('_', "\\_")
        );
        let found: Vec<(String, Option<bool>)> = rows(connection, &sql, ())?;
        all.extend(found.into_iter().map(|(name, is_old)| Exchanged {
            name,
            purpose,
            is_old: is_old.unwrap_or(false),
        }));
    }
    Ok(all)
}

/// Drops those of the named tables that exist.
pub fn drop<'a>(connection: &mut Conn, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    names
        .into_iter()
        .try_for_each(|name| run_text(connection, &format!("DROP TABLE IF EXISTS {name}")))
}

/// Whether a table has rows. False also if it does not exist.
pub fn has_rows(connection: &mut Conn, name: &str) -> Result<bool> {
    match row::<u8>(connection, &format!("SELECT 1 FROM {name} LIMIT 1"), ()) {
        Err(Error::Refused { code: NO_SUCH_TABLE, .. }) => Ok(false),
        found => Ok(found?.is_some()),
    }
}

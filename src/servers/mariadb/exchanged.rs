//! Tables that a partition of the big table changes places with: what is in one of them is out of
//! the big table. A process, or MariaDB itself, that is killed meanwhile leaves one behind.

use mysql::Conn;

use super::errors::NO_SUCH_TABLE;
use super::shape::LIVE;
use super::statements::{row, rows, run_text};
use crate::error::{Error, Result};

/// An empty one that is older is of a process that died.
const OLD: &str = "INTERVAL 1 HOUR";

/// What such a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Rows of the default partition, which go into the partitions that they belong to. Each
    /// process has one of its own: that of a process on another node of Galera is none of its
    /// business, whatever is locked here. One with rows says that reads may have lacked rows.
    Moving,
    /// The records of an archived season, from the moment they leave the big table until they are
    /// removed.
    Freed,
}

impl Purpose {
    const ALL: [Purpose; 2] = [Purpose::Moving, Purpose::Freed];

    /// What the names of these tables begin with. Older versions had one that is called so.
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

/// Makes an empty one. Returns its name, which no table ever had: MariaDB killed while it makes or
/// removes a table can leave a file that keeps its name taken.
pub fn make(connection: &mut Conn, purpose: Purpose) -> Result<String> {
    let unique: Option<String> = row(connection, "SELECT REPLACE(UUID(), '-', '')", ())?;
    let name = format!("{}_{}", purpose.beginning(), unique.unwrap_or_default());
    // Not LIKE and REMOVE PARTITIONING: MariaDB killed while it makes or removes many files can
    // leave some of them.
    let shown: Option<(String, String)> =
        row(connection, &format!("SHOW CREATE TABLE `{}`", LIVE.table), ())?;
    let (_, create) = shown.unwrap_or_default();
    let (create, _) = create.split_once("\n PARTITION BY ").unwrap_or((&create, ""));
    run_text(connection, &create.replacen(&format!("`{}`", LIVE.table), &name, 1))?;
    Ok(name)
}

/// All that there are.
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

/// Drops some, as far as they are there.
pub fn drop<'a>(connection: &mut Conn, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    names
        .into_iter()
        .try_for_each(|name| run_text(connection, &format!("DROP TABLE IF EXISTS {name}")))
}

/// Whether there is something in one. False also where it is not there.
pub fn has_rows(connection: &mut Conn, name: &str) -> Result<bool> {
    match row::<u8>(connection, &format!("SELECT 1 FROM {name} LIMIT 1"), ()) {
        Err(Error::Refused { code: NO_SUCH_TABLE, .. }) => Ok(false),
        found => Ok(found?.is_some()),
    }
}

//! Rows of a season that stand in the default partition though the season has one of its own.
//!
//! MariaDB (10.11.19) leaves them there when the partition is added, and no statement that names
//! the season looks there: it reads the season's partition alone. So the condition here hides the
//! season from MariaDB.
//!
//! To DELETE them there would be wrong on a replica that is sent rows (`binlog_format=ROW`): it
//! looks for each by its key, in the season's partition, and deletes the row that was copied there.
//! So the default partition changes places with a table that has the rows of all other seasons,
//! which every replica does by itself, and what was in it is inserted again, each row into the
//! partition that it belongs to: the rows of other seasons are there all the time. All that is one
//! statement, which MariaDB goes on with when whoever sent it is killed. MariaDB itself may be
//! killed in it: then rows of the season are in the other table only, until [`put_back`] is called.

use mysql::Conn;

use super::shape::LIVE;
use super::statements::{row, run_text};
use crate::error::Result;

/// Whether the default partition has rows of a season. It is read as a whole: it is all but empty
/// where seasons get their partitions within seconds.
pub fn has_strays(connection: &mut Conn, season: &str) -> Result<bool> {
    let table = LIVE.table;
    let sql = format!(
        "SELECT 1 FROM `{table}` PARTITION (p_default) WHERE CONCAT(season, '') = ? LIMIT 1"
    );
    Ok(row::<u8>(connection, &sql, (season,))?.is_some())
}

/// Moves rows out of the default partition, each into the partition that it belongs to.
///
/// `seasons` are all that have a partition, or get it by `add`, a part of an ALTER TABLE. With
/// `is_kept`, what was moved is left in the table `moving`, too.
pub fn move_strays(
    connection: &mut Conn,
    seasons: &[String],
    add: &str,
    (moving, is_kept): (&str, bool),
) -> Result<()> {
    let table = LIVE.table;
    let list = columns(connection)?.join(", ");
    let names: Vec<String> = seasons.iter().map(|season| format!("'{season}'")).collect();
    let mut statements = vec![
        format!(
            "INSERT INTO {moving} ({list}) SELECT {list} FROM `{table}` PARTITION (p_default) \
             WHERE CONCAT(season, '') NOT IN ({})",
            names.join(", ")
        ),
        // First of the two: wherever the server is killed from now on, that table has rows.
        format!("ALTER TABLE `{table}` EXCHANGE PARTITION p_default WITH TABLE {moving}"),
        format!("ALTER TABLE `{table}` {add}"),
        insertion(connection, moving)?,
    ];
    if !is_kept {
        statements.push(format!("DROP TABLE {moving}"));
    }
    run_text(connection, &format!("BEGIN NOT ATOMIC {}; END", statements.join("; ")))
}

/// Puts the rows of such a table where they belong. It can be done again.
pub fn put_back(connection: &mut Conn, moving: &str) -> Result<()> {
    let sql = insertion(connection, moving)?;
    // In no transaction of ours: to begin one would give the table free.
    run_text(connection, &sql)
}

/// Of two rows of one question the newer wins: one was written while the other could not be seen.
fn insertion(connection: &mut Conn, moving: &str) -> Result<String> {
    let table = LIVE.table;
    let columns = columns(connection)?;
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
    Ok(format!(
        "INSERT INTO `{table}` ({list}) SELECT {list} FROM {moving} \
         ON DUPLICATE KEY UPDATE {newer_wins}, `{table}`.answered_at_us = \
         GREATEST(COALESCE(VALUES(answered_at_us), 0), COALESCE(`{table}`.answered_at_us, 0))"
    ))
}

fn columns(connection: &mut Conn) -> Result<Vec<String>> {
    let names = LIVE.columns(connection)?;
    Ok(names.into_iter().map(|name| format!("`{}`", name.replace('`', "``"))).collect())
}

//! Rows of a season that are in the default partition although the season has its own.
//!
//! MariaDB (10.11.19) leaves them there when the partition is added, and a statement that names the
//! season reads only the season's partition. So the condition here hides the season from MariaDB.
//!
//! A DELETE would be wrong on a replica that receives rows (`binlog_format=ROW`): it looks for each
//! row by its key, in the season's partition, and deletes the copy there. So the default partition
//! is exchanged with a table that has the rows of all other seasons, and its old rows are inserted
//! again, each into its own partition. The rows of other seasons are always there. All this is one
//! statement, which MariaDB finishes even if memora's process is killed. If MariaDB itself is
//! killed, rows of the season are only in the other table until [`put_back`] is called.

use mysql::Conn;

use super::shape::LIVE;
use super::statements::{row, run_text};
use crate::error::Result;

/// Whether the default partition has rows of a season. Reads the whole partition, which is almost
/// empty if seasons get their partitions within seconds.
pub fn has_strays(connection: &mut Conn, season: &str) -> Result<bool> {
    let table = LIVE.table;
    let sql = format!(
        "SELECT 1 FROM `{table}` PARTITION (p_default) WHERE CONCAT(season, '') = ? LIMIT 1"
    );
    Ok(row::<u8>(connection, &sql, (season,))?.is_some())
}

/// Moves rows out of the default partition, each into its own.
///
/// `seasons` are all that have a partition, or get one by `add`, a part of an ALTER TABLE. With
/// `is_kept`, the moved rows also stay in the table `moving`.
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
        // This comes first, so that the table has rows whenever the server is killed from now on.
        format!("ALTER TABLE `{table}` EXCHANGE PARTITION p_default WITH TABLE {moving}"),
        format!("ALTER TABLE `{table}` {add}"),
        insertion(connection, moving)?,
    ];
    if !is_kept {
        statements.push(format!("DROP TABLE {moving}"));
    }
    run_text(connection, &format!("BEGIN NOT ATOMIC {}; END", statements.join("; ")))
}

/// Moves the rows of such a table to their partitions. Safe to repeat.
pub fn put_back(connection: &mut Conn, moving: &str) -> Result<()> {
    let sql = insertion(connection, moving)?;
    // Without a transaction: beginning one would release the table.
    run_text(connection, &sql)
}

/// The statement that inserts them. Of two rows of one question the newer wins: it was written
/// while the other could not be found.
fn insertion(connection: &mut Conn, moving: &str) -> Result<String> {
    let table = LIVE.table;
    let columns = columns(connection)?;
    let is_key = |name: &str| LIVE.primary_key.iter().any(|key| name == format!("`{key}`"));
    // Assignments run from left to right, so the column that all others compare comes last.
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

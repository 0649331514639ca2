//! Records of a site from before memora's keys: without a season, or duplicate. Finds and changes
//! them in small transactions, in the order of their names.

use mysql::Conn;

use super::shape::Shape;
use super::statements::{row, run, run_text};
use crate::error::Result;
use crate::progress::OnProgress;

/// Records that one statement reads.
const ROWS: usize = 2_000;

/// Whether any record has no season. A table with its primary key has no such record.
pub fn lacks_season(connection: &mut Conn, shape: &Shape) -> Result<bool> {
    if shape.has_primary_key(connection)? {
        return Ok(false);
    }
    let sql = format!("SELECT 1 FROM `{}` WHERE COALESCE(season, '') = '' LIMIT 1", shape.table);
    Ok(row::<u8>(connection, &sql, ())?.is_some())
}

/// Gives this season to records that have none. Returns how many there were.
pub fn give_season(
    connection: &mut Conn,
    shape: &Shape,
    season: &str,
    on_progress: OnProgress<'_, u64>,
) -> Result<u64> {
    let update = format!(
        "UPDATE `{}` SET season = ? WHERE name > ? AND (? IS NULL OR name <= ?) AND \
         COALESCE(season, '') = ''",
        shape.table
    );
    let (mut changed, mut after) = (0, String::new());
    loop {
        let until = name_after(connection, shape.table, &after)?;
        run(connection, &update, (season, &after, &until, &until))?;
        changed += connection.affected_rows();
        on_progress(&changed)?;
        let Some(until) = until else { return Ok(changed) };
        after = until;
    }
}

/// Removes all but the newest record of each student, season and question. Returns how many.
///
/// The newest was answered last, then changed last. A table with its primary key has no duplicates.
pub fn remove_duplicates(
    connection: &mut Conn,
    shape: &Shape,
    on_progress: OnProgress<'_, u64>,
) -> Result<u64> {
    if shape.has_primary_key(connection)? {
        return Ok(0);
    }
    // It ends with the connection: the next process finds the duplicates again. It has the season,
    // because in a table that was partitioned before, a name need not be unique.
    run_text(connection, "DROP TEMPORARY TABLE IF EXISTS memora_duplicate")?;
    let find = format!(
        "CREATE TEMPORARY TABLE memora_duplicate (PRIMARY KEY (name, season)) ENGINE=InnoDB \
         SELECT name, season FROM (SELECT name, season, ROW_NUMBER() OVER (\
         PARTITION BY CAST(player AS BINARY), CAST(season AS BINARY), CAST(question_id AS BINARY) \
         ORDER BY answered_at_us DESC, modified DESC, last_review_date DESC, creation DESC, name \
         DESC) AS place \
         FROM `{}` WHERE COALESCE(player, '') <> '' AND COALESCE(season, '') <> '' AND \
         COALESCE(question_id, '') <> ''\
         ) AS ranked WHERE place > 1",
        shape.table
    );
    run_text(connection, &find)?;
    let delete = format!(
        "DELETE r FROM `{}` AS r JOIN memora_duplicate AS d ON r.name = d.name AND r.season = \
         d.season \
         WHERE d.name > ? AND (? IS NULL OR d.name <= ?)",
        shape.table
    );
    let (mut removed, mut after) = (0, String::new());
    loop {
        let until = name_after(connection, "memora_duplicate", &after)?;
        run(connection, &delete, (&after, &until, &until))?;
        removed += connection.affected_rows();
        on_progress(&removed)?;
        let Some(until) = until else { break };
        after = until;
    }
    run_text(connection, "DROP TEMPORARY TABLE memora_duplicate")?;
    Ok(removed)
}

/// The name this many rows after another; `None` if there are fewer.
fn name_after(connection: &mut Conn, table: &str, after: &str) -> Result<Option<String>> {
    let sql = format!(
        "SELECT name FROM `{table}` WHERE name > ? ORDER BY name LIMIT 1 OFFSET {}",
        ROWS - 1
    );
    row(connection, &sql, (after,))
}

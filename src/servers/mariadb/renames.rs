//! `memora_rename`: users who are being renamed, and the records that arrived under their old names
//! meanwhile.

use mysql::{Conn, Value};

use super::outages::NOW_US;
use super::retired;
use super::shape::Shape;
use super::statements::{rows, run};
use super::suspended;
use super::transaction::in_transaction_again;
use crate::error::Result;

/// A row for each recent rename.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_rename` (\
    old_name VARCHAR(140) NOT NULL PRIMARY KEY, new_name VARCHAR(140) NOT NULL, noted_at_us BIGINT \
    NOT NULL) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// A rename.
#[derive(Clone)]
pub struct Rename {
    /// The name until now.
    pub old: String,
    /// The name from now on.
    pub new: String,
    /// For how many microseconds it has been noted.
    pub age_us: i64,
}

/// Notes a rename that has not been committed yet.
pub fn note(connection: &mut Conn, old: &str, new: &str) -> Result<()> {
    let sql = format!(
        "INSERT INTO `memora_rename` (old_name, new_name, noted_at_us) VALUES (?, ?, {NOW_US}) \
         ON DUPLICATE KEY UPDATE new_name = VALUES(new_name), noted_at_us = VALUES(noted_at_us)"
    );
    run(connection, &sql, (old, new))
}

/// All that are noted.
pub fn noted(connection: &mut Conn) -> Result<Vec<Rename>> {
    let sql = format!("SELECT old_name, new_name, {NOW_US} - noted_at_us FROM `memora_rename`");
    let found: Vec<(String, String, i64)> = rows(connection, &sql, ())?;
    Ok(found.into_iter().map(|(old, new, age_us)| Rename { old, new, age_us }).collect())
}

/// Forgets one.
pub fn forget(connection: &mut Conn, rename: &Rename) -> Result<()> {
    let sql = "DELETE FROM `memora_rename` WHERE old_name = ? AND new_name = ?";
    run(connection, sql, (&rename.old, &rename.new))
}

/// Gives a season's records the student's new name. Of two records of a question, the newer one
/// stays. Returns how many had the old name.
pub fn move_records(
    connection: &mut Conn,
    shape: &Shape,
    season: &str,
    rename: &Rename,
) -> Result<u64> {
    let (table, columns) = (shape.table, shape.columns(connection)?);
    let quoted: Vec<String> =
        columns.iter().map(|name| format!("`{}`", name.replace('`', "``"))).collect();
    let (mut selected, mut params): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
    for (name, column) in columns.iter().zip(&quoted) {
        if matches!(name.as_str(), "player" | "owner" | "modified_by") {
            selected.push(format!("IF(r.{column} = ?, ?, r.{column})"));
            params.extend([Value::from(&rename.old), Value::from(&rename.new)]);
        } else {
            selected.push(format!("r.{column}"));
        }
    }
    params.extend([Value::from(&rename.old), season.into()]);
    // `answered_at_us` is assigned last, because the others compare it.
    let newer =
        format!("COALESCE(VALUES(answered_at_us), 0) > COALESCE(`{table}`.answered_at_us, 0)");
    let is_changed =
        |name: &&String| *name != "answered_at_us" && !shape.primary_key.contains(&name.as_str());
    let changes: Vec<String> = columns
        .iter()
        .zip(&quoted)
        .filter(|(name, _)| is_changed(name))
        .map(|(_, column)| {
            format!("`{table}`.{column} = IF({newer}, VALUES({column}), `{table}`.{column})")
        })
        .collect();
    let copy = format!(
        "INSERT INTO `{table}` ({}) SELECT {} FROM `{table}` AS r WHERE r.player = ? AND r.season \
         = ? \
         ON DUPLICATE KEY UPDATE {}, `{table}`.answered_at_us = GREATEST(\
         COALESCE(VALUES(answered_at_us), 0), COALESCE(`{table}`.answered_at_us, 0))",
        quoted.join(", "),
        selected.join(", "),
        changes.join(", ")
    );
    let condition = format!("`{table}` WHERE player = ? AND season = ?");
    in_transaction_again(connection, |connection| {
        let found: Vec<String> = rows(
            connection,
            &format!("SELECT question_id FROM {condition} FOR UPDATE"),
            (&rename.old, season),
        )?;
        if found.is_empty() {
            return Ok(0);
        }
        run(connection, &copy, params.clone())?;
        run(connection, &format!("DELETE FROM {condition}"), (&rename.old, season))?;
        Ok(found.len() as u64)
    })
}

/// Gives audit records, Poison Reviews, and retired and suspended questions the user's new name.
pub fn move_traces(connection: &mut Conn, rename: &Rename) -> Result<()> {
    let audits = "UPDATE `tabMemory Review Audit` SET owner = IF(owner = player, ?, owner), \
        modified_by = IF(modified_by = player, ?, modified_by), player = ? WHERE player = ?";
    run(connection, audits, (&rename.new, &rename.new, &rename.new, &rename.old))?;
    run(
        connection,
        "UPDATE `tabPoison Review` SET player = ? WHERE player = ?",
        (&rename.new, &rename.old),
    )?;
    retired::rename(connection, &rename.old, &rename.new)?;
    suspended::rename(connection, &rename.old, &rename.new)
}

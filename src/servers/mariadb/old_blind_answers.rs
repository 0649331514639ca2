//! `memora_blind_answer`, which version 0.1 had (see [`crate::administrators::upgrade`]).

use mysql::{Conn, Value};

use super::shape::LIVE;
use super::statements::{placeholders, row, rows, run, run_text};
use crate::error::Result;

/// Whether the table is there.
pub fn exists(connection: &mut Conn) -> Result<bool> {
    let sql = "SELECT 1 FROM information_schema.TABLES \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'memora_blind_answer'";
    Ok(row::<u8>(connection, sql, ())?.is_some())
}

/// All rows: player, season, answers.
pub fn all(connection: &mut Conn) -> Result<Vec<(String, String, String)>> {
    rows(connection, "SELECT player, season, answers FROM `memora_blind_answer`", ())
}

/// Removes a student's row.
pub fn remove(connection: &mut Conn, player: &str, season: &str) -> Result<()> {
    run(
        connection,
        "DELETE FROM `memora_blind_answer` WHERE player = ? AND season = ?",
        (player, season),
    )
}

/// Removes a student's records of these questions.
pub fn remove_records(
    connection: &mut Conn,
    player: &str,
    season: &str,
    question_ids: &[&str],
) -> Result<()> {
    if question_ids.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM `{}` WHERE player = ? AND season = ? AND question_id IN ({})",
        LIVE.table,
        placeholders(question_ids.len())
    );
    let mut params: Vec<Value> = vec![player.into(), season.into()];
    params.extend(question_ids.iter().map(Value::from));
    run(connection, &sql, params)
}

/// Removes the table.
pub fn drop_table(connection: &mut Conn) -> Result<()> {
    run_text(connection, "DROP TABLE IF EXISTS `memora_blind_answer`")
}

//! The questions that students have suspended, in all seasons.

use std::collections::{HashMap, HashSet};

use mysql::{Conn, Value};

use super::statements::{MOST_IN_A_LIST, placeholders, row, rows, run};
use super::transaction::in_transaction_again;
use crate::error::Result;

/// The table: a row for each suspended question of a student.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_suspended` (\
    player VARCHAR(140) NOT NULL, question_id VARCHAR(140) NOT NULL, \
    suspended_at DATETIME(6) NOT NULL DEFAULT NOW(6), PRIMARY KEY (player, question_id)) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// A condition: the student of a record has not suspended its question.
pub const IS_NOT_SUSPENDED: &str = "NOT EXISTS (SELECT 1 FROM `memora_suspended` s \
    WHERE s.player = `tabPlayer Memory Tracker`.player \
    AND s.question_id = `tabPlayer Memory Tracker`.question_id)";

/// Suspends a question. False: it already was suspended.
pub fn suspend(connection: &mut Conn, player: &str, question_id: &str) -> Result<bool> {
    in_transaction_again(connection, |connection| {
        let sql = "INSERT IGNORE INTO `memora_suspended` (player, question_id) VALUES (?, ?)";
        run(connection, sql, (player, question_id))?;
        Ok(connection.affected_rows() > 0)
    })
}

/// Resumes a question. False: it was not suspended.
pub fn resume(connection: &mut Conn, player: &str, question_id: &str) -> Result<bool> {
    in_transaction_again(connection, |connection| {
        let sql = "DELETE FROM `memora_suspended` WHERE player = ? AND question_id = ?";
        run(connection, sql, (player, question_id))?;
        Ok(connection.affected_rows() > 0)
    })
}

/// A student's suspended questions, and since when in Unix seconds, in the order of their ids.
pub fn of_student(connection: &mut Conn, player: &str) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT question_id, CAST(UNIX_TIMESTAMP(suspended_at) AS SIGNED) \
        FROM `memora_suspended` WHERE player = ? ORDER BY question_id";
    rows(connection, sql, (player,))
}

/// How many questions a student has suspended.
pub fn count(connection: &mut Conn, player: &str) -> Result<u64> {
    let sql = "SELECT COUNT(*) FROM `memora_suspended` WHERE player = ?";
    Ok(row(connection, sql, (player,))?.unwrap_or(0))
}

/// The suspended questions of some students, by student.
pub fn of_students(
    connection: &mut Conn,
    players: &[&str],
) -> Result<HashMap<String, HashSet<String>>> {
    let mut found: HashMap<String, HashSet<String>> = HashMap::new();
    for players in players.chunks(MOST_IN_A_LIST) {
        let sql = format!(
            "SELECT player, question_id FROM `memora_suspended` WHERE player IN ({})",
            placeholders(players.len())
        );
        let params: Vec<Value> = players.iter().map(Value::from).collect();
        for (player, question_id) in rows::<(String, String)>(connection, &sql, params)? {
            found.entry(player).or_default().insert(question_id);
        }
    }
    Ok(found)
}

/// Changes a student's suspended questions to the student's new name.
pub fn rename(connection: &mut Conn, old: &str, new: &str) -> Result<()> {
    in_transaction_again(connection, |connection| {
        let sql = "INSERT IGNORE INTO `memora_suspended` (player, question_id, suspended_at) \
            SELECT ?, question_id, suspended_at FROM `memora_suspended` WHERE player = ?";
        run(connection, sql, (new, old))?;
        remove(connection, old)
    })
}

/// Removes all that a student has suspended.
pub fn remove(connection: &mut Conn, player: &str) -> Result<()> {
    run(connection, "DELETE FROM `memora_suspended` WHERE player = ?", (player,))
}

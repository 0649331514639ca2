//! Where answers that were taken blindly wait until the journal has been read.

use mysql::{Conn, Value};

use super::shape::{ARCHIVE, LIVE};
use super::{archive, placeholders, row, rows, run};
use crate::blind::Blind;
use crate::clock::SiteZone;
use crate::error::{Error, Result};
use crate::review::Review;

/// One row for each student and season.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_blind_answer` (\
    player VARCHAR(140) NOT NULL, season VARCHAR(140) NOT NULL, changed_at_us BIGINT NOT NULL, \
    answers LONGTEXT NOT NULL, PRIMARY KEY (player, season)) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// A student's blind answers of a season; `None` when there are none. With `lock`, until the transaction ends.
pub fn of_student(connection: &mut Conn, player: &str, season: &str, lock: bool) -> Result<Option<Blind>> {
    let lock = if lock { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT answers FROM `memora_blind_answer` WHERE player = ? AND season = ?{lock}");
    let found: Option<String> = row(connection, &sql, (player, season))?;
    found.as_deref().map(read).transpose()
}

/// The blind answers of some students, with player and season, locked until the transaction ends.
pub fn of_students(connection: &mut Conn, players: &[&str]) -> Result<Vec<(String, String, Blind)>> {
    // As good as always there is none at all, which is quickly told.
    let any: Option<u8> = row(connection, "SELECT 1 FROM `memora_blind_answer` LIMIT 1", ())?;
    if any.is_none() || players.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT player, season, answers FROM `memora_blind_answer` WHERE player IN ({}) FOR UPDATE",
        placeholders(players.len())
    );
    let params: Vec<Value> = players.iter().map(Value::from).collect();
    let found: Vec<(String, String, String)> = rows(connection, &sql, params)?;
    found.into_iter().map(|(player, season, answers)| Ok((player, season, read(&answers)?))).collect()
}

/// Keeps a student's blind answers.
pub fn save(connection: &mut Conn, player: &str, season: &str, blind: &Blind, now_us: i64) -> Result<()> {
    let answers = serde_json::to_string(blind)
        .map_err(|error| Error::Fault(format!("answers cannot be written: {error}")))?;
    let sql = "INSERT INTO `memora_blind_answer` (player, season, changed_at_us, answers) VALUES (?, ?, ?, ?) \
        ON DUPLICATE KEY UPDATE changed_at_us = VALUES(changed_at_us), answers = VALUES(answers)";
    run(connection, sql, (player, season, now_us, answers))
}

/// Forgets what is older than a moment: the journal has been read to its end since.
pub fn forget(connection: &mut Conn, before_us: i64) -> Result<()> {
    run(connection, "DELETE FROM `memora_blind_answer` WHERE changed_at_us < ?", (before_us,))
}

/// Puts replayed states where the season's records are, where nothing newer stands.
pub fn correct(
    connection: &mut Conn,
    zone: &SiteZone,
    (player, season): (&str, &str),
    states: &[Review],
) -> Result<()> {
    let shape = if archive::lock_archived(connection, &[season])?.is_empty() { LIVE } else { ARCHIVE };
    let sql = format!(
        "UPDATE `{}` SET stability = ?, next_review_date = ?, last_review_date = ?, subject = ?, topic = ?, \
         answered_at_us = ? WHERE player = ? AND season = ? AND question_id = ? AND answered_at_us <= ?",
        shape.table
    );
    for state in states {
        let params: Vec<Value> = vec![
            state.stability.into(),
            super::date_value(zone, state.next_review),
            super::records::last_review_value(zone, state),
            state.subject.as_deref().into(),
            state.topic.as_deref().into(),
            state.answered_at_us.into(),
            player.into(),
            season.into(),
            state.question_id.as_str().into(),
            state.answered_at_us.into(),
        ];
        run(connection, &sql, params)?;
    }
    Ok(())
}

fn read(answers: &str) -> Result<Blind> {
    serde_json::from_str(answers)
        .map_err(|error| Error::Fault(format!("a row of memora_blind_answer cannot be read: {error}")))
}

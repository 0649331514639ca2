//! Erases a student: each statement finds the student's rows by an index, and removes some of them.

use std::collections::BTreeSet;

use mysql::{Conn, Value};

use super::shape::{ARCHIVE, LIVE};
use super::statements::{MOST_IN_A_LIST, row, rows, run};
use super::transaction::in_transaction_again;
use super::{archive, audits, old_blind_answers, retention, retired, seasons, suspended};
use crate::error::Result;

/// Rows that are removed in one transaction.
const ROWS: u64 = 1_000;
/// A condition for Frappe's tables: the index, which treats `é` as `E`, then the exact name.
const OF_PLAYER: &str = "player = ? AND BINARY player = ?";

/// All seasons, and those without a document that have records of the student or are in the
/// archive.
pub fn seasons(connection: &mut Conn, player: &str) -> Result<BTreeSet<String>> {
    let mut found: BTreeSet<String> = seasons::names(connection)?.into_iter().collect();
    let sql = format!("SELECT DISTINCT season FROM `{}` WHERE player = ?", LIVE.table);
    found.extend(rows::<String>(connection, &sql, (player,))?);
    let mut after = String::new();
    while let Some(season) = retention::next_season(connection, &after)? {
        after.clone_from(&season);
        found.insert(season);
    }
    Ok(found)
}

/// The highest order of the student's records of a season; 0: there are none.
pub fn newest_order(connection: &mut Conn, player: &str, season: &str) -> Result<i64> {
    let mut newest = 0;
    for table in [LIVE.table, ARCHIVE.table] {
        let sql =
            format!("SELECT MAX(answered_at_us) FROM `{table}` WHERE player = ? AND season = ?");
        let found: Option<i64> = row(connection, &sql, (player, season))?.flatten();
        newest = newest.max(found.unwrap_or(0));
    }
    Ok(newest)
}

/// The tokens of the student's audit records.
pub fn tokens(connection: &mut Conn, player: &str) -> Result<Vec<String>> {
    let sql = format!("SELECT name FROM `tabMemory Review Audit` WHERE {OF_PLAYER}");
    rows(connection, &sql, (player, player))
}

/// Marks submissions as written, without their student's name, and removes the student's entries
/// from `memora_journal`. A drain that is processing them then writes nothing. Returns how many
/// were not written before, and how many were.
pub fn settle(connection: &mut Conn, player: &str, tokens: &[String]) -> Result<(u64, u64)> {
    in_transaction_again(connection, |connection| {
        archive::wait_for_writers(connection)?;
        let kept: Vec<String> =
            rows(connection, "SELECT token FROM `memora_journal` WHERE player = ?", (player,))?;
        let all: BTreeSet<&String> = tokens.iter().chain(&kept).collect();
        let all: Vec<&String> = all.into_iter().collect();
        let names: Vec<&str> = all.iter().map(|token| token.as_str()).collect();
        let written = audits::audited(connection, &names)?.len() as u64;
        for tokens in all.chunks(MOST_IN_A_LIST) {
            let marks = vec!["(?, NOW(6), NOW(6), 'Administrator', 'Administrator')"; tokens.len()]
                .join(", ");
            let sql = format!(
                "INSERT INTO `tabMemory Review Audit` (name, creation, modified, modified_by, \
                 owner) VALUES {marks} \
                 ON DUPLICATE KEY UPDATE owner = 'Administrator', modified_by = 'Administrator', \
                 player = NULL, \
                 season = NULL, answers = 0, answered_at = NULL, persisted_at = NULL, checksum = \
                 NULL, _answer_log = NULL, _told = NULL, _replaced = NULL"
            );
            run(connection, &sql, tokens.iter().map(Value::from).collect::<Vec<_>>())?;
        }
        run(connection, "DELETE FROM `memora_journal` WHERE player = ?", (player,))?;
        Ok((all.len() as u64 - written, written))
    })
}

/// Removes the student's records of a season: how many were live, how many archived.
pub fn remove_records(connection: &mut Conn, player: &str, season: &str) -> Result<(u64, u64)> {
    let remove = |connection: &mut Conn, table| {
        let sql = format!("DELETE FROM `{table}` WHERE player = ? AND season = ? LIMIT {ROWS}");
        remove_all(connection, &sql, &[player.into(), season.into()])
    };
    Ok((remove(connection, LIVE.table)?, remove(connection, ARCHIVE.table)?))
}

/// Removes the student's Poison Reviews, and returns how many. Waits for a replay that is
/// processing one of them.
pub fn remove_poison(connection: &mut Conn, player: &str) -> Result<u64> {
    remove_all(
        connection,
        &format!("DELETE FROM `tabPoison Review` WHERE {OF_PLAYER} LIMIT {ROWS}"),
        &[player.into(), player.into()],
    )
}

/// Removes the student's audit records, and other rows with their name. Returns how many audit
/// records there were.
pub fn remove_traces(connection: &mut Conn, player: &str) -> Result<u64> {
    let sql = format!("DELETE FROM `tabMemory Review Audit` WHERE {OF_PLAYER} LIMIT {ROWS}");
    let audits = remove_all(connection, &sql, &[player.into(), player.into()])?;
    run(connection, "DELETE FROM `memora_unshown` WHERE player = ?", (player,))?;
    run(connection, "DELETE FROM `memora_safe_mode_read` WHERE player = ?", (player,))?;
    suspended::remove(connection, player)?;
    retired::rename(connection, player, "")?;
    run(
        connection,
        "DELETE FROM `memora_rename` WHERE old_name = ? OR new_name = ?",
        (player, player),
    )?;
    if old_blind_answers::exists(connection)? {
        run(connection, "DELETE FROM `memora_blind_answer` WHERE player = ?", (player,))?;
    }
    Ok(audits)
}

fn remove_all(connection: &mut Conn, sql: &str, params: &[Value]) -> Result<u64> {
    let mut removed = 0;
    loop {
        let piece = in_transaction_again(connection, |connection| {
            run(connection, sql, params.to_vec())?;
            Ok(connection.affected_rows())
        })?;
        removed += piece;
        if piece < ROWS {
            return Ok(removed);
        }
    }
}

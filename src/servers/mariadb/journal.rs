//! `memora_journal`: entries that the journal's Redis could not take, until the drain writes them.
//! Students' calls only insert, so none waits for another's lock.

use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use super::errors::{IS_READ_ONLY, NOT_NULL, leave_if_read_only};
use super::outages::{NOW_US, now_us};
use super::statements::{MOST_IN_A_LIST, ask_writable, placeholders, row, rows, run};
use crate::error::{Error, Result};

/// One row for each entry. Ids grow, and are never used again.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_journal` (\
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, token VARCHAR(140) NOT NULL, \
    player VARCHAR(140) NOT NULL, season VARCHAR(140) NOT NULL, kept_at_us BIGINT NOT NULL, entry \
    LONGTEXT NOT NULL, \
    UNIQUE KEY (token), KEY (player, season)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE \
    utf8mb4_nopad_bin";

const COLUMNS: &str = "id, token, player, season, entry, kept_at_us";

/// An entry in the table.
#[derive(Clone, Debug)]
pub struct TableEntry {
    /// Its id.
    pub id: i64,
    /// Its token.
    pub token: String,
    /// The student.
    pub player: String,
    /// The season.
    pub season: String,
    /// The entry as text.
    pub text: String,
    /// When it was kept, Unix microseconds by the server's clock.
    pub kept_at_us: i64,
}

impl TableEntry {
    /// Player and season.
    pub fn student(&self) -> (&str, &str) {
        (&self.player, &self.season)
    }
}

type Row = (i64, String, String, String, String, i64);

fn table_entry((id, token, player, season, text, kept_at_us): Row) -> TableEntry {
    TableEntry { id, token, player, season, text, kept_at_us }
}

/// Keeps an entry; returns its id. Doing it twice changes nothing.
pub fn append(
    connection: &mut Conn,
    token: &str,
    student: (&str, &str),
    text: &str,
) -> Result<i64> {
    append_until(connection, token, student, text, i64::MAX)
}

/// When a student who waits this long from now gives up, Unix microseconds by the server's clock.
pub fn until_us(connection: &mut Conn, patience: Duration) -> Result<i64> {
    let patience_us = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
    Ok(now_us(connection)?.saturating_add(patience_us))
}

/// As [`append`], for a student who waits until this time. A delayed statement that arrives after
/// the student was told that it failed is refused: it would count after their later answers.
pub fn append_in_time(
    connection: &mut Conn,
    token: &str,
    student: (&str, &str),
    text: &str,
    until_us: i64,
) -> Result<i64> {
    append_until(connection, token, student, text, until_us).map_err(|error| match error {
        Error::Refused { server, code: NOT_NULL, .. } => {
            let cause = "it was reached too late".to_owned();
            Error::Unavailable { server, cause, answered: true }
        }
        error => error,
    })
}

/// Keeps an entry, unless it is later than this by the server's clock: then its time would be NULL.
fn append_until(
    connection: &mut Conn,
    token: &str,
    (player, season): (&str, &str),
    text: &str,
    until_us: i64,
) -> Result<i64> {
    let sql = format!(
        "INSERT INTO `memora_journal` (token, player, season, kept_at_us, entry) VALUES (?, ?, ?, \
         IF({NOW_US} <= ?, {NOW_US}, NULL), ?) \
         ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)"
    );
    let params = (token, player, season, until_us, text);
    let result = connection.exec_iter(sql, params).map_err(Error::from_mariadb)?;
    let id = result.last_insert_id().unwrap_or(0);
    Ok(i64::try_from(id).unwrap_or(i64::MAX))
}

/// An entry by its token.
pub fn by_token(connection: &mut Conn, token: &str) -> Result<Option<TableEntry>> {
    let sql = format!("SELECT {COLUMNS} FROM `memora_journal` WHERE token = ?");
    Ok(row::<Row>(connection, &sql, (token,))?.map(table_entry))
}

/// A student's entries of a season, by their ids.
pub fn of_student(connection: &mut Conn, player: &str, season: &str) -> Result<Vec<TableEntry>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM `memora_journal` WHERE player = ? AND season = ? ORDER BY id"
    );
    Ok(rows::<Row>(connection, &sql, (player, season))?.into_iter().map(table_entry).collect())
}

/// The entries of some students, in all seasons.
pub fn of_students(connection: &mut Conn, players: &[&str]) -> Result<Vec<TableEntry>> {
    // The table is almost always empty, which is quick to check.
    if players.is_empty() || !has_any(connection)? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM `memora_journal` WHERE player IN ({}) ORDER BY id",
        placeholders(players.len())
    );
    let params: Vec<Value> = players.iter().map(Value::from).collect();
    Ok(rows::<Row>(connection, &sql, params)?.into_iter().map(table_entry).collect())
}

/// Waits for transactions that are keeping entries of a student: their ids may be lower than some
/// that were already seen.
pub fn wait_for_others(connection: &mut Conn, player: &str, season: &str) -> Result<()> {
    let sql = "SELECT id FROM `memora_journal` WHERE player = ? AND season = ? LOCK IN SHARE MODE";
    rows::<i64>(connection, sql, (player, season)).map(drop)
}

/// Whether any entry is kept. Leaves a server that takes no writes.
pub fn has_any(connection: &mut Conn) -> Result<bool> {
    ask_writable(connection, "EXISTS (SELECT 1 FROM `memora_journal`)", ())
}

/// Whether a student's records of a season are complete: no entry is kept here, and each of these
/// lately written submissions has its audit record. Reads begin with it, because it leaves a server
/// that takes no writes.
pub fn is_settled(connection: &mut Conn, student: (&str, &str), written: &[&str]) -> Result<bool> {
    let (condition, params) = settled(student, written);
    ask_writable(connection, &condition, params)
}

/// The result of the first statement of a read of a student's records.
#[derive(Clone, Copy)]
pub struct Begun {
    /// As [`is_settled`].
    pub is_settled: bool,
    /// Whether the student has suspended any question.
    pub suspends: bool,
    /// Whether the site has ever retired any question.
    pub retires: bool,
}

/// As [`is_settled`], and whether anything may be hidden from the student: in one statement,
/// because usually nothing is.
pub fn begin(connection: &mut Conn, student: (&str, &str), written: &[&str]) -> Result<Begun> {
    let (condition, mut params) = settled(student, written);
    params.push(student.0.into());
    let sql = format!(
        "SELECT {IS_READ_ONLY}, {condition}, \
         EXISTS (SELECT 1 FROM `memora_suspended` WHERE player = ?), \
         EXISTS (SELECT 1 FROM `memora_retired`)"
    );
    let (is_read_only, is_settled, suspends, retires) =
        row(connection, &sql, params)?.unwrap_or((false, false, true, true));
    leave_if_read_only(is_read_only)?;
    Ok(Begun { is_settled, suspends, retires })
}

/// The condition that nothing must be applied to a student's records.
fn settled((player, season): (&str, &str), written: &[&str]) -> (String, Vec<Value>) {
    let mut condition =
        "NOT EXISTS (SELECT 1 FROM `memora_journal` WHERE player = ? AND season = ?)".to_owned();
    let mut params = vec![Value::from(player), Value::from(season)];
    if !written.is_empty() {
        condition.push_str(&format!(
            " AND (SELECT COUNT(*) FROM `tabMemory Review Audit` WHERE name IN ({})) = ?",
            placeholders(written.len())
        ));
        params.extend(written.iter().map(Value::from));
        params.push(written.len().into());
    }
    (condition, params)
}

/// The oldest entries after an id.
pub fn after(connection: &mut Conn, id: i64, most: usize) -> Result<Vec<TableEntry>> {
    let sql = format!("SELECT {COLUMNS} FROM `memora_journal` WHERE id > ? ORDER BY id LIMIT ?");
    Ok(rows::<Row>(connection, &sql, (id, most))?.into_iter().map(table_entry).collect())
}

/// Whether an entry of a student is kept. Leaves a server that takes no writes.
pub fn is_waiting(connection: &mut Conn, player: &str, token: &str) -> Result<bool> {
    let condition = "EXISTS (SELECT 1 FROM `memora_journal` WHERE token = ? AND player = ?)";
    ask_writable(connection, condition, (token, player))
}

/// Forgets entries that were written to the table of records.
pub fn remove(connection: &mut Conn, ids: &[i64]) -> Result<()> {
    for ids in ids.chunks(MOST_IN_A_LIST) {
        let sql = format!("DELETE FROM `memora_journal` WHERE id IN ({})", placeholders(ids.len()));
        run(connection, &sql, ids.iter().map(Value::from).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// How many entries are kept, and for how many microseconds the oldest has been.
pub fn backlog(connection: &mut Conn) -> Result<(u64, i64)> {
    let sql =
        format!("SELECT COUNT(*), COALESCE({NOW_US} - MIN(kept_at_us), 0) FROM `memora_journal`");
    Ok(row(connection, &sql, ())?.unwrap_or((0, 0)))
}

/// The tokens of all that is kept.
pub fn tokens(connection: &mut Conn) -> Result<Vec<String>> {
    rows(connection, "SELECT token FROM `memora_journal`", ())
}

/// The run of the journal's Redis that the drain met last.
pub const CREATE_RUN: &str = "CREATE TABLE IF NOT EXISTS `memora_journal_run` (\
    id TINYINT NOT NULL PRIMARY KEY, run_id VARCHAR(64) NOT NULL, last_id VARCHAR(64) NOT NULL, \
    lost_from_us BIGINT NOT NULL DEFAULT 0, lost_until_us BIGINT NOT NULL DEFAULT 0, \
    met_us BIGINT NOT NULL DEFAULT 0) ENGINE=InnoDB";

/// What the table of older versions lacks.
pub const ADD_MET: &str =
    "ALTER TABLE `memora_journal_run` ADD COLUMN IF NOT EXISTS met_us BIGINT NOT NULL DEFAULT 0";

/// The run of the journal's Redis that the drain met last.
#[derive(Clone, Debug)]
pub struct MetRun {
    /// Its id.
    pub run_id: String,
    /// The newest id that its stream had given then.
    pub last_id: String,
    /// How long ago the drain last met another run or a newer id, in microseconds.
    pub age_us: i64,
}

/// Notes that the journal may have lost what it took in the last `since_us` microseconds.
pub fn note_loss(connection: &mut Conn, since_us: i64) -> Result<()> {
    let sql = format!(
        "UPDATE `memora_journal_run` SET lost_from_us = {NOW_US} - ?, lost_until_us = {NOW_US} \
         WHERE id = 1"
    );
    run(connection, &sql, (since_us,))
}

/// The last period, in Unix microseconds by the server's clock, whose entries the journal may have
/// lost.
pub fn last_loss(connection: &mut Conn) -> Result<(i64, i64)> {
    let sql = "SELECT lost_from_us, lost_until_us FROM `memora_journal_run` WHERE id = 1";
    Ok(row(connection, sql, ())?.unwrap_or((0, 0)))
}

/// The run of the journal's Redis that the drain met last.
pub fn last_run(connection: &mut Conn) -> Result<Option<MetRun>> {
    let sql =
        format!("SELECT run_id, last_id, {NOW_US} - met_us FROM `memora_journal_run` WHERE id = 1");
    let found: Option<(String, String, i64)> = row(connection, &sql, ())?;
    Ok(found.map(|(run_id, last_id, age_us)| MetRun { run_id, last_id, age_us }))
}

/// Remembers a run, in place of the `known` one. True: this call replaced it. False: another
/// process did, or none was known.
pub fn remember_run(
    connection: &mut Conn,
    known: Option<&MetRun>,
    run_id: &str,
    last_id: &str,
) -> Result<bool> {
    let Some(MetRun { run_id: old_run, last_id: old_id, .. }) = known else {
        let sql = format!(
            "INSERT IGNORE INTO `memora_journal_run` (id, run_id, last_id, met_us) VALUES (1, ?, ?, \
             {NOW_US})"
        );
        return run(connection, &sql, (run_id, last_id)).map(|()| false);
    };
    let sql = format!(
        "UPDATE `memora_journal_run` SET run_id = ?, last_id = ?, met_us = {NOW_US} WHERE id = 1 AND \
         run_id = ? AND last_id = ?"
    );
    run(connection, &sql, (run_id, last_id, old_run, old_id))?;
    Ok(connection.affected_rows() > 0)
}

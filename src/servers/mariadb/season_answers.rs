//! The log of answers of a season: all students' submissions, some at a time.

use mysql::{Conn, Value};

use super::audits::AuditPlace;
use super::shape::{ARCHIVE, LIVE};
use super::statements::{placeholders, row, rows};
use crate::error::Result;

/// A submission of a season, with its log.
pub struct SeasonLog {
    /// Its job id.
    pub job_id: String,
    /// The student.
    pub player: String,
    /// The log.
    pub log: Vec<u8>,
}

/// A page of submissions: the last one that was read, and those of a season.
pub struct Page {
    /// `None`: there were no more.
    pub last: Option<AuditPlace>,
    /// How many were looked at, of any season.
    pub looked_at: usize,
    /// The season's submissions that have a log.
    pub logs: Vec<SeasonLog>,
}

/// The log of a submission of one season whose answers count; NULL for any other submission, and
/// for one that was undone ([`super::audits::mark_undone`]).
///
/// There is no index by season. So a statement reads some submissions of all seasons, and its cost
/// does not depend on the season.
const LOG: &str = "IF(season = ? AND BINARY season = ? AND COALESCE(_replaced <> '', 1), \
    _answer_log, NULL)";

/// How many submissions there are, of all seasons, by MariaDB's estimate.
pub fn estimated_submissions(connection: &mut Conn) -> Result<u64> {
    let sql = "SELECT TABLE_ROWS FROM information_schema.TABLES \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'tabMemory Review Audit'";
    Ok(row::<Option<u64>>(connection, sql, ())?.flatten().unwrap_or(0))
}

/// The next `most` submissions after one of them, in the order in which they were taken. Job ids
/// are not in that order, because those of submissions with a key do not depend on time.
pub fn next(connection: &mut Conn, season: &str, after: &AuditPlace, most: usize) -> Result<Page> {
    let which = "answered_at >= ? AND (answered_at > ? OR name > ?) ORDER BY answered_at, name";
    page(connection, season, (which, after), most)
}

/// The last `most` submissions before a moment, as MariaDB has it, or before another submission;
/// newest first.
pub fn newest(
    connection: &mut Conn,
    season: &str,
    before: &AuditPlace,
    most: usize,
) -> Result<Page> {
    let which = "answered_at <= ? AND (answered_at < ? OR name < ?) \
        ORDER BY answered_at DESC, name DESC";
    page(connection, season, (which, before), most)
}

/// The first `most` submissions on one side of a place. `which` is the SQL that selects and orders
/// them.
fn page(
    connection: &mut Conn,
    season: &str,
    (which, (at, name)): (&str, &AuditPlace),
    most: usize,
) -> Result<Page> {
    let sql = format!(
        "SELECT CAST(answered_at AS CHAR), name, COALESCE(player, ''), {LOG} \
         FROM `tabMemory Review Audit` WHERE {which} LIMIT {most}"
    );
    type Found = (String, String, String, Option<Vec<u8>>);
    let found: Vec<Found> = rows(connection, &sql, (season, season, at, at, name))?;
    let last = found.last().map(|(at, name, ..)| (at.clone(), name.clone()));
    let looked_at = found.len();
    let logs = found
        .into_iter()
        .filter_map(|(_, job_id, player, log)| log.map(|log| SeasonLog { job_id, player, log }));
    Ok(Page { last, looked_at, logs: logs.collect() })
}

/// The questions of some students that are of some subjects, wherever the season's records are:
/// student, question, subject.
pub fn questions_of_subjects(
    connection: &mut Conn,
    season: &str,
    players: &[&str],
    subjects: &[&str],
) -> Result<Vec<(String, String, String)>> {
    let (some, of) = (placeholders(players.len()), placeholders(subjects.len()));
    let mut params = vec![Value::from(season)];
    params.extend(players.iter().chain(subjects).map(Value::from));
    let mut found = Vec::new();
    for table in [LIVE.table, ARCHIVE.table] {
        let sql = format!(
            "SELECT player, question_id, subject FROM `{table}` \
             WHERE season = ? AND player IN ({some}) AND subject IN ({of})"
        );
        found.extend(rows::<(String, String, String)>(connection, &sql, params.clone())?);
    }
    Ok(found)
}

/// How many questions some students have in a season, wherever its records are: a number for each
/// student who has any, in no particular order.
pub fn questions_of_each(
    connection: &mut Conn,
    season: &str,
    players: &[&str],
) -> Result<Vec<u64>> {
    let some = placeholders(players.len());
    let mut params = vec![Value::from(season)];
    params.extend(players.iter().map(Value::from));
    let mut found = Vec::new();
    for table in [LIVE.table, ARCHIVE.table] {
        let sql = format!(
            "SELECT COUNT(*) FROM `{table}` WHERE season = ? AND player IN ({some}) GROUP BY player"
        );
        found.extend(rows::<u64>(connection, &sql, params.clone())?);
    }
    Ok(found)
}

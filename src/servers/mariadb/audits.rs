//! Memory Review Audits: each links an acknowledgement to the states written.

use std::collections::HashSet;

use mysql::{Conn, Value};

use super::bulk::{Insert, Writing};
use super::dates::date_value_us;
use super::records::{cut, split};
use super::statements::{MOST_IN_A_LIST, placeholders, row, rows};
use crate::error::Result;
use crate::rules::clock::now_us;

/// A link between an acknowledgement and the persisted states.
pub struct Audit<'a> {
    /// The job id that the student was given.
    pub job_id: &'a str,
    /// The student.
    pub player: &'a str,
    /// The season.
    pub season: &'a str,
    /// How many states were written.
    pub answers: usize,
    /// Time of the answers, Unix microseconds.
    pub answered_at_us: i64,
    /// Time of this writing, Unix microseconds.
    pub persisted_at_us: i64,
    /// SHA-256 over the acknowledged states, hexadecimal.
    pub checksum: String,
}

/// The submissions that have been written: they have audit records.
pub fn audited(connection: &mut Conn, tokens: &[&str]) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    for tokens in tokens.chunks(MOST_IN_A_LIST) {
        let list = placeholders(tokens.len());
        let sql = format!("SELECT name FROM `tabMemory Review Audit` WHERE name IN ({list})");
        let found: Vec<String> =
            rows(connection, &sql, tokens.iter().map(Value::from).collect::<Vec<_>>())?;
        names.extend(found);
    }
    Ok(names)
}

/// The students who submitted answers of a season after a moment, Unix microseconds, and before a
/// submission of this name, the latest first: names of submissions and players. Names begin with
/// the time, so the primary key finds them; those of older versions come first.
pub fn submitted_since(
    connection: &mut Conn,
    season: &str,
    since_us: i64,
    before: Option<&str>,
    most: usize,
) -> Result<Vec<(String, String)>> {
    // Only older versions' names can look like times more than a day ahead.
    let newest_us = now_us() + 24 * 3600 * 1_000_000;
    let in_milliseconds = |us: i64| format!("{:012x}", us / 1_000);
    // Older versions' begin with microseconds.
    let in_microseconds = |us: i64| format!("{us:x}");
    let sql = "SELECT name, player FROM `tabMemory Review Audit` \
               WHERE (name BETWEEN ? AND ? OR name BETWEEN ? AND ?) AND name < ? AND season = ? \
               ORDER BY name DESC LIMIT ?";
    let params = (
        in_milliseconds(since_us),
        in_milliseconds(newest_us),
        in_microseconds(since_us),
        in_microseconds(newest_us),
        // All names of either form are hexadecimal.
        before.unwrap_or("g"),
        season,
        most,
    );
    rows(connection, sql, params)
}

/// Writes audit records.
///
/// # Errors
/// [`Error::Refused`] with the code [`super::errors::DUPLICATE`]: the record exists, so the
/// submission has been written.
pub fn audit(connection: &mut Conn, writing: Writing<'_>, audits: &[Audit<'_>]) -> Result<()> {
    let date = |microseconds| {
        let (seconds, rest) = split(microseconds);
        date_value_us(writing.zone, seconds, rest)
    };
    let rows = audits.iter().map(|audit| {
        let persisted = date(audit.persisted_at_us);
        let row: Vec<Value> = vec![
            audit.job_id.into(),
            persisted,
            cut(audit.player).into(),
            cut(audit.season).into(),
            u64::try_from(audit.answers).unwrap_or(u64::MAX).into(),
            date(audit.answered_at_us),
            audit.checksum.as_str().into(),
        ];
        row
    });
    let into = "INSERT INTO `tabMemory Review Audit` \
        (name, persisted_at, creation, modified, player, modified_by, owner, season, answers, \
        answered_at, checksum)";
    let values = "(?, ?, persisted_at, persisted_at, ?, player, player, ?, ?, ?, ?)";
    Insert { into, values, update: "" }.run(connection, writing, rows)
}

/// What MariaDB has of a submission of this player: `None`: nothing; otherwise whether all of it
/// was written.
pub fn outcome(connection: &mut Conn, player: &str, job_id: &str) -> Result<Option<bool>> {
    let poisoned: Option<u8> = row(
        connection,
        "SELECT 1 FROM `tabPoison Review` \
         WHERE name >= ? AND name < ? AND player = ? AND replayed_at IS NULL LIMIT 1",
        // All names that begin with the job id and a hyphen: a full stop comes next after it.
        (format!("{job_id}-"), format!("{job_id}."), player),
    )?;
    if poisoned.is_some() {
        return Ok(Some(false));
    }
    let sql = "SELECT 1 FROM `tabMemory Review Audit` WHERE name = ? AND player = ?";
    let audited: Option<u8> = row(connection, sql, (job_id, player))?;
    Ok(audited.map(|_| true))
}

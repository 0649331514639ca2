//! Memory Review Audits: each links an acknowledgement to the states written.

use std::collections::HashSet;

use mysql::{Conn, Value};

use super::bulk::{Insert, Writing};
use super::dates::date_value_us;
use super::errors::{IS_READ_ONLY, leave_if_read_only};
use super::records::{cut, split};
use super::statements::{MOST_IN_A_LIST, placeholders, row, rows, run};
use crate::error::Result;
use crate::rules::acknowledgement::Keyed;
use crate::rules::clock::SiteZone;

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
    /// When it is written, Unix microseconds.
    pub persisted_at_us: i64,
    /// SHA-256 over the acknowledged states, hexadecimal.
    pub checksum: String,
    /// What the student was told, if the submission has a key.
    pub keyed: Option<&'a Keyed>,
    /// The log of the answers; `None`: there are only states.
    pub log: Option<Vec<u8>>,
    /// What it replaced, packed, if it can be undone.
    pub replaced: Option<Vec<u8>>,
}

/// The columns of the log, of what students were told, and of what a submission replaced, which is
/// empty once it is undone. The underscores protect them from `bench trim-tables`. They are
/// invisible, so `SELECT *` does not return them.
pub const ADD_COLUMNS: &str = "ALTER TABLE `tabMemory Review Audit` \
    ADD COLUMN IF NOT EXISTS `_answer_log` BLOB INVISIBLE, \
    ADD COLUMN IF NOT EXISTS `_told` VARCHAR(255) INVISIBLE, \
    ADD COLUMN IF NOT EXISTS `_replaced` BLOB INVISIBLE";
/// For apps that keep their DocTypes after memora is removed.
pub const DROP_COLUMNS: &str = "ALTER TABLE `tabMemory Review Audit` \
    DROP COLUMN IF EXISTS `_answer_log`, DROP COLUMN IF EXISTS `_told`, \
    DROP COLUMN IF EXISTS `_replaced`";

/// Whether audit records have the columns that Frappe does not know.
pub fn has_columns(connection: &mut Conn) -> Result<bool> {
    let sql = "SELECT COUNT(*) = 3 FROM information_schema.COLUMNS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'tabMemory Review Audit' \
        AND COLUMN_NAME IN ('_answer_log', '_told', '_replaced')";
    Ok(row::<u8>(connection, sql, ())? == Some(1))
}

/// A submission with a key that is in MariaDB.
pub struct Sent {
    /// Its season.
    pub season: String,
    /// What the student was told, if that is known.
    pub told: Option<Keyed>,
}

/// A submission that was written, and whether its entry waits in `memora_journal`. Leaves a server
/// that takes no writes.
pub fn sent(connection: &mut Conn, token: &str) -> Result<(Option<Sent>, bool)> {
    let sql = format!(
        "SELECT {IS_READ_ONLY}, audit.name, season, _told, \
         EXISTS (SELECT 1 FROM `memora_journal` WHERE token = asked) \
         FROM (SELECT ? AS asked) AS one \
         LEFT JOIN `tabMemory Review Audit` AS audit ON audit.name = asked"
    );
    type Found = (bool, Option<String>, Option<String>, Option<String>, bool);
    let found: Option<Found> = row(connection, &sql, (token,))?;
    let Some((is_read_only, name, season, told, waits)) = found else { return Ok((None, false)) };
    leave_if_read_only(is_read_only)?;
    let told = told.and_then(|told| serde_json::from_str(&told).ok());
    // An erased student's audit record has no season.
    let season = season.unwrap_or_default();
    Ok((name.map(|_| Sent { season, told }), waits))
}

/// Those of some submissions that have been written: they have audit records.
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

/// A submission's time, as MariaDB has it, and its job id.
pub type AuditPlace = (String, String);

/// The students who submitted answers of a season since a time, in Unix microseconds, latest first,
/// each with the place of the submission; with `before`, those from before that submission.
pub fn submitted_since(
    connection: &mut Conn,
    zone: &SiteZone,
    (season, since_us): (&str, i64),
    before: Option<&AuditPlace>,
    most: usize,
) -> Result<Vec<(AuditPlace, String)>> {
    let sql = "SELECT CAST(answered_at AS CHAR), name, player FROM `tabMemory Review Audit` \
               WHERE season = ? AND answered_at >= ? \
               AND answered_at <= ? AND (answered_at < ? OR name < ?) \
               ORDER BY answered_at DESC, name DESC LIMIT ?";
    let (seconds, rest) = split(since_us);
    let since = date_value_us(zone, seconds, rest);
    let last = ("9999-12-31".to_owned(), String::new());
    let (at, name) = before.unwrap_or(&last);
    let params = (season, since, at, at, name, most);
    let found: Vec<(String, String, String)> = rows(connection, sql, params)?;
    Ok(found.into_iter().map(|(at, name, player)| ((at, name), player)).collect())
}

/// Writes audit records.
///
/// # Errors
/// [`crate::error::Error::Refused`] with the code [`super::errors::DUPLICATE`]: the record exists,
/// so the submission has been written.
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
            audit.keyed.and_then(|keyed| serde_json::to_string(keyed).ok()).into(),
            audit.log.as_deref().into(),
            audit.replaced.as_deref().into(),
        ];
        row
    });
    let into = "INSERT INTO `tabMemory Review Audit` \
        (name, persisted_at, creation, modified, player, modified_by, owner, season, answers, \
        answered_at, checksum, _told, _answer_log, _replaced)";
    let values = "(?, ?, persisted_at, persisted_at, ?, player, player, ?, ?, ?, ?, ?, ?, ?)";
    Insert { into, values, update: "" }.run(connection, writing, rows)
}

/// Notes that submissions were undone.
pub fn mark_undone(connection: &mut Conn, tokens: &[&str]) -> Result<()> {
    for tokens in tokens.chunks(MOST_IN_A_LIST) {
        let list = placeholders(tokens.len());
        let sql =
            format!("UPDATE `tabMemory Review Audit` SET _replaced = '' WHERE name IN ({list})");
        run(connection, &sql, tokens.iter().map(Value::from).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// What is needed to undo a written submission.
pub struct Undoable {
    /// Its season.
    pub season: String,
    /// What the student was told.
    pub told: Option<Keyed>,
    /// What it replaced, packed; empty: it was undone; `None`: it cannot be undone.
    pub replaced: Option<Vec<u8>>,
    /// The log of its answers.
    pub log: Vec<u8>,
}

/// What is needed to undo a submission; `None`: it has not been written.
pub fn undoable(connection: &mut Conn, token: &str) -> Result<Option<Undoable>> {
    let sql = "SELECT COALESCE(season, ''), _told, _replaced, \
        COALESCE(_answer_log, '') FROM `tabMemory Review Audit` WHERE name = ?";
    type Found = (String, Option<String>, Option<Vec<u8>>, Vec<u8>);
    let found: Option<Found> = row(connection, sql, (token,))?;
    Ok(found.map(|(season, told, replaced, log)| {
        let told = told.and_then(|told| serde_json::from_str(&told).ok());
        Undoable { season, told, replaced, log }
    }))
}

/// Whether a submission that was written was undone.
pub fn is_undone(connection: &mut Conn, player: &str, token: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM `tabMemory Review Audit` \
        WHERE name = ? AND player = ? AND _replaced = ''";
    Ok(row::<u8>(connection, sql, (token, player))?.is_some())
}

/// A submission with a log.
pub struct Logged {
    /// When it was taken, and its job id.
    pub place: AuditPlace,
    /// Its season.
    pub season: String,
    /// The log.
    pub log: Vec<u8>,
    /// Whether it was undone.
    pub is_undone: bool,
}

/// The place of a player's submission, if it has been written.
pub fn place_of(connection: &mut Conn, player: &str, job_id: &str) -> Result<Option<AuditPlace>> {
    let sql = "SELECT CAST(answered_at AS CHAR), name FROM `tabMemory Review Audit` \
        WHERE name = ? AND player = ?";
    row(connection, sql, (job_id, player))
}

/// Up to `most` of a student's submissions that have logs, of one season or of all, in the order in
/// which they were taken: after one of them, and since a time in Unix microseconds.
pub fn logs(
    connection: &mut Conn,
    zone: &SiteZone,
    (player, season): (&str, Option<&str>),
    (after, since_us): (Option<&AuditPlace>, Option<i64>),
    most: usize,
) -> Result<Vec<Logged>> {
    let mut params: Vec<Value> = vec![player.into(), player.into()];
    // The index treats `é` as `E`.
    let mut conditions = "player = ? AND BINARY player = ?".to_owned();
    if let Some(season) = season {
        conditions.push_str(" AND season = ? AND BINARY season = ?");
        params.extend([season.into(), season.into()]);
    }
    if let Some(since_us) = since_us {
        conditions.push_str(" AND answered_at >= ?");
        let (seconds, rest) = split(since_us);
        params.push(date_value_us(zone, seconds, rest));
    }
    if let Some((at, name)) = after {
        conditions.push_str(" AND answered_at >= ? AND (answered_at > ? OR name > ?)");
        params.extend([at.into(), at.into(), name.into()]);
    }
    // A student has few, so they are found by player and sorted. Ordering by the column itself
    // could make MariaDB read those of all students.
    let sql = format!(
        "SELECT CAST(answered_at AS CHAR), name, COALESCE(season, ''), _answer_log, \
         COALESCE(_replaced = '', 0) \
         FROM `tabMemory Review Audit` WHERE {conditions} \
         AND answered_at IS NOT NULL AND _answer_log IS NOT NULL ORDER BY 1, 2 LIMIT ?"
    );
    params.push(most.into());
    type Found = (String, String, String, Vec<u8>, bool);
    let found: Vec<Found> = rows(connection, &sql, params)?;
    let logged = |(at, job_id, season, log, is_undone): Found| Logged {
        place: (at, job_id),
        season,
        log,
        is_undone,
    };
    Ok(found.into_iter().map(logged).collect())
}

/// What MariaDB has of a submission of this player: `None`: nothing; otherwise whether all of it
/// was written.
pub fn outcome(connection: &mut Conn, player: &str, job_id: &str) -> Result<Option<bool>> {
    let poisoned: Option<u8> = row(
        connection,
        "SELECT 1 FROM `tabPoison Review` \
         WHERE name >= ? AND name < ? AND player = ? AND replayed_at IS NULL LIMIT 1",
        // All names that begin with the job id and a hyphen: a full stop is the next character.
        (format!("{job_id}-"), format!("{job_id}."), player),
    )?;
    if poisoned.is_some() {
        return Ok(Some(false));
    }
    let sql = "SELECT 1 FROM `tabMemory Review Audit` WHERE name = ? AND player = ?";
    let audited: Option<u8> = row(connection, sql, (job_id, player))?;
    Ok(audited.map(|_| true))
}

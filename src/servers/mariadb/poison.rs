//! Poison Reviews: acknowledged records that could not be written, with the reason.

use std::collections::HashSet;

use mysql::{Conn, Value};

use super::dates::date_value_us;
use super::records::{cut, split};
use super::statements::{row, rows, run};
use crate::error::Result;
use crate::rules::clock::SiteZone;

/// A record that cannot be written, and why.
pub struct Poison<'a> {
    /// The submission's job id.
    pub job_id: &'a str,
    /// Place of the record in the submission, from 0.
    pub ordinal: usize,
    /// The student.
    pub player: &'a str,
    /// The season.
    pub season: &'a str,
    /// The question; empty if not even that can be read.
    pub question_id: &'a str,
    /// Why it cannot be written.
    pub reason: &'a str,
    /// The record as the journal had it.
    pub payload: &'a str,
}

/// Sets a record aside for an administrator. Doing it twice changes nothing.
pub fn set_aside(
    connection: &mut Conn,
    zone: &SiteZone,
    now_us: i64,
    poison: &Poison<'_>,
) -> Result<()> {
    let (seconds, rest) = split(now_us);
    let now = date_value_us(zone, seconds, rest);
    let reason: String = poison.reason.chars().take(1_000).collect();
    let params: Vec<Value> = vec![
        format!("{}-{}", poison.job_id, poison.ordinal).into(),
        now.clone(),
        now.clone(),
        "Administrator".into(),
        "Administrator".into(),
        cut(poison.player).into(),
        cut(poison.season).into(),
        poison.job_id.into(),
        cut(poison.question_id).into(),
        reason.into(),
        poison.payload.into(),
        now,
    ];
    let sql = "INSERT INTO `tabPoison Review` \
        (name, creation, modified, modified_by, owner, player, season, job_id, question_id, \
        reason, payload, set_aside_at) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE name = name";
    run(connection, sql, params)
}

/// Names of records that wait for an administrator, in order, from the first after `after`.
pub fn waiting(connection: &mut Conn, after: &str, most: usize) -> Result<Vec<String>> {
    let sql = "SELECT name FROM `tabPoison Review` \
        WHERE replayed_at IS NULL AND dismissed_at IS NULL AND name > ? ORDER BY name LIMIT ?";
    rows(connection, sql, (after, most))
}

/// How many records wait for an administrator.
pub fn count(connection: &mut Conn) -> Result<u64> {
    let sql = "SELECT COUNT(*) FROM `tabPoison Review` WHERE replayed_at IS NULL AND dismissed_at \
    IS NULL";
    Ok(row(connection, sql, ())?.unwrap_or(0))
}

/// Whether a record's student and season exist, exactly as named: a User, a Game Subscription
/// Season.
pub fn known(connection: &mut Conn, player: &str, season: &str) -> Result<(bool, bool)> {
    let sql = "SELECT EXISTS (SELECT 1 FROM `tabUser` WHERE name = ? AND BINARY name = ?), \
        EXISTS (SELECT 1 FROM `tabGame Subscription Season` WHERE name = ? AND BINARY name = ?)";
    Ok(row(connection, sql, (player, player, season, season))?.unwrap_or_default())
}

/// The questions of a student whose records were set aside and not replayed.
pub fn questions(connection: &mut Conn, player: &str, season: &str) -> Result<HashSet<String>> {
    let sql = "SELECT COALESCE(question_id, '') FROM `tabPoison Review` \
        WHERE player = ? AND season = ? AND replayed_at IS NULL";
    Ok(rows::<String>(connection, sql, (player, season))?.into_iter().collect())
}

/// A record as it was set aside.
pub struct SetAside {
    /// The student; empty if the journal's entry had none.
    pub player: String,
    /// The season; likewise.
    pub season: String,
    /// The submission's job id.
    pub job_id: String,
    /// The record, or the whole submission, as JSON.
    pub payload: String,
}

/// One record that was set aside, locked until the transaction ends. `None`: there is none of that
/// name, or it was replayed, or it was dismissed and only waiting ones are wanted.
pub fn lock(connection: &mut Conn, name: &str, must_wait: bool) -> Result<Option<SetAside>> {
    let sql = "SELECT COALESCE(player, ''), COALESCE(season, ''), COALESCE(job_id, ''), \
    COALESCE(payload, '') \
        FROM `tabPoison Review` WHERE name = ? AND replayed_at IS NULL AND NOT (? AND dismissed_at \
        IS NOT NULL) FOR UPDATE";
    let found: Option<(String, String, String, String)> = row(connection, sql, (name, must_wait))?;
    Ok(found.map(|(player, season, job_id, payload)| SetAside { player, season, job_id, payload }))
}

/// Notes that a record is in the table now.
pub fn mark_replayed(
    connection: &mut Conn,
    zone: &SiteZone,
    now_us: i64,
    name: &str,
) -> Result<()> {
    let (seconds, rest) = split(now_us);
    let now = date_value_us(zone, seconds, rest);
    let sql = "UPDATE `tabPoison Review` SET replayed_at = ?, modified = ? WHERE name = ?";
    run(connection, sql, (now.clone(), now, name))
}

/// Notes why a record still cannot be written.
pub fn note_reason(
    connection: &mut Conn,
    zone: &SiteZone,
    now_us: i64,
    name: &str,
    reason: &str,
) -> Result<()> {
    let (seconds, rest) = split(now_us);
    let reason: String = reason.chars().take(1_000).collect();
    let sql = "UPDATE `tabPoison Review` SET reason = ?, modified = ? WHERE name = ?";
    run(connection, sql, (reason, date_value_us(zone, seconds, rest), name))
}

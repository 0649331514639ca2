//! Copies a season's records to the archive, and stores the progress.

use std::collections::HashSet;

use mysql::{Conn, Value};

use super::dates::date_value_us;
use super::errors::DUPLICATE;
use super::key_range::{Key, KeyRange, Place};
use super::records::split;
use super::shape::{ARCHIVE, LIVE};
use super::statements::{placeholders, row, rows, run};
use super::transaction::in_transaction;
use crate::error::{Error, Result};
use crate::rules::archive_step::Step;
use crate::rules::clock::SiteZone;

/// A row for each season that is archived or being archived, and one without a name, which every
/// transaction that writes records locks.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_archive` (\
    season VARCHAR(140) NOT NULL PRIMARY KEY, step VARCHAR(20) NOT NULL, total BIGINT NOT NULL \
    DEFAULT 0, \
    copied BIGINT NOT NULL DEFAULT 0, verified BIGINT NOT NULL DEFAULT 0, \
    after_player VARCHAR(140) NOT NULL DEFAULT '', after_question VARCHAR(140) NOT NULL DEFAULT \
    '', \
    started_at_us BIGINT NOT NULL DEFAULT 0, finished_at_us BIGINT) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";
/// Makes the row that every transaction that writes records locks.
pub const ROWS: &str = "INSERT IGNORE INTO `memora_archive` (season, step) VALUES ('', '')";

/// The state of a season's archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current step.
    pub step: Step,
    /// How many records there are, by MariaDB's estimate.
    pub total: u64,
    /// How many are in the archive.
    pub copied: u64,
    /// How many were compared.
    pub verified: u64,
    /// The last key copied or compared.
    pub after: Key,
    /// When it began, Unix microseconds.
    pub started_at_us: i64,
    /// When it ended, Unix microseconds; `None`: it has not.
    pub finished_at_us: Option<i64>,
}

impl Progress {
    /// Begins a step.
    pub fn begin(&mut self, step: Step) {
        self.after = Key::default();
        match step {
            Step::Copying => self.copied = 0,
            Step::Verifying => self.verified = 0,
            Step::Freeing | Step::Clearing | Step::Done => {}
        }
        self.step = step;
    }

    /// How many records the current step has processed, and the total, which MariaDB estimates
    /// while copying.
    pub fn done_of_total(&self) -> (u64, u64) {
        match self.step {
            Step::Copying => (self.copied, self.total.max(self.copied)),
            Step::Verifying => (self.verified, self.copied.max(self.verified)),
            Step::Freeing | Step::Clearing | Step::Done => (self.verified, self.verified),
        }
    }
}

/// A season's state; `None`: it was never archived.
pub fn progress(connection: &mut Conn, season: &str) -> Result<Option<Progress>> {
    type Row = (String, u64, u64, u64, String, String, i64, Option<i64>);
    let sql = "SELECT step, total, copied, verified, after_player, after_question, started_at_us, \
    finished_at_us \
        FROM memora_archive WHERE season = ? AND season <> ''";
    let found: Option<Row> = row(connection, sql, (season,))?;
    let Some((step, total, copied, verified, player, question_id, started_at_us, finished_at_us)) =
        found
    else {
        return Ok(None);
    };
    let step = Step::named(&step)
        .ok_or_else(|| Error::Fault(format!("memora_archive knows {season} in a step {step:?}")))?;
    let after = Key { player, question_id };
    Ok(Some(Progress { step, total, copied, verified, after, started_at_us, finished_at_us }))
}

/// Notes a season's progress.
pub fn save(connection: &mut Conn, season: &str, progress: &Progress) -> Result<()> {
    let sql = "UPDATE memora_archive SET step = ?, total = ?, copied = ?, verified = ?, \
    after_player = ?, \
        after_question = ?, finished_at_us = ? WHERE season = ?";
    let params: Vec<Value> = vec![
        progress.step.name().into(),
        progress.total.into(),
        progress.copied.into(),
        progress.verified.into(),
        progress.after.player.as_str().into(),
        progress.after.question_id.as_str().into(),
        progress.finished_at_us.into(),
        season.into(),
    ];
    run(connection, sql, params)
}

/// Begins to archive a season, or returns the progress of an earlier run. From the commit on, every
/// transaction that writes the season's records sees it.
///
/// # Errors
/// [`Error::InvalidInput`] for a season that does not exist or is active.
pub fn begin(
    connection: &mut Conn,
    zone: &SiteZone,
    season: &str,
    now_us: i64,
) -> Result<Progress> {
    in_transaction(connection, |connection| {
        let sql = "SELECT is_active FROM `tabGame Subscription Season` WHERE name = ? FOR UPDATE";
        match row::<u8>(connection, sql, (season,))? {
            None => return Err(Error::InvalidInput(format!("There is no season {season}."))),
            Some(0) => {}
            Some(_) => {
                return Err(Error::InvalidInput(format!(
                    "{season} is active: students answer in it. End it first (Is Active), then \
                     archive it."
                )));
            }
        }
        if let Some(progress) = progress(connection, season)? {
            return Ok(progress);
        }
        wait_for_writers(connection)?;
        let total = estimated_rows(connection, season)?;
        let sql =
            "INSERT INTO memora_archive (season, step, total, started_at_us) VALUES (?, ?, ?, ?)";
        run(connection, sql, (season, Step::Copying.name(), total, now_us))?;
        tell_season(connection, zone, season, "Archiving", now_us)?;
        let after = Key::default();
        let (copied, verified, started_at_us, finished_at_us) = (0, 0, now_us, None);
        Ok(Progress {
            step: Step::Copying,
            total,
            copied,
            verified,
            after,
            started_at_us,
            finished_at_us,
        })
    })
}

/// Waits for all transactions that are writing records; later ones wait, and then see this
/// transaction's changes. On other nodes of Galera, where the lock does not reach, the change ends
/// them, and they are retried.
pub fn wait_for_writers(connection: &mut Conn) -> Result<()> {
    run(connection, "UPDATE memora_archive SET total = total + 1 WHERE season = ''", ())
}

/// Ends the archive: the season is archived.
pub fn finish(
    connection: &mut Conn,
    zone: &SiteZone,
    season: &str,
    progress: &Progress,
    now_us: i64,
) -> Result<()> {
    in_transaction(connection, |connection| {
        tell_season(connection, zone, season, "Archived", now_us)?;
        save(connection, season, progress)
    })
}

/// The seasons that were archived before a given time (Unix microseconds) and still have a
/// partition.
pub fn left_partitions(connection: &mut Conn, before_us: i64) -> Result<Vec<String>> {
    let sql = "SELECT a.season FROM memora_archive AS a JOIN information_schema.PARTITIONS AS p \
        ON p.TABLE_SCHEMA = DATABASE() AND p.TABLE_NAME = ? AND p.PARTITION_NAME = a.season \
        WHERE a.step = ? AND a.finished_at_us < ? ORDER BY a.season";
    rows(connection, sql, (LIVE.table, Step::Done.name(), before_us))
}

/// Forgets a deleted season that has no record left in the archive.
pub fn forget(connection: &mut Conn, season: &str) -> Result<()> {
    run(connection, "DELETE FROM memora_archive WHERE season = ? AND season <> ''", (season,))
}

/// Sets the season's archive status. It also changes `modified`, so that forms opened before must
/// be reloaded: saving one would undo this.
fn tell_season(
    connection: &mut Conn,
    zone: &SiteZone,
    season: &str,
    status: &str,
    now_us: i64,
) -> Result<()> {
    let (seconds, rest) = split(now_us);
    let sql = "UPDATE `tabGame Subscription Season` SET archive_status = ?, modified = ?, \
        partition_created = IF(?, 0, partition_created) WHERE name = ?";
    run(connection, sql, (status, date_value_us(zone, seconds, rest), status == "Archived", season))
}

/// Which of these seasons are archived or being archived. No process can begin to archive the
/// others until the transaction ends, so each transaction that writes records calls this first.
pub fn lock_archived(connection: &mut Conn, seasons: &[&str]) -> Result<HashSet<String>> {
    let sql = "SELECT season FROM memora_archive WHERE season = '' LOCK IN SHARE MODE";
    row::<String>(connection, sql, ())?;
    // Without locks: the rows of seasons are written all the time while they are archived.
    let list = placeholders(seasons.len());
    let sql =
        format!("SELECT season FROM memora_archive WHERE season IN ({list}) AND season <> ''");
    let params: Vec<Value> = seasons.iter().map(Value::from).collect();
    Ok(rows(connection, &sql, params)?.into_iter().collect())
}

/// Whether a season is archived or being archived.
pub fn is_archived(connection: &mut Conn, season: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM memora_archive WHERE season = ? AND season <> ''";
    Ok(row::<u8>(connection, sql, (season,))?.is_some())
}

/// The columns that are copied.
///
/// # Errors
/// [`Error::InvalidInput`] when the archive lacks one.
pub fn columns(connection: &mut Conn) -> Result<Vec<String>> {
    let archive = ARCHIVE.columns(connection)?;
    let live = LIVE.columns(connection)?;
    let (columns, missing): (Vec<_>, Vec<_>) =
        live.into_iter().partition(|name| archive.contains(name));
    // Frappe's own optional columns have no data of the student.
    let missing: Vec<_> = missing.into_iter().filter(|name| !name.starts_with('_')).collect();
    if missing.is_empty() {
        return Ok(columns);
    }
    Err(Error::InvalidInput(format!(
        "Archived Memory Tracker lacks fields of Player Memory Tracker, whose values would be \
         lost: {}. Add them there, then archive again.",
        missing.join(", ")
    )))
}

/// The statements that copy and compare the records of one season.
pub struct Move {
    /// Copies a range if the archive has none of its records.
    copy: String,
    /// What follows if the archive has some of them.
    over_others: String,
    compare: String,
}

impl Move {
    /// The statements for a season, whose name the caller has checked.
    pub fn of(season: &str, columns: &[String]) -> Move {
        let quoted: Vec<String> =
            columns.iter().map(|name| format!("`{}`", name.replace('`', "``"))).collect();
        let list = |prefix: &str| {
            quoted.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ")
        };
        let archive = format!("`{}`", ARCHIVE.table);
        let is_key = |name: &str| ARCHIVE.primary_key.iter().any(|key| name == format!("`{key}`"));
        // A late answer that was written to the archive itself stays. `answered_at_us` is assigned
        // last, because the others compare it.
        let assignments: Vec<String> = quoted
            .iter()
            .filter(|name| !is_key(name) && *name != "`answered_at_us`")
            .map(|name| {
                format!(
                    "{archive}.{name} = IF(VALUES(answered_at_us) >= {archive}.answered_at_us, \
                     VALUES({name}), \
                     {archive}.{name})"
                )
            })
            .collect();
        let records = Place::Live.records_of(season);
        // The join has compared the key.
        let same: Vec<String> = quoted
            .iter()
            .filter(|name| !is_key(name))
            .map(|name| format!("a.{name} <=> r.{name}"))
            .collect();
        Move {
            copy: format!(
                "INSERT INTO {archive} ({}, archived_at, eligible_for_deletion) SELECT {}, ?, 0 \
                 FROM {records} \
                 WHERE {{range}}",
                list(""),
                list("r."),
            ),
            over_others: format!(
                " ON DUPLICATE KEY UPDATE {}, \
                 {archive}.answered_at_us = GREATEST(VALUES(answered_at_us), \
                 {archive}.answered_at_us)",
                assignments.join(", ")
            ),
            compare: format!(
                "SELECT COUNT(*), COALESCE(SUM(a.name IS NULL OR a.answered_at_us < \
                 r.answered_at_us \
                 OR a.answered_at_us = r.answered_at_us AND NOT ({})), 0) FROM {records} LEFT JOIN \
                 {archive} AS a \
                 ON a.season = r.season AND a.player = r.player AND a.question_id = r.question_id \
                 WHERE {{range}}",
                same.join(" AND ")
            ),
        }
    }

    /// Copies the records of a range. Doing it twice changes nothing.
    pub fn copy(
        &self,
        connection: &mut Conn,
        zone: &SiteZone,
        range: &KeyRange,
        now_us: i64,
    ) -> Result<()> {
        let (seconds, rest) = split(now_us);
        let mut params = vec![date_value_us(zone, seconds, rest)];
        params.extend(range.params());
        let copy = self.copy.replace("{range}", range.condition());
        // The archive nearly always has none of them yet, and the plain INSERT is cheaper.
        match run(connection, &copy, params.clone()) {
            Err(Error::Refused { code: DUPLICATE, .. }) => {
                run(connection, &(copy + &self.over_others), params)
            }
            outcome => outcome,
        }
    }

    /// How many records a range has, and how many of them have no copy in this state or a newer
    /// one.
    pub fn compare(&self, connection: &mut Conn, range: &KeyRange) -> Result<(u64, u64)> {
        let sql = self.compare.replace("{range}", range.condition());
        Ok(row(connection, &sql, range.params())?.unwrap_or_default())
    }
}

/// How many records a range of the live table has.
pub fn count(connection: &mut Conn, range: &KeyRange) -> Result<u64> {
    let records = Place::Live.records_of(&range.season);
    let sql = format!("SELECT COUNT(*) FROM {records} WHERE {}", range.condition());
    Ok(row(connection, &sql, range.params())?.unwrap_or(0))
}

/// How many records a season has, by MariaDB's estimate.
pub fn estimated_rows(connection: &mut Conn, season: &str) -> Result<u64> {
    let sql = "SELECT TABLE_ROWS FROM information_schema.PARTITIONS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND PARTITION_NAME = ?";
    Ok(row::<Option<u64>>(connection, sql, (LIVE.table, season))?.flatten().unwrap_or(0))
}

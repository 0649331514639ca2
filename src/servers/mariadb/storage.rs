//! The tables on disk: keys, collation, partitions. Everything here can be run repeatedly.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mysql::Conn;

use super::connect::DatabaseServer;
use super::errors::{LOCK_WAIT_TIMEOUT, NO_SUCH_TABLE, STATEMENT_TIMEOUT};
use super::exchanged::{self, Exchanged, Purpose};
use super::locks::{self, Held};
use super::shape::{ARCHIVE, LIVE, Shape};
use super::statements::{row, rows, run_text};
use super::strays::{has_strays, move_strays, put_back};
use super::{
    archive, audits, checks, journal, limiter, outages, registrations, renames, retention, retired,
    suspended, unshown,
};
use crate::error::{Error, Result};
use crate::rules::names::check_season_name;

const TABLE: &str = LIVE.table;
const DEFAULT_PARTITION: &str = "PARTITION `p_default` DEFAULT";
const NO_SUCH_PARTITION: u16 = 1507;
/// How long to wait for another process that prepares the tables, in seconds.
const LOCK_SECONDS: u32 = 5 * 3600;
/// How long to try to change the partitions of a table that is in use.
const PATIENCE: Duration = Duration::from_secs(600);
/// For how long each try locks the table only if it is free at once.
const QUIET_TIME: Duration = Duration::from_secs(60);
const QUIET_PAUSE: Duration = Duration::from_millis(10);
const LOUD_PAUSE: Duration = Duration::from_secs(5);
/// How long each later try waits, while all other statements wait behind it.
const LOUD_SECONDS: f64 = 0.05;

/// The tables that are not DocTypes, and how they are made.
const OWN_TABLES: [(&str, &str); 14] = [
    ("memora_safe_mode_read", limiter::CREATE),
    ("memora_outage", outages::CREATE),
    ("memora_journal", journal::CREATE),
    ("memora_journal_run", journal::CREATE_RUN),
    ("memora_unshown", unshown::CREATE),
    ("memora_belief", unshown::CREATE_BELIEF),
    ("memora_registration", registrations::CREATE),
    ("memora_check", checks::CREATE),
    ("memora_archive", archive::CREATE),
    ("memora_retention", retention::CREATE),
    ("memora_rename", renames::CREATE),
    ("memora_lock", locks::CREATE),
    ("memora_retired", retired::CREATE),
    ("memora_suspended", suspended::CREATE),
];

/// Makes this connection the only one that prepares the tables, until it or the lock ends. An ALTER
/// TABLE continues after its process is killed; the next one waits for it.
///
/// # Errors
/// [`Error::Fault`] if another process takes hours.
pub fn lock(server: &DatabaseServer, connection: &mut Conn) -> Result<Held> {
    // On a node of Galera a lock is a row of this table.
    run_text(connection, locks::CREATE)?;
    Held::take(server, connection, "prepare", LOCK_SECONDS)?.ok_or_else(|| {
        Error::Fault(
            "another process has been preparing the tables for hours: see SHOW PROCESSLIST"
                .to_owned(),
        )
    })
}

/// Gives the tables what Frappe's schema cannot express. Returns a line for each change.
///
/// # Errors
/// [`Error::Fault`] if records without a season, or duplicates, must be cleaned first.
pub fn prepare(connection: &mut Conn) -> Result<Vec<String>> {
    let mut changes = Vec::new();
    for (table, create) in OWN_TABLES {
        if !table_exists(connection, table)? {
            run_text(connection, create)?;
            changes.push(format!("made the table {table}"));
        }
    }
    run_text(connection, limiter::KEY)?;
    run_text(connection, outages::ROWS)?;
    run_text(connection, journal::ADD_MET)?;
    run_text(connection, unshown::ADD_COLUMNS)?;
    unshown::make_rows(connection)?;
    run_text(connection, registrations::WIDEN)?;
    run_text(connection, checks::ROW)?;
    run_text(connection, archive::ROWS)?;
    if !audits::has_columns(connection)? {
        run_text(connection, audits::ADD_COLUMNS)?;
        changes.push("made the log of answers in Memory Review Audit".to_owned());
    }
    let partitions =
        if is_partitioned(connection)? { String::new() } else { partition_clause(connection)? };
    changes.extend(bring_to_shape(connection, &LIVE, &partitions)?);
    changes.extend((!partitions.is_empty()).then(|| "partitioned by season".to_owned()));
    changes.extend(bring_to_shape(connection, &ARCHIVE, "")?);
    for season in season_names(connection)? {
        if create_partition(connection, &season)? {
            changes.push(format!("made the partition of {season}"));
        }
    }
    Ok(changes)
}

/// Removes the tables and columns that Frappe does not know.
pub fn drop_own_tables(connection: &mut Conn) -> Result<()> {
    for (table, _) in OWN_TABLES {
        run_text(connection, &format!("DROP TABLE IF EXISTS {table}"))?;
    }
    if audits::has_columns(connection)? {
        run_text(connection, audits::DROP_COLUMNS)?;
    }
    let left = exchanged::all(connection)?;
    exchanged::drop(connection, left.iter().map(|table| table.name.as_str()))
}

fn bring_to_shape(connection: &mut Conn, shape: &Shape, partitions: &str) -> Result<Vec<String>> {
    let parts = shape.missing(connection)?;
    if !parts.is_empty() || !partitions.is_empty() {
        shape.check_is_clean(connection)?;
        run_text(
            connection,
            &format!("ALTER TABLE `{}` {} {partitions}", shape.table, parts.join(", ")),
        )?;
    }
    Ok(parts)
}

/// Refuses to write while duplicates are possible: an upsert would add rows instead of changing
/// them.
///
/// # Errors
/// [`Error::Fault`] until [`prepare`] has given the table its primary key.
pub fn check_primary_key(connection: &mut Conn, shape: &Shape) -> Result<()> {
    if shape.has_primary_key(connection)? {
        return Ok(());
    }
    Err(Error::Fault(format!(
        "{} lacks its primary key, so nothing can be written there: run bench migrate and see what \
         it reports",
        shape.table
    )))
}

/// Makes a season's partition, and moves rows of the season there from the default one. False: it
/// existed, and there was nothing to move.
///
/// No process reads or writes the table between the two steps: one that saw a partition without its
/// rows would take its students for new ones. Killing the process does not stop the statement. If
/// the server is killed, rows are left in another table: [`put_back_moved`] restores them.
///
/// REORGANIZE PARTITION would do both at once, but if MariaDB (10.11.19) is killed meanwhile, it
/// can leave a table that cannot be opened: it replaces `p_default` by a file of the same name. ADD
/// PARTITION never did, in 200 tries.
pub fn create_partition(connection: &mut Conn, season: &str) -> Result<bool> {
    check_season_name(season)?;
    if partition_exists(connection, season)? && !has_strays(connection, season)? {
        return Ok(false);
    }
    let moving = exchanged::make(connection, Purpose::Moving)?;
    // This must not lock a third table: MariaDB would wait for itself.
    let is_new = with_table(connection, &format!(", {moving} WRITE"), |connection| {
        let is_there = partition_exists(connection, season)?;
        // Another node of Galera may be making it.
        let add = format!("ADD PARTITION IF NOT EXISTS ({})", partition(season));
        let has_strays = has_strays(connection, season)?;
        if has_strays {
            log::warn!("{season} had records without a partition: moving them into their own");
            let mut seasons = seasons_with_partition(connection)?;
            seasons.push(season.to_owned());
            move_strays(connection, &seasons, &add, (&moving, is_there))?;
        } else if !is_there {
            run_text(connection, &format!("ALTER TABLE `{TABLE}` {add}"))?;
        }
        Ok(!is_there || has_strays)
    })?;
    if !exchanged::has_rows(connection, &moving)? {
        exchanged::drop(connection, [moving.as_str()])?;
    }
    // Another node of Galera, where this lock does not hold, may have written some meanwhile.
    if has_strays(connection, season)? {
        create_partition(connection, season)?;
    }
    Ok(is_new)
}

/// Restores rows that were outside the live table when the server was killed. Returns the tables
/// that still have them, for [`drop_moved`]: reads may have found students without records, and
/// cached that.
pub fn put_back_moved(connection: &mut Conn) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for Exchanged { name, purpose, is_old } in exchanged::all(connection)? {
        if purpose != Purpose::Moving {
            continue;
        }
        if exchanged::has_rows(connection, &name)? {
            let put_back = with_table(connection, &format!(", {name} WRITE"), |connection| {
                put_back(connection, &name)
            });
            match put_back {
                // Another process has restored them.
                Err(Error::Refused { code: NO_SUCH_TABLE, .. }) => {}
                put_back => put_back.map(|()| found.push(name))?,
            }
        } else if is_old {
            exchanged::drop(connection, [name.as_str()])?;
        }
    }
    Ok(found)
}

/// Drops tables whose rows [`put_back_moved`] restored, once no cached schedule lacks them.
pub fn drop_moved(connection: &mut Conn, tables: &[String]) -> Result<()> {
    exchanged::drop(connection, tables.iter().map(String::as_str))
}

/// The seasons that have a partition.
fn seasons_with_partition(connection: &mut Conn) -> Result<Vec<String>> {
    let names = partitions(connection)?.into_iter().map(|partition| partition.name);
    Ok(names.filter(|name| check_season_name(name).is_ok()).collect())
}

/// Takes the records of a season out of the live table. [`remove_freed`] removes them.
///
/// Exchanges the partition with an empty table. That renames files, so it takes as long for a
/// billion records as for none; TRUNCATE and DROP PARTITION make all readers wait while the disk
/// frees a file. And an older transaction, such as a backup's, finds a table that is newer than
/// itself and fails (1412); with DROP PARTITION it would silently find no records, neither here nor
/// in the archive. The empty table is made when every record is in the archive: a transaction that
/// began after that sees them there.
///
/// # Errors
/// If the table was never free.
pub fn free_partition(
    server: &DatabaseServer,
    connection: &mut Conn,
    season: &str,
    held: &mut Held,
) -> Result<()> {
    let _freeing = remove_freed(server, connection)?;
    let freed = exchanged::make(connection, Purpose::Freed)?;
    with_table(connection, &format!(", {freed} WRITE"), |connection| {
        held.check()?;
        run_text(
            connection,
            &format!("ALTER TABLE `{TABLE}` EXCHANGE PARTITION `{season}` WITH TABLE {freed}"),
        )
    })
}

/// Removes the tables that [`free_partition`] took out, including in a run that was killed. One
/// process at a time: the others wait until the returned lock ends.
///
/// # Errors
/// [`Error::Fault`] if another process takes hours.
pub fn remove_freed(server: &DatabaseServer, connection: &mut Conn) -> Result<Held> {
    // No process must remove a table that another is about to exchange.
    let held = Held::take(server, connection, "freeing", LOCK_SECONDS)?.ok_or_else(|| {
        Error::Fault(
            "another process has been freeing a partition for hours: see SHOW PROCESSLIST"
                .to_owned(),
        )
    })?;
    let left = exchanged::all(connection)?;
    let freed = left.iter().filter(|table| table.purpose == Purpose::Freed);
    exchanged::drop(connection, freed.map(|table| table.name.as_str()))?;
    Ok(held)
}

/// Removes a season's partition if it is empty. Returns false if there was none, or it has rows.
///
/// # Errors
/// If the table was never free.
pub fn drop_empty_partition(connection: &mut Conn, season: &str) -> Result<bool> {
    if !partition_exists(connection, season)? || !is_empty(connection, season)? {
        return Ok(false);
    }
    with_table(connection, "", |connection| {
        if !is_empty(connection, season)? {
            return Ok(false);
        }
        match run_text(connection, &format!("ALTER TABLE `{TABLE}` DROP PARTITION `{season}`")) {
            Err(Error::Refused { code: NO_SUCH_PARTITION, .. }) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    })
}

/// Whether a season's partition is empty.
pub fn is_empty(connection: &mut Conn, season: &str) -> Result<bool> {
    let sql = format!("SELECT 1 FROM `{TABLE}` PARTITION (`{season}`) LIMIT 1");
    Ok(row::<u8>(connection, &sql, ())?.is_none())
}

/// Runs `work` while no other process uses the table; `more` names other tables for LOCK TABLES.
fn with_table<T>(
    connection: &mut Conn,
    more: &str,
    work: impl FnOnce(&mut Conn) -> Result<T>,
) -> Result<T> {
    take_table(connection, more)?;
    let outcome = work(connection);
    // A broken connection no longer has locks.
    if !matches!(outcome, Err(Error::Unavailable { .. })) {
        set_right(connection, "UNLOCK TABLES")?;
    }
    outcome
}

/// Locks a table that students use. A statement that waits for it behind a long transaction makes
/// every later statement wait too. So each try succeeds only if the table is free; after a minute,
/// a try every five seconds waits briefly, so briefly that no student waits longer than 0.1 seconds
/// for it and for the work under the lock.
///
/// # Errors
/// [`Error::Fault`] if the table was in use all the time.
fn take_table(connection: &mut Conn, more: &str) -> Result<()> {
    let start = Instant::now();
    let lock = format!("LOCK TABLES `{TABLE}` WRITE{more}");
    while start.elapsed() < PATIENCE {
        let is_quiet = start.elapsed() < QUIET_TIME;
        let taken = if is_quiet {
            run_text(connection, &format!("{lock} NOWAIT"))
        } else {
            run_text(connection, &format!("SET SESSION max_statement_time = {LOUD_SECONDS}"))?;
            let taken = run_text(connection, &format!("{lock} WAIT 1"));
            set_right(connection, "SET SESSION max_statement_time = 0")?;
            taken
        };
        match taken {
            Err(Error::Refused { code: LOCK_WAIT_TIMEOUT | STATEMENT_TIMEOUT, .. }) => {
                sleep(if is_quiet { QUIET_PAUSE } else { LOUD_PAUSE });
            }
            outcome => return outcome,
        }
    }
    Err(Error::Fault(format!(
        "{TABLE} was in use for {} minutes without a break: look in SHOW PROCESSLIST for a \
         transaction or a backup that holds it, end it, and run this again",
        PATIENCE.as_secs() / 60
    )))
}

/// Resets a connection's settings or locks. If that fails, because the statement was killed, the
/// connection must not be used again: it is closed, which releases its locks.
fn set_right(connection: &mut Conn, sql: &str) -> Result<()> {
    run_text(connection, sql).map_err(|error| match error {
        Error::Refused { server, cause, .. } => {
            Error::Unavailable { server, cause, answered: false }
        }
        error => error,
    })
}

/// A partition of the live table.
pub struct Partition {
    /// Its season; `p_default` is for all seasons without a partition.
    pub name: String,
    /// How many records are in it, by MariaDB's estimate.
    pub rows: u64,
    /// Bytes of records and indexes.
    pub bytes: u64,
}

/// The partitions in the order of their names.
pub fn partitions(connection: &mut Conn) -> Result<Vec<Partition>> {
    let sql = "SELECT PARTITION_NAME, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH FROM \
    information_schema.PARTITIONS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND PARTITION_NAME IS NOT NULL ORDER BY \
        PARTITION_NAME";
    let found: Vec<(String, u64, u64)> = rows(connection, sql, (TABLE,))?;
    Ok(found.into_iter().map(|(name, rows, bytes)| Partition { name, rows, bytes }).collect())
}

/// Whether a season has its partition.
pub fn partition_exists(connection: &mut Conn, season: &str) -> Result<bool> {
    // MariaDB would also find the partition of a season in lower case.
    if check_season_name(season).is_err() {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM information_schema.PARTITIONS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND PARTITION_NAME = ?";
    Ok(row::<u8>(connection, sql, (TABLE, season))?.is_some())
}

fn partition(season: &str) -> String {
    format!("PARTITION `{season}` VALUES IN ('{season}')")
}

fn partition_clause(connection: &mut Conn) -> Result<String> {
    let mut partitions = vec![DEFAULT_PARTITION.to_owned()];
    partitions.extend(season_names(connection)?.iter().map(|season| partition(season)));
    Ok(format!("PARTITION BY LIST COLUMNS(season) ({})", partitions.join(", ")))
}

/// The seasons whose records are in the live table.
fn season_names(connection: &mut Conn) -> Result<Vec<String>> {
    let sql = "SELECT name FROM `tabGame Subscription Season` \
        WHERE name COLLATE utf8mb4_nopad_bin NOT IN (SELECT season FROM memora_archive) ORDER BY \
        name";
    let names: Vec<String> = rows(connection, sql, ())?;
    Ok(names.into_iter().filter(|name| check_season_name(name).is_ok()).collect())
}

fn table_exists(connection: &mut Conn, table: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND \
    TABLE_NAME = ?";
    Ok(row::<u8>(connection, sql, (table,))?.is_some())
}

/// Whether the table has a default partition, and each other one has the name of its only season.
fn is_partitioned(connection: &mut Conn) -> Result<bool> {
    let sql = "SELECT PARTITION_NAME, PARTITION_METHOD, PARTITION_DESCRIPTION FROM \
    information_schema.PARTITIONS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND PARTITION_NAME IS NOT NULL";
    let partitions: Vec<(String, String, String)> = rows(connection, sql, (TABLE,))?;
    // MariaDB 10.11 shows MAXVALUE for the default partition.
    let is_ours = |(name, method, seasons): &(String, String, String)| {
        method == "LIST COLUMNS"
            && (*seasons == format!("'{name}'")
                || name == "p_default" && !seasons.starts_with('\''))
    };
    Ok(partitions.iter().all(is_ours) && partitions.iter().any(|(name, ..)| name == "p_default"))
}

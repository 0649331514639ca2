//! Students whose cached schedules lack an answer that counts, or may lack one, and whether any
//! process believes the cache.
//!
//! Each shard of the cache has a row of `memora_belief`. A process that marks a student holds a
//! shared lock on it; one that settles the shard's marks holds an exclusive one, so it misses no
//! mark.

use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use super::errors::{IS_READ_ONLY, leave_if_read_only};
use super::registrations;
use super::statements::{MOST_IN_A_LIST, placeholders, row, rows, run, run_text};
use super::transaction::{in_transaction, in_transaction_again};
use crate::error::{Error, Result, Server};
use crate::rules::belief::{Look, MOST_UNSHOWN, Unshown};
use crate::rules::registration::{Registration, Standing};
use crate::rules::shard::SHARDS;

/// A row for each answer that the cache was not shown, or may not have been shown.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_unshown` (\
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, player VARCHAR(140) NOT NULL, \
    season VARCHAR(140) NOT NULL, shard TINYINT NOT NULL DEFAULT 1, newest BIGINT, \
    KEY shard (shard)) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// What the table of older versions lacks.
pub const ADD_COLUMNS: &str = "ALTER TABLE `memora_unshown` ADD COLUMN IF NOT EXISTS shard TINYINT \
    NOT NULL DEFAULT 1, ADD KEY IF NOT EXISTS shard (shard), \
    ADD COLUMN IF NOT EXISTS newest BIGINT";

/// A row for each shard that a cache may have.
pub const CREATE_BELIEF: &str = "CREATE TABLE IF NOT EXISTS `memora_belief` (\
    id TINYINT NOT NULL PRIMARY KEY, is_believed TINYINT NOT NULL) ENGINE=InnoDB";

/// Makes the rows, which are never removed. At first no process believes the cache.
pub fn make_rows(connection: &mut Conn) -> Result<()> {
    let rows: Vec<String> = (0..SHARDS).map(|shard| format!("({}, 0)", id_of(shard))).collect();
    let rows = rows.join(", ");
    run_text(
        connection,
        &format!("INSERT IGNORE INTO `memora_belief` (id, is_believed) VALUES {rows}"),
    )
}

/// A shard's row. A cache of one shard uses the first.
fn id_of(shard: usize) -> usize {
    shard + 1
}

/// How many marks are settled at a time, because students wait for it.
const MOST_SETTLED: usize = 10_000;

type Row = (
    bool,
    bool,
    String,
    String,
    String,
    i64,
    i64,
    Option<u64>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

/// A run of a shard, and what to note of it.
#[derive(Clone, Copy)]
pub struct Reached<'a> {
    /// The shard's number.
    pub shard: usize,
    /// The name under which its run is registered.
    pub name: &'a str,
    /// The run.
    pub run: &'a str,
    /// The text of a challenge for it.
    pub challenge: &'a str,
}

/// Reads the marks and the registration of a shard of the cache, in one small statement.
pub fn look(connection: &mut Conn, shard: usize, name: &str) -> Result<(Look, Registration)> {
    // One more than are dropped one by one is enough to know that there are too many.
    let (look, registration, _) = look_at(connection, shard, name, MOST_UNSHOWN + 1)?;
    Ok((look, registration))
}

/// As [`look`], for at most this many marks, and with their ids.
fn look_at(
    connection: &mut Conn,
    shard: usize,
    name: &str,
    most: usize,
) -> Result<(Look, Registration, Vec<u64>)> {
    let sql = format!(
        "SELECT {IS_READ_ONLY}, is_believed, {}, memora_unshown.id, player, season, newest FROM \
         `memora_belief` LEFT JOIN `memora_registration` r ON r.name = ? LEFT JOIN \
         `memora_unshown` ON shard = memora_belief.id WHERE memora_belief.id = ? LIMIT {most}",
        registrations::columns(),
    );
    let found: Vec<Row> = rows(connection, &sql, (name, id_of(shard)))?;
    leave_if_read_only(found.first().is_some_and(|(is_read_only, ..)| *is_read_only))?;
    let (mut look, mut registration, mut ids) =
        (Look::default(), Registration::default(), Vec::new());
    for row in found {
        let (_, is_believed, run_id, previous, challenge, challenged, defended, ..) = row;
        let (.., id, player, season, newest) = row;
        look.is_believed = is_believed;
        registration =
            registrations::registration((run_id, previous, challenge, challenged, defended));
        ids.extend(id);
        let student = player.zip(season);
        look.unshown.extend(student.map(|(player, season)| Unshown { player, season, newest }));
    }
    Ok((look, registration, ids))
}

/// Lets `change` read the marks and repair a shard of the cache. If the run that is reached is
/// registered then, the marks are deleted, and from now on it is believed. Changes nothing if
/// `change` fails.
///
/// # Errors
/// [`Error::Unavailable`], of the cache, if there are more marks than are settled at a time: the
/// next look continues, and no process believes the shard before the last mark is settled.
pub fn settle(
    connection: &mut Conn,
    reached: Reached<'_>,
    mut change: impl FnMut(&Look, &Registration) -> Result<Standing>,
) -> Result<Standing> {
    let mut settled = settle_once(connection, reached, &mut change)?;
    if settled.standing.counts() && settled.is_all && !settled.was_believed {
        // On another node of Galera, where the lock does not reach, a process may have marked a
        // student meanwhile, and found that no process believes the cache. That mark is visible
        // now.
        settled = settle_once(connection, reached, &mut change)?;
    }
    if settled.is_all {
        return Ok(settled.standing);
    }
    Err(Error::Unavailable {
        server: Server::Cache,
        cause: "it lacked many answers, and is being repaired step by step".to_owned(),
        answered: false,
    })
}

/// The outcome of settling a shard's marks.
struct Settled {
    standing: Standing,
    /// Whether processes believed the shard before.
    was_believed: bool,
    /// Whether none of the marks is left.
    is_all: bool,
}

fn settle_once(
    connection: &mut Conn,
    reached: Reached<'_>,
    change: &mut impl FnMut(&Look, &Registration) -> Result<Standing>,
) -> Result<Settled> {
    let Reached { shard, name, run: run_id, challenge } = reached;
    let id = id_of(shard);
    in_transaction(connection, |connection| {
        run(connection, "SELECT 1 FROM `memora_belief` WHERE id = ? FOR UPDATE", (id,))?;
        // Exactly the marks that it returns are deleted.
        let (look, registration, ids) = look_at(connection, shard, name, MOST_SETTLED)?;
        let standing = change(&look, &registration)?;
        registrations::note(connection, name, standing, (run_id, challenge))?;
        let is_all = !standing.counts() || ids.len() < MOST_SETTLED;
        let settled = Settled { standing, was_believed: look.is_believed, is_all };
        if !standing.counts() {
            return Ok(settled);
        }
        for ids in ids.chunks(MOST_IN_A_LIST) {
            let list = placeholders(ids.len());
            let sql = format!("DELETE FROM `memora_unshown` WHERE id IN ({list})");
            run(connection, &sql, ids.iter().map(Value::from).collect::<Vec<_>>())?;
        }
        if is_all {
            run(connection, "UPDATE `memora_belief` SET is_believed = 1 WHERE id = ?", (id,))?;
        }
        Ok(settled)
    })
}

/// A mark of a student.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The mark's id.
    pub id: u64,
    /// The shard that the student is in.
    pub shard: usize,
    /// Whether a process may believe the shard.
    pub is_believed: bool,
}

/// Marks a student of a shard (an empty name: the whole shard): the cached schedule lacks an
/// acknowledged answer.
pub fn mark(connection: &mut Conn, shard: usize, player: &str, season: &str) -> Result<Mark> {
    const IS_BELIEVED: &str = "SELECT is_believed FROM `memora_belief` WHERE id = ?";
    let row_id = id_of(shard);
    let id = in_transaction_again(connection, |connection| {
        run(connection, &format!("{IS_BELIEVED} LOCK IN SHARE MODE"), (row_id,))?;
        let sql = "INSERT INTO `memora_unshown` (player, season, shard) VALUES (?, ?, ?)";
        let result =
            connection.exec_iter(sql, (player, season, row_id)).map_err(Error::from_mariadb)?;
        Ok(result.last_insert_id().unwrap_or(0))
    })?;
    // Read after the mark is committed: a process that settles marks on another node of Galera may
    // have missed it, which is visible now.
    let is_believed = row(connection, IS_BELIEVED, (row_id,))?.unwrap_or(true);
    Ok(Mark { id, shard, is_believed })
}

/// Marks students of a shard, given as player and season; the caller need not wait until the marks
/// are settled. With an order, the cached schedule may lack the answer of this order; without, it
/// lacks one.
pub fn mark_several(
    connection: &mut Conn,
    shard: usize,
    students: &[(&str, &str, Option<i64>)],
) -> Result<()> {
    let row_id = id_of(shard);
    in_transaction_again(connection, |connection| {
        let lock = "SELECT 1 FROM `memora_belief` WHERE id = ? LOCK IN SHARE MODE";
        run(connection, lock, (row_id,))?;
        for students in students.chunks(MOST_IN_A_LIST) {
            let list = vec!["(?, ?, ?, ?)"; students.len()].join(", ");
            let sql = format!(
                "INSERT INTO `memora_unshown` (player, season, newest, shard) VALUES {list}"
            );
            let values = students.iter().flat_map(|(player, season, newest)| {
                [Value::from(player), season.into(), newest.into(), row_id.into()]
            });
            run(connection, &sql, values.collect::<Vec<_>>())?;
        }
        Ok(())
    })
}

/// Whether a process may still believe a marked schedule: the mark exists, and the shard is still
/// believed.
pub fn is_needed(connection: &mut Conn, mark: Mark) -> Result<bool> {
    let sql = "SELECT 1 FROM `memora_unshown` JOIN `memora_belief` ON memora_belief.id = shard \
    WHERE is_believed = 1 AND memora_unshown.id = ?";
    Ok(row::<u8>(connection, sql, (mark.id,))?.is_some())
}

/// Removes a mark, if the student's schedule was dropped in the registered run of the shard, given
/// by the shard's name and the run. False: another run is registered.
pub fn unmark(connection: &mut Conn, mark: Mark, (name, run_id): (&str, &str)) -> Result<bool> {
    in_transaction_again(connection, |connection| {
        let lock = "SELECT 1 FROM `memora_belief` WHERE id = ? LOCK IN SHARE MODE";
        run(connection, lock, (id_of(mark.shard),))?;
        let counts = registrations::look(connection, name)?.run == run_id;
        if counts {
            run(connection, "DELETE FROM `memora_unshown` WHERE id = ?", (mark.id,))?;
        }
        Ok(counts)
    })
}

/// Notes that no process believes a shard of the cache any more, because this mark was not settled
/// in time.
pub fn give_up(connection: &mut Conn, mark: Mark) -> Result<()> {
    in_transaction_again(connection, |connection| {
        let id = id_of(mark.shard);
        run(connection, "SELECT 1 FROM `memora_belief` WHERE id = ? FOR UPDATE", (id,))?;
        if is_needed(connection, mark)? {
            run(connection, "UPDATE `memora_belief` SET is_believed = 0 WHERE id = ?", (id,))?;
        }
        Ok(())
    })
}

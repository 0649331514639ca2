//! Students whose cached schedules lack an acknowledged answer, and whether anybody believes the
//! cache.
//!
//! Each shard of the cache has a row of `memora_belief`. A process that marks a student holds a
//! shared lock on it, one that settles the shard's marks an exclusive one: so no mark comes in
//! unseen.

use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use super::errors::{IS_READ_ONLY, leave_if_read_only};
use super::{
    MOST_IN_A_LIST, in_transaction, in_transaction_again, placeholders, row, rows, run, run_text,
};
use crate::error::{Error, Result};
use crate::rules::belief::{Look, MOST_UNSHOWN, Unshown};
use crate::rules::shard::SHARDS;

/// A row for each answer that the cache was not shown.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_unshown` (\
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, player VARCHAR(140) NOT NULL, \
    season VARCHAR(140) NOT NULL, shard TINYINT NOT NULL DEFAULT 1, KEY shard (shard)) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// What the table of older versions lacks.
pub const ADD_SHARD: &str = "ALTER TABLE `memora_unshown` ADD COLUMN IF NOT EXISTS shard TINYINT \
    NOT NULL DEFAULT 1, ADD KEY IF NOT EXISTS shard (shard)";

/// A row for each shard that a cache may have.
pub const CREATE_BELIEF: &str = "CREATE TABLE IF NOT EXISTS `memora_belief` (\
    id TINYINT NOT NULL PRIMARY KEY, is_believed TINYINT NOT NULL) ENGINE=InnoDB";

/// Makes the rows, which are never removed. At first nobody believes the cache.
pub fn make_rows(connection: &mut Conn) -> Result<()> {
    let rows: Vec<String> = (0..SHARDS).map(|shard| format!("({}, 0)", id_of(shard))).collect();
    let rows = rows.join(", ");
    run_text(
        connection,
        &format!("INSERT IGNORE INTO `memora_belief` (id, is_believed) VALUES {rows}"),
    )
}

/// A shard's row. That of the first is also that of a cache of one.
fn id_of(shard: usize) -> usize {
    shard + 1
}

/// Looks whether a shard of the cache may be believed: one small statement.
pub fn look(connection: &mut Conn, shard: usize) -> Result<Look> {
    // One more than are dropped one by one: the rest need not be known.
    let sql = format!(
        "SELECT {IS_READ_ONLY}, is_believed, player, season FROM `memora_belief` LEFT JOIN \
         `memora_unshown` ON shard = memora_belief.id WHERE memora_belief.id = ? LIMIT {}",
        MOST_UNSHOWN + 1
    );
    let found: Vec<(bool, bool, Option<String>, Option<String>)> =
        rows(connection, &sql, (id_of(shard),))?;
    leave_if_read_only(found.first().is_some_and(|(is_read_only, ..)| *is_read_only))?;
    let is_believed = found.first().is_some_and(|(_, is_believed, ..)| *is_believed);
    let unshown = found
        .into_iter()
        .filter_map(|(.., player, season)| Some(Unshown { player: player?, season: season? }));
    Ok(Look { is_believed, unshown: unshown.collect() })
}

/// Lets `repair` put a shard of the cache right, then forgets the marks that were there: from now on
/// it is believed. Does nothing else when `repair` fails.
pub fn settle(
    connection: &mut Conn,
    shard: usize,
    mut repair: impl FnMut(&Look) -> Result<()>,
) -> Result<()> {
    if !settle_once(connection, shard, &mut repair)? {
        // On another node of Galera, where the lock does not reach, somebody may have marked a
        // student meanwhile, and found that nobody believes the cache. That mark is seen now.
        settle_once(connection, shard, &mut repair)?;
    }
    Ok(())
}

/// False: nobody believed the shard before.
fn settle_once(
    connection: &mut Conn,
    shard: usize,
    repair: &mut impl FnMut(&Look) -> Result<()>,
) -> Result<bool> {
    let id = id_of(shard);
    in_transaction(connection, |connection| {
        run(connection, "SELECT 1 FROM `memora_belief` WHERE id = ? FOR UPDATE", (id,))?;
        // Before the look, so that it tells of each of them.
        let marks = "SELECT id FROM `memora_unshown` WHERE shard = ?";
        let ids: Vec<u64> = rows(connection, marks, (id,))?;
        let look = look(connection, shard)?;
        repair(&look)?;
        for ids in ids.chunks(MOST_IN_A_LIST) {
            let list = placeholders(ids.len());
            let sql = format!("DELETE FROM `memora_unshown` WHERE id IN ({list})");
            run(connection, &sql, ids.iter().map(Value::from).collect::<Vec<_>>())?;
        }
        run(connection, "UPDATE `memora_belief` SET is_believed = 1 WHERE id = ?", (id,))?;
        Ok(look.is_believed)
    })
}

/// A student was marked.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The mark's id.
    pub id: u64,
    /// The shard that the student is in.
    pub shard: usize,
    /// Whether somebody may believe what is cached.
    pub is_believed: bool,
}

/// Marks a student of a shard (nobody's name: all of it): what is cached of them lacks an
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
    // Once the mark is there: somebody who settles marks on another node of Galera may have missed
    // it, and is seen now.
    let is_believed = row(connection, IS_BELIEVED, (row_id,))?.unwrap_or(true);
    Ok(Mark { id, shard, is_believed })
}

/// Whether somebody may still believe what a mark speaks of: it is there, and nobody has found that
/// no process believes the cache.
pub fn is_needed(connection: &mut Conn, mark: Mark) -> Result<bool> {
    let sql = "SELECT 1 FROM `memora_unshown` JOIN `memora_belief` ON memora_belief.id = shard \
    WHERE is_believed = 1 AND memora_unshown.id = ?";
    Ok(row::<u8>(connection, sql, (mark.id,))?.is_some())
}

/// Takes a mark back: the student's schedule was dropped.
pub fn unmark(connection: &mut Conn, mark: Mark) -> Result<()> {
    run(connection, "DELETE FROM `memora_unshown` WHERE id = ?", (mark.id,))
}

/// Notes that nobody believes a shard of the cache any more, for nobody has settled this mark in time.
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

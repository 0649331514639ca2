//! Students whose cached schedules lack an acknowledged answer, and whether anybody believes the
//! cache.
//!
//! A process that marks a student holds a shared lock on the one row of `memora_belief`, one that
//! settles marks an exclusive one: so no mark comes in unseen.

use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use super::errors::{IS_READ_ONLY, leave_if_read_only};
use super::{MOST_IN_A_LIST, in_transaction, in_transaction_again, placeholders, row, rows, run};
use crate::error::{Error, Result};
use crate::rules::belief::{Look, MOST_UNSHOWN, Unshown};

/// A row for each answer that the cache was not shown.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_unshown` (\
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, player VARCHAR(140) NOT NULL, \
    season VARCHAR(140) NOT NULL) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// One row.
pub const CREATE_BELIEF: &str = "CREATE TABLE IF NOT EXISTS `memora_belief` (\
    id TINYINT NOT NULL PRIMARY KEY, is_believed TINYINT NOT NULL) ENGINE=InnoDB";

/// The row, which is never removed. At first nobody believes the cache.
pub const ROW: &str = "INSERT IGNORE INTO `memora_belief` (id, is_believed) VALUES (1, 0)";

/// Looks whether the cache may be believed: one small statement.
pub fn look(connection: &mut Conn) -> Result<Look> {
    // One more than are dropped one by one: the rest need not be known.
    let sql = format!(
        "SELECT {IS_READ_ONLY}, is_believed, player, season FROM `memora_belief` LEFT JOIN \
         `memora_unshown` ON TRUE LIMIT {}",
        MOST_UNSHOWN + 1
    );
    let found: Vec<(bool, bool, Option<String>, Option<String>)> = rows(connection, &sql, ())?;
    leave_if_read_only(found.first().is_some_and(|(is_read_only, ..)| *is_read_only))?;
    let is_believed = found.first().is_some_and(|(_, is_believed, ..)| *is_believed);
    let unshown = found
        .into_iter()
        .filter_map(|(.., player, season)| Some(Unshown { player: player?, season: season? }));
    Ok(Look { is_believed, unshown: unshown.collect() })
}

/// Lets `repair` put the cache right, then forgets the marks that were there: from now on the cache
/// is believed. Does nothing else when `repair` fails.
pub fn settle(connection: &mut Conn, mut repair: impl FnMut(&Look) -> Result<()>) -> Result<()> {
    if !settle_once(connection, &mut repair)? {
        // On another node of Galera, where the lock does not reach, somebody may have marked a
        // student meanwhile, and found that nobody believes the cache. That mark is seen now.
        settle_once(connection, &mut repair)?;
    }
    Ok(())
}

/// False: nobody believed the cache before.
fn settle_once(
    connection: &mut Conn,
    repair: &mut impl FnMut(&Look) -> Result<()>,
) -> Result<bool> {
    in_transaction(connection, |connection| {
        run(connection, "SELECT 1 FROM `memora_belief` WHERE id = 1 FOR UPDATE", ())?;
        // Before the look, so that it tells of each of them.
        let ids: Vec<u64> = rows(connection, "SELECT id FROM `memora_unshown`", ())?;
        let look = look(connection)?;
        repair(&look)?;
        for ids in ids.chunks(MOST_IN_A_LIST) {
            let list = placeholders(ids.len());
            let sql = format!("DELETE FROM `memora_unshown` WHERE id IN ({list})");
            run(connection, &sql, ids.iter().map(Value::from).collect::<Vec<_>>())?;
        }
        run(connection, "UPDATE `memora_belief` SET is_believed = 1 WHERE id = 1", ())?;
        Ok(look.is_believed)
    })
}

/// A student was marked.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The mark's id.
    pub id: u64,
    /// Whether somebody may believe what is cached.
    pub is_believed: bool,
}

/// Marks a student (nobody's name: everybody): what is cached of them lacks an acknowledged answer.
pub fn mark(connection: &mut Conn, player: &str, season: &str) -> Result<Mark> {
    const IS_BELIEVED: &str = "SELECT is_believed FROM `memora_belief` WHERE id = 1";
    let id = in_transaction_again(connection, |connection| {
        run(connection, &format!("{IS_BELIEVED} LOCK IN SHARE MODE"), ())?;
        let sql = "INSERT INTO `memora_unshown` (player, season) VALUES (?, ?)";
        let result = connection.exec_iter(sql, (player, season)).map_err(Error::from_mariadb)?;
        Ok(result.last_insert_id().unwrap_or(0))
    })?;
    // Once the mark is there: somebody who settles marks on another node of Galera may have missed
    // it, and is seen now.
    let is_believed = row(connection, IS_BELIEVED, ())?.unwrap_or(true);
    Ok(Mark { id, is_believed })
}

/// Whether somebody may still believe what a mark speaks of: it is there, and nobody has found that
/// no process believes the cache.
pub fn is_needed(connection: &mut Conn, mark: Mark) -> Result<bool> {
    let sql = "SELECT 1 FROM `memora_unshown` JOIN `memora_belief` ON is_believed = 1 WHERE \
    memora_unshown.id = ?";
    Ok(row::<u8>(connection, sql, (mark.id,))?.is_some())
}

/// Takes a mark back: the student's schedule was dropped.
pub fn unmark(connection: &mut Conn, mark: Mark) -> Result<()> {
    run(connection, "DELETE FROM `memora_unshown` WHERE id = ?", (mark.id,))
}

/// Notes that nobody believes the cache any more, for nobody has settled this mark in time.
pub fn give_up(connection: &mut Conn, mark: Mark) -> Result<()> {
    in_transaction_again(connection, |connection| {
        run(connection, "SELECT 1 FROM `memora_belief` WHERE id = 1 FOR UPDATE", ())?;
        if is_needed(connection, mark)? {
            run(connection, "UPDATE `memora_belief` SET is_believed = 0 WHERE id = 1", ())?;
        }
        Ok(())
    })
}

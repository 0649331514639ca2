//! Students whose cached schedules lack an acknowledged answer, and whether anybody believes the
//! cache.
//!
//! A process that marks a student holds a shared lock on the one row of `memora_belief`, one that
//! settles marks an exclusive one: so no mark comes in unseen.

use mysql::Conn;
use mysql::prelude::Queryable;

use super::{in_transaction, in_transaction_again, row, rows, run};
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
        "SELECT is_believed, player, season FROM `memora_belief` LEFT JOIN `memora_unshown` ON \
         TRUE LIMIT {}",
        MOST_UNSHOWN + 1
    );
    let found: Vec<(bool, Option<String>, Option<String>)> = rows(connection, &sql, ())?;
    let is_believed = found.first().is_some_and(|(is_believed, ..)| *is_believed);
    let unshown = found
        .into_iter()
        .filter_map(|(_, player, season)| Some(Unshown { player: player?, season: season? }));
    Ok(Look { is_believed, unshown: unshown.collect() })
}

/// Lets `repair` put the cache right, then forgets all marks: from now on the cache is believed.
/// Nobody can mark a student meanwhile. Does nothing else when `repair` fails.
pub fn settle(connection: &mut Conn, repair: impl FnOnce(&Look) -> Result<()>) -> Result<()> {
    in_transaction(connection, |connection| {
        run(connection, "SELECT 1 FROM `memora_belief` WHERE id = 1 FOR UPDATE", ())?;
        repair(&look(connection)?)?;
        // A statement must end before its caller gives up.
        loop {
            run(connection, "DELETE FROM `memora_unshown` LIMIT 10000", ())?;
            if connection.affected_rows() < 10_000 {
                break;
            }
        }
        run(connection, "UPDATE `memora_belief` SET is_believed = 1 WHERE id = 1", ())
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
    in_transaction_again(connection, |connection| {
        let sql = "SELECT is_believed FROM `memora_belief` WHERE id = 1 LOCK IN SHARE MODE";
        let is_believed = row(connection, sql, ())?.unwrap_or(true);
        let sql = "INSERT INTO `memora_unshown` (player, season) VALUES (?, ?)";
        let result = connection.exec_iter(sql, (player, season)).map_err(Error::from_mariadb)?;
        Ok(Mark { id: result.last_insert_id().unwrap_or(0), is_believed })
    })
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

//! Counts Safe Mode's reads in MariaDB: the server that they need anyway, and that all processes
//! share.

use mysql::Conn;

use super::statements::{row, run};
use super::transaction::in_transaction_again;
use crate::error::Result;
use crate::rules::safe_mode::{WINDOW_US, wait_us};

/// The table of the last minute's reads.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_safe_mode_read` (\
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
    read_at_us BIGINT NOT NULL, player VARCHAR(140) NOT NULL, \
    KEY (read_at_us), KEY (player)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// Adds the primary key, which older versions lacked. Replicas and nodes of Galera, which are sent
/// rows, find them by it.
pub const KEY: &str = "ALTER TABLE `memora_safe_mode_read` ADD COLUMN IF NOT EXISTS \
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST";

/// Reserves one read. `Some`: there is none now, and the read must wait this many microseconds.
///
/// All processes take turns by locking the row of the cache's outage: one row of a primary key, so
/// that no lock covers other rows.
pub fn admit(connection: &mut Conn, player: &str) -> Result<Option<i64>> {
    in_transaction_again(connection, |connection| {
        run(connection, "SELECT 1 FROM `memora_outage` WHERE server = 'cache' FOR UPDATE", ())?;
        let now: i64 =
            row(connection, "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)", ())?
                .unwrap_or(0);
        run(
            connection,
            "DELETE FROM `memora_safe_mode_read` WHERE read_at_us <= ?",
            (now - WINDOW_US,),
        )?;
        let mine = "SELECT MAX(read_at_us) FROM `memora_safe_mode_read` WHERE player = ?";
        let mine: Option<i64> = row(connection, mine, (player,))?.flatten();
        let all = "SELECT COUNT(*), MIN(read_at_us) FROM `memora_safe_mode_read`";
        let (count, oldest): (u64, Option<i64>) = row(connection, all, ())?.unwrap_or((0, None));
        let wait = wait_us(now, mine, count, oldest);
        if wait.is_none() {
            run(
                connection,
                "INSERT INTO `memora_safe_mode_read` (read_at_us, player) VALUES (?, ?)",
                (now, player),
            )?;
        }
        Ok(wait)
    })
}

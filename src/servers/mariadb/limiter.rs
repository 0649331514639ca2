//! Counting Safe Mode's reads in MariaDB: the one server they need anyway, and the one all
//! processes share.

use mysql::Conn;

use super::{in_transaction_again, row, run};
use crate::error::Result;

/// Most Safe Mode reads of the whole site in a minute (spec section 4).
pub const READS_A_MINUTE: u64 = 500;
const WINDOW_US: i64 = 60_000_000;
/// A student's next Safe Mode read comes this long after the last, in microseconds (spec section
/// 4).
pub const PAUSE_US: i64 = 30_000_000;

/// The table of the last minute's reads.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_safe_mode_read` (\
    read_at_us BIGINT NOT NULL, player VARCHAR(140) NOT NULL, \
    KEY (read_at_us), KEY (player)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// Takes room for one read. `Some(microseconds to wait)` when there is none.
///
/// All processes take turns by locking the row of the cache's outage: one row of a primary key, so
/// that nobody's lock reaches further and waits for another one's.
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

/// How long a read must wait: pure arithmetic. `mine` is the student's last read, `count` and
/// `oldest` those of the whole site in the last minute.
fn wait_us(now: i64, mine: Option<i64>, count: u64, oldest: Option<i64>) -> Option<i64> {
    let own = mine.map(|last| last + PAUSE_US - now).filter(|wait| *wait > 0);
    let site = oldest.filter(|_| count >= READS_A_MINUTE).map(|oldest| oldest + WINDOW_US - now);
    own.max(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_waits_half_a_minute_and_the_site_for_its_oldest_read() {
        assert_eq!(wait_us(100_000_000, None, 0, None), None);
        assert_eq!(wait_us(100_000_000, Some(90_000_000), 1, Some(90_000_000)), Some(20_000_000));
        assert_eq!(wait_us(100_000_000, Some(60_000_000), 1, Some(60_000_000)), None);
        assert_eq!(wait_us(100_000_000, None, READS_A_MINUTE, Some(50_000_000)), Some(10_000_000));
        assert_eq!(wait_us(100_000_000, None, READS_A_MINUTE - 1, Some(50_000_000)), None);
    }
}

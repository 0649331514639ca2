//! Outages as all processes know them, in MariaDB, because a Redis may be down.

use mysql::Conn;

use super::statements::{row, run};
use super::transaction::in_transaction_again;
use crate::error::{Result, Server};

/// An outage is over when no process has seen it for this long, in microseconds: a flickering
/// outage counts once.
const QUIET_US: i64 = 5_000_000;

/// A row for each Redis, and for each other condition.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_outage` (\
    server VARCHAR(16) NOT NULL PRIMARY KEY, is_open TINYINT NOT NULL DEFAULT 0, \
    began_at_us BIGINT NOT NULL DEFAULT 0, seen_at_us BIGINT NOT NULL DEFAULT 0) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// The rows, which are never removed.
pub const ROWS: &str = "INSERT IGNORE INTO `memora_outage` (server) VALUES ('cache'), ('journal'), \
('clock'), ('backlog'), ('caches'), ('journals')";
/// The name of the row that says whether answers are ahead of the clock.
pub const CLOCK: &str = "clock";
/// The name of the row that says whether answers have waited for long.
pub const BACKLOG: &str = "backlog";

/// The name of the row that says whether hosts use different servers side by side.
pub fn of_several(server: Server) -> &'static str {
    if server == Server::Cache { "caches" } else { "journals" }
}

/// The server's clock in SQL, Unix microseconds.
pub const NOW_US: &str = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";

/// The current Unix time in microseconds by the server's clock, which all hosts share.
pub fn now_us(connection: &mut Conn) -> Result<i64> {
    Ok(row(connection, &format!("SELECT {NOW_US}"), ())?.unwrap_or(0))
}

/// The outcome of trying to end an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This call ended it. It lasted this many seconds.
    Ended(u64),
    /// Another process ended it, or there was none.
    NoOutage,
    /// A process saw it less than five seconds ago.
    TooEarly,
}

/// Notes that a server cannot be reached. True for the first call that sees the outage.
pub fn see(connection: &mut Conn, server: Server) -> Result<bool> {
    see_named(connection, server.id())
}

/// Whether a named condition was seen and has not ended.
pub fn is_open(connection: &mut Conn, name: &str) -> Result<bool> {
    let sql = "SELECT is_open FROM `memora_outage` WHERE server = ?";
    Ok(row(connection, sql, (name,))?.unwrap_or(false))
}

/// Ends a condition that [`see_named`] noted.
pub fn end_named(connection: &mut Conn, name: &str) -> Result<()> {
    run(
        connection,
        "UPDATE `memora_outage` SET is_open = 0 WHERE server = ? AND is_open = 1",
        (name,),
    )
}

/// Notes a condition by its name. True for the first call that sees it.
pub fn see_named(connection: &mut Conn, name: &str) -> Result<bool> {
    in_transaction_again(connection, |connection| {
        let sql =
            format!("SELECT is_open, {NOW_US} FROM `memora_outage` WHERE server = ? FOR UPDATE");
        let Some((is_open, now)) = row::<(bool, i64)>(connection, &sql, (name,))? else {
            return Ok(false);
        };
        let sql = "UPDATE `memora_outage` SET began_at_us = IF(is_open, began_at_us, ?), is_open = \
        1, \
            seen_at_us = ? WHERE server = ?";
        run(connection, sql, (now, now, name))?;
        Ok(!is_open)
    })
}

/// Ends the outage of a server that answers again.
pub fn end(connection: &mut Conn, server: Server) -> Result<Ending> {
    in_transaction_again(connection, |connection| {
        let name = server.id();
        let sql = format!(
            "SELECT is_open, began_at_us, seen_at_us, {NOW_US} FROM `memora_outage` WHERE server = \
             ? FOR UPDATE"
        );
        let Some((true, began, seen, now)) =
            row::<(bool, i64, i64, i64)>(connection, &sql, (name,))?
        else {
            return Ok(Ending::NoOutage);
        };
        if now - seen < QUIET_US {
            return Ok(Ending::TooEarly);
        }
        run(connection, "UPDATE `memora_outage` SET is_open = 0 WHERE server = ?", (name,))?;
        Ok(Ending::Ended(u64::try_from((seen - began) / 1_000_000).unwrap_or(0)))
    })
}

//! A server's own clock: ages of its data are measured by it, not by a host's clock.

use super::RedisConnection;
use crate::error::Result;

/// The current Unix time in microseconds by the server's clock.
pub fn now_us(connection: &mut RedisConnection) -> Result<i64> {
    Ok(unix_us(connection.command(&redis::cmd("TIME"))?))
}

/// The answer to TIME in Unix microseconds.
pub(super) fn unix_us((seconds, microseconds): (i64, i64)) -> i64 {
    seconds * 1_000_000 + microseconds
}

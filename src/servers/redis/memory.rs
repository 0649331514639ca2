//! How much memory a Redis uses, and may use.

use super::RedisConnection;
use crate::error::Result;

/// How much memory a server uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes.
    pub used: u64,
    /// The server's `maxmemory` in bytes; 0: no limit.
    pub limit: u64,
    /// The server's `maxmemory-policy`.
    pub policy: String,
}

/// Asks a server how much memory it uses.
pub fn memory(connection: &mut RedisConnection) -> Result<Memory> {
    let about: String = connection.command(redis::cmd("INFO").arg("memory"))?;
    let field =
        |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    Ok(Memory {
        used: field("used_memory:").parse().unwrap_or(0),
        limit: field("maxmemory:").parse().unwrap_or(0),
        policy: field("maxmemory_policy:").to_owned(),
    })
}

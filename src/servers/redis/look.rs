//! The look at MariaDB that serves all processes, for a shard of the cache: the journal remembers it
//! for a moment.

use super::keys::Keys;
use super::{RedisConnection, claim};
use crate::error::Result;
use crate::rules::belief::LONGEST_LOOK;

/// Makes it known that MariaDB is being looked at.
pub fn claim_look(
    connection: &mut RedisConnection,
    keys: &Keys,
    shard: &str,
    token: &str,
) -> Result<()> {
    let note = look_note(connection, token);
    claim(connection, &keys.database_claim(shard), &note, LONGEST_LOOK)
}

/// The last look at MariaDB, while it serves everybody; empty when somebody must look.
pub fn last_look(connection: &mut RedisConnection, keys: &Keys, shard: &str) -> Result<String> {
    let key = keys.database_look(shard);
    let note: Option<String> = connection.command(redis::cmd("GET").arg(key))?;
    // A note from another run of the server may have been revoked there.
    Ok(note.filter(|note| note.starts_with(&connection.run_id)).unwrap_or_default())
}

/// Makes all looks void that are for some shards, those under way too: MariaDB has news.
pub fn revoke_looks(connection: &mut RedisConnection, keys: &Keys, shards: &[&str]) -> Result<()> {
    let mut command = redis::cmd("DEL");
    for shard in shards {
        command.arg(keys.database_claim(shard)).arg(keys.database_look(shard));
    }
    connection.command(&command)
}

/// The note of a look: whose it is, and in which run of the server.
pub(super) fn look_note(connection: &RedisConnection, token: &str) -> String {
    format!("{}|{token}", connection.run_id)
}

//! The look at MariaDB that serves all processes, for one shard of the cache: the journal remembers
//! it briefly.

use super::keys::Keys;
use super::replicas::Replicas;
use super::{RedisConnection, claim};
use crate::error::Result;
use crate::rules::belief::LONGEST_LOOK;

/// The note of a look: for which run of the shard, and by which process.
pub struct LookNote<'a> {
    /// The run of the shard's server.
    pub run: &'a str,
    /// A unique token.
    pub token: &'a str,
}

impl LookNote<'_> {
    /// The value in the journal, with the run of the journal's server.
    pub(super) fn text(&self, connection: &RedisConnection) -> String {
        format!("{}|{}|{}", connection.run_id, self.run, self.token)
    }
}

/// Announces a look at MariaDB.
pub fn claim_look(
    connection: &mut RedisConnection,
    keys: &Keys,
    shard: &str,
    note: &LookNote<'_>,
) -> Result<()> {
    let note = note.text(connection);
    claim(connection, &keys.database_claim(shard), &note, LONGEST_LOOK)
}

/// The last look at MariaDB, while it serves all processes that reach this run of the shard; empty
/// if one must look.
pub fn last_look(
    connection: &mut RedisConnection,
    keys: &Keys,
    shard: &str,
    run: &str,
) -> Result<String> {
    let beginning = LookNote { run, token: "" }.text(connection);
    let key = keys.database_look(shard);
    let note: Option<String> = connection.command(redis::cmd("GET").arg(key))?;
    // A note from another run of the server may have been revoked in that run.
    Ok(note.filter(|note| note.starts_with(&beginning)).unwrap_or_default())
}

/// Revokes all looks for some shards, including those under way, because MariaDB has news. False:
/// too few replicas confirmed it, so a look may still serve on another server that considers itself
/// the primary.
pub fn revoke_looks(
    connection: &mut RedisConnection,
    keys: &Keys,
    shards: &[&str],
    replicas: Replicas,
) -> Result<bool> {
    let mut pipeline = redis::pipe();
    let milliseconds = u64::try_from(LONGEST_LOOK.as_millis()).unwrap_or(u64::MAX);
    for shard in shards {
        // The claim first, because a look that is under way may end between the two. Both are
        // overwritten, not deleted: deleting a missing key would not be replicated.
        for key in [keys.database_claim(shard), keys.database_look(shard)] {
            pipeline.cmd("SET").arg(key).arg("").arg("PX").arg(milliseconds).ignore();
        }
    }
    connection.replicated(&mut pipeline, replicas)
}

//! The look at MariaDB that serves all processes, for a shard of the cache: the journal remembers
//! it for a moment.

use super::keys::Keys;
use super::replicas::Replicas;
use super::{RedisConnection, claim};
use crate::error::Result;
use crate::rules::belief::LONGEST_LOOK;

/// The note of a look: for which run of the shard it was, and whose.
pub struct LookNote<'a> {
    /// The run of the shard's server.
    pub run: &'a str,
    /// Unlike any other look's.
    pub token: &'a str,
}

impl LookNote<'_> {
    /// What the journal keeps, with the run of its own server.
    pub(super) fn text(&self, connection: &RedisConnection) -> String {
        format!("{}|{}|{}", connection.run_id, self.run, self.token)
    }
}

/// Makes it known that MariaDB is being looked at.
pub fn claim_look(
    connection: &mut RedisConnection,
    keys: &Keys,
    shard: &str,
    note: &LookNote<'_>,
) -> Result<()> {
    let note = note.text(connection);
    claim(connection, &keys.database_claim(shard), &note, LONGEST_LOOK)
}

/// The last look at MariaDB, while it serves everybody who reaches this run of the shard; empty
/// when somebody must look.
pub fn last_look(
    connection: &mut RedisConnection,
    keys: &Keys,
    shard: &str,
    run: &str,
) -> Result<String> {
    let beginning = LookNote { run, token: "" }.text(connection);
    let key = keys.database_look(shard);
    let note: Option<String> = connection.command(redis::cmd("GET").arg(key))?;
    // A note from another run of the server may have been revoked there.
    Ok(note.filter(|note| note.starts_with(&beginning)).unwrap_or_default())
}

/// Makes all looks void that are for some shards, those under way too: MariaDB has news. False: too
/// few replicas know, so another server may take itself for the primary, where a look still serves.
pub fn revoke_looks(
    connection: &mut RedisConnection,
    keys: &Keys,
    shards: &[&str],
    replicas: Replicas,
) -> Result<bool> {
    let mut pipeline = redis::pipe();
    let milliseconds = u64::try_from(LONGEST_LOOK.as_millis()).unwrap_or(u64::MAX);
    for shard in shards {
        // The claim first: a look that is under way may end between the two. Both are nobody's: to
        // delete what is not there is nothing that replicas are told.
        for key in [keys.database_claim(shard), keys.database_look(shard)] {
            pipeline.cmd("SET").arg(key).arg("").arg("PX").arg(milliseconds).ignore();
        }
    }
    connection.replicated(&mut pipeline, replicas)
}

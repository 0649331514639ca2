//! What the cache remembers of the site as a whole: the active season, known links, checks, the
//! generation, and that it may be believed.

use std::time::Duration;

use super::keys::Keys;
use super::{RedisConnection, claim};
use crate::error::{Error, Result};

/// How long a copy of the retired questions is kept.
const COPY_SECONDS: u64 = 86_400;
/// The result of looking up the season is not remembered if that takes longer.
const FENCE_SECONDS: u64 = 60;

/// The text that confirms a run of the cache. It names the run, because another run may have a
/// copy of it: a replica, or a server that was started from the same file.
pub fn confirmation(run: &str, token: &str) -> String {
    format!("{run}|{token}")
}

/// Whether a note confirms this run.
pub fn confirms(note: &str, run: &str) -> bool {
    note.strip_prefix(run).is_some_and(|rest| rest.starts_with('|'))
}

/// Claims the look at whether the cache may be believed, for a lease. Returns the run of the
/// server.
pub fn claim_belief(
    connection: &mut RedisConnection,
    keys: &Keys,
    token: &str,
    lease: Duration,
) -> Result<String> {
    let note = confirmation(&connection.run_id, token);
    match claim(connection, &keys.claim(), &note, lease) {
        // A full cache stores no claims, but can still be read.
        Err(Error::Refused { cause, .. }) => {
            log::debug!("the cache does not store a look: {cause}")
        }
        claimed => claimed?,
    }
    Ok(connection.run_id.clone())
}

/// Begins a new generation: all that is cached is void.
pub fn renew_generation(
    connection: &mut RedisConnection,
    keys: &Keys,
    generation: u64,
) -> Result<()> {
    let mut pipeline = redis::pipe();
    let text = generation_text(generation, &connection.run_id);
    pipeline.atomic().cmd("SET").arg(keys.generation()).arg(text).ignore();
    pipeline.cmd("DEL").arg(keys.active_season()).ignore();
    connection.pipeline(&pipeline)
}

/// A generation, and the run of the server that it is for.
pub(super) fn generation_text(generation: u64, run_id: &str) -> String {
    format!("{generation}|{run_id}")
}

/// What `srs-season` holds, if anything.
pub fn active_season(connection: &mut RedisConnection, keys: &Keys) -> Result<Option<String>> {
    connection.command(redis::cmd("GET").arg(keys.active_season()))
}

/// Sets a fence before the active season is looked up, or returns the one that another process has
/// set: it is broken when the season changes.
pub fn fence_season(connection: &mut RedisConnection, keys: &Keys, token: &str) -> Result<String> {
    let key = keys.season_fence();
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg(&key).arg(token).arg("NX").arg("EX").arg(FENCE_SECONDS).ignore();
    pipeline.cmd("GET").arg(&key);
    let (fence,): (Option<String>,) = connection.pipeline(&pipeline)?;
    Ok(fence.unwrap_or_default())
}

/// Forgets the active season, and what processes are about to remember of it.
pub fn forget_season(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    connection.command(redis::cmd("DEL").arg(keys.season_fence()).arg(keys.active_season()))
}

/// A copy of the site's retired questions, of the version that it names.
pub fn retired(connection: &mut RedisConnection, keys: &Keys) -> Result<Option<String>> {
    connection.command(redis::cmd("GET").arg(keys.retired()))
}

/// Keeps a copy of the site's retired questions: processes need not ask MariaDB for them.
pub fn remember_retired(connection: &mut RedisConnection, keys: &Keys, text: &str) -> Result<()> {
    let key = keys.retired();
    connection.command(redis::cmd("SET").arg(key).arg(text).arg("EX").arg(COPY_SECONDS))
}

/// Whether each of some links is known to exist.
pub fn known_links(
    connection: &mut RedisConnection,
    keys: &Keys,
    links: &[String],
) -> Result<Vec<bool>> {
    let mut pipeline = redis::pipe();
    for link in links {
        pipeline.cmd("SISMEMBER").arg(keys.links()).arg(link);
    }
    connection.pipeline(&pipeline)
}

/// Remembers links that exist.
pub fn remember_links(
    connection: &mut RedisConnection,
    keys: &Keys,
    links: &[String],
) -> Result<()> {
    connection.command(redis::cmd("SADD").arg(keys.links()).arg(links))
}

/// Forgets that a link exists.
pub fn forget_link(connection: &mut RedisConnection, keys: &Keys, link: &str) -> Result<()> {
    connection.command(redis::cmd("SREM").arg(keys.links()).arg(link))
}

/// Forgets which links exist.
pub fn forget_links(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    // Unlinked: there may be a million students among them.
    connection.command(redis::cmd("UNLINK").arg(keys.links()))
}

/// How many checks the database had counted at the last one; `None` if the cache was emptied since.
pub fn known_checks(connection: &mut RedisConnection, keys: &Keys) -> Result<Option<u64>> {
    connection.command(redis::cmd("GET").arg(keys.checks()))
}

/// Remembers how many checks the database has counted.
pub fn remember_checks(connection: &mut RedisConnection, keys: &Keys, checks: u64) -> Result<()> {
    connection.command(redis::cmd("SET").arg(keys.checks()).arg(checks))
}

/// Forgets the number, so that the next check reports that no schedule is valid.
pub fn forget_checks(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    connection.command(redis::cmd("DEL").arg(keys.checks()))
}

//! Whether the run of the cache that a process reaches is the registered one.

use std::time::{Duration, Instant};

use super::LOOK_AGAIN;
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::lock::lock;
use crate::rules::belief::{Look, longest_belief};
use crate::rules::registration::{Registration, Standing, challenge_of};
use crate::servers::mariadb::registrations;
use crate::servers::redis::RedisConnection;

impl Engine {
    /// What must be done for the run of the cache that this process reaches.
    pub(in crate::consistency) fn cache_standing(
        &self,
        shard: &Shard,
        (look, registration): (&Look, &Registration),
        run: &str,
    ) -> Standing {
        let known = lock(&shard.challenge);
        let (known_for, longest) = match known.known_for(&registration.challenge, Instant::now()) {
            Some(known_for) => (known_for, known.longest),
            None => (Duration::ZERO, longest_belief(self.settings.trust_lease, false)),
        };
        registration.standing(run, look.is_believed, known_for, longest)
    }

    /// Remembers a challenge of the cache that this process has not seen before. Tells the journal
    /// of a challenge for its own run, which shortens the wait.
    pub(in crate::consistency) fn notice_challenge(
        &self,
        process: &Process,
        shard: &Shard,
        challenge: &str,
        run: &str,
    ) {
        let known = &shard.challenge;
        if challenge.is_empty() || lock(known).known_for(challenge, Instant::now()).is_some() {
            return;
        }
        let is_told = challenge.starts_with(&challenge_of(run, ""))
            && self.revoke_looks(process, &[shard.name.as_str()], false);
        let longest = longest_belief(self.settings.trust_lease, is_told);
        lock(known).remember(challenge, Instant::now(), longest);
    }

    /// Whether a process has lately found that this run of the cache is not registered.
    pub(in crate::consistency) fn is_other_cache(shard: &Shard, run: &str) -> bool {
        lock(&shard.reached).counts(run, Instant::now(), LOOK_AGAIN) == Some(false)
    }

    /// Whether the cache that this process reaches is registered.
    ///
    /// # Errors
    /// When the cache or MariaDB cannot be asked.
    pub(crate) fn cache_counts(&self, process: &Process) -> Result<bool> {
        for shard in process.cache.shards() {
            if !self.counts(process, shard)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the run of a shard that this process reaches is registered.
    ///
    /// # Errors
    /// When the shard or MariaDB cannot be asked.
    pub(in crate::consistency) fn counts(&self, process: &Process, shard: &Shard) -> Result<bool> {
        let (run, name) = (shard.with(RedisConnection::run_id_now)?, shard.registered_as());
        let registered =
            process.database.with(|database| registrations::look(database, &name))?.run;
        Ok(registered == run || registered.is_empty())
    }
}

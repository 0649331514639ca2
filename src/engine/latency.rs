//! Telling the cache's Redis how long calls took.

use super::{Engine, Process};
use crate::rules::clock::now_us;
use crate::rules::latency::SLOT_SECONDS;
use crate::servers::redis::latency;

impl Engine {
    /// Adds what this process has counted since it did so last.
    pub(crate) fn tell_latency(&self, process: &Process) {
        let slot = now_us() / 1_000_000 / SLOT_SECONDS;
        let shard = process.cache.of_site();
        let taken = process.latency.take();
        let added = shard.with(|cache| latency::add(cache, &shard.keys, slot, &taken));
        if let Err(error) = added {
            log::debug!("how long calls took could not be noted: {error}");
        }
    }
}

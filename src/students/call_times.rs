//! How long students' calls take: counted here, told to the cache's Redis in passing.

use std::time::Instant;

use crate::engine::{Engine, Process};
use crate::rules::clock::now_us;
use crate::rules::latency::{Call, SLOT_SECONDS};
use crate::servers::redis::latency;

impl Engine {
    /// Counts a call that began at a moment.
    pub(crate) fn count_call(&self, process: &Process, call: Call, began: Instant) {
        process.latency.count(call, began.elapsed());
        // While the cache is away, what is counted waits in the process.
        if call != Call::SafeModeRead && process.latency.is_time() {
            self.tell_latency(process);
        }
    }

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

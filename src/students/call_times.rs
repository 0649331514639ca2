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
        let (keys, slot) = (&self.settings.keys, now_us() / 1_000_000 / SLOT_SECONDS);
        let taken = process.latency.take();
        if let Err(error) = process.cache.with(|cache| latency::add(cache, keys, slot, &taken)) {
            log::debug!("how long calls took could not be noted: {error}");
        }
    }
}

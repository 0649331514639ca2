//! How long students' calls take: counted here, reported to the cache's Redis with other commands.

use std::time::Instant;

use crate::engine::{Engine, Process};
use crate::rules::latency::Call;

impl Engine {
    /// Counts a call that began at this time.
    pub(crate) fn count_call(&self, process: &Process, call: Call, began: Instant) {
        process.latency.count(call, began.elapsed());
        // While the cache is down, the counts wait in the process.
        if call != Call::SafeModeRead && process.latency.is_time() {
            self.tell_latency(process);
        }
    }
}

//! How long students' calls take: counted here, told to the cache's Redis in passing.

use std::time::Instant;

use crate::engine::{Engine, Process};
use crate::rules::latency::Call;

impl Engine {
    /// Counts a call that began at a moment.
    pub(crate) fn count_call(&self, process: &Process, call: Call, began: Instant) {
        process.latency.count(call, began.elapsed());
        // While the cache is away, what is counted waits in the process.
        if call != Call::SafeModeRead && process.latency.is_time() {
            self.tell_latency(process);
        }
    }
}

//! How long students' calls took, over all processes of a site.

use crate::engine::Engine;
use crate::error::Result;
use crate::rules::clock::now_us;
use crate::rules::latency::{ByCall, SLOT_SECONDS, SLOTS};
use crate::servers::redis::latency;

const SLOTS_AN_HOUR: usize = 6;

/// The calls of ten minutes.
#[derive(Debug)]
pub struct Slot {
    /// When they began, Unix seconds.
    pub began: i64,
    /// The counts.
    pub calls: ByCall,
}

/// How long calls took, over all processes.
#[derive(Debug)]
pub struct Latency {
    /// Each ten minutes of the last day that had any calls, oldest first.
    pub slots: Vec<Slot>,
    /// The current ten minutes and the fifty before.
    pub last_hour: ByCall,
    /// All calls since the cache was last emptied.
    pub all: ByCall,
}

impl Engine {
    /// How long calls took.
    ///
    /// # Errors
    /// When the cache is out of reach.
    pub fn latency(&self) -> Result<Latency> {
        let process = self.process();
        self.tell_latency(&process);
        let last = now_us() / 1_000_000 / SLOT_SECONDS;
        let slots: Vec<i64> = (last - SLOTS + 1..=last).collect();
        let shard = process.cache.of_site();
        let (counted, all) = shard.with(|cache| latency::read(cache, &shard.keys, &slots))?;
        let mut last_hour = ByCall::new();
        for (call, counts) in counted.iter().rev().take(SLOTS_AN_HOUR).flatten() {
            last_hour.entry(*call).or_default().add(counts);
        }
        let slots = slots.into_iter().zip(counted).filter(|(_, calls)| !calls.is_empty());
        let slots = slots.map(|(slot, calls)| Slot { began: slot * SLOT_SECONDS, calls }).collect();
        Ok(Latency { slots, last_hour, all })
    }
}

//! How long the journal's replicas are waited for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::servers::redis::replicas::Replicas;

/// After replicas came too late, they are hardly waited for, for so long.
const PAUSE: Duration = Duration::from_secs(1);
/// The part of the journal's timeout for which they are waited for: MariaDB takes the entry then,
/// while a student waits.
const PART: u32 = 3;
/// As long as replicas that follow need at most.
const HARDLY: Duration = Duration::from_millis(1);

/// When a process last found that replicas lacked what it had written.
#[derive(Default)]
pub(crate) struct LateReplicas(Mutex<Option<Instant>>);

impl LateReplicas {
    /// Replicas had what was written in time, or had it not.
    pub(crate) fn note(&self, were_in_time: bool) {
        if !were_in_time {
            lock(&self.0).get_or_insert_with(Instant::now);
        }
    }

    /// What is asked of so many replicas of a journal with this timeout. One caller a second waits
    /// for the whole time.
    pub(super) fn asked(&self, count: u32, timeout: Duration) -> Replicas {
        if count == 0 {
            return Replicas::NONE;
        }
        let mut late_at = lock(&self.0);
        if late_at.is_some_and(|late| late.elapsed() < PAUSE) {
            return Replicas { count, patience: HARDLY };
        }
        *late_at = None;
        Replicas { count, patience: HARDLY.max(timeout / PART) }
    }
}

//! How long to wait for the journal's replicas.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::servers::redis::replicas::Replicas;

/// After replicas were late, waits are short for this long.
const PAUSE: Duration = Duration::from_secs(1);
/// The part of the journal's timeout to wait for them, as a divisor. Then MariaDB takes the entry,
/// while the student still waits.
const PART: u32 = 3;
/// How long replicas that keep up need at most.
const HARDLY: Duration = Duration::from_millis(1);

/// When this process last found that replicas lacked its entries.
#[derive(Default)]
pub(crate) struct LateReplicas(Mutex<Option<Instant>>);

impl LateReplicas {
    /// Notes whether replicas had an entry in time.
    pub(crate) fn note(&self, were_in_time: bool) {
        if !were_in_time {
            lock(&self.0).get_or_insert_with(Instant::now);
        }
    }

    /// What to require of this many replicas of a journal with this timeout. One caller a second
    /// waits for the whole time.
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

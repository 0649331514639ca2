//! How long the journal's replicas are waited for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::engine::{Engine, Process};
use crate::lock::lock;
use crate::servers::pool::Connect;
use crate::servers::redis::replication::Replicas;

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

    /// How long replicas are waited for now. One caller a second waits for the whole time.
    fn patience(&self, longest: Duration) -> Duration {
        let mut late_at = lock(&self.0);
        if late_at.is_some_and(|late| late.elapsed() < PAUSE) {
            return HARDLY;
        }
        *late_at = None;
        longest
    }
}

impl Engine {
    /// The replicas of the journal that must have an entry before it counts as kept there.
    pub(crate) fn replicas(&self, process: &Process) -> Replicas {
        let count = self.settings.journal_replicas;
        if count == 0 {
            return Replicas::NONE;
        }
        let longest = self.settings.journal.patience() / PART;
        Replicas { count, patience: process.replicas.patience(longest.max(HARDLY)) }
    }
}

//! Answers that wait too long: the job of their drain was lost or did not finish, or they are in
//! `memora_journal`, for which no drain is queued. The scheduler drains them each minute; if it
//! does not run, the next call of any student notices.

use std::time::{Duration, Instant};

use super::drain_request::queue_drain;
use crate::engine::{Engine, Process};
use crate::error::Server;
use crate::lock::lock;

/// The shortest time between a process's checks, each of which is one round trip to the journal.
const PAUSE: Duration = Duration::from_secs(20);
/// How long answers may wait: the scheduler drains each minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Engine {
    /// Checks now and then whether answers have waited for a minute. One caller a minute requests a
    /// drain.
    pub(crate) fn notice_overdue(&self, process: &Process) {
        let is_time = {
            let mut looked_at = lock(&process.overdue_looked_at);
            let is_time = looked_at.is_none_or(|looked| looked.elapsed() >= PAUSE);
            if is_time {
                *looked_at = Some(Instant::now());
            }
            is_time
        };
        if !is_time {
            return;
        }
        let keys = &self.settings.keys;
        let looked = process
            .journal
            .with(|journal| self.journal_scripts.claim_overdue(journal, keys, LONGEST_WAIT));
        if looked.is_ok() {
            self.notice_recovery(process, Server::Journal);
        }
        if looked.is_err() || process.outages.is_noticed(Server::Journal) {
            // Entries that this process keeps in `memora_journal` meanwhile wait for the end of the
            // outage.
            *lock(&process.overdue_looked_at) = None;
        }
        queue_drain(process, looked);
    }
}

//! Requests a drain: one caller does it for all.

use crate::engine::outages::OutageNews;
use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::servers::redis::journal;

impl Engine {
    /// Requests a drain for entries that this process kept in `memora_journal` while the journal
    /// was down.
    pub(crate) fn request_drain(&self, process: &Process) {
        let keys = &self.settings.keys;
        queue_drain(process, process.journal.with(|journal| journal::claim_drain(journal, keys)));
    }
}

/// Requests a drain, unless another caller has.
pub(crate) fn queue_drain(process: &Process, is_claimed: Result<bool>) {
    match is_claimed {
        Ok(true) => process.outages.tell(OutageNews::DrainIsOverdue),
        Ok(false) => {}
        Err(error) => log::debug!("whether answers wait is unknown: {error}"),
    }
}

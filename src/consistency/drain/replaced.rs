//! Detects that the journal is not the one that the last drain met.

use crate::engine::outages::OutageNews;
use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::servers::mariadb::journal::{self as kept, MetRun};
use crate::servers::redis::clock;
use crate::servers::redis::journal::{self, kept_at_us, place};

/// The tolerance for uptimes, which servers report in whole seconds, read at different moments.
const ROUNDING_US: i64 = 2_000_000;

impl Engine {
    /// Checks whether the journal's Redis is the one that the last drain met. A server that was
    /// restarted or restored may have lost acknowledged answers. So may a replica that was
    /// promoted, if submissions do not wait for replicas.
    pub(super) fn notice_replaced_journal(&self, process: &Process) -> Result<()> {
        // Read first: what another drain sees after this is newer, and is no sign of a loss.
        let known = process.drain.with(kept::last_run)?;
        let met = process.journal.with(|journal| {
            let newest = journal::newest_id(journal, &self.settings.keys)?;
            let run_id = journal.run_id.clone();
            if known.as_ref().is_some_and(|met| met.run_id == run_id && met.last_id == newest) {
                return Ok(None);
            }
            Ok(Some((run_id, newest, journal::uptime_us(journal)?)))
        })?;
        let Some((run_id, newest, uptime_us)) = met else { return Ok(()) };
        let is_first = process
            .drain
            .with(|database| kept::remember_run(database, known.as_ref(), &run_id, &newest))?;
        let Some(MetRun { run_id: old_run, last_id: old_id, age_us }) = known else {
            return Ok(());
        };
        let is_older = place(&newest) < place(&old_id);
        // It was up, as a replica, when the last drain ran; what it lacked was kept in MariaDB.
        let has_followed = uptime_us - ROUNDING_US > age_us && self.settings.journal_replicas > 0;
        if is_first && (old_run != run_id && !has_followed || is_older) {
            if is_older {
                log::error!(
                    "the journal came back older: answers that it had acknowledged are gone from it"
                );
            } else {
                log::warn!(
                    "the journal was restarted, or is another server: it may have lost its last \
                     answers"
                );
            }
            // An empty journal has lost what came after the last entry that was met.
            let last = kept_at_us(if newest.is_empty() { &old_id } else { &newest });
            let age_us = match last {
                0 => 0,
                last => process.journal.with(clock::now_us)? - last,
            };
            process.drain.with(|database| kept::note_loss(database, age_us))?;
            process.outages.tell(OutageNews::JournalReplaced(is_older));
        }
        Ok(())
    }
}

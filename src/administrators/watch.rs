//! The checks that the scheduler runs each minute, for sites without calls.

use crate::engine::outages::OutageNews;
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::servers::mariadb::outages;

/// Answers that have waited for this many seconds are reported: usually they are written within a
/// minute.
const OLD_BACKLOG_SECONDS: u64 = 300;

impl Engine {
    /// Checks whether cache and journal answer, and notes outages and recoveries.
    pub fn check_outages(&self) {
        let process = self.process();
        let journal = process.journal.with(|journal| journal.ping());
        for (server, answer) in [(Server::Cache, process.cache.ping()), (Server::Journal, journal)]
        {
            match answer {
                Ok(()) => self.note_recovery(&process, server),
                Err(_) => self.note_outage(&process, server),
            }
        }
        if let Err(error) = self.check_several(&process) {
            log::debug!("whether hosts use different servers is unknown: {error}");
        }
        if let Err(error) = self.check_backlog(&process) {
            log::debug!("how long answers have waited is unknown: {error}");
        }
    }

    /// Notifies administrators when answers wait too long.
    fn check_backlog(&self, process: &Process) -> Result<()> {
        let seconds = self.journal_status()?.oldest_age_seconds;
        // A number of seconds, rounded down.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let seconds = seconds as u64;
        process.database.with(|database| {
            if seconds < OLD_BACKLOG_SECONDS {
                return outages::end_named(database, outages::BACKLOG);
            }
            if outages::see_named(database, outages::BACKLOG)? {
                log::error!(
                    "answers have waited for {seconds} seconds to be written: see SHOW PROCESSLIST \
                     and the workers of the queue"
                );
                process.outages.tell(OutageNews::BacklogIsOld(seconds));
            }
            Ok(())
        })
    }
}

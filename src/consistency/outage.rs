//! Outages of cache and journal: administrators are notified once when one begins and once when it
//! ends.
//!
//! All processes see an outage; MariaDB records which process saw it first, and which saw its end.
//! A process asks MariaDB at most once a second, and never while all servers answer.

use std::sync::atomic::Ordering;

use crate::engine::outages::OutageNews;
use crate::engine::{Engine, Process};
use crate::error::{Error, Server};
use crate::servers::mariadb::outages::{self, Ending};

/// An order that is ahead of the clock by more than this is reported.
const MOST_SECONDS_AHEAD: u64 = 60;

impl Engine {
    /// Notes that cache or journal could not be used. Logs the cause once per outage. A lack of
    /// free connections is no outage.
    pub(crate) fn notice_outage(&self, process: &Process, server: Server, cause: &Error) {
        if !cause.is_failure_of(server) {
            return;
        }
        let noticed = process.outages.noticed(server);
        if !noticed.is_noticed.swap(true, Ordering::AcqRel) {
            log::error!("{cause}");
        }
        if noticed.is_time() {
            self.note_outage(process, server);
        }
    }

    /// Notes that a student's newest answer is this many seconds ahead of the clock: a host's clock
    /// was wrong, or is.
    pub(crate) fn notice_clock(&self, process: &Process, player: &str, seconds_ahead: u64) {
        if seconds_ahead <= MOST_SECONDS_AHEAD || !process.outages.clock.is_time() {
            return;
        }
        let name = format!(
            "the newest answer of {player} is {seconds_ahead} seconds ahead of the clock: check \
             the clocks of all hosts, then run: bench --site SITE memora mend-clock"
        );
        log::warn!("{name}");
        match process.database.with(|database| outages::see_named(database, outages::CLOCK)) {
            Ok(true) => process.outages.tell(OutageNews::ClockAhead(seconds_ahead)),
            Ok(false) => {}
            Err(error) => log::debug!("{name}: the event could not be noted: {error}"),
        }
    }

    /// Notes that cache or journal answered.
    pub(crate) fn notice_recovery(&self, process: &Process, server: Server) {
        let noticed = process.outages.noticed(server);
        let is_noticed = noticed.is_noticed.load(Ordering::Acquire);
        // Another node of the cluster may be down.
        let is_there = || server != Server::Cache || !process.cache.is_down();
        if is_noticed && is_there() && noticed.is_time() {
            self.note_recovery(process, server);
        }
    }

    /// The news for administrators that this process must report.
    pub fn outage_news(&self) -> Vec<OutageNews> {
        self.process().outages.take_news()
    }

    pub(crate) fn note_outage(&self, process: &Process, server: Server) {
        match process.database.with(|database| outages::see(database, server)) {
            Ok(true) => {
                process.outages.tell(OutageNews::Began(server));
            }
            Ok(false) => {}
            Err(error) => log::debug!("the outage of the {server} could not be noted: {error}"),
        }
    }

    pub(crate) fn note_recovery(&self, process: &Process, server: Server) {
        let ending = process.database.with(|database| outages::end(database, server));
        match ending {
            Ok(Ending::Ended(seconds)) => {
                log::warn!("the outage of the {server} is over after {seconds} s");
                process.outages.tell(OutageNews::Ended(server, seconds));
            }
            Ok(Ending::NoOutage) => {}
            Ok(Ending::TooEarly) => return,
            Err(error) => {
                log::debug!("the end of the outage of the {server} could not be noted: {error}");
                return;
            }
        }
        if process.outages.noticed(server).is_noticed.swap(false, Ordering::AcqRel)
            && server == Server::Journal
        {
            self.request_drain(process);
        }
    }
}

//! Outages of cache and journal: told to administrators once when they begin and once when they
//! end.
//!
//! All processes see an outage; MariaDB knows which one saw it first, and which one saw its end. A
//! process looks there at most once a second, and not at all while nothing is amiss.

use std::sync::atomic::Ordering;

use crate::engine::outages::OutageNews;
use crate::engine::{Engine, Process};
use crate::error::{Error, Server};
use crate::servers::mariadb::outages::{self, Ending};

/// An order that is further ahead of the clock is told.
const MOST_SECONDS_AHEAD: u64 = 60;

impl Engine {
    /// Cache or journal could not be used. The cause is logged once an outage. That this process
    /// has no connection free is none.
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

    /// A student's newest answer is ahead of the clock by so many seconds: a host's clock was
    /// wrong, or is.
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
            Err(error) => log::debug!("{name}: this could not be noted: {error}"),
        }
    }

    /// Cache or journal answered.
    pub(crate) fn notice_recovery(&self, process: &Process, server: Server) {
        let noticed = process.outages.noticed(server);
        let is_noticed = noticed.is_noticed.load(Ordering::Acquire);
        // Another node of the cluster may be the one that is away.
        let is_there = || server != Server::Cache || !process.cache.is_away();
        if is_noticed && is_there() && noticed.is_time() {
            self.note_recovery(process, server);
        }
    }

    /// What administrators were not told yet. This process is the one that must tell them.
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

//! Outages of cache and journal: told to administrators once when they begin and once when they
//! end.
//!
//! All processes see an outage; MariaDB knows which one saw it first, and which one saw its end. A
//! process looks there at most once a second, and not at all while nothing is amiss.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::engine::{Engine, Process, lock};
use crate::error::{Error, Result, Server};
use crate::mariadb::outages::{self, Ending};

/// Answers that have waited for so many seconds are told: they are written within a minute, as a
/// rule.
const OLD_BACKLOG_SECONDS: u64 = 300;
/// An order that is further ahead of the clock is told.
const MOST_SECONDS_AHEAD: u64 = 60;
/// A process notes an outage at most this often.
const PAUSE: Duration = Duration::from_secs(1);

/// Something that administrators want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageNews {
    /// The server is out of reach.
    Began(Server),
    /// The server answers again, after so many seconds.
    Ended(Server, u64),
    /// Answers bear an order that is so many seconds ahead of the clock.
    ClockAhead(u64),
    /// Answers have waited for so many seconds to be written to the table.
    BacklogIsOld(u64),
    /// Answers wait, and nobody writes them: a drain is to be queued.
    DrainIsOverdue,
    /// The journal's Redis is another run than before. It may have lost answers; true: it surely
    /// has.
    JournalReplaced(bool),
}

/// What a process knows of the outage of one server.
#[derive(Default)]
struct Watch {
    is_noticed: AtomicBool,
    noted_at: Mutex<Option<Instant>>,
}

impl Watch {
    /// Whether it is time to ask MariaDB; the caller then does.
    fn is_time(&self) -> bool {
        let mut noted_at = lock(&self.noted_at);
        let is_time = noted_at.is_none_or(|noted| noted.elapsed() >= PAUSE);
        if is_time {
            *noted_at = Some(Instant::now());
        }
        is_time
    }
}

/// What a process knows of outages.
#[derive(Default)]
pub struct Outages {
    cache: Watch,
    journal: Watch,
    clock: Watch,
    has_news: AtomicBool,
    news: Mutex<Vec<OutageNews>>,
}

impl Outages {
    fn watch(&self, server: Server) -> &Watch {
        if server == Server::Cache { &self.cache } else { &self.journal }
    }

    /// Whether this process has seen an outage whose end it has not seen.
    pub(crate) fn is_noticed(&self, server: Server) -> bool {
        self.watch(server).is_noticed.load(Ordering::Acquire)
    }

    pub(crate) fn tell(&self, news: OutageNews) {
        lock(&self.news).push(news);
        self.has_news.store(true, Ordering::Release);
    }
}

impl Engine {
    /// Cache or journal could not be used. The cause is logged once an outage.
    pub(crate) fn notice_outage(&self, process: &Process, server: Server, cause: &Error) {
        let watch = process.outages.watch(server);
        if !watch.is_noticed.swap(true, Ordering::AcqRel) {
            log::error!("{cause}");
        }
        if watch.is_time() {
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
            "the newest answer of {player} is {seconds_ahead} seconds ahead of the clock: see that \
             the clocks of all hosts \
             are right, then run bench memora mend-clock"
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
        let watch = process.outages.watch(server);
        if watch.is_noticed.load(Ordering::Acquire) && watch.is_time() {
            self.note_recovery(process, server);
        }
    }

    /// Looks whether cache and journal answer, and notes it. For sites where nobody calls.
    pub fn check_outages(&self) {
        let process = self.process();
        for (server, pool) in [(Server::Cache, &process.cache), (Server::Journal, &process.journal)]
        {
            match pool.with(|connection| connection.ping()) {
                Ok(()) => self.note_recovery(&process, server),
                Err(_) => self.note_outage(&process, server),
            }
        }
        if let Err(error) = self.check_backlog(&process) {
            log::debug!("nobody can tell how long answers have waited: {error}");
        }
    }

    /// Has administrators told when answers wait for too long.
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
                     and the \
                    workers of the queue"
                );
                process.outages.tell(OutageNews::BacklogIsOld(seconds));
            }
            Ok(())
        })
    }

    /// What administrators were not told yet. This process is the one that has to tell them.
    pub fn outage_news(&self) -> Vec<OutageNews> {
        let process = self.process();
        if !process.outages.has_news.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *lock(&process.outages.news))
    }

    fn note_outage(&self, process: &Process, server: Server) {
        match process.database.with(|database| outages::see(database, server)) {
            Ok(true) => {
                process.outages.tell(OutageNews::Began(server));
            }
            Ok(false) => {}
            Err(error) => log::debug!("the outage of the {server} could not be noted: {error}"),
        }
    }

    fn note_recovery(&self, process: &Process, server: Server) {
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
        if process.outages.watch(server).is_noticed.swap(false, Ordering::AcqRel)
            && server == Server::Journal
        {
            self.want_drain(process);
        }
    }
}

//! What a process knows of outages, and what it has not reported yet.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::Server;
use crate::lock::lock;

/// A process notes an outage at most this often.
const PAUSE: Duration = Duration::from_secs(1);

/// News for administrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageNews {
    /// The server cannot be reached.
    Began(Server),
    /// The server answers again, after this many seconds.
    Ended(Server, u64),
    /// Hosts use different servers side by side.
    Several(Server),
    /// Answers have an order that is this many seconds ahead of the clock.
    ClockAhead(u64),
    /// Answers have waited this many seconds to be written to the table.
    BacklogIsOld(u64),
    /// Answers wait, and no drain writes them: one must be queued.
    DrainIsOverdue,
    /// The journal's Redis is another run than before. It may have lost answers; true: it certainly
    /// has.
    JournalReplaced(bool),
    /// The database lacked this many submissions that had been written to it, and has them again.
    WrittenAgain(usize),
}

/// What a process knows of the outage of one server.
#[derive(Default)]
pub(crate) struct Noticed {
    pub(crate) is_noticed: AtomicBool,
    noted_at: Mutex<Option<Instant>>,
}

impl Noticed {
    /// Whether it is time for the caller to ask MariaDB.
    pub(crate) fn is_time(&self) -> bool {
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
    cache: Noticed,
    journal: Noticed,
    pub(crate) clock: Noticed,
    has_news: AtomicBool,
    news: Mutex<Vec<OutageNews>>,
}

impl Outages {
    pub(crate) fn noticed(&self, server: Server) -> &Noticed {
        if server == Server::Cache { &self.cache } else { &self.journal }
    }

    /// Whether this process has seen an outage whose end it has not seen.
    pub(crate) fn is_noticed(&self, server: Server) -> bool {
        self.noticed(server).is_noticed.load(Ordering::Acquire)
    }

    pub(crate) fn tell(&self, news: OutageNews) {
        lock(&self.news).push(news);
        self.has_news.store(true, Ordering::Release);
    }

    /// What was not reported yet.
    pub(crate) fn take_news(&self) -> Vec<OutageNews> {
        if !self.has_news.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *lock(&self.news))
    }
}

//! What a process knows of outages, and what it has not told yet.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::Server;
use crate::lock::lock;

/// A process notes an outage at most this often.
const PAUSE: Duration = Duration::from_secs(1);

/// Something that administrators want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageNews {
    /// The server is out of reach.
    Began(Server),
    /// The server answers again, after so many seconds.
    Ended(Server, u64),
    /// Hosts use different servers side by side.
    Several(Server),
    /// Answers bear an order that is so many seconds ahead of the clock.
    ClockAhead(u64),
    /// Answers have waited for so many seconds to be written to the table.
    BacklogIsOld(u64),
    /// Answers wait, and nobody writes them: a drain is to be queued.
    DrainIsOverdue,
    /// The journal's Redis is another run than before. It may have lost answers; true: it surely
    /// has.
    JournalReplaced(bool),
    /// The database lacked so many submissions that had been written to it, and has them again.
    WrittenAgain(usize),
}

/// What a process knows of the outage of one server.
#[derive(Default)]
pub(crate) struct Noticed {
    pub(crate) is_noticed: AtomicBool,
    noted_at: Mutex<Option<Instant>>,
}

impl Noticed {
    /// Whether it is time to ask MariaDB; the caller then does.
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

    /// What was not told yet.
    pub(crate) fn take_news(&self) -> Vec<OutageNews> {
        if !self.has_news.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *lock(&self.news))
    }
}

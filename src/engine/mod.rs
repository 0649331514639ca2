//! One site's engine: its connections, and what this process remembers.
//!
//! Frappe's web server and its workers fork. Everything that must not be used on both sides of a
//! fork is in `Process`, of which each process has its own; it leaks the inherited one, so that
//! no socket is shared and no lock from before the fork is touched.

pub mod active_season;
pub mod cache;
mod late_replicas;
mod latency;
pub mod outages;
mod process;
pub mod refusals;
pub mod settings;
pub mod threads;

use std::sync::Arc;

pub(crate) use self::process::Process;
use self::settings::Settings;
use crate::per_process::PerProcess;
use crate::servers::pool::Connect;
use crate::servers::redis::cache::CacheScripts;
use crate::servers::redis::journal::JournalScripts;
use crate::servers::redis::replicas::Replicas;
use crate::servers::redis::written::WrittenScripts;

/// One site's engine. Cheap to make: it connects on first use.
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) cache_scripts: CacheScripts,
    pub(crate) journal_scripts: JournalScripts,
    pub(crate) written_scripts: WrittenScripts,
    process: PerProcess<Process>,
}

impl Engine {
    /// An engine for these settings.
    pub fn new(settings: Settings) -> Engine {
        let process = PerProcess::new(Process::new(&settings));
        Engine {
            settings,
            cache_scripts: CacheScripts::default(),
            journal_scripts: JournalScripts::default(),
            written_scripts: WrittenScripts::default(),
            process,
        }
    }

    /// Closes all connections of this process that are not in use. Otherwise MariaDB logs them as
    /// aborted connections when the process ends.
    pub fn close(&self) {
        let process = self.process();
        process.cache.close();
        process.journal.close();
        if let Some(sessions) = &process.sessions {
            sessions.close();
        }
        for database in [&process.database, &process.background, &process.look, &process.drain] {
            database.close();
        }
    }

    /// What belongs to the calling process.
    pub(crate) fn process(&self) -> Arc<Process> {
        self.process.get(|| Process::new(&self.settings))
    }

    /// The replicas of the journal that must have an entry before it counts as kept there.
    pub(crate) fn replicas(&self, process: &Process) -> Replicas {
        let timeout = self.settings.journal.patience();
        process.replicas.asked(self.settings.journal_replicas, timeout)
    }
}

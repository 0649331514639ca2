//! One site's engine: its connections, and what this process remembers.
//!
//! Frappe's web server and its workers fork. Everything that must not be used on both sides of a
//! fork is in [`Process`], which knows the process that it belongs to; another process makes its
//! own and leaks the inherited one, so that no socket is shared and no lock from before the fork is
//! touched.

pub mod active_season;
pub mod cache;
mod late_replicas;
pub mod outages;
mod process;
pub mod refusals;
pub mod settings;
pub mod threads;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub(crate) use self::process::Process;
use self::settings::Settings;
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
    process: ArcSwap<Process>,
}

impl Engine {
    /// An engine for these settings.
    pub fn new(settings: Settings) -> Engine {
        let process = ArcSwap::from_pointee(Process::new(&settings));
        Engine {
            settings,
            cache_scripts: CacheScripts::default(),
            journal_scripts: JournalScripts::default(),
            written_scripts: WrittenScripts::default(),
            process,
        }
    }

    /// Says goodbye on all connections of this process that are not in use. A process that ends
    /// without it leaves it to the servers to notice, which MariaDB logs as aborted connections.
    pub fn close(&self) {
        let process = self.process();
        process.cache.close();
        process.journal.close();
        for database in [&process.database, &process.background, &process.look, &process.drain] {
            database.close();
        }
    }

    /// What belongs to the process that asks.
    pub(crate) fn process(&self) -> Arc<Process> {
        let current = self.process.load();
        if current.id() == std::process::id() {
            return Arc::clone(&current);
        }
        let own = Arc::new(Process::new(&self.settings));
        let previous = self.process.compare_and_swap(&*current, Arc::clone(&own));
        if !Arc::ptr_eq(&previous, &current) {
            // Another thread of this process was first.
            return Arc::clone(&previous);
        }
        // Never dropped: dropping would say goodbye on sockets that the parent still uses.
        std::mem::forget(Arc::clone(&previous));
        own
    }

    /// The replicas of the journal that must have an entry before it counts as kept there.
    pub(crate) fn replicas(&self, process: &Process) -> Replicas {
        let timeout = self.settings.journal.patience();
        process.replicas.asked(self.settings.journal_replicas, timeout)
    }
}

impl Drop for Engine {
    /// A child that drops an inherited engine leaks its parent's part too, used or not.
    fn drop(&mut self) {
        let process = self.process.load_full();
        if process.id() != std::process::id() {
            std::mem::forget(process);
        }
    }
}

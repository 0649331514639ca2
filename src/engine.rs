//! One site's engine: its connections, and what this process remembers.
//!
//! Frappe's web server and its workers fork. Everything that must not be used on both sides of a
//! fork is in [`Process`], which knows the process that it belongs to; another process makes its
//! own and leaks the inherited one, so that no socket is shared and no lock from before the fork is
//! touched.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::belief::Sighting;
use crate::error::Server;
use crate::latency::Recorder;
use crate::mariadb::DatabaseServer;
use crate::outage::Outages;
use crate::pool::Pool;
use crate::redis::RedisServer;
use crate::redis::cache::CacheScripts;
use crate::redis::journal::JournalScripts;
use crate::safe_mode::Refusals;
use crate::season::ActiveSeason;
use crate::settings::Settings;

/// One site's engine. Cheap to make: it connects on first use.
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) cache_scripts: CacheScripts,
    pub(crate) journal_scripts: JournalScripts,
    process: ArcSwap<Process>,
}

/// What belongs to one process.
pub struct Process {
    id: u32,
    pub(crate) cache: Pool<RedisServer>,
    pub(crate) journal: Pool<RedisServer>,
    pub(crate) database: Pool<DatabaseServer>,
    pub(crate) background: Pool<DatabaseServer>,
    /// The connections of the look whether the cache may be believed: what hangs there holds up
    /// nothing else.
    pub(crate) look: Pool<DatabaseServer>,
    /// The background connections of the drain, which does not wait for locks.
    pub(crate) drain: Pool<DatabaseServer>,
    /// The confirmation of the cache that was seen last.
    pub(crate) cache_look: Mutex<Sighting>,
    /// When this process last looked whether the cache may be believed.
    pub(crate) looked_at: Mutex<Option<Instant>>,
    /// The look at MariaDB that the journal shared last.
    pub(crate) database_look: Mutex<Sighting>,
    /// When this process last looked whether answers wait for too long.
    pub(crate) overdue_looked_at: Mutex<Option<Instant>>,
    pub(crate) season: Mutex<Option<Arc<ActiveSeason>>>,
    pub(crate) refusals: Mutex<Refusals>,
    pub(crate) outages: Outages,
    pub(crate) latency: Recorder,
    tokens: AtomicU64,
    seed: RandomState,
}

impl Engine {
    /// An engine for these settings.
    pub fn new(settings: Settings) -> Engine {
        let process = ArcSwap::from_pointee(Process::new(&settings));
        Engine {
            settings,
            cache_scripts: CacheScripts::default(),
            journal_scripts: JournalScripts::default(),
            process,
        }
    }

    /// Says goodbye on all connections of this process that are not in use. A process that ends
    /// without it leaves it to the servers to notice, which MariaDB logs as aborted connections.
    pub fn close(&self) {
        let process = self.process();
        for redis in [&process.cache, &process.journal] {
            redis.close();
        }
        for database in [&process.database, &process.background, &process.look, &process.drain] {
            database.close();
        }
    }

    /// What belongs to the process that asks.
    pub(crate) fn process(&self) -> Arc<Process> {
        let current = self.process.load();
        if current.id == std::process::id() {
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
}

impl Drop for Engine {
    /// A child that drops an inherited engine leaks its parent's part too, used or not.
    fn drop(&mut self) {
        let process = self.process.load_full();
        if process.id != std::process::id() {
            std::mem::forget(process);
        }
    }
}

impl Process {
    fn new(settings: &Settings) -> Process {
        Process {
            id: std::process::id(),
            cache: Pool::new(Server::Cache, settings.cache.clone()),
            journal: Pool::new(Server::Journal, settings.journal.clone()),
            database: Pool::new(Server::Database, settings.database.clone()),
            background: Pool::new(Server::Database, settings.background.clone()),
            look: Pool::new(Server::Database, settings.look.clone()),
            drain: Pool::new(Server::Database, settings.drain.clone()),
            cache_look: Mutex::default(),
            looked_at: Mutex::default(),
            database_look: Mutex::default(),
            overdue_looked_at: Mutex::default(),
            season: Mutex::default(),
            refusals: Mutex::default(),
            outages: Outages::default(),
            latency: Recorder::default(),
            tokens: AtomicU64::new(0),
            seed: RandomState::new(),
        }
    }

    /// A text that no other call, process or machine makes.
    pub(crate) fn token(&self) -> String {
        format!("{:x}-{:016x}", crate::clock::now_us(), self.random())
    }

    /// Any number. Forked processes share the seed, those in containers the id: so time, id and
    /// count are in it, too.
    pub(crate) fn random(&self) -> u64 {
        let count = self.tokens.fetch_add(1, Ordering::Relaxed);
        self.seed.hash_one((crate::clock::now_us(), self.id, count))
    }

    /// A number that was no generation yet: so large that the cache keeps it exactly, and never
    /// used twice.
    pub(crate) fn random_generation(&self) -> u64 {
        self.random() >> 12 | 1 << 51
    }
}

/// Locks what a panic elsewhere cannot have left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What belongs to one process: nothing of it survives a fork.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::active_season::ActiveSeason;
use super::outages::Outages;
use super::refusals::Refusals;
use super::settings::Settings;
use crate::error::Server;
use crate::rules::belief::Sighting;
use crate::rules::latency::Recorder;
use crate::servers::mariadb::DatabaseServer;
use crate::servers::pool::Pool;
use crate::servers::redis::RedisServer;

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

impl Process {
    pub(crate) fn new(settings: &Settings) -> Process {
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

    /// The process that it belongs to.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// A text that no other call, process or machine makes.
    pub(crate) fn token(&self) -> String {
        format!("{:x}-{:016x}", crate::rules::clock::now_us(), self.random())
    }

    /// Any number. Forked processes share the seed, those in containers the id: so time, id and
    /// count are in it, too.
    pub(crate) fn random(&self) -> u64 {
        let count = self.tokens.fetch_add(1, Ordering::Relaxed);
        self.seed.hash_one((crate::rules::clock::now_us(), self.id, count))
    }

    /// A number that was no generation yet: so large that the cache keeps it exactly, and never
    /// used twice.
    pub(crate) fn random_generation(&self) -> u64 {
        self.random() >> 12 | 1 << 51
    }
}

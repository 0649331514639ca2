//! What belongs to one process: nothing of it survives a fork.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use uuid::{NoContext, Timestamp, Uuid};

use super::cache::Cache;
use super::late_replicas::LateReplicas;
use super::outages::Outages;
use super::refusals::Refusals;
use super::settings::Settings;
use crate::error::Server;
use crate::lock::lock;
use crate::rules::clock::now_us;
use crate::rules::hidden::Retired;
use crate::rules::latency::Recorder;
use crate::rules::registration::{Challenge, Reached};
use crate::servers::mariadb::connect::DatabaseServer;
use crate::servers::pool::Pool;
use crate::servers::redis::RedisServer;

/// What belongs to one process.
pub struct Process {
    pub(crate) cache: Cache,
    /// Frappe's cache, which has its sessions.
    pub(crate) sessions: Option<Pool<RedisServer>>,
    pub(crate) journal: Pool<RedisServer>,
    pub(crate) database: Pool<DatabaseServer>,
    pub(crate) background: Pool<DatabaseServer>,
    /// The connections for looks at whether the cache may be believed: if they hang, nothing else
    /// waits.
    pub(crate) look: Pool<DatabaseServer>,
    /// The background connections of the drain, which does not wait for locks.
    pub(crate) drain: Pool<DatabaseServer>,
    /// Whether the run of the journal that it reaches is registered, and the last challenge that it
    /// saw.
    pub(crate) journal_reached: Mutex<Reached>,
    pub(crate) journal_challenge: Mutex<Challenge>,
    /// When this process last looked whether answers wait for too long.
    pub(crate) overdue_looked_at: Mutex<Option<Instant>>,
    pub(crate) refusals: Mutex<Refusals>,
    pub(crate) outages: Outages,
    pub(crate) replicas: LateReplicas,
    pub(crate) latency: Recorder,
    /// The site's retired questions, as this process last read them.
    pub(crate) retired: Mutex<Arc<Retired>>,
    random: Mutex<fastrand::Rng>,
}

impl Process {
    pub(crate) fn new(settings: &Settings) -> Process {
        let kept = |server: &DatabaseServer| {
            Pool::new(Server::Database, server.kept(settings.connection_idle_seconds))
        };
        let sessions = settings.frappe_cache.clone();
        Process {
            cache: Cache::new(settings),
            sessions: sessions.map(|server| Pool::new(Server::Cache, server)),
            journal: Pool::new(Server::Journal, settings.journal.clone()),
            database: kept(&settings.database),
            background: kept(&settings.background),
            look: kept(&settings.look),
            drain: kept(&settings.drain),
            journal_reached: Mutex::default(),
            journal_challenge: Mutex::default(),
            overdue_looked_at: Mutex::default(),
            refusals: Mutex::default(),
            outages: Outages::default(),
            replicas: LateReplicas::default(),
            latency: Recorder::default(),
            retired: Mutex::default(),
            random: Mutex::new(fastrand::Rng::with_seed(unique().as_u64_pair().1)),
        }
    }

    /// A text that is unique over calls, processes and machines: a UUID, which begins with the
    /// time.
    pub(crate) fn token(&self) -> String {
        unique().simple().to_string()
    }

    /// A random number. Its source is made for this process, from the system's randomness: a
    /// thread's own source would repeat its numbers after a fork.
    pub(crate) fn random(&self) -> u64 {
        lock(&self.random).u64(..)
    }

    /// A new generation: random, so never used twice, and one that the cache keeps exactly.
    pub(crate) fn random_generation(&self) -> u64 {
        self.random() >> 12 | 1 << 51
    }
}

/// A UUID of version 7. Uuid::now_v7 has a lock, which a fork could leave locked forever.
fn unique() -> Uuid {
    let now = now_us().unsigned_abs();
    let nanoseconds = u32::try_from(now % 1_000_000 * 1_000).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, now / 1_000_000, nanoseconds))
}

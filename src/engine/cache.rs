//! The cache as a process knows it: shards, each of them a cache by itself, with its own active
//! season, generation and confirmation. A student is in one of them. One Redis is one shard.

use std::sync::{Arc, Mutex};

use super::active_season::ActiveSeason;
use super::settings::Settings;
use crate::error::{Result, Server};
use crate::lock::lock;
use crate::rules::belief::Sighting;
use crate::servers::pool::Pool;
use crate::servers::redis::keys::Keys;
use crate::servers::redis::{RedisConnection, RedisServer, schedules};

/// The cache.
pub struct Cache {
    shards: Vec<Shard>,
    server: Arc<Pool<RedisServer>>,
}

/// A part of the cache: all keys of its students, and what tells whether they may be believed.
pub struct Shard {
    /// Its place among all.
    pub(crate) place: usize,
    /// The names of its keys.
    pub(crate) keys: Keys,
    server: Arc<Pool<RedisServer>>,
    /// The active season as it knows it.
    pub(crate) season: Mutex<Option<Arc<ActiveSeason>>>,
    /// Its confirmation that was seen last.
    pub(crate) confirmation: Mutex<Sighting>,
}

impl Cache {
    pub(super) fn new(settings: &Settings) -> Cache {
        let server = Arc::new(Pool::new(Server::Cache, settings.cache.clone()));
        let shard = Shard {
            place: 0,
            keys: settings.keys.clone(),
            server: Arc::clone(&server),
            season: Mutex::default(),
            confirmation: Mutex::default(),
        };
        Cache { shards: vec![shard], server }
    }

    /// The shard that a student is in.
    pub(crate) fn of(&self, _player: &str) -> &Shard {
        &self.shards[0]
    }

    /// The shard that has what is of the whole site: how long calls took.
    pub(crate) fn of_site(&self) -> &Shard {
        &self.shards[0]
    }

    /// All shards.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// What is asked for many students, by their shards; in each in the order given.
    pub(crate) fn by_shard<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        _player: impl Fn(&T) -> &str,
    ) -> Vec<(&Shard, Vec<T>)> {
        vec![(&self.shards[0], items.into_iter().collect())]
    }

    /// Does something with each shard, whatever becomes of the others. Returns the first error.
    pub(crate) fn in_each(&self, mut work: impl FnMut(&Shard) -> Result<()>) -> Result<()> {
        self.shards.iter().map(&mut work).fold(Ok(()), Result::and)
    }

    /// Drops the schedules of some students, players and seasons, of all that can be reached. True:
    /// there was something of one of them.
    pub(crate) fn drop_students<'a>(
        &self,
        students: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<bool> {
        let mut dropped = Ok(false);
        for (shard, students) in self.by_shard(students, |(player, _)| player) {
            let students = students.iter().copied();
            let here =
                shard.with(|cache| schedules::drop_students(cache, &shard.keys, students.clone()));
            dropped = dropped.and_then(|before| here.map(|here| before || here));
        }
        dropped
    }

    /// Forgets which season is active, in this process.
    pub(crate) fn forget_season(&self) {
        for shard in &self.shards {
            *lock(&shard.season) = None;
        }
    }

    /// Asks each server whether it is there.
    pub(crate) fn ping(&self) -> Result<()> {
        self.server.with(RedisConnection::ping)
    }

    /// Says goodbye on all connections that are not in use.
    pub(super) fn close(&self) {
        self.server.close();
    }

    /// The servers, each with a part of all keys.
    pub(crate) fn servers(&self) -> Vec<Arc<Pool<RedisServer>>> {
        vec![Arc::clone(&self.server)]
    }
}

impl Shard {
    /// Runs `work` on a connection to the server that has this shard. As [`Pool::with`].
    pub(crate) fn with<T>(&self, work: impl FnMut(&mut RedisConnection) -> Result<T>) -> Result<T> {
        self.server.with(work)
    }
}

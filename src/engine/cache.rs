//! The cache as a process knows it: shards, each a cache of its own, with its own active season,
//! generation and confirmation. All seasons of a student are in one shard. One Redis is one shard;
//! a Redis Cluster has [`SHARDS`], each with all its keys in one slot.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::active_season::ActiveSeason;
use super::settings::Settings;
use crate::error::Result;
use crate::lock::lock;
use crate::rules::belief::Sighting;
use crate::rules::registration::{Challenge, Reached};
use crate::rules::shard::{SHARDS, shard_of, slot_of, tag};
use crate::servers::redis::keys::Keys;
use crate::servers::redis::node::Node;
use crate::servers::redis::nodes::{Nodes, Servers};
use crate::servers::redis::{RedisConnection, schedules};

/// The cache.
pub struct Cache {
    shards: Vec<Shard>,
    nodes: Arc<Nodes>,
}

/// A part of the cache: all keys of its students, and what shows whether they may be believed.
pub struct Shard {
    /// Its number.
    pub(crate) place: usize,
    /// The suffix of its keys in the journal: empty if there is only one shard.
    pub(crate) name: String,
    /// The names of its keys.
    pub(crate) keys: Keys,
    slot: u16,
    nodes: Arc<Nodes>,
    /// The active season as it knows it.
    pub(crate) season: Mutex<Option<Arc<ActiveSeason>>>,
    /// The confirmation that was seen last.
    pub(crate) confirmation: Mutex<Sighting>,
    /// This process's last look at whether it may be believed, and for which run.
    looked_at: Mutex<Option<(String, Instant)>>,
    /// The last look at MariaDB that the journal shared.
    pub(crate) database_look: Mutex<Sighting>,
    /// Whether the run that is reached is registered, and the last challenge that was seen.
    pub(crate) reached: Mutex<Reached>,
    pub(crate) challenge: Mutex<Challenge>,
}

impl Cache {
    pub(super) fn new(settings: &Settings) -> Cache {
        let nodes = Arc::new(Nodes::at(&settings.cache));
        let shard = |place, name, keys, slot| Shard {
            place,
            name,
            keys,
            slot,
            nodes: Arc::clone(&nodes),
            season: Mutex::default(),
            confirmation: Mutex::default(),
            looked_at: Mutex::default(),
            database_look: Mutex::default(),
            reached: Mutex::default(),
            challenge: Mutex::default(),
        };
        let site = settings.keys.site();
        let shards = match settings.cache {
            Servers::One(_) => vec![shard(0, String::new(), Keys::of_site(site), 0)],
            Servers::Cluster(..) => (0..SHARDS)
                .map(|place| {
                    let tag = tag(site, place);
                    let keys = Keys::of_shard(site, &tag);
                    shard(place, format!(":{place}"), keys, slot_of(&tag))
                })
                .collect(),
        };
        Cache { shards, nodes }
    }

    /// The shard that a student is in.
    pub(crate) fn of(&self, player: &str) -> &Shard {
        &self.shards[shard_of(player, self.shards.len())]
    }

    /// The shard with the data of the whole site: how long calls took.
    pub(crate) fn of_site(&self) -> &Shard {
        &self.shards[0]
    }

    /// All shards.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Groups many students by their shards, each group in the given order.
    pub(crate) fn by_shard<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        player: impl Fn(&T) -> &str,
    ) -> Vec<(&Shard, Vec<T>)> {
        let mut parts: Vec<(&Shard, Vec<T>)> =
            self.shards.iter().map(|shard| (shard, Vec::new())).collect();
        for item in items {
            parts[shard_of(player(&item), self.shards.len())].1.push(item);
        }
        parts.retain(|(_, items)| !items.is_empty());
        parts
    }

    /// Runs `work` on each shard, even if others fail. Returns the first error.
    pub(crate) fn in_each(&self, mut work: impl FnMut(&Shard) -> Result<()>) -> Result<()> {
        self.shards.iter().map(&mut work).fold(Ok(()), Result::and)
    }

    /// Drops schedules, given by player and season, in all shards that can be reached. True: one of
    /// them was cached, or was being loaded.
    pub(crate) fn drop_students<'a>(
        &self,
        students: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<bool> {
        let mut dropped = Ok(false);
        for (shard, students) in self.by_shard(students, |(player, _)| player) {
            let students = || students.iter().copied();
            let here = shard.with(|cache| schedules::drop_students(cache, &shard.keys, students()));
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

    /// The servers, each with a part of all keys.
    ///
    /// # Errors
    /// When no node of the cluster says which others there are.
    pub(crate) fn nodes(&self) -> Result<Vec<Arc<Node>>> {
        self.nodes.all()
    }

    /// Asks each server whether it answers.
    pub(crate) fn ping(&self) -> Result<()> {
        self.nodes()?.iter().map(|node| node.with(RedisConnection::ping)).fold(Ok(()), Result::and)
    }

    /// Whether a server counts as down.
    pub(crate) fn is_down(&self) -> bool {
        self.nodes.is_down()
    }

    /// Closes all connections that are not in use.
    pub(super) fn close(&self) {
        self.nodes.close();
    }
}

impl Shard {
    /// The name under which its run is registered.
    pub(crate) fn registered_as(&self) -> String {
        format!("cache{}", self.name)
    }

    /// Remembers when this process began to look whether a run of the shard may be believed.
    pub(crate) fn note_look(&self, run: String, began: Instant) {
        *lock(&self.looked_at) = Some((run, began));
    }

    /// How long this process's last look at a run serves: for a lease, like a confirmation.
    pub(crate) fn believed_until(&self, run: &str, lease: Duration) -> Option<Instant> {
        let looked_at = lock(&self.looked_at);
        let (_, began) = looked_at.as_ref().filter(|(looked_for, _)| looked_for == run)?;
        Some(*began + lease)
    }

    /// Runs `work` on a connection to the server that has this shard. As
    /// [`crate::servers::pool::Pool::with`].
    pub(crate) fn with<T>(&self, work: impl FnMut(&mut RedisConnection) -> Result<T>) -> Result<T> {
        self.nodes.with(self.slot, work)
    }
}

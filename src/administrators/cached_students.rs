//! The cached students of a season, over all shards and servers of the cache.

use std::sync::Arc;

use fastrand::Rng;

use crate::engine::Process;
use crate::engine::cache::Shard;
use crate::error::Result;
use crate::servers::redis::node::Node;
use crate::servers::redis::students;

/// How many students of a season are in the lists of all shards.
pub(crate) fn count(process: &Process, season: &str) -> Result<u64> {
    Ok(counts(process, season)?.iter().sum())
}

/// This many random students from the lists of all shards, each at most once; all if there are
/// fewer.
pub(crate) fn at_random(process: &Process, season: &str, most: usize) -> Result<Vec<String>> {
    let [shard] = process.cache.shards() else {
        let counts = counts(process, season)?;
        let all: u64 = counts.iter().sum();
        let mut drawn = Vec::new();
        for (shard, count) in process.cache.shards().iter().zip(counts).filter(|one| one.1 > 0) {
            let share = (most as u64).saturating_mul(count).div_ceil(all).min(count);
            drawn.extend(draw(shard, season, usize::try_from(share).unwrap_or(most))?);
        }
        // Removes at random what rounding up added.
        Rng::with_seed(process.random()).shuffle(&mut drawn);
        drawn.truncate(most);
        return Ok(drawn);
    };
    draw(shard, season, most)
}

fn draw(shard: &Shard, season: &str, most: usize) -> Result<Vec<String>> {
    shard.with(|cache| students::at_random(cache, &shard.keys, season, most))
}

fn counts(process: &Process, season: &str) -> Result<Vec<u64>> {
    let count = |shard: &Shard| shard.with(|cache| students::count(cache, &shard.keys, season));
    process.cache.shards().iter().map(count).collect()
}

/// A scan of all keys of all servers.
pub(crate) struct Scan {
    /// The remaining ones, in reverse order.
    nodes: Vec<Arc<Node>>,
    cursor: u64,
}

impl Scan {
    /// Before the first key.
    pub(crate) fn begin(process: &Process) -> Result<Scan> {
        Ok(Scan { nodes: process.cache.nodes()?, cursor: 0 })
    }

    /// The next students with anything cached, including those in no list. Some may come twice.
    pub(crate) fn next(&mut self, process: &Process, season: &str) -> Result<Option<Vec<String>>> {
        let keys = &process.cache.of_site().keys;
        while let Some(node) = self.nodes.last() {
            let players;
            (self.cursor, players) =
                node.with(|cache| students::scan(cache, keys, season, self.cursor))?;
            if self.cursor == 0 {
                self.nodes.pop();
            }
            if !players.is_empty() {
                return Ok(Some(players));
            }
        }
        Ok(None)
    }
}

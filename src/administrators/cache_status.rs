//! The health of the cache.

use crate::consistency::registration::several;
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::rules::clock::now_us;
use crate::servers::redis::memory;
use crate::servers::redis::nodes::Servers;
use crate::servers::redis::scan;
use crate::servers::redis::students::{self, SeasonCache};

/// How many students' memory is measured, for each season.
const WEIGHED: usize = 32;

/// The cache's Redis, and this site's part of it.
#[derive(Debug)]
pub struct CacheStatus {
    /// Whether it answers; otherwise all other fields are empty.
    pub is_reachable: bool,
    /// Whether reads come from MariaDB, because the cache does not answer, or cannot be checked for
    /// lost answers.
    pub is_safe_mode: bool,
    /// What is wrong.
    pub cause: Option<String>,
    /// Bytes that the whole server uses.
    pub memory_bytes: u64,
    /// Bytes that it may use; 0: no limit.
    pub memory_limit_bytes: u64,
    /// The server's `maxmemory-policy`.
    pub maxmemory_policy: String,
    /// What an administrator should change.
    pub warning: Option<String>,
    /// The seasons asked for, in their order.
    pub seasons: Vec<SeasonCache>,
}

impl Engine {
    /// The health of the cache, and what it has of some seasons. Takes the same few steps however
    /// many keys there are, including those of other programs.
    ///
    /// # Errors
    /// Only for faults: a cache that cannot be reached is part of the answer.
    pub fn cache_status(&self, seasons: &[String]) -> Result<CacheStatus> {
        let process = self.process();
        let mut status = CacheStatus {
            is_reachable: false,
            is_safe_mode: false,
            cause: None,
            memory_bytes: 0,
            memory_limit_bytes: 0,
            maxmemory_policy: String::new(),
            warning: None,
            seasons: Vec::new(),
        };
        let asked = self.ask_servers(&process, &mut status);
        let asked = asked.and_then(|()| self.ask_shards(&process, seasons, &mut status));
        match asked {
            Ok(()) => status.is_reachable = true,
            Err(error) if error.is_failure_of(Server::Cache) => {
                status.is_safe_mode = true;
                status.cause = Some(error.to_string());
            }
            Err(error) => return Err(error),
        }
        if self.are_several(&process, Server::Cache).unwrap_or(false) {
            status.warning = Some(several(Server::Cache));
        }
        Ok(status)
    }

    /// Memory, and whether other programs use the cache.
    fn ask_servers(&self, process: &Process, status: &mut CacheStatus) -> Result<()> {
        for node in process.cache.nodes()? {
            let asked = |cache: &mut _| Ok((memory::memory(cache)?, scan::stranger(cache)?));
            let (memory, stranger) = node.with(asked)?;
            status.memory_bytes += memory.used;
            status.memory_limit_bytes += memory.limit;
            status.maxmemory_policy = memory.policy;
            status.warning = stranger.map(|key| self.not_alone(&key)).or(status.warning.take());
        }
        Ok(())
    }

    /// The cached schedules of seasons.
    fn ask_shards(
        &self,
        process: &Process,
        seasons: &[String],
        status: &mut CacheStatus,
    ) -> Result<()> {
        let now = now_us() / 1_000_000;
        let weighed = (WEIGHED / process.cache.shards().len()).max(2);
        status.seasons = vec![SeasonCache::default(); seasons.len()];
        for shard in process.cache.shards() {
            let generation = match self.active_season(process, shard) {
                Ok(active) => Some(active.generation),
                Err(error) => {
                    status.is_safe_mode = true;
                    status.cause = Some(error.to_string());
                    None
                }
            };
            for (season, cached) in seasons.iter().zip(&mut status.seasons) {
                let here = shard.with(|cache| {
                    students::season_cache(cache, &shard.keys, season, generation, (now, weighed))
                })?;
                cached.students += here.students;
                cached.memory_bytes += here.memory_bytes;
            }
        }
        Ok(())
    }

    /// What to do about a database that other programs also use.
    fn not_alone(&self, key: &str) -> String {
        let shown: String = key.chars().take(60).collect();
        match &self.settings.cache {
            Servers::One(server) => format!(
                "Database {} of the cache's Redis has keys of other programs, such as {shown:?}: \
                 name a database of memora's own in srs_cache_url.",
                server.database()
            ),
            Servers::Cluster(..) => format!(
                "The cache's Redis Cluster has keys of other programs, such as {shown:?}: name a \
                 cluster of memora's own in srs_cache_cluster_nodes."
            ),
        }
    }
}

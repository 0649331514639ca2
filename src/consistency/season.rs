//! Which season is active. The cache remembers it, so that a warm read needs no SQL; each process
//! remembers the cache's answer, and every read checks it without an extra round trip.

use std::sync::Arc;

use crate::engine::active_season::ActiveSeason;
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::lock::lock;
use crate::rules::clock::now_us;
use crate::servers::mariadb::seasons;

/// Saving a season forgets it at once; this only bounds how long a missed one can stay.
const REMEMBERED_SECONDS: u64 = 300;
/// How often a season that changes meanwhile is looked up again.
const MOST_CHANGES: u32 = 20;

impl Engine {
    /// The active season that this process knows for a shard of the cache.
    pub(crate) fn active_season(
        &self,
        process: &Process,
        shard: &Shard,
    ) -> Result<Arc<ActiveSeason>> {
        let remembered = lock(&shard.season).clone();
        match remembered {
            Some(season) => Ok(season),
            None => self.load_season(process, shard),
        }
    }

    /// The active season that this process knows for each shard, in their order.
    pub(crate) fn active_seasons(&self, process: &Process) -> Result<Vec<Arc<ActiveSeason>>> {
        process.cache.shards().iter().map(|shard| self.active_season(process, shard)).collect()
    }

    /// A shard remembers another season than this process: take it over, or ask MariaDB.
    pub(crate) fn season_changed_to(
        &self,
        process: &Process,
        shard: &Shard,
        token: Option<String>,
    ) -> Result<()> {
        match token.as_deref().and_then(ActiveSeason::from_token) {
            Some(season) => *lock(&shard.season) = Some(Arc::new(season)),
            None => {
                self.load_season(process, shard)?;
            }
        }
        Ok(())
    }

    pub(crate) fn load_season(
        &self,
        process: &Process,
        shard: &Shard,
    ) -> Result<Arc<ActiveSeason>> {
        let (keys, scripts) = (&shard.keys, &self.cache_scripts);
        let mut found = self.season_from_database(process)?;
        for _ in 0..MOST_CHANGES {
            let unused = process.random_generation();
            let (generation, run_id) = shard.with(|cache| {
                Ok((scripts.generation(cache, keys, unused)?, cache.run_id.clone()))
            })?;
            let season = Arc::new(ActiveSeason::new(generation, &run_id, found.clone()));
            let is_remembered = shard.with(|cache| {
                let known = (generation, run_id.as_str());
                scripts.remember_season(cache, keys, known, &season.token, REMEMBERED_SECONDS)
            })?;
            // A process that changes the season makes the cache forget it after its commit. If that
            // happened between reading MariaDB and telling the cache, the change is visible now.
            let now = self.season_from_database(process)?;
            if is_remembered && now == found {
                *lock(&shard.season) = Some(Arc::clone(&season));
                return Ok(season);
            }
            found = now;
        }
        Err(Error::Unavailable {
            server: Server::Cache,
            cause: "the active season changes faster than it can be looked up".to_owned(),
            answered: false,
        })
    }

    /// The active season's name and whether it uses the cache, from MariaDB.
    pub(crate) fn season_from_database(&self, process: &Process) -> Result<Option<(String, bool)>> {
        let today = self.settings.zone.day(now_us() / 1_000_000).to_string();
        process.database.with(|database| seasons::active(database, &today))
    }
}

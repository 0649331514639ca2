//! Which season is active. The cache remembers it, so that a warm read needs no SQL. Each process
//! remembers the cache's answer, and every read checks it without an extra round trip.

use std::sync::Arc;

use crate::engine::active_season::{ActiveSeason, Token};
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::lock::lock;
use crate::rules::belief::SEASON_MARK;
use crate::rules::clock::now_us;
use crate::rules::hidden::Retired;
use crate::rules::season::Season;
use crate::servers::mariadb::{retired, seasons};
use crate::servers::redis::notes;

/// How long the cache remembers it. Saving a season makes the cache forget it at once; this limits
/// how long a change that the cache missed stays unnoticed.
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
        if let Some(token) = token.as_deref().and_then(Token::read) {
            let retired = self.retired(process, Some(shard), token.retired)?;
            if retired.version == token.retired {
                *lock(&shard.season) = Some(Arc::new(ActiveSeason::of_token(token, retired)));
                return Ok(());
            }
        }
        self.load_season(process, shard).map(drop)
    }

    /// Reads the active season from MariaDB, and makes a shard remember it.
    ///
    /// A process that changes it makes the shard forget it after its commit, and breaks the fence.
    /// So what the shard remembers was read after every change that has returned: otherwise other
    /// processes would continue with what they know.
    pub(crate) fn load_season(
        &self,
        process: &Process,
        shard: &Shard,
    ) -> Result<Arc<ActiveSeason>> {
        let (keys, scripts) = (&shard.keys, &self.cache_scripts);
        for _ in 0..MOST_CHANGES {
            let (unused, token) = (process.random_generation(), process.token());
            let (generation, run_id, fence) = shard.with(|cache| {
                let generation = scripts.generation(cache, keys, unused)?;
                let fence = notes::fence_season(cache, keys, &token)?;
                Ok((generation, cache.run_id.clone(), fence))
            })?;
            let today = self.today();
            let (found, version) =
                process.database.with(|database| seasons::active_and_retired(database, &today))?;
            let retired = self.retired(process, Some(shard), version)?;
            let season = Arc::new(ActiveSeason::new(generation, &run_id, found, retired));
            let is_remembered = shard.with(|cache| {
                let known = (generation, run_id.as_str());
                let fenced = (fence.as_str(), season.token.as_str());
                scripts.remember_season(cache, keys, known, fenced, REMEMBERED_SECONDS)
            })?;
            if is_remembered {
                *lock(&shard.season) = Some(Arc::clone(&season));
                return Ok(season);
            }
        }
        Err(Error::Unavailable {
            server: Server::Cache,
            cause: "the active season changes faster than it can be looked up".to_owned(),
            answered: false,
        })
    }

    /// The site's retired questions, of this version or a newer one: a shard may have a copy.
    ///
    /// # Errors
    /// When neither this process nor the shard has them, and MariaDB is down.
    fn retired(
        &self,
        process: &Process,
        shard: Option<&Shard>,
        version: u64,
    ) -> Result<Arc<Retired>> {
        let known = Arc::clone(&lock(&process.retired));
        if known.version == version {
            return Ok(known);
        }
        let copied = shard.and_then(|shard| {
            let copy = shard.with(|cache| notes::retired(cache, &shard.keys));
            Retired::read(&copy.ok()??).filter(|retired| retired.version == version)
        });
        let is_copied = copied.is_some();
        let found = match copied {
            Some(copied) => Arc::new(copied),
            None => Arc::new(process.database.with(retired::all)?),
        };
        *lock(&process.retired) = Arc::clone(&found);
        if let Some(shard) = shard.filter(|_| !is_copied) {
            let text = found.to_text();
            let copied = shard.with(|cache| notes::remember_retired(cache, &shard.keys, &text));
            copied
                .inspect_err(|error| log::debug!("the retired questions are not copied: {error}"))
                .ok();
        }
        Ok(found)
    }

    /// The site's retired questions as MariaDB has them now.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub(crate) fn retired_now(&self, process: &Process) -> Result<Arc<Retired>> {
        let version = process.database.with(retired::version)?;
        self.retired(process, None, version)
    }

    /// Makes every process look up the active season and the retired questions again. Returns once
    /// no process can answer from what it knew before: a shard that is not reached, or is not the
    /// one that counts, is marked in MariaDB, and forgets them before it is believed again.
    ///
    /// # Errors
    /// When neither the cache nor MariaDB can be told.
    pub(crate) fn forget_season_everywhere(&self, process: &Process) -> Result<()> {
        process.cache.forget_season();
        let mut unreached = Vec::new();
        for shard in process.cache.shards() {
            let forgotten = shard.with(|cache| notes::forget_season(cache, &shard.keys));
            match forgotten.and_then(|()| self.counts(process, shard)) {
                Ok(true) => {}
                Err(error) if !error.is_failure_of(Server::Cache) => return Err(error),
                _ => unreached.push((shard, "", SEASON_MARK)),
            }
        }
        self.make_all_unbelieved(process, &unreached)
    }

    /// The active season, from MariaDB.
    pub(crate) fn season_from_database(&self, process: &Process) -> Result<Option<Season>> {
        let today = self.today();
        process.database.with(|database| seasons::active(database, &today))
    }

    /// The site's day in MariaDB's form.
    fn today(&self) -> String {
        self.settings.zone.day(now_us() / 1_000_000).to_string()
    }
}

//! Which season is active. The cache remembers it, so that a warm read needs no SQL; each process remembers
//! what the cache said, and every read checks it in passing.

use std::sync::Arc;

use crate::clock::now_us;
use crate::engine::{Engine, Process, lock};
use crate::error::Result;
use crate::mariadb::seasons;
use crate::redis::cache;
use crate::trust::Lease;

/// Saving a season forgets it at once; this only bounds how long a missed one can stay.
const REMEMBERED_SECONDS: u64 = 300;

/// The active season, or that there is none.
#[derive(Debug, PartialEq, Eq)]
pub struct ActiveSeason {
    /// What the cache remembers: generation, run of the cache, use of the cache, name.
    pub token: String,
    /// Its name; `None` when no season is active.
    pub name: Option<String>,
    /// The season's enable_redis.
    pub uses_cache: bool,
}

impl ActiveSeason {
    fn new(generation: u64, run_id: &str, found: Option<(String, bool)>) -> ActiveSeason {
        let (name, uses_cache) = found.map_or((None, false), |(name, uses)| (Some(name), uses));
        let shown = name.as_deref().unwrap_or_default();
        let token = format!("{generation}|{run_id}|{}|{shown}", u8::from(uses_cache));
        ActiveSeason { token, name, uses_cache }
    }

    fn from_token(token: &str) -> Option<ActiveSeason> {
        let mut parts = token.splitn(4, '|').skip(2);
        let (uses_cache, name) = (parts.next()?, parts.next()?);
        let name = (!name.is_empty()).then(|| name.to_owned());
        Some(ActiveSeason { token: token.to_owned(), name, uses_cache: uses_cache == "1" })
    }
}

/// The generation in which a token was written.
pub fn generation_of(token: &str) -> Option<u64> {
    token.split('|').next()?.parse().ok()
}

/// The run of the cache's Redis for which a token was written.
pub fn run_of(token: &str) -> Option<&str> {
    token.split('|').nth(1)
}

impl Engine {
    /// The active season as this process knows it, for this lease.
    pub(crate) fn active_season(&self, process: &Process, lease: &Lease) -> Result<Arc<ActiveSeason>> {
        let remembered = lock(&process.season).clone();
        match remembered.filter(|season| generation_of(&season.token) == Some(lease.generation)) {
            Some(season) => Ok(season),
            None => self.load_season(process, lease),
        }
    }

    /// The cache remembers another season than this process: take it over, or ask MariaDB.
    pub(crate) fn season_changed_to(
        &self,
        process: &Process,
        lease: &Lease,
        token: Option<String>,
    ) -> Result<()> {
        let season = token.as_deref().and_then(ActiveSeason::from_token);
        match season.filter(|season| generation_of(&season.token) == Some(lease.generation)) {
            Some(season) => *lock(&process.season) = Some(Arc::new(season)),
            None => {
                self.load_season(process, lease)?;
            }
        }
        Ok(())
    }

    fn load_season(&self, process: &Process, lease: &Lease) -> Result<Arc<ActiveSeason>> {
        let keys = &self.settings.keys;
        let mut found = self.season_from_database(process)?;
        loop {
            let season = Arc::new(ActiveSeason::new(lease.generation, &lease.run_id, found.clone()));
            process
                .cache
                .with(|cache| cache::remember_season(cache, keys, &season.token, REMEMBERED_SECONDS))?;
            // Who changes the season has it forgotten after his commit. If that came between the look at MariaDB
            // and the word to the cache, the change is seen now.
            let now = self.season_from_database(process)?;
            if now == found {
                *lock(&process.season) = Some(Arc::clone(&season));
                return Ok(season);
            }
            found = now;
        }
    }

    /// The active season's name and whether it uses the cache, from MariaDB.
    pub(crate) fn season_from_database(&self, process: &Process) -> Result<Option<(String, bool)>> {
        let today = self.settings.zone.day(now_us() / 1_000_000).to_string();
        process.database.with(|database| seasons::active(database, &today))
    }

    /// Forgets which season is active. With `cache_is_void`, also everything that is cached: a season that
    /// begins to use the cache again may find sets from before.
    ///
    /// # Errors
    /// When a server cannot be told.
    pub fn season_changed(&self, cache_is_void: bool) -> Result<()> {
        let process = self.process();
        *lock(&process.season) = None;
        if cache_is_void {
            self.renew_generation(&process)?;
        }
        process.cache.with(|connection| cache::forget_season(connection, &self.settings.keys))
    }

    /// Forgets which subjects and topics exist.
    ///
    /// # Errors
    /// When the cache cannot be told.
    pub fn links_changed(&self) -> Result<()> {
        self.process().cache.with(|connection| cache::forget_links(connection, &self.settings.keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_the_season() {
        for found in [None, Some(("SEASON-2026".to_owned(), true)), Some(("SEASON-2026-B".to_owned(), false))]
        {
            let season = ActiveSeason::new(17, "f00", found);
            assert_eq!(generation_of(&season.token), Some(17));
            assert_eq!(run_of(&season.token), Some("f00"));
            assert_eq!(ActiveSeason::from_token(&season.token), Some(season));
        }
        assert_eq!(ActiveSeason::from_token("nonsense"), None);
    }
}

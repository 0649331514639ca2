//! Noticing what happened to the cache or the database as a whole while nobody looked: a database that was restored
//! from a backup, a cache that was emptied.

use std::collections::HashMap;

use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::mariadb::storage;
use crate::redis::cache;

impl Engine {
    /// Makes all cached schedules void when the site's tables were made again since the last check. True: nobody's
    /// schedule is there, since that was so, or since the cache has been emptied.
    ///
    /// # Errors
    /// When a server is down: then the next check notices it.
    pub fn check_cache(&self) -> Result<bool> {
        let (keys, process) = (&self.settings.keys, self.process());
        let Some((host, made)) = process.background.with(storage::origin)? else { return Ok(false) };
        let known = self.known_databases(&process, &host, &made)?;
        if !known.contains_key(&host) {
            process.cache.with(|cache| cache::remember_database(cache, keys, &host, &made))?;
        }
        Ok(known.is_empty())
    }

    /// As [`Engine::check_cache`], and leaves it to that to tell whether schedules are to be loaded again.
    pub(crate) fn notice_restored(&self) -> Result<()> {
        let process = self.process();
        if let Some((host, made)) = process.background.with(storage::origin)? {
            self.known_databases(&process, &host, &made)?;
        }
        Ok(())
    }

    /// What the cache knows of the databases that it was filled from; nothing once it is void.
    fn known_databases(&self, process: &Process, host: &str, made: &str) -> Result<HashMap<String, String>> {
        let keys = &self.settings.keys;
        // Each host of a cluster has made tables of its own.
        let known = process.cache.with(|cache| cache::known_databases(cache, keys))?;
        if known.get(host).is_none_or(|known| known == made) {
            return Ok(known);
        }
        log::warn!("the database was restored: all cached schedules are loaded again");
        self.renew_generation(process)?;
        self.season_changed(false)?;
        self.links_changed()?;
        process.cache.with(|cache| cache::forget_databases(cache, keys))?;
        Ok(HashMap::new())
    }
}

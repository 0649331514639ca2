//! Noticing what happened to the cache or the database as a whole while nobody looked: a database that was restored
//! from a backup, a cache that was emptied.

use crate::engine::Engine;
use crate::error::Result;
use crate::mariadb::storage;
use crate::redis::cache;

impl Engine {
    /// Makes all cached schedules void when the site's tables were made again since the last check. True: the cache
    /// has been emptied since then, so nobody's schedule is there.
    ///
    /// # Errors
    /// When a server is down: then the next check notices it.
    pub fn check_cache(&self) -> Result<bool> {
        let (keys, process) = (&self.settings.keys, self.process());
        let Some((host, made)) = process.background.with(storage::origin)? else { return Ok(false) };
        // Each host of a cluster has made tables of its own.
        let known = process.cache.with(|cache| cache::known_databases(cache, keys))?;
        let known_here = known.get(&host);
        if known_here == Some(&made) {
            return Ok(false);
        }
        if known_here.is_some() {
            log::warn!("the database was restored: all cached schedules are loaded again");
            self.renew_generation(&process)?;
            self.season_changed(false)?;
            self.links_changed()?;
        }
        process.cache.with(|cache| cache::remember_database(cache, keys, &host, &made))?;
        Ok(known.is_empty())
    }
}

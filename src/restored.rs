//! Noticing that the database is another one than the cache was filled from: one that was restored from a backup.

use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::mariadb::storage;
use crate::redis::cache;

impl Engine {
    /// Makes all cached schedules void once when the site's tables were made again since the cache was asked last.
    /// Each host of a cluster has tables of its own, so they are told apart.
    ///
    /// # Errors
    /// When a server is down: then the next call notices it.
    pub(crate) fn notice_restored_database(&self, process: &Process) -> Result<()> {
        let keys = &self.settings.keys;
        let Some((host, made)) = process.drain.with(storage::origin)? else { return Ok(()) };
        let known = process.cache.with(|cache| cache::remembered_database(cache, keys, &host))?;
        if known.as_ref() == Some(&made) {
            return Ok(());
        }
        if known.is_some() {
            log::warn!("the database was restored: all cached schedules are loaded again");
            self.renew_generation(process)?;
            self.season_changed(false)?;
            self.links_changed()?;
        }
        process.cache.with(|cache| cache::remember_database(cache, keys, &host, &made))
    }
}

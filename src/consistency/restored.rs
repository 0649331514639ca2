//! Notices what affects the whole cache: a database that was restored from a backup or killed while
//! rows moved, or a cache that was emptied.

use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::servers::mariadb::{checks, storage};
use crate::servers::redis::notes;

impl Engine {
    /// Makes all cached schedules void when the database was restored from a backup since the last
    /// check. True: no schedule is cached, because of that, or because the cache was emptied.
    ///
    /// # Errors
    /// When a server is down: then the next check notices it.
    pub fn check_cache(&self) -> Result<bool> {
        let process = self.process();
        if let Err(error) = self.put_back_moved(&process) {
            log::warn!("records that no query finds will be restored by the next check: {error}");
        }
        let is_void = self.is_void(&process)?;
        let checks = process.background.with(checks::add)?;
        process.cache.in_each(|shard| {
            shard.with(|cache| notes::remember_checks(cache, &shard.keys, checks))
        })?;
        Ok(is_void)
    }

    /// Makes schedules void as [`Engine::check_cache`] does, which still reports it afterwards.
    pub(crate) fn notice_restored(&self) -> Result<()> {
        self.is_void(&self.process()).map(drop)
    }

    /// Restores rows that were outside the live table when MariaDB was killed. Since then, reads
    /// have found students without records, and cached that, so all cached schedules become void.
    /// If this process dies first, the next check does it.
    pub(crate) fn put_back_moved(&self, process: &Process) -> Result<()> {
        let tables = process.background.with(storage::put_back_moved)?;
        if tables.is_empty() {
            return Ok(());
        }
        log::warn!("records that no query had found were restored: all schedules are loaded again");
        self.renew_generation(process)?;
        process.background.with(|database| storage::drop_moved(database, &tables))
    }

    /// Whether no schedule is valid: the cache knows of no check, or of more than the database.
    /// If of more, this makes them void.
    fn is_void(&self, process: &Process) -> Result<bool> {
        let ask = |shard: &Shard| shard.with(|cache| notes::known_checks(cache, &shard.keys));
        // In this order, because a check made meanwhile is one more in the database.
        let known: Vec<_> = process.cache.shards().iter().map(ask).collect();
        let checks = process.background.with(checks::count)?;
        // The shards that answer are enough.
        if known.iter().flatten().flatten().all(|known| *known <= checks) {
            return known
                .into_iter()
                .try_fold(false, |is_void, known| Ok(is_void || known?.is_none()));
        }
        log::warn!("the database was restored: all cached schedules are loaded again");
        self.renew_generation(process)?;
        let told = self.season_changed(false).and(self.links_changed());
        if let Err(error) = &told
            && !error.is_failure_of(Server::Cache)
        {
            return told.map(|()| true);
        }
        // A shard that is down remembers more checks when it is up again, which is noticed then.
        let forget = |shard: &Shard| shard.with(|cache| notes::forget_checks(cache, &shard.keys));
        told.and(process.cache.in_each(forget)).map(|()| true)
    }
}

//! Noticing what happened to the cache or the database as a whole while nobody looked: a database
//! that was restored from a backup or killed while rows moved, a cache that was emptied.

use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::servers::mariadb::{checks, storage};
use crate::servers::redis::notes;

impl Engine {
    /// Makes all cached schedules void when the database was restored from a backup since the last
    /// check. True: nobody's schedule is there, since that was so, or since the cache has been
    /// emptied.
    ///
    /// # Errors
    /// When a server is down: then the next check notices it.
    pub fn check_cache(&self) -> Result<bool> {
        let process = self.process();
        if let Err(error) = self.put_back_moved(&process) {
            log::warn!("records that no query finds are put back with the next check: {error}");
        }
        let is_void = self.is_void(&process)?;
        let checks = process.background.with(checks::add)?;
        process.cache.in_each(|shard| {
            shard.with(|cache| notes::remember_checks(cache, &shard.keys, checks))
        })?;
        Ok(is_void)
    }

    /// As [`Engine::check_cache`], and leaves it to that to tell whether schedules are to be loaded
    /// again.
    pub(crate) fn notice_restored(&self) -> Result<()> {
        self.is_void(&self.process()).map(drop)
    }

    /// Puts back what was out of the big table when MariaDB was killed. Since then, reads have
    /// found students without records, and cached that: so all that is cached is void. A process
    /// that dies before that leaves it to the next.
    pub(crate) fn put_back_moved(&self, process: &Process) -> Result<()> {
        let tables = process.background.with(storage::put_back_moved)?;
        if tables.is_empty() {
            return Ok(());
        }
        log::warn!("records that no query had found were put back: all schedules are loaded again");
        self.renew_generation(process)?;
        process.background.with(|database| storage::drop_moved(database, &tables))
    }

    /// Whether nobody's schedule is there: the cache knows of no check, or of more than the
    /// database.
    fn is_void(&self, process: &Process) -> Result<bool> {
        let ask = |shard: &Shard| shard.with(|cache| notes::known_checks(cache, &shard.keys));
        // In this order: a check that is made meanwhile is one more in the database.
        let known: Vec<_> = process.cache.shards().iter().map(ask).collect();
        let checks = process.background.with(checks::count)?;
        // Those that answer are enough to tell.
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
        // A shard that is away still knows of more when it is back, and it is noticed again.
        let forget = |shard: &Shard| shard.with(|cache| notes::forget_checks(cache, &shard.keys));
        told.and(process.cache.in_each(forget)).map(|()| true)
    }
}

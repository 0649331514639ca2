//! Makes sure that a job which fills or compares a cache, or reads a journal, uses the registered
//! one.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::belief::longest_belief;

/// How often a job looks whether the cache's run is registered.
const POLL: Duration = Duration::from_millis(50);

impl Engine {
    /// Registers the cache that this process reaches, unless another one is in use. Waits until
    /// that is known, because a restarted cache is not registered before.
    ///
    /// # Errors
    /// [`Error::NotRegistered`]: another one is in use.
    pub(crate) fn register_cache(&self, process: &Process) -> Result<()> {
        let mut others: Vec<&Shard> = process.cache.shards().iter().collect();
        // Enough for a dead process's challenge, and then for this process's own.
        let longest = 4 * longest_belief(self.settings.trust_lease, false);
        let began = Instant::now();
        loop {
            let mut left = Vec::new();
            for shard in others {
                match self.look_for_unshown(process, shard) {
                    Err(Error::NotRegistered { server: Server::Cache }) => left.push(shard),
                    looked => drop(looked?),
                }
            }
            others = left;
            if others.is_empty() {
                return Ok(());
            }
            if began.elapsed() >= longest {
                return Err(Error::NotRegistered { server: Server::Cache });
            }
            sleep(POLL);
        }
    }

    /// Refuses to fill or compare a cache, or to read a journal, while another one is in use.
    ///
    /// # Errors
    /// [`Error::NotRegistered`].
    pub(crate) fn ensure_registered(&self, process: &Process) -> Result<()> {
        self.register_cache(process)?;
        if self.journal_counts(process) {
            return Ok(());
        }
        Err(Error::NotRegistered { server: Server::Journal })
    }
}

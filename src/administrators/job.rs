//! Jobs on a whole season. One process at a time does each.

use mysql::Conn;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::servers::mariadb::connect::DatabaseServer;
use crate::servers::mariadb::locks::{Held, is_locked};

/// How long to wait for a job that is just ending, in seconds.
const LOCK_SECONDS: u32 = 1;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// The cache is loaded again.
    Rebuild,
    /// The cache is compared with the database.
    Reconciliation,
    /// Records move to the archive.
    Archive,
    /// Archived records that are flagged are deleted.
    Deletion,
    /// Poison Reviews are written after all.
    Replay,
    /// FSRS is trained on the answers.
    Training,
}

impl Job {
    const ALL: [Job; 6] = [
        Job::Rebuild,
        Job::Reconciliation,
        Job::Archive,
        Job::Deletion,
        Job::Replay,
        Job::Training,
    ];

    /// The kind's name for tables and programs.
    pub fn name(self) -> &'static str {
        match self {
            Job::Rebuild => "Rebuild",
            Job::Reconciliation => "Reconciliation",
            Job::Archive => "Archive",
            Job::Deletion => "Deletion",
            Job::Replay => "Replay",
            Job::Training => "Training",
        }
    }

    /// The kind of this name.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is none.
    pub fn named(name: &str) -> Result<Job> {
        Job::ALL
            .into_iter()
            .find(|job| job.name() == name)
            .ok_or_else(|| Error::InvalidInput(format!("there is no job {name:?}")))
    }

    /// Makes this connection the only one that does this job on a season (empty: on all), until the
    /// connection or the lock ends.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when another does.
    pub fn lock(
        self,
        server: &DatabaseServer,
        connection: &mut Conn,
        season: &str,
    ) -> Result<Held> {
        let name = self.lock_name(season);
        if let Some(held) = Held::take(server, connection, &name, LOCK_SECONDS)? {
            return Ok(held);
        }
        let name = self.name().to_lowercase();
        let season = if season.is_empty() { "all seasons" } else { season };
        Err(Error::InvalidInput(format!(
            "Nothing was done: another process does the {name} of {season}. See its progress in \
             the list of SRS Jobs."
        )))
    }

    fn lock_name(self, season: &str) -> String {
        format!("{}|{season}", self.name().to_lowercase())
    }
}

impl Engine {
    /// Whether a process is doing this job.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn is_running(&self, job: Job, season: &str) -> Result<bool> {
        self.process().database.with(|database| is_locked(database, &job.lock_name(season)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_found_by_their_names() {
        for job in Job::ALL {
            assert!(matches!(Job::named(job.name()), Ok(found) if found == job));
        }
        assert!(Job::named("").is_err());
    }
}

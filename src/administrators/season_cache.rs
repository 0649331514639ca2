//! What rebuild and reconciliation share: one process at a time, many students at once.

use std::sync::Arc;
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use mysql::Conn;

use crate::administrators::job::Job;
use crate::consistency::rehydrate::{FENCE_SECONDS, Records};
use crate::engine::active_season::ActiveSeason;
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::rules::names;
use crate::servers::mariadb::locks::Held;
use crate::servers::mariadb::{archive, seasons};
use crate::servers::pool::Connect;
use crate::servers::redis::fill;

/// How often a job looks whether it still has its lock.
pub(crate) const CHECK_LOCK_AFTER: Duration = Duration::from_secs(1);
/// The pauses between tries while a server does not answer: 8 s in all.
const PAUSES: ExponentialBuilder =
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(250)).with_max_times(5);

/// Some students, each with what is known.
type LoadedStudents<'a> = Vec<(&'a str, Records)>;

impl Engine {
    /// How many records a season has, as MariaDB estimates; 0 while it has no partition.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn estimated_records(&self, season: &str) -> Result<u64> {
        names::check_season(season)?;
        self.process().database.with(|database| archive::estimated_rows(database, season))
    }

    /// Begins a job on a season's cache. This process owns it until the connection or the lock
    /// ends, for any reason. If Redis is down now, the job fails at once; later the job waits for
    /// it.
    pub(crate) fn begin_on_cache(
        &self,
        process: &Process,
        job: Job,
        season: &str,
    ) -> Result<(Conn, Held)> {
        let server = &self.settings.background;
        let mut connection = server.connect(false)?;
        check_uses_cache(&mut connection, season)?;
        let held = job.lock(server, &mut connection, season)?;
        process.journal.with(|journal| journal.ping())?;
        process.cache.ping()?;
        self.ensure_registered(process)?;
        Ok((connection, held))
    }

    /// Loads the records of some students of a shard, and returns them with the active season that
    /// the shard knows. Once a student has answered, the fence keeps this load out of the cache.
    pub(crate) fn load_behind_fence<'a>(
        &self,
        process: &Process,
        shard: &Shard,
        season: &str,
        players: &[&'a str],
        fence: &str,
    ) -> Result<(Arc<ActiveSeason>, LoadedStudents<'a>)> {
        let keys = &shard.keys;
        self.with_cache(process, shard, |active| {
            let fenced = self.on_current_cache(process, shard, active, |cache| {
                fill::set_fences(cache, keys, season, players.iter().copied(), fence, FENCE_SECONDS)
            })?;
            fenced.and_then(|()| {
                let pending = self.pending_of(process, players, season)?;
                let loaded = self.load_students(&process.background, players, season, pending)?;
                Ok((Arc::clone(active), players.iter().copied().zip(loaded).collect()))
            })
        })
    }

    /// Drops students' schedules: the next read loads them. Returns how many there were.
    pub(crate) fn drop_students(
        &self,
        process: &Process,
        season: &str,
        players: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<u64> {
        let mut dropped = 0;
        for player in players {
            let was_there = process.cache.drop_students([(player.as_ref(), season)])?;
            dropped += u64::from(was_there);
        }
        Ok(dropped)
    }
}

/// Checks that this process still owns a job: the lock ends with the connections that hold it.
///
/// # Errors
/// [`Error::Unavailable`]: the lock is lost, and another process may have it.
pub(crate) fn check_lock((connection, held): &mut (Conn, Held)) -> Result<()> {
    connection.ping().map_err(Error::from_mariadb)?;
    held.check()
}

/// Refuses a season that does not use the cache.
fn check_uses_cache(connection: &mut Conn, season: &str) -> Result<()> {
    names::check_season_name(season)?;
    match seasons::named(connection, season)?.map(|season| season.uses_cache) {
        None => Err(Error::InvalidInput(format!("There is no season {season}."))),
        Some(_) if archive::is_archived(connection, season)? => {
            Err(Error::SeasonArchived(season.to_owned()))
        }
        Some(false) => Err(Error::InvalidInput(format!(
            "{season} does not use the cache: switch enable_redis on first."
        ))),
        Some(true) => Ok(()),
    }
}

/// Tries again, with growing pauses, while a server does not answer, so that a short outage does
/// not end the work of minutes.
pub(crate) fn patiently<T>(work: impl FnMut() -> Result<T>) -> Result<T> {
    work.retry(PAUSES)
        .when(|error| {
            use Error::{Elsewhere, Exhausted, Unavailable};
            matches!(error, Unavailable { .. } | Elsewhere { .. } | Exhausted { .. })
        })
        .notify(|error, pause| log::warn!("next try in {pause:?}: {error}"))
        .call()
}

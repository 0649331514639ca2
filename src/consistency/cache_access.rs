//! Uses the cache with the season that it knows, in the registered run and the valid generation,
//! and only while it may be believed.

use std::sync::Arc;
use std::time::Instant;

use crate::engine::active_season::ActiveSeason;
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::lock::lock;
use crate::servers::redis::RedisConnection;
use crate::servers::redis::cache::Found;
use crate::servers::redis::notes;

/// How often a look starts over because a student was marked meanwhile.
const MOST_LOOKS: u32 = 3;

/// The cache's answer about a student.
pub(crate) struct Asked<T> {
    /// `None` if it is cold.
    pub value: Option<T>,
    /// False if it could not be checked whether the cache lacks an answer.
    pub is_sure: bool,
}

/// The outcome of one try to use the cache. [`Engine::with_cache`] handles all but `Done`.
pub(crate) enum Attempt<T> {
    /// It worked.
    Done(T),
    /// The cache is another run than the one for which the season is known.
    Restarted,
    /// The cache remembers another active season: this token.
    OtherSeason(Option<String>),
}

impl<T> Attempt<T> {
    /// Continues with the value of a try that worked.
    pub(crate) fn and_then<U>(self, next: impl FnOnce(T) -> Result<U>) -> Result<Attempt<U>> {
        Ok(match self {
            Attempt::Done(value) => Attempt::Done(next(value)?),
            Attempt::Restarted => Attempt::Restarted,
            Attempt::OtherSeason(token) => Attempt::OtherSeason(token),
        })
    }
}

impl Engine {
    /// Runs `work` with the active season that a shard of the cache knows. Tries again if the shard
    /// restarted or another season became active.
    pub(crate) fn with_cache<T>(
        &self,
        process: &Process,
        shard: &Shard,
        mut work: impl FnMut(&Arc<ActiveSeason>) -> Result<Attempt<T>>,
    ) -> Result<T> {
        for _ in 0..5 {
            let season = self.active_season(process, shard)?;
            match work(&season)? {
                Attempt::Done(value) => {
                    self.notice_recovery(process, Server::Cache);
                    return Ok(value);
                }
                Attempt::Restarted => {
                    self.load_season(process, shard)?;
                }
                Attempt::OtherSeason(token) => self.season_changed_to(process, shard, token)?,
            }
        }
        Err(Error::Unavailable {
            server: Server::Cache,
            cause: "it changes faster than it can be read".to_owned(),
            answered: false,
        })
    }

    /// Runs `work` on a shard in the run for which the season is known.
    pub(crate) fn on_cache<T>(
        shard: &Shard,
        season: &ActiveSeason,
        mut work: impl FnMut(&mut RedisConnection) -> Result<T>,
    ) -> Result<Attempt<T>> {
        shard.with(|cache| {
            if *season.run_id != cache.run_id {
                return Ok(Attempt::Restarted);
            }
            Ok(Attempt::Done(work(cache)?))
        })
    }

    /// As [`Engine::on_cache`], but only while the season's generation is valid.
    pub(crate) fn on_current_cache<T>(
        &self,
        process: &Process,
        shard: &Shard,
        season: &ActiveSeason,
        mut work: impl FnMut(&mut RedisConnection) -> Result<T>,
    ) -> Result<Attempt<T>> {
        let (keys, unused) = (&shard.keys, process.random_generation());
        let done = Self::on_cache(shard, season, |cache| {
            let generation = self.cache_scripts.generation(cache, keys, unused)?;
            if generation == season.generation { work(cache).map(Some) } else { Ok(None) }
        })?;
        Ok(match done {
            Attempt::Done(Some(value)) => Attempt::Done(value),
            Attempt::Done(None) | Attempt::Restarted => Attempt::Restarted,
            Attempt::OtherSeason(token) => Attempt::OtherSeason(token),
        })
    }

    /// Makes sure that a run of a shard, which has just returned `confirmation`, is the registered
    /// one. If that cannot be looked up, it counts as registered.
    ///
    /// # Errors
    /// When the shard cannot be asked, or is another run by now.
    pub(crate) fn ensure_counts(
        &self,
        process: &Process,
        shard: &Shard,
        run: &str,
        confirmation: &str,
    ) -> Result<()> {
        let now = Instant::now();
        let believed_until = shard.believed_until(run, self.settings.trust_lease);
        if self.is_believed(shard, run, confirmation, believed_until, now) {
            return Ok(());
        }
        match self.look_for_unshown(process, shard) {
            Ok(looked) => {
                let is_same = looked == run;
                shard.note_look(looked, now);
                if is_same { Ok(()) } else { Err(Error::NotRegistered { server: Server::Cache }) }
            }
            Err(error) if error.is_without(Server::Cache) => Err(error),
            Err(error) => {
                log::debug!("which cache is registered is unknown: {error}");
                Ok(())
            }
        }
    }

    /// Whether a run of a shard may be believed: because of its confirmation, or of this process's
    /// own earlier look.
    fn is_believed(
        &self,
        shard: &Shard,
        run: &str,
        confirmation: &str,
        believed_until: Option<Instant>,
        now: Instant,
    ) -> bool {
        believed_until.is_some_and(|until| now < until)
            || notes::confirms(confirmation, run)
                && lock(&shard.confirmation).is_fresh(confirmation, self.settings.trust_lease, now)
    }

    /// Asks a shard about a student, with the season that this process knows. Nothing else is asked,
    /// and nothing is loaded. `None` if that is not enough: the schedule is cold, a look must show
    /// whether it may be believed, or the shard does not answer.
    pub(crate) fn ask_warm<T>(
        &self,
        shard: &Shard,
        mut ask: impl FnMut(&mut RedisConnection, &ActiveSeason) -> Result<Found<T>>,
    ) -> Option<(Arc<ActiveSeason>, T)> {
        let season = lock(&shard.season).clone()?;
        if !season.uses_cache || Self::is_other_cache(shard, &season.run_id) {
            return None;
        }
        // As in `ask_cache`, taken before asking.
        let believed_until = shard.believed_until(&season.run_id, self.settings.trust_lease);
        match Self::on_cache(shard, &season, |cache| ask(cache, &season)) {
            Ok(Attempt::Done(Found::Warm { confirmation, value })) => {
                let (run, now) = (&season.run_id, Instant::now());
                let is_believed = self.is_believed(shard, run, &confirmation, believed_until, now);
                is_believed.then_some((season, value))
            }
            _ => None,
        }
    }

    /// Asks a shard about a student. First looks whether it may be believed, unless a process has
    /// lately.
    ///
    /// # Errors
    /// [`Error::NotRegistered`]: another cache is registered.
    pub(crate) fn ask_cache<T>(
        &self,
        process: &Process,
        shard: &Shard,
        season: &ActiveSeason,
        mut ask: impl FnMut(&mut RedisConnection) -> Result<Found<T>>,
    ) -> Result<Attempt<Asked<T>>> {
        let lease = self.settings.trust_lease;
        if Self::is_other_cache(shard, &season.run_id) {
            return Err(Error::NotRegistered { server: Server::Cache });
        }
        for _ in 0..MOST_LOOKS {
            // Taken before asking the cache: a look that ends later may drop what the cache
            // returned.
            let believed_until = shard.believed_until(&season.run_id, lease);
            let found = match Self::on_cache(shard, season, &mut ask)? {
                Attempt::Done(found) => found,
                Attempt::Restarted => return Ok(Attempt::Restarted),
                Attempt::OtherSeason(token) => return Ok(Attempt::OtherSeason(token)),
            };
            let (confirmation, value) = match found {
                Found::OtherSeason(token) => return Ok(Attempt::OtherSeason(token)),
                Found::Cold { confirmation } => (confirmation, None),
                Found::Warm { confirmation, value } => (confirmation, Some(value)),
            };
            let now = Instant::now();
            if self.is_believed(shard, &season.run_id, &confirmation, believed_until, now) {
                return Ok(Attempt::Done(Asked { value, is_sure: true }));
            }
            let is_cold = value.is_none();
            match self.look_for_unshown(process, shard) {
                // A loaded schedule needs no confirmation.
                Ok(run) if is_cold && run == season.run_id => {
                    let known = lock(&shard.season).as_ref().map(|known| known.generation);
                    if known != Some(season.generation) {
                        // All cached schedules have become void: the next load is of a new
                        // generation.
                        return Ok(Attempt::Restarted);
                    }
                    return Ok(Attempt::Done(Asked { value: None, is_sure: true }));
                }
                // A look may have dropped what was read before it.
                Ok(run) => shard.note_look(run, now),
                Err(error) if error.is_without(Server::Cache) => return Err(error),
                Err(error) => {
                    log::debug!("whether cached schedules lack an answer is unknown: {error}");
                    return Ok(Attempt::Done(Asked { value, is_sure: is_cold }));
                }
            }
        }
        // Each look took longer than its lease. A loaded schedule is always right.
        Ok(Attempt::Done(Asked { value: None, is_sure: true }))
    }
}

//! Reads and changes the cache of one student, for code that uses `SRSRedisManager`. The table is
//! not changed: that needs a submission.

use std::sync::Arc;

use crate::consistency::cache_access::Attempt;
use crate::engine::active_season::ActiveSeason;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::rules::clock::now_us;
use crate::rules::names::{check_question_id, check_season};
use crate::servers::redis::cache::Found;
use crate::servers::redis::schedules;

/// The longest life in the cache without an answer, in seconds: a year.
const LONGEST_LIFE: u64 = 366 * 86_400;

/// A student's cache in numbers.
#[derive(Debug)]
pub struct CacheStats {
    /// The schedule is marked as complete, and is believed.
    pub is_complete: bool,
    /// Questions in it.
    pub records: u64,
    /// Questions that are due.
    pub due: u64,
    /// Bytes that Redis uses for it.
    pub memory_bytes: u64,
}

impl Engine {
    /// Whether the cache answers.
    pub fn cache_available(&self) -> bool {
        self.process().cache.ping().is_ok()
    }

    /// Sets dates (Unix seconds). The student's whole cache then lives for this many seconds;
    /// `None`: as long as after an answer. Returns how many were set.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an invalid id or life; nothing is set then.
    pub fn cache_add(
        &self,
        player: &str,
        season: &str,
        dates: &[(String, i64)],
        seconds_to_live: Option<u64>,
    ) -> Result<usize> {
        check_season(season)?;
        dates.iter().try_for_each(|(id, _)| check_question_id(id))?;
        let life = seconds_to_live.unwrap_or(self.settings.cache_ttl_seconds);
        if !(1..=LONGEST_LIFE).contains(&life) {
            return Err(Error::InvalidInput(format!(
                "a life in the cache must be 1 to {LONGEST_LIFE} seconds, not {life}"
            )));
        }
        if dates.is_empty() {
            return Ok(0);
        }
        let until = now_us() / 1_000_000 + i64::try_from(life).unwrap_or(i64::MAX);
        let process = self.process();
        let active = self.hide_retired(&process, player, season)?;
        let shard = process.cache.of(player);
        let (keys, dated) = (&shard.keys, (dates, active.retired.as_ref()));
        shard.with(|cache| {
            self.cache_scripts.set_dates(cache, keys, (player, season), dated, (life, until))
        })?;
        Ok(dates.len())
    }

    /// Removes a question from the cache. Returns whether it was there.
    ///
    /// # Errors
    /// When the cache is out of reach.
    pub fn cache_remove(&self, player: &str, season: &str, question_id: &str) -> Result<bool> {
        check_season(season)?;
        check_question_id(question_id)?;
        let process = self.process();
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        shard.with(|cache| schedules::remove(cache, keys, (player, season), question_id))
    }

    /// Questions that are due by the cache alone, most overdue first.
    ///
    /// # Errors
    /// When the cache is out of reach.
    pub fn cache_due(&self, player: &str, season: &str, limit: u32) -> Result<Vec<(String, f64)>> {
        check_season(season)?;
        let (process, now) = (self.process(), now_us() / 1_000_000);
        self.hide_retired(&process, player, season)?;
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        shard.with(|cache| schedules::scores(cache, keys, (player, season), Some(now), Some(limit)))
    }

    /// All dates that the cache has of a student, of questions that are not hidden.
    ///
    /// # Errors
    /// When the cache is out of reach.
    pub fn cache_scores(&self, player: &str, season: &str) -> Result<Vec<(String, f64)>> {
        check_season(season)?;
        let process = self.process();
        self.hide_retired(&process, player, season)?;
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        shard.with(|cache| schedules::scores(cache, keys, (player, season), None, None))
    }

    /// How many questions are due by the cache alone.
    ///
    /// # Errors
    /// When the cache is out of reach.
    pub fn cache_count_due(&self, player: &str, season: &str) -> Result<u64> {
        check_season(season)?;
        let (process, now) = (self.process(), now_us() / 1_000_000);
        self.hide_retired(&process, player, season)?;
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        shard.with(|cache| schedules::count(cache, keys, (player, season), Some(now)))
    }

    /// Drops a student's cache; the next read loads it again. True: there was one.
    ///
    /// # Errors
    /// When the cache is out of reach.
    pub fn cache_clear(&self, player: &str, season: &str) -> Result<bool> {
        check_season(season)?;
        self.process().cache.drop_students([(player, season)])
    }

    /// Hides what is retired in a schedule that is complete. Returns the season that the student's
    /// shard knows.
    ///
    /// # Errors
    /// When the cache is out of reach, or MariaDB is down and is needed to know what is retired.
    fn hide_retired(
        &self,
        process: &Process,
        player: &str,
        season: &str,
    ) -> Result<Arc<ActiveSeason>> {
        let shard = process.cache.of(player);
        self.with_cache(process, shard, |active| {
            let student = active.student(&shard.keys, player, season);
            let found = Self::on_cache(shard, active, |cache| {
                self.cache_scripts.lookup(cache, student, 0, &[], &[String::new()])
            })?;
            Ok(match found {
                Attempt::Done(Found::OtherSeason(token)) => Attempt::OtherSeason(token),
                Attempt::OtherSeason(token) => Attempt::OtherSeason(token),
                Attempt::Restarted => Attempt::Restarted,
                Attempt::Done(_) => Attempt::Done(Arc::clone(active)),
            })
        })
    }

    /// A student's cache in numbers.
    ///
    /// # Errors
    /// When the cache is out of reach.
    pub fn cache_stats(&self, player: &str, season: &str) -> Result<CacheStats> {
        check_season(season)?;
        let (process, now) = (self.process(), now_us() / 1_000_000);
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        let active = self.hide_retired(&process, player, season)?;
        shard.with(|cache| {
            let (marker, memory_bytes) = schedules::weigh(cache, keys, (player, season))?;
            Ok(CacheStats {
                is_complete: marker == Some(active.generation),
                records: schedules::count(cache, keys, (player, season), None)?,
                due: schedules::count(cache, keys, (player, season), Some(now))?,
                memory_bytes,
            })
        })
    }
}

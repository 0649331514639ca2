//! Showing acknowledged answers in the cache.

use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::clock::now_us;
use crate::rules::head::Head;
use crate::rules::review::Review;
use crate::servers::redis::RedisConnection;
use crate::servers::redis::schedules;
use crate::students::known_state::Before;

impl Engine {
    /// Shows the acknowledged answers in the cache, or makes sure that no process believes the
    /// student's cached schedule.
    ///
    /// # Errors
    /// [`Error::Unsettled`]: neither is possible. The answers are kept, but other processes may not
    /// show them.
    pub(crate) fn show(
        &self,
        process: &Process,
        player: &str,
        before: &Before,
        head: Head,
        states: &[Review],
    ) -> Result<()> {
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        let now = now_us() / 1_000_000;
        let season = before.season.as_str();
        let drop_in = |cache: &mut RedisConnection| {
            schedules::drop_students(cache, keys, [(player, season)])?;
            Ok::<_, Error>((cache.run_id.clone(), String::new()))
        };
        let drop_student = || shard.with(drop_in);
        let shown = match &before.cached {
            Some(active) => shard.with(|cache| {
                if *active.run_id != cache.run_id {
                    return drop_in(cache);
                }
                let student = active.student(keys, player, season);
                let heads = (before.head, head);
                let ttl = self.settings.cache_ttl_seconds;
                let states = (&before.states, states);
                let shown = self.cache_scripts.apply(cache, student, heads, states, now, ttl)?;
                Ok((cache.run_id.clone(), shown))
            }),
            // The season's cache may be used again later: it must not keep what is now out of date.
            None => drop_student(),
        };
        let shown = match shown {
            Err(Error::Refused { cause, .. }) => {
                log::warn!("the cache refuses the answers of {player}: {cause}");
                drop_student()
            }
            shown => shown,
        };
        self.settle_shown(process, (player, season), before.uses_cache, shown)
    }

    /// Makes sure that no process believes a student's cached schedule.
    ///
    /// # Errors
    /// As [`Engine::show`].
    pub(crate) fn hide(&self, process: &Process, player: &str, season: &str) -> Result<()> {
        let shard = process.cache.of(player);
        let hidden = shard.with(|cache| {
            schedules::drop_students(cache, &shard.keys, [(player, season)])?;
            Ok((cache.run_id.clone(), String::new()))
        });
        self.settle_shown(process, (player, season), true, hidden)
    }

    /// Makes sure that the run of the cache that got the answers is registered, or that no process
    /// believes the student's cached schedule. `shown` is that run and its confirmation.
    fn settle_shown(
        &self,
        process: &Process,
        (player, season): (&str, &str),
        uses_cache: bool,
        shown: Result<(String, String)>,
    ) -> Result<()> {
        let shard = process.cache.of(player);
        // The cache that got them must be the registered one after they were kept. A cache that
        // replaces it from now on has no older schedules.
        let counted = shown.and_then(|(run, confirmation)| match uses_cache {
            true => self.ensure_counts(process, shard, &run, &confirmation),
            false => Ok(()),
        });
        match counted {
            Err(error) if uses_cache => {
                self.make_unbelieved(process, player, season).map_err(Error::unsettled)?;
                self.notice_outage(process, Server::Cache, &error);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

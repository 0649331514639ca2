//! Showing acknowledged answers in the cache.

use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::clock::now_us;
use crate::rules::head::Head;
use crate::rules::plan::by_question;
use crate::rules::review::Review;
use crate::servers::redis::RedisConnection;
use crate::servers::redis::cache::{Shown, Student};
use crate::servers::redis::schedules;
use crate::students::known_state::Before;

impl Engine {
    /// Shows the acknowledged answers in the cache, or makes sure that nobody believes what it has
    /// of the student. Returns how many questions are due now.
    ///
    /// # Errors
    /// [`Error::Unsettled`]: neither can be done. The answers are kept, but others may not see
    /// them.
    pub(crate) fn show(
        &self,
        process: &Process,
        player: &str,
        before: &Before,
        head: Head,
        states: &[Review],
    ) -> Result<u64> {
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        let now = now_us() / 1_000_000;
        let season = before.season.as_str();
        let drop_in = |cache: &mut RedisConnection| {
            schedules::drop_students(cache, keys, [(player, season)])?;
            Ok::<_, Error>((cache.run_id.clone(), Shown::default()))
        };
        let drop_student = || shard.with(drop_in);
        let shown = match &before.cached {
            Some(active) => shard.with(|cache| {
                if *active.run_id != cache.run_id {
                    return drop_in(cache);
                }
                let student = Student {
                    keys,
                    player,
                    season,
                    season_token: "",
                    generation: active.generation,
                };
                let heads = (before.head, head);
                let ttl = self.settings.cache_ttl_seconds;
                let states = (&before.states, states);
                let shown = self.cache_scripts.apply(cache, student, heads, states, now, ttl)?;
                Ok((cache.run_id.clone(), shown))
            }),
            // The season's cache may come into use again: it must not keep what is old now.
            None => drop_student(),
        };
        let shown = match shown {
            Err(Error::Refused { cause, .. }) => {
                log::warn!("the cache refuses the answers of {player}: {cause}");
                drop_student()
            }
            shown => shown,
        };
        // The cache that was shown them must be the one that counts, after they were kept: another
        // one that takes its place from now on has nothing from before.
        let counted = shown.and_then(|(run, shown)| {
            if before.uses_cache {
                self.ensure_counts(process, shard, &run, &shown.confirmation)?;
            }
            Ok(shown.remaining)
        });
        match counted {
            Ok(Some(remaining)) => return Ok(remaining),
            Ok(None) => {}
            Err(error) if before.uses_cache => {
                self.make_unbelieved(process, player, season).map_err(Error::unsettled)?;
                self.notice_outage(process, Server::Cache, &error);
            }
            Err(_) => {}
        }
        Ok(self.remaining(process, player, before, states, now))
    }

    fn remaining(
        &self,
        process: &Process,
        player: &str,
        before: &Before,
        changed: &[Review],
        now: i64,
    ) -> u64 {
        let mut states: Vec<Review> = if before.all_states {
            before.states.values().cloned().collect()
        } else {
            // Only a number for the student's eyes: not worth an error now that the
            // answers are safe.
            self.load_records(process, player, &before.season)
                .map(|records| records.reviews)
                .unwrap_or_default()
        };
        let newer = by_question(changed.to_vec());
        states.retain(|review| !newer.contains_key(&review.question_id));
        states.extend(newer.into_values());
        states.iter().filter(|review| review.next_review <= now).count() as u64
    }
}

//! Arranging a student's cached questions by subject.
//!
//! Only students who ask for one subject need it, so loads do not do it. The first read of a
//! subject takes all questions from the cache, answers from them, and leaves them arranged for the
//! next one. If anything changes the schedule meanwhile, the fence is broken, and nothing is
//! arranged.

use std::collections::HashSet;

use crate::consistency::cache_access::{Asked, Attempt};
use crate::consistency::rehydrate::FENCE_SECONDS;
use crate::engine::active_season::ActiveSeason;
use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::servers::redis::cache::Lookup;
use crate::servers::redis::fill::{self, Loaded};
use crate::servers::redis::student::Student;

impl Engine {
    /// Reads all questions of a student that are not hidden from the cache, and arranges them by
    /// subject there; `members` are links, as for a lookup.
    pub(super) fn arrange(
        &self,
        process: &Process,
        active: &ActiveSeason,
        student: Student<'_>,
        members: &[String],
    ) -> Result<Attempt<Asked<Lookup>>> {
        let Student { keys, player, season, .. } = student;
        let (shard, fence) = (process.cache.of(player), process.token());
        shard
            .with(|cache| fill::set_fences(cache, keys, season, [player], &fence, FENCE_SECONDS))?;
        self.ask_cache(process, shard, active, |cache| {
            self.cache_scripts.lookup(cache, student, 0, members, &[])
        })?
        .and_then(|asked| {
            if let Some(all) = &asked.value {
                // Hidden questions are not among them.
                let suspended = HashSet::new();
                let (head, reviews) = (all.head, &all.reviews);
                let loaded = Loaded { student, head, reviews, suspended: &suspended };
                let seconds_to_live = self.settings.cache_ttl_seconds;
                let arranged =
                    shard.with(|cache| fill::arrange(cache, &loaded, &fence, seconds_to_live));
                if let Err(error) = arranged {
                    log::debug!("the questions of {player} are not arranged by subject: {error}");
                }
            }
            Ok(asked)
        })
    }
}

//! The session of a student's call that does not pass through Frappe (docs/door.md).

use std::time::Instant;

use super::due::{DueAnswer, DueQuery, Source};
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::clock::now_us;
use crate::rules::latency::Call;
use crate::rules::names::check_player;
use crate::servers::redis::frappe_session::{FrappeSession, ask, question};

impl Engine {
    /// What Frappe's cache has of a session, and of a user who may be the session's. With a limit,
    /// also the due questions of that user, read meanwhile, if their schedule is warm. The caller
    /// must drop what was read of a user who is not the session's.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if Frappe's cache does not answer soon, [`Error::Exhausted`] if all
    /// connections are in use, [`Error::Refused`] if a key is of another type, or Redis gives its
    /// user no right to it.
    pub fn frappe_session(
        &self,
        session_id: &str,
        user: &str,
        limit: Option<u32>,
    ) -> Result<(FrappeSession, Option<DueAnswer>)> {
        let process = self.process();
        let Some(sessions) = &process.sessions else {
            let cause = "redis_cache cannot be used: the log has the reason".to_owned();
            return Err(Error::Unavailable { server: Server::Cache, cause, answered: false });
        };
        let asked = question(self.settings.keys.site(), session_id, user);
        sessions.with(|redis| {
            let due = || limit.and_then(|limit| self.due_if_warm(&process, user, limit));
            ask(redis, &asked, due)
        })
    }

    /// A student's due questions of the active season, if one answer of the cache is enough.
    fn due_if_warm(&self, process: &Process, player: &str, limit: u32) -> Option<DueAnswer> {
        let began = Instant::now();
        check_player(player).and_then(|()| DueQuery::of_all(limit).check()).ok()?;
        let (shard, now) = (process.cache.of(player), now_us() / 1_000_000);
        let (active, due) = self.ask_warm(shard, |cache, active| {
            let season = active.name.as_deref().unwrap_or_default();
            let student = active.student(&shard.keys, player, season);
            self.cache_scripts.due(cache, student, now, limit, None)
        })?;
        let due = due?;
        // Recoveries and answers that wait too long are noticed by the call that each process gives
        // to Frappe every second.
        self.count_call(process, Call::WarmRead, began);
        Some(DueAnswer {
            reviews: due.reviews,
            total: due.total,
            season: active.name.clone(),
            source: Source::Cache,
            is_degraded: false,
            is_whole: true,
        })
    }
}

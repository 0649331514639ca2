//! Where a submission is on its way, and how the journal does.

use crate::engine::Engine;
use crate::error::{Error, Result, Server};
use crate::rules::clock::now_us;
use crate::rules::submission::check_season;
use crate::servers::mariadb::journal as kept;
use crate::servers::mariadb::{outages, records};
use crate::servers::pool::Pool;
use crate::servers::redis::students::{self, SeasonCache};
use crate::servers::redis::{RedisConnection, RedisServer, cache, journal, memory};

/// Longest job id that is looked up.
const LONGEST_JOB_ID: usize = 100;

/// Where a submission is on its way to MariaDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// In the journal.
    Pending,
    /// In MariaDB.
    Persisted,
    /// Some of it was set aside, for an administrator to look at.
    Failed,
}

/// The cache's Redis, and what of it is this site's.
#[derive(Debug)]
pub struct CacheStatus {
    /// Whether it answers; all else is empty when not.
    pub is_reachable: bool,
    /// Whether reads come from MariaDB: it does not answer, or may be old and nobody can tell.
    pub is_safe_mode: bool,
    /// What is wrong.
    pub cause: Option<String>,
    /// Bytes that the whole server uses.
    pub memory_bytes: u64,
    /// Bytes that it may use; 0: no limit.
    pub memory_limit_bytes: u64,
    /// The server's `maxmemory-policy`.
    pub maxmemory_policy: String,
    /// What an administrator should change.
    pub warning: Option<String>,
    /// The seasons asked for, in their order.
    pub seasons: Vec<SeasonCache>,
}

/// The backlog, and how safe it is.
#[derive(Debug)]
pub struct JournalStatus {
    /// Whether the journal answers; all else is empty when not.
    pub is_reachable: bool,
    /// Submissions that wait, those in MariaDB included.
    pub backlog: u64,
    /// Those of them that wait in MariaDB, in `memora_journal`.
    pub kept_in_database: u64,
    /// Answers were seen whose order is ahead of the clock.
    pub is_clock_ahead: bool,
    /// Age of the oldest, in seconds.
    pub oldest_age_seconds: f64,
    /// The server's `appendonly`.
    pub appendonly: bool,
    /// The server's `appendfsync`.
    pub appendfsync: String,
    /// The server's `maxmemory-policy`.
    pub maxmemory_policy: String,
    /// What an administrator should change.
    pub warning: Option<String>,
}

impl Engine {
    /// Where a submission of this player is. `None`: it is no submission of his.
    ///
    /// # Errors
    /// When a server that is needed is down.
    pub fn persistence_status(&self, player: &str, job_id: &str) -> Result<Option<Persistence>> {
        let is_token = !job_id.is_empty()
            && job_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_token || job_id.len() > LONGEST_JOB_ID {
            return Ok(None);
        }
        let process = self.process();
        let keys = &self.settings.keys;
        let waiting = process.journal.with(|journal| journal::waiting(journal, keys, job_id));
        if matches!(&waiting, Ok(Some(entry)) if entry.player == player) {
            return Ok(Some(Persistence::Pending));
        }
        // What has left either place by now is in the table.
        let (is_kept, outcome) = process.database.with(|database| {
            let is_kept = kept::is_waiting(database, player, job_id)?;
            Ok((is_kept, records::outcome(database, player, job_id)?))
        })?;
        match outcome {
            Some(true) => Ok(Some(Persistence::Persisted)),
            Some(false) => Ok(Some(Persistence::Failed)),
            None if is_kept => Ok(Some(Persistence::Pending)),
            // It may be in a journal that cannot be asked.
            None => waiting.map(|_| None),
        }
    }

    /// Whether answers of a student to questions of these seasons wait in the journal.
    ///
    /// # Errors
    /// When the journal is down.
    pub fn has_waiting_answers(&self, player: &str, seasons: &[String]) -> Result<bool> {
        let process = self.process();
        for season in seasons {
            check_season(season)?;
            let pending = self.pending_of(&process, &[player], season)?;
            if pending.iter().any(|pending| !pending.entries.is_empty())
                || self.waits_in_table(&process, player, season)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How the cache does, and what it has of some seasons. It takes the same few steps however
    /// many keys there are, others' included.
    ///
    /// # Errors
    /// Only for faults: a cache out of reach is part of the answer.
    pub fn cache_status(&self, seasons: &[String]) -> Result<CacheStatus> {
        let process = self.process();
        let (generation, cause) = match self.active_season(&process) {
            Ok(active) => (Some(active.generation), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut status = CacheStatus {
            is_reachable: false,
            is_safe_mode: cause.is_some(),
            cause,
            memory_bytes: 0,
            memory_limit_bytes: 0,
            maxmemory_policy: String::new(),
            warning: None,
            seasons: Vec::new(),
        };
        let (keys, now) = (&self.settings.keys, now_us() / 1_000_000);
        let asked = process.cache.with(|cache| {
            let memory = memory::memory(cache)?;
            let cached = seasons
                .iter()
                .map(|season| students::season_cache(cache, keys, season, generation, now))
                .collect::<Result<_>>()?;
            Ok((memory, cached, cache::stranger(cache)?))
        });
        match asked {
            Ok((memory, seasons, stranger)) => {
                status.warning = stranger.map(|key| self.not_alone(&key));
                status.is_reachable = true;
                status.memory_bytes = memory.used;
                status.memory_limit_bytes = memory.limit;
                status.maxmemory_policy = memory.policy;
                status.seasons = seasons;
            }
            Err(error) if error.is_failure_of(Server::Cache) => {
                status.is_safe_mode = true;
                status.cause = Some(error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(status)
    }

    /// What to do about a database that others use, too.
    fn not_alone(&self, key: &str) -> String {
        let shown: String = key.chars().take(60).collect();
        format!(
            "Database {} of the cache's Redis has keys of others, such as {shown:?}: name one of \
             memora's own in \
             srs_cache_url.",
            self.settings.cache.database()
        )
    }

    /// The backlog of unsaved reviews, its age, and the durability of the journal.
    ///
    /// # Errors
    /// Only for faults: a journal out of reach is part of the answer.
    pub fn journal_status(&self) -> Result<JournalStatus> {
        let process = self.process();
        let mut status = match process.journal.with(|journal| self.look_at(journal)) {
            Err(error) if error.is_failure_of(Server::Journal) => JournalStatus {
                is_reachable: false,
                backlog: 0,
                kept_in_database: 0,
                is_clock_ahead: false,
                oldest_age_seconds: 0.0,
                appendonly: false,
                appendfsync: String::new(),
                maxmemory_policy: String::new(),
                warning: Some(error.to_string()),
            },
            asked => asked?,
        };
        let run_id = |pool: &Pool<RedisServer>| pool.with(|redis| Ok(redis.run_id.clone())).ok();
        if status.is_reachable && run_id(&process.cache) == run_id(&process.journal) {
            status.warning = Some(
                "redis_cache and redis_queue are one Redis, and bench build empties redis_cache's: \
                 unsaved answers go \
                 with it. Give redis_queue a server of its own."
                    .to_owned(),
            );
        }
        let kept = process.database.with(|database| {
            Ok((kept::backlog(database)?, outages::is_open(database, outages::CLOCK)?))
        });
        match kept {
            Ok(((count, age_us), is_clock_ahead)) => {
                status.backlog += count;
                status.kept_in_database = count;
                status.is_clock_ahead = is_clock_ahead;
                status.oldest_age_seconds = status.oldest_age_seconds.max(age_us as f64 / 1e6);
            }
            Err(error) => log::debug!("memora_journal cannot be read: {error}"),
        }
        Ok(status)
    }

    fn look_at(&self, journal: &mut RedisConnection) -> Result<JournalStatus> {
        let (backlog, oldest) = journal::backlog(journal, &self.settings.keys)?;
        let oldest_ms = oldest.as_deref().and_then(|id| id.split('-').next()?.parse::<i64>().ok());
        let age_ms = oldest_ms.map_or(0, |oldest| (now_us() / 1_000 - oldest).max(0));
        let mut setting =
            |name| Ok::<_, Error>(journal::setting(journal, name)?.unwrap_or_default());
        let appendonly = setting("appendonly")? == "yes";
        let appendfsync = setting("appendfsync")?;
        let maxmemory_policy = setting("maxmemory-policy")?;
        let warning = warning(appendonly, &appendfsync, &maxmemory_policy).map(str::to_owned);
        Ok(JournalStatus {
            is_reachable: true,
            backlog,
            kept_in_database: 0,
            is_clock_ahead: false,
            oldest_age_seconds: age_ms as f64 / 1_000.0,
            appendonly,
            appendfsync,
            maxmemory_policy,
            warning,
        })
    }
}

/// What is unsafe about a journal's settings.
fn warning(appendonly: bool, appendfsync: &str, maxmemory_policy: &str) -> Option<&'static str> {
    if !matches!(maxmemory_policy, "noeviction" | "") {
        return Some("redis_queue may evict answers: set its maxmemory-policy to noeviction.");
    }
    match (appendonly, appendfsync) {
        (true, "always") => None,
        (true, "everysec") => Some(
            "redis_queue keeps answers over a crash of Redis, but a power cut can take the last \
             second: set \
             appendfsync to always where that matters.",
        ),
        (true, _) => Some(
            "redis_queue leaves it to the system when answers reach the disk: set appendfsync.",
        ),
        (false, _) => {
            Some("redis_queue loses unsaved answers when it crashes: set appendonly yes.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_safest_settings_pass_without_a_warning() {
        assert_eq!(warning(true, "always", "noeviction"), None);
        for (appendonly, appendfsync, policy) in [
            (false, "always", "noeviction"),
            (true, "everysec", "noeviction"),
            (true, "no", "noeviction"),
            (true, "always", "allkeys-lru"),
        ] {
            assert!(warning(appendonly, appendfsync, policy).is_some());
        }
    }
}

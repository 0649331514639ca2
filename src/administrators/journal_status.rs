//! How the journal does: what waits there, and how safe it is.

use std::sync::Arc;

use crate::consistency::registration::several;
use crate::engine::Engine;
use crate::error::{Result, Server};
use crate::servers::mariadb::journal as kept;
use crate::servers::mariadb::outages;
use crate::servers::redis::memory::memory;
use crate::servers::redis::node::Node;
use crate::servers::redis::{RedisConnection, journal, written};

/// The backlog, and how safe it is.
#[derive(Debug)]
pub struct JournalStatus {
    /// Whether the journal answers; all else is empty when not.
    pub is_reachable: bool,
    /// Submissions that wait, those in MariaDB included.
    pub backlog: u64,
    /// Those of them that wait in MariaDB, in `memora_journal`.
    pub kept_in_database: u64,
    /// Submissions that were saved lately, and that `redis_queue` still has.
    pub saved_lately: u64,
    /// Answers were seen whose order is ahead of the clock.
    pub is_clock_ahead: bool,
    /// Age of the oldest, in seconds.
    pub oldest_age_seconds: f64,
    /// The server's `appendonly`.
    pub appendonly: bool,
    /// The server's `appendfsync`; empty where memora's user may not ask for it.
    pub appendfsync: String,
    /// The server's `maxmemory-policy`.
    pub maxmemory_policy: String,
    /// What an administrator should change.
    pub warning: Option<String>,
}

impl Engine {
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
                saved_lately: 0,
                is_clock_ahead: false,
                oldest_age_seconds: 0.0,
                appendonly: false,
                appendfsync: String::new(),
                maxmemory_policy: String::new(),
                warning: Some(error.to_string()),
            },
            asked => asked?,
        };
        let journal = process.journal.with(run_id).ok();
        let is_journal = |node: &Arc<Node>| node.with(run_id).ok() == journal;
        if status.is_reachable && process.cache.nodes().is_ok_and(|all| all.iter().any(is_journal))
        {
            status.warning = Some(
                "redis_cache and redis_queue are one Redis, and bench build empties redis_cache's: \
                 unsaved answers go with it. Give redis_queue a server of its own."
                    .to_owned(),
            );
        }
        if self.are_several(&process, Server::Journal).unwrap_or(false) {
            status.warning = Some(several(Server::Journal));
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
        let (backlog, age_us) = journal::backlog(journal, &self.settings.keys)?;
        // Who may not use CONFIG is told less by INFO.
        let appendonly = match journal::setting(journal, "appendonly")? {
            Some(value) => value == "yes",
            None => journal::is_kept_on_disk(journal)?,
        };
        let appendfsync = journal::setting(journal, "appendfsync")?.unwrap_or_default();
        let maxmemory_policy = match journal::setting(journal, "maxmemory-policy")? {
            Some(value) => value,
            None => memory(journal)?.policy,
        };
        let warning = warning(appendonly, &appendfsync, &maxmemory_policy).map(str::to_owned);
        Ok(JournalStatus {
            is_reachable: true,
            backlog,
            kept_in_database: 0,
            saved_lately: written::count(journal, &self.settings.keys)?,
            is_clock_ahead: false,
            oldest_age_seconds: age_us as f64 / 1e6,
            appendonly,
            appendfsync,
            maxmemory_policy,
            warning,
        })
    }
}

fn run_id(connection: &mut RedisConnection) -> Result<String> {
    Ok(connection.run_id.clone())
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
             second: set appendfsync to always where that matters.",
        ),
        (true, "") => Some(
            "redis_queue keeps answers over a crash of Redis. Whether a power cut can take the \
             last second is not known: memora's user may not ask for appendfsync (CONFIG GET).",
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

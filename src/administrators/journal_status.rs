//! The health of the journal: what waits there, and how safe it is.

use std::sync::Arc;

use crate::consistency::registration::several;
use crate::engine::Engine;
use crate::error::{Result, Server};
use crate::servers::mariadb::journal as kept;
use crate::servers::mariadb::outages;
use crate::servers::redis::memory::memory;
use crate::servers::redis::node::Node;
use crate::servers::redis::replicas::replication;
use crate::servers::redis::replication::{Replica, Replication};
use crate::servers::redis::{RedisConnection, journal, written};

/// The backlog, and how safe it is.
#[derive(Debug, Default)]
pub struct JournalStatus {
    /// Whether the journal answers; otherwise all other fields are empty.
    pub is_reachable: bool,
    /// Submissions that wait, those in MariaDB included.
    pub backlog: u64,
    /// Those of them that wait in MariaDB, in `memora_journal`.
    pub kept_in_database: u64,
    /// Submissions that were saved lately, and that `redis_queue` still has.
    pub saved_lately: u64,
    /// Whether answers were seen whose order is ahead of the clock.
    pub is_clock_ahead: bool,
    /// Age of the oldest, in seconds.
    pub oldest_age_seconds: f64,
    /// The server's `appendonly`.
    pub appendonly: bool,
    /// The server's `appendfsync`; empty if memora's user may not read it.
    pub appendfsync: String,
    /// The server's `maxmemory-policy`.
    pub maxmemory_policy: String,
    /// The server's role in replication, in Redis' terms: `master` or `slave`.
    pub role: String,
    /// The replicas that are connected.
    pub replicas: Vec<Replica>,
    /// How many replicas must confirm an answer.
    pub replicas_asked: u32,
    /// Whether these settings keep acknowledged answers through a crash.
    pub is_durable: bool,
    /// What an administrator should change, or know.
    pub warning: Option<String>,
}

impl Engine {
    /// The backlog of unsaved reviews, its age, and the durability of the journal.
    ///
    /// # Errors
    /// Only for faults: a journal that cannot be reached is part of the answer.
    pub fn journal_status(&self) -> Result<JournalStatus> {
        let process = self.process();
        let mut status = match process.journal.with(|journal| self.look_at(journal)) {
            Err(error) if error.is_failure_of(Server::Journal) => {
                JournalStatus { warning: Some(error.to_string()), ..JournalStatus::default() }
            }
            asked => asked?,
        };
        let journal = process.journal.with(run_id).ok();
        let is_journal = |node: &Arc<Node>| node.with(run_id).ok() == journal;
        if status.is_reachable && process.cache.nodes().is_ok_and(|all| all.iter().any(is_journal))
        {
            status.is_durable = false;
            status.warning = Some(
                "redis_cache and redis_queue are one Redis, and bench build empties redis_cache: \
                 it would delete unsaved answers. Give redis_queue a server of its own."
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
                let waiting = (status.backlog, count);
                let both = self.in_both_places(&process, &process.database, waiting);
                status.backlog += count.saturating_sub(both.unwrap_or(0));
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
        let saved_lately = written::count(journal, &self.settings.keys)?;
        // Without the right to CONFIG, INFO tells less.
        let appendonly = match journal::setting(journal, "appendonly")? {
            Some(value) => value == "yes",
            None => journal::is_kept_on_disk(journal)?,
        };
        let appendfsync = journal::setting(journal, "appendfsync")?.unwrap_or_default();
        let maxmemory_policy = match journal::setting(journal, "maxmemory-policy")? {
            Some(value) => value,
            None => memory(journal)?.policy,
        };
        let Replication { role, replicas } = replication(journal)?;
        let asked = self.settings.journal_replicas;
        let mut warnings: Vec<String> =
            risk_of_settings(appendonly, &appendfsync, &maxmemory_policy)
                .into_iter()
                .map(str::to_owned)
                .collect();
        warnings.extend(risk_of_failover(&role, replicas.len(), asked));
        let is_durable = warnings.is_empty();
        let following = replicas.iter().filter(|replica| replica.is_online).count();
        warnings.extend(lacking(&role, following, asked));
        Ok(JournalStatus {
            is_reachable: true,
            backlog,
            saved_lately,
            oldest_age_seconds: age_us as f64 / 1e6,
            appendonly,
            appendfsync,
            maxmemory_policy,
            role,
            replicas,
            replicas_asked: asked,
            is_durable,
            warning: (!warnings.is_empty()).then(|| warnings.join(" ")),
            ..JournalStatus::default()
        })
    }
}

fn run_id(connection: &mut RedisConnection) -> Result<String> {
    Ok(connection.run_id.clone())
}

/// What is unsafe about a journal's settings.
fn risk_of_settings(
    appendonly: bool,
    appendfsync: &str,
    maxmemory_policy: &str,
) -> Option<&'static str> {
    if !matches!(maxmemory_policy, "noeviction" | "") {
        return Some("redis_queue may evict answers: set its maxmemory-policy to noeviction.");
    }
    match (appendonly, appendfsync) {
        (true, "always") => None,
        (true, "everysec") => Some(
            "redis_queue keeps answers through a crash of Redis, but a power cut can lose the \
             last second: set appendfsync to always if that matters.",
        ),
        (true, "") => Some(
            "redis_queue keeps answers through a crash of Redis. Whether a power cut can lose the \
             last second is unknown: memora's user may not read appendfsync (CONFIG GET).",
        ),
        (true, _) => Some(
            "redis_queue lets the operating system decide when answers reach the disk: set \
             appendfsync.",
        ),
        // With only the file changed, Redis starts empty the next time.
        (false, _) => Some(
            "redis_queue loses unsaved answers when it crashes: set appendonly yes, first with \
             CONFIG SET, then in its file.",
        ),
    }
}

/// What a failover to one of the replicas would lose.
fn risk_of_failover(role: &str, connected: usize, asked: u32) -> Option<String> {
    if role == "slave" {
        return Some(
            "redis_queue is a replica, and takes no answers: name its primary.".to_owned(),
        );
    }
    if connected <= asked as usize {
        return None;
    }
    let why = if asked == 0 {
        "none must confirm answers: a failover loses what the replica lacks"
    } else {
        "not all must confirm answers: a failover to one of the others loses what it lacks"
    };
    Some(format!(
        "redis_queue has replicas ({connected}), and {why}. Set srs_journal_replicas to \
         {connected}."
    ))
}

/// The warning that answers are kept in MariaDB because replicas are missing.
fn lacking(role: &str, following: usize, asked: u32) -> Option<String> {
    (role == "master" && following < asked as usize).then(|| {
        format!(
            "{following} of the {asked} replicas that srs_journal_replicas requires follow \
             redis_queue. Until all do, answers are kept in MariaDB too, which takes longer."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_safest_settings_pass_without_a_warning() {
        assert_eq!(risk_of_settings(true, "always", "noeviction"), None);
        for (appendonly, appendfsync, policy) in [
            (false, "always", "noeviction"),
            (true, "everysec", "noeviction"),
            (true, "no", "noeviction"),
            (true, "always", "allkeys-lru"),
        ] {
            assert!(risk_of_settings(appendonly, appendfsync, policy).is_some());
        }
    }

    #[test]
    fn each_replica_must_be_asked() {
        assert_eq!(risk_of_failover("master", 0, 0), None);
        assert_eq!(risk_of_failover("master", 1, 1), None);
        assert_eq!(risk_of_failover("master", 1, 2), None);
        for (role, connected, asked, names) in
            [("master", 1, 0, "to 1"), ("master", 2, 1, "to 2"), ("slave", 0, 0, "primary")]
        {
            assert!(risk_of_failover(role, connected, asked).is_some_and(|it| it.contains(names)));
        }
    }

    #[test]
    fn it_is_told_that_replicas_lack() {
        assert_eq!(lacking("master", 1, 1), None);
        assert!(lacking("master", 1, 2).is_some_and(|told| told.starts_with("1 of the 2")));
    }
}

//! Which run of the cache, and of the journal, the site agrees on.
//!
//! Hosts may reach different ones: each has a redis_cache of its own, or one failed over while the
//! old primary still answers some. Two of them must not be believed side by side: an answer is
//! shown in one. MariaDB, which all reach, knows which run is *registered*; the others are done
//! without until nobody uses that one any more. See [`crate::rules::registration`].

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::engine::cache::Shard;
use crate::engine::outages::OutageNews;
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::lock::lock;
use crate::rules::belief::{Look, longest_belief};
use crate::rules::registration::{Reached, Registration, Standing, challenge_of};
use crate::servers::mariadb::outages;
use crate::servers::mariadb::registrations::{self, JOURNAL};
use crate::servers::redis::{RedisConnection, look};

/// How long a process takes its journal's run for the registered one, once it has looked.
const JOURNAL_COUNTS_FOR: Duration = Duration::from_secs(30);
/// A journal that nobody has looked for in so long is used by nobody.
const LONGEST_USE: Duration = Duration::from_secs(31);
/// How long a process does without a run that does not count before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(320);

/// What is said of hosts that use different servers side by side.
pub(crate) fn several(server: Server) -> String {
    let consequence = if server == Server::Cache {
        "Those that do not reach the one that counts read from MariaDB."
    } else {
        "Those that do not reach the one that counts keep answers in MariaDB."
    };
    format!(
        "Hosts use different servers as {server}. {consequence} Name one server's address for all \
         hosts in common_site_config.json."
    )
}

impl Engine {
    /// What is to be done for the run of the cache that this process reaches.
    pub(super) fn cache_standing(
        &self,
        shard: &Shard,
        (look, registration): (&Look, &Registration),
        run: &str,
    ) -> Standing {
        let known = lock(&shard.challenge);
        let (known_for, longest) = match known.known_for(&registration.challenge, Instant::now()) {
            Some(known_for) => (known_for, known.longest),
            None => (Duration::ZERO, longest_belief(self.settings.trust_lease, false)),
        };
        registration.standing(run, look.is_believed, known_for, longest)
    }

    /// What is to be done for the run of the journal that this process reaches.
    fn journal_standing(
        &self,
        process: &Process,
        registration: &Registration,
        run: &str,
    ) -> Standing {
        let known_for =
            lock(&process.journal_challenge).known_for(&registration.challenge, Instant::now());
        registration.standing_of_new(run, known_for.unwrap_or_default(), LONGEST_USE)
    }

    /// Remembers a challenge of the cache that this process has not seen before. Of one for its own
    /// run it tells the journal: less has to be waited for then.
    pub(super) fn notice_challenge(
        &self,
        process: &Process,
        shard: &Shard,
        challenge: &str,
        run: &str,
    ) {
        let known = &shard.challenge;
        if challenge.is_empty() || lock(known).known_for(challenge, Instant::now()).is_some() {
            return;
        }
        let is_told = challenge.starts_with(&challenge_of(run, ""))
            && self.revoke_looks(process, &[shard.name.as_str()], false);
        let longest = longest_belief(self.settings.trust_lease, is_told);
        lock(known).remember(challenge, Instant::now(), longest);
    }

    /// Ends the looks that the journal shares, for some shards. False: they may go on somewhere,
    /// for as long as such a look lasts.
    pub(super) fn revoke_looks(&self, process: &Process, shards: &[&str], must_wait: bool) -> bool {
        let (keys, replicas) = (&self.settings.keys, self.replicas(process));
        let revoked = if must_wait {
            process.journal.insist(|journal| look::revoke_looks(journal, keys, shards, replicas))
        } else {
            process.journal.with(|journal| look::revoke_looks(journal, keys, shards, replicas))
        };
        matches!(revoked, Ok(true)) && self.journal_counts(process)
    }

    /// What was done for a run of a server: administrators are told where two are in use.
    pub(super) fn notice_standing(
        &self,
        process: &Process,
        (server, reached): (Server, &Mutex<Reached>),
        run: &str,
        standing: Standing,
    ) {
        lock(reached).note(run, standing.counts(), Instant::now());
        match standing {
            Standing::Defends => {
                log::error!("{}", several(server));
                let name = outages::of_several(server);
                match process.database.with(|database| outages::see_named(database, name)) {
                    Ok(true) => process.outages.tell(OutageNews::Several(server)),
                    Ok(false) => {}
                    Err(error) => log::debug!("this could not be noted: {error}"),
                }
            }
            Standing::Takes => log::info!("the {server} of this site is run {run} now"),
            Standing::Holds | Standing::Challenges | Standing::Waits => {}
        }
    }

    /// Whether a process has found lately that this run of the cache does not count.
    pub(super) fn is_other_cache(shard: &Shard, run: &str) -> bool {
        lock(&shard.reached).counts(run, Instant::now(), LOOK_AGAIN) == Some(false)
    }

    /// Whether the journal that this process reaches is the one that counts. True where nobody can
    /// tell: it is kept to what it has.
    pub(crate) fn journal_counts(&self, process: &Process) -> bool {
        let Ok(run) = process.journal.with(|journal| Ok(journal.run_id.clone())) else {
            return true;
        };
        let now = Instant::now();
        let reached = |longest| lock(&process.journal_reached).counts(&run, now, longest);
        match reached(JOURNAL_COUNTS_FOR) {
            Some(true) => return true,
            Some(false) if reached(LOOK_AGAIN).is_some() => return false,
            _ => {}
        }
        // A connection that was idle may be to a run that is gone: it must not challenge the
        // present one.
        let Ok(run) = process.journal.with(RedisConnection::run_id_now) else {
            return true;
        };
        match self.look_for_journal(process, &run) {
            Ok(standing) => {
                let journal = (Server::Journal, &process.journal_reached);
                self.notice_standing(process, journal, &run, standing);
                standing.counts()
            }
            Err(error) => {
                log::debug!("nobody can tell which journal counts: {error}");
                true
            }
        }
    }

    /// Looks whether a run of the journal counts, and does for it what is to be done.
    fn look_for_journal(&self, process: &Process, run: &str) -> Result<Standing> {
        let remember = |challenge: &str| {
            let mut known = lock(&process.journal_challenge);
            let now = Instant::now();
            if known.known_for(challenge, now).is_none() {
                known.remember(challenge, now, LONGEST_USE);
            }
        };
        // One that hangs holds up a student no longer than where the cache is looked after.
        let asked = if process.database.is_away() { &process.database } else { &process.look };
        let looked = asked.with(|database| registrations::look(database, JOURNAL))?;
        remember(&looked.challenge);
        let standing = self.journal_standing(process, &looked, run);
        if matches!(standing, Standing::Holds | Standing::Waits) {
            return Ok(standing);
        }
        let challenge = challenge_of(run, &process.token());
        let standing = process.database.with(|database| {
            registrations::settle(database, JOURNAL, (run, challenge.as_str()), |found| {
                self.journal_standing(process, found, run)
            })
        })?;
        if standing == Standing::Challenges {
            remember(&challenge);
        }
        Ok(standing)
    }

    /// Whether the cache that this process reaches is the one that counts.
    ///
    /// # Errors
    /// When the cache or MariaDB cannot be asked.
    pub(crate) fn cache_counts(&self, process: &Process) -> Result<bool> {
        for shard in process.cache.shards() {
            if !self.counts(process, shard)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the run of a shard that this process reaches is the one that counts.
    ///
    /// # Errors
    /// When the shard or MariaDB cannot be asked.
    pub(super) fn counts(&self, process: &Process, shard: &Shard) -> Result<bool> {
        // A connection that was idle may be to a run that is gone.
        let (run, name) = (shard.with(RedisConnection::run_id_now)?, shard.registered_as());
        let registered =
            process.database.with(|database| registrations::look(database, &name))?.run;
        Ok(registered == run || registered.is_empty())
    }

    /// Whether hosts use different servers side by side, as far as anybody has noticed lately.
    ///
    /// # Errors
    /// When MariaDB cannot be asked.
    pub(crate) fn are_several(&self, process: &Process, server: Server) -> Result<bool> {
        process.database.with(|database| outages::is_open(database, outages::of_several(server)))
    }

    /// Looks whether hosts still use different servers side by side.
    ///
    /// # Errors
    /// When MariaDB cannot be asked.
    pub(crate) fn check_several(&self, process: &Process) -> Result<()> {
        let shards = process.cache.shards().iter().map(Shard::registered_as).collect::<Vec<_>>();
        for (server, names) in
            [(Server::Cache, shards), (Server::Journal, vec![JOURNAL.to_owned()])]
        {
            process.database.with(|database| {
                for name in &names {
                    if registrations::look(database, name)?.defended.is_some() {
                        return Ok(());
                    }
                }
                outages::end_named(database, outages::of_several(server))
            })?;
        }
        Ok(())
    }
}

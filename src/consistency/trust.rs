//! Whether the cache may be believed.
//!
//! Cached schedules count in one generation only, which the cache itself keeps together with the
//! run of its server: a cache that was restarted may have loaded old schedules, and begins a new
//! generation.
//!
//! A cache that is well can still lack an answer that was acknowledged: one that its process could
//! not show there. Such a process marks the student in MariaDB. So schedules are believed only
//! while a *confirmation* stands in the cache, which lives for a lease. Whoever finds none *looks*:
//! asks the journal whether somebody looked at MariaDB lately, and if not, looks there, drops the
//! schedules of those who are marked, and confirms. What the marking process must wait for
//! follows from this: until its mark is gone, or until no confirmation from before it can be left.
//! See docs/how-it-works.md.
//!
//! A warm read costs one round trip, and never shows less than the last acknowledged answer.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::lock::lock;
use crate::rules::belief::{LONGEST_LOOK, Look, Repair, longest_belief};
use crate::servers::mariadb::unshown::{self, Mark};
use crate::servers::redis::look;
use crate::servers::redis::notes;

/// How often a process looks whether its mark is settled.
const POLL: Duration = Duration::from_millis(20);

impl Engine {
    /// Looks whether cached schedules lack an answer, puts right what does, and confirms that the
    /// cache may be believed.
    ///
    /// # Errors
    /// When nobody can look: then the cache is not confirmed.
    pub(crate) fn look_for_unshown(&self, process: &Process, shard: &Shard) -> Result<()> {
        let (keys, token) = (&self.settings.keys, process.token());
        let lease = self.settings.trust_lease;
        let claimed = shard.with(|cache| notes::claim_belief(cache, &shard.keys, &token, lease));
        not_refused(claimed)?;
        match self.is_look_shared(process, shard) {
            Ok(true) => {}
            Ok(false) => {
                let claimed = process
                    .journal
                    .with(|journal| look::claim_look(journal, keys, &shard.name, &token));
                self.look_at_database(process, shard)?;
                if claimed.is_ok() {
                    let noted = process.journal.with(|journal| {
                        self.journal_scripts.confirm_look(journal, keys, &shard.name, &token)
                    });
                    noted.inspect_err(|error| log::debug!("a look is not shared: {error}")).ok();
                }
            }
            Err(error) => {
                log::debug!("the journal cannot tell when MariaDB was looked at: {error}");
                self.look_at_database(process, shard)?;
            }
        }
        // Where that comes too late for the others, or the cache is full, this process has looked
        // all the same.
        not_refused(
            shard.with(|cache| self.cache_scripts.confirm(cache, &shard.keys, &token).map(drop)),
        )
    }

    /// Whether the last look of anybody at MariaDB still serves everybody.
    fn is_look_shared(&self, process: &Process, shard: &Shard) -> Result<bool> {
        let keys = &self.settings.keys;
        let note = process.journal.with(|journal| look::last_look(journal, keys, &shard.name))?;
        Ok(lock(&shard.database_look).is_fresh(&note, LONGEST_LOOK, Instant::now()))
    }

    /// Looks at MariaDB, and puts a shard of the cache right where that is needed.
    fn look_at_database(&self, process: &Process, shard: &Shard) -> Result<()> {
        // One that is known to be away is asked as all others ask it, and hardly waited for.
        let looked = if process.database.is_away() {
            process.database.with(|database| unshown::look(database, shard.place))?
        } else {
            process.look.with(|database| unshown::look(database, shard.place))?
        };
        if looked.repair() == Repair::Nothing {
            return Ok(());
        }
        process.database.with(|database| {
            unshown::settle(database, shard.place, |look| self.put_right(process, shard, look))
        })
    }

    fn put_right(&self, process: &Process, shard: &Shard, look: &Look) -> Result<()> {
        match look.repair() {
            Repair::Nothing => Ok(()),
            Repair::Drop => {
                log::info!(
                    "the schedules of {} students lacked answers and are loaded again",
                    look.unshown.len()
                );
                let students =
                    look.unshown.iter().map(|one| (one.player.as_str(), one.season.as_str()));
                process.cache.drop_students(students).map(drop)
            }
            Repair::Renew => {
                log::warn!("many cached schedules lacked answers: all are loaded again");
                renew(process, shard)
            }
        }
    }

    /// Sees to it that nobody believes what is cached of a student now. Returns once that is so: an
    /// answer that the cache does not show may be acknowledged then.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: MariaDB cannot be told. Others may show what is older than the
    /// answer.
    pub(crate) fn make_unbelieved(
        &self,
        process: &Process,
        player: &str,
        season: &str,
    ) -> Result<()> {
        self.make_all_unbelieved(process, &[(process.cache.of(player), player, season)])
    }

    /// As [`Engine::make_unbelieved`], of some students in some shards. Nobody's name means all of a
    /// shard.
    fn make_all_unbelieved(
        &self,
        process: &Process,
        students: &[(&Shard, &str, &str)],
    ) -> Result<()> {
        let mut waiting = Vec::new();
        for student @ (shard, player, season) in students {
            let mark = process
                .database
                .with(|database| unshown::mark(database, shard.place, player, season))?;
            if mark.is_believed {
                waiting.push((mark, student));
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let (keys, lease) = (&self.settings.keys, self.settings.trust_lease);
        // Every look that served before the marks has ended by then, or, where the journal is told,
        // a lease later.
        let marked = Instant::now();
        let names: Vec<&str> = waiting.iter().map(|(_, (shard, ..))| &*shard.name).collect();
        let told = process.journal.insist(|journal| look::revoke_looks(journal, keys, &names));
        let since = if told.is_ok() { Instant::now() } else { marked };
        let deadline = since + longest_belief(lease, told.is_ok());
        while Instant::now() < deadline {
            sleep(POLL.min(deadline.saturating_duration_since(Instant::now())));
            let mut left = Vec::new();
            for one @ (mark, student) in waiting {
                if !self.is_settled(process, mark, *student)? {
                    left.push(one);
                }
            }
            waiting = left;
            if waiting.is_empty() {
                return Ok(());
            }
        }
        waiting.into_iter().try_for_each(|(mark, _)| {
            process.database.with(|database| unshown::give_up(database, mark))
        })
    }

    /// Whether nobody believes any more what a mark speaks of: by what others did or, where the
    /// cache answers again, by this process.
    fn is_settled(
        &self,
        process: &Process,
        mark: Mark,
        (shard, player, season): (&Shard, &str, &str),
    ) -> Result<bool> {
        let dropped = if player.is_empty() {
            renew(process, shard)
        } else {
            process.cache.drop_students([(player, season)]).map(drop)
        };
        if dropped.is_ok() {
            process.database.with(|database| unshown::unmark(database, mark))?;
            return Ok(true);
        }
        Ok(!process.database.with(|database| unshown::is_needed(database, mark))?)
    }

    /// Makes all cached schedules void, for all processes.
    ///
    /// # Errors
    /// When neither the cache nor MariaDB can be told.
    pub(crate) fn renew_generation(&self, process: &Process) -> Result<()> {
        let mut unreached = Vec::new();
        for shard in process.cache.shards() {
            match renew(process, shard) {
                Err(error) if error.is_failure_of(Server::Cache) => {
                    unreached.push((shard, "", ""));
                }
                renewed => renewed?,
            }
        }
        self.make_all_unbelieved(process, &unreached)
    }
}

/// Begins a new generation of a shard: all that is cached there is void.
fn renew(process: &Process, shard: &Shard) -> Result<()> {
    let generation = process.random_generation();
    shard.with(|cache| notes::renew_generation(cache, &shard.keys, generation))
}

/// A cache that is full takes no notes, and can be read all the same.
fn not_refused(noted: Result<()>) -> Result<()> {
    match noted {
        Err(Error::Refused { cause, .. }) => {
            log::debug!("the cache takes no note of a look: {cause}");
            Ok(())
        }
        noted => noted,
    }
}

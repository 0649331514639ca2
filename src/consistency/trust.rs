//! Whether the cache may be believed.
//!
//! Cached schedules count in one generation only, which the cache itself keeps together with the
//! run of its server: a restarted cache may have loaded old schedules, and begins a new generation.
//!
//! A healthy cache can still lack an acknowledged answer, if its process could not show it there.
//! Such a process marks the student in MariaDB. So schedules are believed only while the cache has
//! a *confirmation*, which lives for a lease. A process that finds none *looks*: it asks the
//! journal whether a process looked at MariaDB lately, and if not, looks there, drops the schedules
//! of marked students, and confirms. So the marking process must wait until its mark is gone, or
//! until no earlier confirmation can be left. A drain that writes an answer, and cannot check
//! whether the cache shows it, marks its student too. It does not wait, because that answer was
//! shown, or not acknowledged. See docs/how-it-works.md.
//!
//! A look also tells whether this run of the cache is registered (`registration`). A run that is
//! not registered is never confirmed.
//!
//! A warm read costs one round trip, and never shows less than the last acknowledged answer.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mysql::Conn;

use crate::consistency::registration::Run;
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::lock::lock;
use crate::rules::belief::{LONGEST_LOOK, Look, Repair, SEASON_MARK, Unshown, longest_belief};
use crate::rules::registration::{Registration, Standing};
use crate::servers::mariadb::unshown::{self, Mark, Reached};
use crate::servers::redis::look::{self, LookNote};
use crate::servers::redis::notes;
use crate::servers::redis::schedules;

/// How often a process checks whether its mark is settled.
const POLL: Duration = Duration::from_millis(20);

/// The run of a shard of the cache that a process reaches.
struct ShardRun<'a> {
    engine: &'a Engine,
    process: &'a Process,
    shard: &'a Shard,
    /// The name under which it is registered.
    name: &'a str,
    id: &'a str,
}

impl Run for ShardRun<'_> {
    type Found = (Look, Registration);

    fn id(&self) -> &str {
        self.id
    }

    fn look(&self, database: &mut Conn) -> Result<(Look, Registration)> {
        unshown::look(database, self.shard.place, self.name)
    }

    fn registration<'f>(&self, (_, registration): &'f (Look, Registration)) -> &'f Registration {
        registration
    }

    fn standing(&self, (look, registration): &(Look, Registration)) -> Standing {
        self.engine.cache_standing(self.shard, (look, registration), self.id)
    }

    fn is_lacking(&self, (look, _): &(Look, Registration)) -> bool {
        look.repair() != Repair::Nothing
    }

    fn settle(&self, database: &mut Conn, challenge: &str) -> Result<Standing> {
        let Self { engine, process, shard, name, id } = *self;
        let reached = Reached { shard: shard.place, name, run: id, challenge };
        unshown::settle(database, reached, |look, registration| {
            engine.put_right(process, shard, id, look, registration)
        })
    }

    fn remember(&self, challenge: &str) {
        self.engine.notice_challenge(self.process, self.shard, challenge, self.id);
    }
}

impl Engine {
    /// Looks whether cached schedules lack an answer, repairs those that do, and confirms that the
    /// shard may be believed. Returns the run of it for which that is so.
    ///
    /// # Errors
    /// [`Error::NotRegistered`]: another cache is registered. Otherwise when no process can look.
    /// Then the shard is not confirmed.
    pub(crate) fn look_for_unshown(&self, process: &Process, shard: &Shard) -> Result<String> {
        let (keys, token) = (&self.settings.keys, process.token());
        let lease = self.settings.trust_lease;
        let run = shard.with(|cache| notes::claim_belief(cache, &shard.keys, &token, lease))?;
        if !self.journal_counts(process) {
            self.look_at_database(process, shard, &run)?;
        } else if !self.is_look_shared(process, shard, &run) {
            let (name, note) = (shard.name.as_str(), LookNote { run: &run, token: &token });
            let claimed =
                process.journal.with(|journal| look::claim_look(journal, keys, name, &note));
            self.look_at_database(process, shard, &run)?;
            if claimed.is_ok() {
                let noted = process
                    .journal
                    .with(|journal| self.journal_scripts.confirm_look(journal, keys, name, &note));
                noted.inspect_err(|error| log::debug!("a look is not shared: {error}")).ok();
            }
        }
        // Even if that is too late for other processes, or the cache is full, this process has
        // looked.
        match shard.with(|cache| self.cache_scripts.confirm(cache, &shard.keys, &run, &token)) {
            Err(Error::Refused { cause, .. }) => {
                log::debug!("the cache does not store a look: {cause}");
            }
            confirmed => drop(confirmed?),
        }
        Ok(run)
    }

    /// Whether the last look of any process at MariaDB still serves all.
    fn is_look_shared(&self, process: &Process, shard: &Shard, run: &str) -> bool {
        let keys = &self.settings.keys;
        match process.journal.with(|journal| look::last_look(journal, keys, &shard.name, run)) {
            Ok(note) => lock(&shard.database_look).is_fresh(&note, LONGEST_LOOK, Instant::now()),
            Err(error) => {
                log::debug!("the journal cannot tell when MariaDB was looked at: {error}");
                false
            }
        }
    }

    /// Looks at MariaDB, and repairs a shard of the cache if needed.
    fn look_at_database(&self, process: &Process, shard: &Shard, run: &str) -> Result<()> {
        let name = shard.registered_as();
        let run = ShardRun { engine: self, process, shard, name: &name, id: run };
        if self.look_after(process, (Server::Cache, &shard.reached), &run)?.counts() {
            return Ok(());
        }
        Err(Error::NotRegistered { server: Server::Cache })
    }

    /// Repairs this run of a shard, if it is registered.
    fn put_right(
        &self,
        process: &Process,
        shard: &Shard,
        run: &str,
        look: &Look,
        registration: &Registration,
    ) -> Result<Standing> {
        let standing = self.cache_standing(shard, (look, registration), run);
        if !standing.counts() {
            return Ok(standing);
        }
        // It replaces another run, so its old schedules are void, whatever they lack.
        let is_new = standing == Standing::Takes && !registration.run.is_empty();
        match if is_new { Repair::Renew } else { look.repair() } {
            Repair::Nothing => return Ok(standing),
            Repair::Drop => {
                let students = to_drop(process, look)?;
                if !students.is_empty() {
                    log::info!(
                        "the schedules of {} students lacked answers, or may have lacked them, and \
                         are loaded again",
                        students.len()
                    );
                }
                process.cache.drop_students(students)?;
                if look.unshown.iter().any(Unshown::is_of_season) {
                    shard.with(|cache| notes::forget_season(cache, &shard.keys))?;
                }
            }
            Repair::Renew => {
                if !is_new {
                    log::warn!("many cached schedules lacked answers: all are loaded again");
                }
                renew(process, shard)?;
            }
        }
        // The run that it looked for must be the run that it repaired, whichever it reaches now.
        if shard.with(|cache| Ok(cache.run_id == run))? {
            return Ok(standing);
        }
        Err(Error::NotRegistered { server: Server::Cache })
    }

    /// Makes sure that no process believes a student's cached schedule. Returns once that is so:
    /// then an answer that the cache does not show may be acknowledged.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: MariaDB cannot be told. Other processes may show schedules older
    /// than the answer.
    pub(crate) fn make_unbelieved(
        &self,
        process: &Process,
        player: &str,
        season: &str,
    ) -> Result<()> {
        self.make_all_unbelieved(process, &[(process.cache.of(player), player, season)])
    }

    /// Makes sure that no process that reaches the registered cache believes what it has.
    ///
    /// # Errors
    /// As [`Engine::make_unbelieved`].
    pub(crate) fn make_nothing_believed(&self, process: &Process) -> Result<()> {
        let all: Vec<_> = process.cache.shards().iter().map(|shard| (shard, "", "")).collect();
        self.make_all_unbelieved(process, &all)
    }

    /// As [`Engine::make_unbelieved`], for some students in some shards. An empty name means a
    /// whole shard, or, with [`SEASON_MARK`], that it looks up the season again.
    pub(in crate::consistency) fn make_all_unbelieved(
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
        let lease = self.settings.trust_lease;
        // Every look from before the marks has ended by then or, if the journal is told, a lease
        // later.
        let marked = Instant::now();
        let names: Vec<&str> = waiting.iter().map(|(_, (shard, ..))| &*shard.name).collect();
        let is_told = self.revoke_looks(process, &names, true);
        let since = if is_told { Instant::now() } else { marked };
        let deadline = since + longest_belief(lease, is_told);
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

    /// Whether no process believes any more what a mark covers: because other processes repaired it
    /// or, if the cache answers again, this one.
    fn is_settled(
        &self,
        process: &Process,
        mark: Mark,
        (shard, player, season): (&Shard, &str, &str),
    ) -> Result<bool> {
        let dropped = shard.with(|cache| {
            if season == SEASON_MARK {
                notes::forget_season(cache, &shard.keys)?;
            } else if player.is_empty() {
                let generation = process.random_generation();
                notes::renew_generation(cache, &shard.keys, generation)?;
            } else {
                schedules::drop_students(cache, &shard.keys, [(player, season)])?;
            }
            Ok(cache.run_id.clone())
        });
        if let Ok(run) = dropped {
            let reached = (shard.registered_as(), run);
            let reached = (reached.0.as_str(), reached.1.as_str());
            if process.database.with(|database| unshown::unmark(database, mark, reached))? {
                return Ok(true);
            }
        }
        Ok(!process.database.with(|database| unshown::is_needed(database, mark))?)
    }

    /// Drops students' schedules, and makes sure that no process believes another cache's.
    ///
    /// # Errors
    /// When neither the cache nor MariaDB can be told.
    pub(crate) fn drop_everywhere<'a>(
        &self,
        process: &Process,
        students: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<()> {
        let mut unreached = Vec::new();
        for (shard, students) in process.cache.by_shard(students, |(player, _)| player) {
            let names = || students.iter().copied();
            let dropped = shard.with(|cache| schedules::drop_students(cache, &shard.keys, names()));
            match dropped.and_then(|_| self.counts(process, shard)) {
                Ok(true) => {}
                Err(error) if !error.is_failure_of(Server::Cache) => return Err(error),
                _ => unreached.extend(names().map(|(player, season)| (shard, player, season))),
            }
        }
        self.make_all_unbelieved(process, &unreached)
    }

    /// Makes all cached schedules void, for all processes.
    ///
    /// # Errors
    /// When neither the cache nor MariaDB can be told.
    pub(crate) fn renew_generation(&self, process: &Process) -> Result<()> {
        let mut unreached = Vec::new();
        for shard in process.cache.shards() {
            match renew(process, shard).and_then(|()| self.counts(process, shard)) {
                Ok(true) => {}
                Ok(false) => unreached.push((shard, "", "")),
                Err(error) if error.is_failure_of(Server::Cache) => {
                    unreached.push((shard, "", ""));
                }
                Err(error) => return Err(error),
            }
        }
        self.make_all_unbelieved(process, &unreached)
    }
}

/// The students whose schedules lack an answer, or may lack it, judged by the schedules.
fn to_drop<'a>(process: &Process, look: &'a Look) -> Result<Vec<(&'a str, &'a str)>> {
    fn name(one: &Unshown) -> (&str, &str) {
        (&one.player, &one.season)
    }
    let (doubted, lacking): (Vec<_>, Vec<_>) =
        look.unshown.iter().filter(|one| !one.is_of_season()).partition(|one| one.newest.is_some());
    let mut students: Vec<_> = lacking.into_iter().map(name).collect();
    for (shard, doubted) in process.cache.by_shard(doubted, |one| &one.player) {
        let names = || doubted.iter().map(|one| name(one));
        let heads = shard.with(|cache| schedules::heads(cache, &shard.keys, names()))?;
        let found = doubted.iter().zip(heads);
        let dropped = found.filter(|(one, head)| one.is_dropped(head.map(|head| head.order)));
        students.extend(dropped.map(|(one, _)| name(one)));
    }
    Ok(students)
}

/// Begins a new generation of a shard: all that is cached there is void.
fn renew(process: &Process, shard: &Shard) -> Result<()> {
    let generation = process.random_generation();
    shard.with(|cache| notes::renew_generation(cache, &shard.keys, generation))?;
    *lock(&shard.season) = None;
    Ok(())
}

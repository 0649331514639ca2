//! Whether the cache may be believed.
//!
//! Cached sets carry a generation. The generation that counts is kept in the journal's Redis, and a
//! process looks it up only once in a while: it holds a *lease*. Whoever acknowledges an answer that the
//! cache could not be told first declares the cache lost there, then waits until every lease has run out.
//! From then on nobody believes what is cached, until the cache answers again in a new generation. A
//! restarted cache has another run id and gets a new generation too: it may have loaded old data.
//!
//! So a warm read costs one round trip, and still never shows less than the last acknowledged answer.
//!
//! While the journal is out of reach, MariaDB is the witness: it is told of each loss, too, and asked once a
//! lease. When the journal is back, each process that missed it carries over what MariaDB was told.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::clock::now_us;
use crate::engine::{Engine, Process, lock};
use crate::error::{Error, Result, Server};
use crate::mariadb::outages;
use crate::redis::cache;
use crate::redis::journal::{TrustAction, TrustState};
use crate::season::{generation_of, run_of};

/// What a process may believe, for the moment.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Sets of this generation are believed.
    pub generation: u64,
    /// The run of the cache's Redis that is meant.
    pub run_id: Arc<str>,
    /// False while the journal cannot be asked: then the last known state stands in.
    pub is_confirmed: bool,
    until: Instant,
}

/// What a process remembers of the trust in the cache.
pub struct TrustMemory {
    lease: Option<Lease>,
    /// The generation of the last lease.
    generation: Option<u64>,
    /// The journal was out of reach: what MariaDB was told meanwhile has to be carried over.
    missed_journal: bool,
    /// Not even MariaDB could be told that cached schedules are old.
    owes_renewal: bool,
    /// Since when MariaDB has stood in for the journal, as a witness that cached sets are void.
    told_database_at: Option<Instant>,
}

impl Default for TrustMemory {
    fn default() -> Self {
        TrustMemory {
            lease: None,
            generation: None,
            // A process that begins now knows of no outage before it.
            missed_journal: true,
            owes_renewal: false,
            told_database_at: None,
        }
    }
}

impl TrustMemory {
    fn hold(&mut self, lease: &Lease) {
        if lease.is_confirmed {
            self.told_database_at = None;
        }
        self.generation = Some(lease.generation);
        self.lease = Some(lease.clone());
    }
}

impl Engine {
    /// The present lease; a new one when the old one has run out.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the cache while it is lost.
    pub(crate) fn lease(&self, process: &Process) -> Result<Lease> {
        let now = Instant::now();
        let last = {
            let memory = lock(&process.trust);
            if let Some(lease) = memory.lease.as_ref().filter(|lease| now < lease.until) {
                return Ok(lease.clone());
            }
            memory.lease.clone()
        };
        let lease = match self.ask_trust(process) {
            Ok(state) if state.is_ok => self.lease_of(&state, now),
            Ok(_) => self.recover(process, now)?,
            Err(error) if error.is_failure_of(Server::Journal) => self.unconfirmed(process, last, now)?,
            Err(error) => return Err(error),
        };
        lock(&process.trust).hold(&lease);
        Ok(lease)
    }

    fn lease_of(&self, state: &TrustState, from: Instant) -> Lease {
        Lease {
            generation: state.generation,
            run_id: state.run_id.as_str().into(),
            is_confirmed: true,
            until: from + self.settings.trust_lease,
        }
    }

    fn ask_trust(&self, process: &Process) -> Result<TrustState> {
        let state = self.change_trust(process, &TrustAction::Read)?;
        let (missed_journal, owes_renewal) = {
            let memory = lock(&process.trust);
            (memory.missed_journal, memory.owes_renewal)
        };
        if !missed_journal && !owes_renewal {
            return Ok(state);
        }
        let void = process.database.with(outages::void_generation);
        let is_void = void.as_ref().is_ok_and(|void| *void >= state.generation);
        let state = if is_void || owes_renewal {
            log::warn!("answers came in while the journal was out of reach: all schedules are loaded anew");
            self.change_trust(process, &TrustAction::Renew(*void.as_ref().unwrap_or(&0)))?
        } else {
            state
        };
        let mut memory = lock(&process.trust);
        memory.missed_journal = void.is_err();
        memory.owes_renewal = false;
        Ok(state)
    }

    fn change_trust(&self, process: &Process, action: &TrustAction<'_>) -> Result<TrustState> {
        process.journal.with(|journal| self.journal_scripts.trust(journal, &self.settings.keys, action))
    }

    /// Begins a new generation, with this run of the cache.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the cache when the journal cannot be told: then the cache is not believed.
    fn begin_anew(&self, process: &Process, run_id: &str) -> Result<TrustState> {
        self.change_trust(process, &TrustAction::Found(run_id)).map_err(|error| {
            log::debug!("the journal cannot note a new beginning of the cache: {error}");
            doubtful("it may hold old schedules")
        })
    }

    /// The cache was lost: if it answers now, begin a new generation.
    fn recover(&self, process: &Process, from: Instant) -> Result<Lease> {
        let run_id = process.cache.with(|cache| cache.run_id_now())?;
        let state = self.begin_anew(process, &run_id)?;
        log::warn!(
            "the cache answers again: students' schedules are loaded anew (generation {})",
            state.generation
        );
        Ok(self.lease_of(&state, from))
    }

    /// Without the journal: go on with what was known last, or with what others left in the cache, unless
    /// MariaDB knows better.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the cache when it has missed an answer.
    fn unconfirmed(&self, process: &Process, last: Option<Lease>, from: Instant) -> Result<Lease> {
        self.miss_journal(process);
        let (token, run_id) = process
            .cache
            .with(|cache| Ok((cache::active_season(cache, &self.settings.keys)?, cache.run_id.clone())))?;
        // Written in this run of the cache by a process that had the journal's word for it, perhaps after
        // this one's last lease.
        let written = token.as_deref().filter(|token| run_of(token) == Some(&run_id)).and_then(generation_of);
        let (generation, run_id) = match (last, written) {
            (Some(last), written) if written.is_none_or(|written| written < last.generation) => {
                (last.generation, last.run_id)
            }
            (_, Some(written)) => (written, run_id.into()),
            (_, None) => return Err(doubtful("nobody can tell which of its schedules are old")),
        };
        let until = from + self.settings.trust_lease;
        let lease = Lease { generation, run_id, is_confirmed: false, until };
        match process.database.with(outages::void_generation) {
            Ok(void) if void >= lease.generation => Err(doubtful("it missed answers")),
            _ => Ok(lease),
        }
    }

    /// The cache's Redis is another one than the lease knows: it restarted, so what it has may be old.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the cache when the journal cannot be told: then it is not believed.
    pub(crate) fn cache_restarted(&self, process: &Process, run_id: &str) -> Result<Lease> {
        let from = Instant::now();
        let state = self.begin_anew(process, run_id)?;
        let lease = self.lease_of(&state, from);
        lock(&process.trust).hold(&lease);
        Ok(lease)
    }

    /// Forgets the lease, so that the next call asks again.
    pub(crate) fn drop_lease(&self, process: &Process) {
        lock(&process.trust).lease = None;
    }

    /// The journal did not answer: what MariaDB is told meanwhile has to be looked up afterwards.
    pub(crate) fn miss_journal(&self, process: &Process) {
        lock(&process.trust).missed_journal = true;
    }

    /// Sees to it that nobody believes what is cached now. Returns once that is so: an answer that the
    /// cache does not show may be acknowledged then.
    pub(crate) fn distrust_cache(&self, process: &Process) {
        loop {
            let (pause, is_settled) = match self.tell_journal(process) {
                Ok(pause) => (pause, true),
                Err(error) => {
                    log::debug!("the journal cannot be told that cached schedules are old: {error}");
                    let pause = self.tell_database(process);
                    (pause, pause.is_zero())
                }
            };
            self.drop_lease(process);
            sleep(pause);
            // A journal that came back meanwhile has given leases: it has to be told, too.
            if is_settled {
                return;
            }
        }
    }

    /// Declares the cache lost in the journal. Returns how long leases from before may still be held.
    ///
    /// Asks the journal even where it was away a moment ago: other processes may have it back already.
    fn tell_journal(&self, process: &Process) -> Result<Duration> {
        let lease = self.settings.trust_lease;
        let (keys, scripts) = (&self.settings.keys, &self.journal_scripts);
        let (state, was_ok) = process.journal.insist(|journal| {
            let state = scripts.trust(journal, keys, &TrustAction::Read)?;
            let was_ok = state.is_ok;
            if was_ok {
                scripts.trust(journal, keys, &TrustAction::Lost(state.generation))?;
            }
            Ok((state, was_ok))
        })?;
        if !was_ok {
            return Ok(lease.saturating_sub(Duration::from_millis(state.lost_for_ms)));
        }
        // Should the journal go, too, before the cache has a new generation.
        let told = process.database.with(|database| outages::make_void(database, state.generation));
        if let Err(error) = told {
            log::warn!("MariaDB cannot be told that cached schedules are old: {error}");
        }
        Ok(lease)
    }

    /// Tells MariaDB that what is cached is void: the journal is out of reach. As [`Engine::tell_journal`].
    fn tell_database(&self, process: &Process) -> Duration {
        let lease = self.settings.trust_lease;
        let generation = {
            let mut memory = lock(&process.trust);
            memory.missed_journal = true;
            // Generations are times: none that anybody can have by now is later.
            let now = u64::try_from(now_us()).unwrap_or(u64::MAX);
            memory.generation.map_or(now, |generation| generation.max(now))
        };
        let told = process.database.with(|database| outages::make_void(database, generation));
        let mut memory = lock(&process.trust);
        if let Err(error) = told {
            log::error!("no server can be told that cached schedules are old: {error}");
            memory.owes_renewal = true;
        }
        let since = *memory.told_database_at.get_or_insert_with(Instant::now);
        lease.saturating_sub(since.elapsed())
    }

    /// Makes all cached sets void, for all processes.
    pub(crate) fn renew_generation(&self, process: &Process) -> Result<()> {
        self.change_trust(process, &TrustAction::Renew(0))?;
        self.drop_lease(process);
        sleep(self.settings.trust_lease);
        Ok(())
    }
}

/// A cache that answers and cannot be used.
fn doubtful(why: &str) -> Error {
    let cause = format!("{why}, and without the journal it cannot begin anew");
    Error::Unavailable { server: Server::Cache, cause, broken: false }
}

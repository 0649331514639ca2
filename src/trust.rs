//! Whether the cache may be believed.
//!
//! Cached sets carry a generation. The generation that counts is kept in the journal's Redis, and a
//! process looks it up only once in a while: it holds a *lease*. Whoever acknowledges an answer that the
//! cache could not be told first declares the cache lost there, then waits until every lease has run out.
//! From then on nobody believes what is cached, until the cache answers again in a new generation. A
//! restarted cache has another run id and gets a new generation too: it may have loaded old data.
//!
//! So a warm read costs one round trip, and still never shows less than the last acknowledged answer.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::engine::{Engine, Process, lock};
use crate::error::{Error, Result, Server};
use crate::redis::cache;
use crate::redis::journal::{TrustAction, TrustState};

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
#[derive(Default)]
pub struct TrustMemory {
    lease: Option<Lease>,
    /// An answer was acknowledged that neither cache nor journal could be told: to be made good first.
    owes_renewal: bool,
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
        lock(&process.trust).lease = Some(lease.clone());
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
        let owes = lock(&process.trust).owes_renewal;
        let action = if owes { TrustAction::Renew } else { TrustAction::Read };
        let state = self.change_trust(process, &action)?;
        if owes {
            lock(&process.trust).owes_renewal = false;
        }
        Ok(state)
    }

    fn change_trust(&self, process: &Process, action: &TrustAction<'_>) -> Result<TrustState> {
        process.journal.with(|journal| self.journal_scripts.trust(journal, &self.settings.keys, action))
    }

    /// The cache was lost: if it answers now, begin a new generation.
    fn recover(&self, process: &Process, from: Instant) -> Result<Lease> {
        let run_id = process.cache.with(|cache| {
            cache.command::<()>(&redis::cmd("PING"))?;
            Ok(cache.run_id.clone())
        })?;
        let state = self.change_trust(process, &TrustAction::Found(&run_id))?;
        log::warn!(
            "the cache answers again: students' schedules are loaded anew (generation {})",
            state.generation
        );
        Ok(self.lease_of(&state, from))
    }

    /// Without the journal nobody can declare the cache lost, and it alone knows what waits in the journal:
    /// go on with what was known last, or with what the cache itself says.
    fn unconfirmed(&self, process: &Process, last: Option<Lease>, from: Instant) -> Result<Lease> {
        let until = from + self.settings.trust_lease;
        if let Some(last) = last {
            return Ok(Lease { is_confirmed: false, until, ..last });
        }
        let (token, run_id) = process
            .cache
            .with(|cache| Ok((cache::active_season(cache, &self.settings.keys)?, cache.run_id.clone())))?;
        let generation = token.as_deref().and_then(crate::season::generation_of).unwrap_or(0);
        Ok(Lease { generation, run_id: run_id.into(), is_confirmed: false, until })
    }

    /// The cache's Redis is another one than the lease knows: it restarted, so what it has may be old.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the cache when the journal cannot be told: then it is not believed.
    pub(crate) fn cache_restarted(&self, process: &Process, run_id: &str) -> Result<Lease> {
        let from = Instant::now();
        let state =
            self.change_trust(process, &TrustAction::Found(run_id)).map_err(|error| Error::Unavailable {
                server: Server::Cache,
                cause: format!("it restarted, and what it holds cannot be checked: {error}"),
                broken: false,
            })?;
        let lease = self.lease_of(&state, from);
        lock(&process.trust).lease = Some(lease.clone());
        Ok(lease)
    }

    /// Forgets the lease, so that the next call asks again.
    pub(crate) fn drop_lease(&self, process: &Process) {
        lock(&process.trust).lease = None;
    }

    /// Sees to it that nobody believes what is cached now. Returns once that is so: an answer that the
    /// cache does not show may be acknowledged then.
    pub(crate) fn distrust_cache(&self, process: &Process) {
        let lease_ms = u64::try_from(self.settings.trust_lease.as_millis()).unwrap_or(u64::MAX);
        let told = self.change_trust(process, &TrustAction::Read).and_then(|state| match state.is_ok {
            true => self.change_trust(process, &TrustAction::Lost(state.generation)).map(|_| lease_ms),
            false => Ok(lease_ms.saturating_sub(state.lost_for_ms)),
        });
        let wait_ms = match told {
            Ok(wait_ms) => wait_ms,
            Err(error) => {
                log::error!("neither cache nor journal can be told that cached schedules are old: {error}");
                let mut memory = lock(&process.trust);
                let is_known = std::mem::replace(&mut memory.owes_renewal, true);
                if is_known { 0 } else { lease_ms }
            }
        };
        self.drop_lease(process);
        sleep(Duration::from_millis(wait_ms));
    }

    /// Makes all cached sets void, for all processes.
    pub(crate) fn renew_generation(&self, process: &Process) -> Result<()> {
        self.change_trust(process, &TrustAction::Renew)?;
        self.drop_lease(process);
        sleep(self.settings.trust_lease);
        Ok(())
    }
}

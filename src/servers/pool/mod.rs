//! Connections to one server, kept between calls, behind a breaker.

mod options;
#[cfg(test)]
mod tests;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::options::{OPTIONS, PoolOptions};
use crate::error::{Error, Result, Server};
use crate::lock::lock;
use crate::servers::breaker::{Breaker, Permit};
use crate::servers::host::BRIEFLY;

/// A connection that the server has closed fails within this time.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How a pool makes its connections.
pub trait Connect {
    /// A connection, ready for commands.
    type Connection;

    /// Connects. With `probe`, waits only briefly, because the server was just down.
    fn connect(&self, probe: bool) -> Result<Self::Connection>;

    /// Pings the server over an idle connection, and waits only briefly: a firewall may have
    /// silently dropped the connection. `None`: it did not answer.
    fn test(&self, connection: Self::Connection) -> Option<Self::Connection>;

    /// Whether a connection still leads to the present server.
    fn leads_there(&self, _connection: &Self::Connection) -> bool {
        true
    }

    /// How long a call waits for the server.
    fn patience(&self) -> Duration;
}

/// How long to wait for one reply: a part of the patience for the server. The rest is for checking,
/// over a new connection, whether the server itself is silent.
pub fn reply_patience(patience: Duration) -> Duration {
    patience - BRIEFLY.min(patience / 5)
}

/// A pool of connections to one server.
pub struct Pool<C: Connect> {
    server: Server,
    connector: C,
    options: PoolOptions,
    connections: Mutex<Connections<C::Connection>>,
    /// Wakes calls that wait for a connection: one was freed, or the breaker has opened.
    freed: Condvar,
    breaker: Breaker,
    /// The last failure of the server.
    cause: Mutex<String>,
}

struct Connections<T> {
    /// Idle connections; the most recently used one is last.
    idle: Vec<Kept<T>>,
    /// The number of calls that have a connection, or are making one.
    in_use: usize,
    /// The number of calls that wait for one.
    waiting: usize,
}

struct Kept<T> {
    connection: T,
    made_at: Instant,
    idle_since: Instant,
}

/// The right to a connection of a pool, until it is dropped.
struct Slot<'a, C: Connect>(&'a Pool<C>);

impl<C: Connect> Drop for Slot<'_, C> {
    fn drop(&mut self) {
        let mut connections = self.0.lock();
        connections.in_use -= 1;
        if connections.waiting > 0 {
            self.0.freed.notify_one();
        }
    }
}

impl<C: Connect> Pool<C> {
    /// A pool without connections yet; they are made on first use.
    pub fn new(server: Server, connector: C) -> Self {
        Pool {
            server,
            connector,
            options: OPTIONS,
            connections: Mutex::new(Connections { idle: Vec::new(), in_use: 0, waiting: 0 }),
            freed: Condvar::new(),
            breaker: Breaker::default(),
            cause: Mutex::default(),
        }
    }

    /// Runs `work` on a connection. Waits for one while all are in use, so `work` must not ask the
    /// same pool for another.
    ///
    /// `work` runs a second time, on a fresh connection, if a kept one turns out to be broken or
    /// silent, so it must be safe to repeat.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without waiting while the breaker is open, [`Error::Exhausted`] if no
    /// connection was free in time; otherwise the error of `work`.
    pub fn with<T>(&self, work: impl FnMut(&mut C::Connection) -> Result<T>) -> Result<T> {
        let permit = self.breaker.permit();
        if permit == Permit::Refused {
            return Err(self.refusal());
        }
        let probe = permit == Permit::Probe;
        let _slot = self.acquire(probe, probe)?;
        let began = self.breaker.begin();
        let outcome = self.attempt(probe, work);
        self.note(&outcome, Some(began));
        outcome
    }

    /// As [`Pool::with`], but asks the server even while the breaker is open, and waits for it as
    /// long as for a healthy one.
    pub fn insist<T>(&self, work: impl FnMut(&mut C::Connection) -> Result<T>) -> Result<T> {
        let _slot = self.acquire(false, true)?;
        let began = (!self.breaker.is_open()).then(|| self.breaker.begin());
        let outcome = self.attempt(false, work);
        self.note(&outcome, began);
        outcome
    }

    /// Closes the connections that are kept; the next call makes a new one.
    pub fn close(&self) {
        let idle = std::mem::take(&mut self.lock().idle);
        // Closing takes a while.
        drop(idle);
    }

    /// Whether the server counts as down.
    pub fn is_down(&self) -> bool {
        self.breaker.is_open()
    }

    /// Waits until a connection is free. A full pool says nothing about the server, so the breaker
    /// ignores it.
    fn acquire(&self, probe: bool, despite_breaker: bool) -> Result<Slot<'_, C>> {
        let patience = if probe { BRIEFLY } else { self.connector.patience() };
        let mut began = None;
        let mut connections = self.lock();
        while connections.in_use >= self.options.max_connections {
            let waited = began.get_or_insert_with(Instant::now).elapsed();
            let left = patience.min(self.options.acquire_timeout).saturating_sub(waited);
            if left.is_zero() {
                let most = self.options.max_connections;
                return Err(Error::Exhausted { server: self.server, most });
            }
            connections.waiting += 1;
            let waited = self.freed.wait_timeout(connections, left);
            connections = waited.unwrap_or_else(PoisonError::into_inner).0;
            connections.waiting -= 1;
            if !despite_breaker && self.breaker.is_open() {
                // Passes on a wake-up that this call does not use.
                self.freed.notify_one();
                return Err(self.refusal());
            }
        }
        connections.in_use += 1;
        Ok(Slot(self))
    }

    fn refusal(&self) -> Error {
        let cause = lock(&self.cause).clone();
        Error::Unavailable { server: self.server, cause, answered: false }
    }

    fn attempt<T>(
        &self,
        probe: bool,
        mut work: impl FnMut(&mut C::Connection) -> Result<T>,
    ) -> Result<T> {
        if probe {
            self.close();
        }
        let start = Instant::now();
        let Some(kept) = self.take(start) else {
            let connection = self.connector.connect(probe)?;
            return self.run(Kept { connection, made_at: start, idle_since: start }, &mut work);
        };
        let failure = match self.run(kept, &mut work) {
            Err(error @ Error::Unavailable { .. }) if error.is_failure_of(self.server) => error,
            outcome => return outcome,
        };
        // The connection may be at fault, not the server: a firewall dropped it, or the server
        // closed it. A new one shows which. Its wait is shorter.
        self.close();
        let made_at = Instant::now();
        let is_late = made_at.duration_since(start) >= AT_ONCE;
        if is_late {
            log::warn!("the {} is asked again, over a new connection: {failure}", self.server);
        }
        match self.connector.connect(is_late) {
            Ok(connection) => {
                self.run(Kept { connection, made_at, idle_since: made_at }, &mut work)
            }
            Err(_) if is_late => Err(failure),
            Err(error) => Err(error),
        }
    }

    fn run<T>(
        &self,
        mut kept: Kept<C::Connection>,
        work: &mut impl FnMut(&mut C::Connection) -> Result<T>,
    ) -> Result<T> {
        let outcome = work(&mut kept.connection);
        let is_spoiled = outcome.as_ref().is_err_and(Error::spoils_connection);
        let now = Instant::now();
        if !is_spoiled && now.duration_since(kept.made_at) < self.options.max_lifetime {
            kept.idle_since = now;
            self.lock().idle.push(kept);
        }
        outcome
    }

    /// The most recently used connection, so that the others expire. It is tested if that use was
    /// long ago.
    fn take(&self, now: Instant) -> Option<Kept<C::Connection>> {
        let mut connections = self.lock();
        let taken = connections.idle.pop();
        let idle = |kept: &Kept<_>| now.saturating_duration_since(kept.idle_since);
        let is_old = |kept: &Kept<_>| idle(kept) >= self.options.idle_timeout;
        let count = connections.idle.partition_point(is_old);
        let old: Vec<_> = connections.idle.drain(..count).collect();
        drop(connections);
        drop(old);
        let kept = taken.filter(|kept| !is_old(kept))?;
        if !self.connector.leads_there(&kept.connection) {
            self.close();
            return None;
        }
        if idle(&kept) < self.options.test_after {
            return Some(kept);
        }
        let Kept { connection, made_at, idle_since } = kept;
        let Some(connection) = self.connector.test(connection) else {
            // It is broken, and so are all that were idle for longer.
            self.close();
            return None;
        };
        Some(Kept { connection, made_at, idle_since })
    }

    /// Reports the outcome of an attempt that began at this time to the breaker; `None`: the server
    /// was known to be down, so a failure is no news.
    fn note<T>(&self, outcome: &Result<T>, began: Option<u64>) {
        match outcome {
            Err(Error::Unavailable { server, cause, .. }) if *server == self.server => {
                if let Some(began) = began {
                    log::warn!("the {server} does not answer: {cause}");
                    self.close();
                    lock(&self.cause).clone_from(cause);
                    self.breaker.failed(began);
                    self.freed.notify_all();
                }
            }
            _ => self.breaker.succeeded(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections<C::Connection>> {
        lock(&self.connections)
    }
}

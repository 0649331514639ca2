//! Connections to one server, kept between calls, behind a breaker.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Server};
use crate::servers::breaker::{Breaker, Permit};

const MOST_IDLE: usize = 64;

/// How a pool makes its connections.
pub trait Connect {
    /// A connection that is ready for commands.
    type Connection;

    /// Connects. With `probe`, waits only briefly: the server was down a moment ago.
    fn connect(&self, probe: bool) -> Result<Self::Connection>;
}

/// A connection that the server closed some time ago breaks within this time.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How long a probe of a server that was down may take.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(30);

/// A pool of connections to one server.
pub struct Pool<C: Connect> {
    server: Server,
    connector: C,
    idle: Mutex<Vec<C::Connection>>,
    breaker: Breaker,
    /// Why the server could not be used the last time.
    cause: Mutex<String>,
}

impl<C: Connect> Pool<C> {
    /// A pool without connections yet; they are made on first use.
    pub fn new(server: Server, connector: C) -> Self {
        Pool {
            server,
            connector,
            idle: Mutex::default(),
            breaker: Breaker::default(),
            cause: Mutex::default(),
        }
    }

    /// Runs `work` on a connection.
    ///
    /// `work` runs a second time, on a fresh connection, when a kept one turns out to be broken: it
    /// has to be safe to repeat.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without waiting while the breaker is open; else what `work` returned.
    pub fn with<T>(&self, work: impl FnMut(&mut C::Connection) -> Result<T>) -> Result<T> {
        let permit = self.breaker.permit();
        if permit == Permit::Refused {
            let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(Error::Unavailable { server: self.server, cause, broken: false });
        }
        let began = self.breaker.begin();
        let outcome = self.attempt(permit == Permit::Probe, work);
        self.note(&outcome, Some(began));
        outcome
    }

    /// As [`Pool::with`], but asks the server even while the breaker is open, and waits for it as
    /// long as for one that was never away.
    pub fn insist<T>(&self, work: impl FnMut(&mut C::Connection) -> Result<T>) -> Result<T> {
        let began = (!self.breaker.is_open()).then(|| self.breaker.begin());
        let outcome = self.attempt(false, work);
        self.note(&outcome, began);
        outcome
    }

    /// Closes the connections that are kept; the next call makes a new one.
    pub fn close(&self) {
        self.lock().clear();
    }

    /// Whether the server did not answer the last time.
    pub fn is_away(&self) -> bool {
        self.breaker.is_open()
    }

    fn attempt<T>(
        &self,
        probe: bool,
        mut work: impl FnMut(&mut C::Connection) -> Result<T>,
    ) -> Result<T> {
        if let Some(connection) = (!probe).then(|| self.take()).flatten() {
            let start = Instant::now();
            match self.run(connection, &mut work) {
                // The server was away since the connection was last used. One that hangs is not
                // asked twice.
                Err(Error::Unavailable { broken: true, .. }) if start.elapsed() < AT_ONCE => {
                    self.lock().clear();
                }
                outcome => return outcome,
            }
        }
        self.connector.connect(probe).and_then(|connection| self.run(connection, &mut work))
    }

    fn run<T>(
        &self,
        mut connection: C::Connection,
        work: &mut impl FnMut(&mut C::Connection) -> Result<T>,
    ) -> Result<T> {
        let outcome = work(&mut connection);
        if !outcome.as_ref().is_err_and(Error::spoils_connection) {
            let mut idle = self.lock();
            if idle.len() < MOST_IDLE {
                idle.push(connection);
            }
        }
        outcome
    }

    /// Has the breaker learn from an outcome of what began at a moment; none: the server was known
    /// to be away, and a failure is no news.
    fn note<T>(&self, outcome: &Result<T>, began: Option<u64>) {
        match outcome {
            Err(Error::Unavailable { server, cause, .. }) if *server == self.server => {
                if let Some(began) = began {
                    log::warn!("the {server} does not answer: {cause}");
                    self.lock().clear();
                    self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cause);
                    self.breaker.failed(began);
                }
            }
            _ => self.breaker.succeeded(),
        }
    }

    fn take(&self) -> Option<C::Connection> {
        self.lock().pop()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<C::Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A host that a server runs on: the addresses of its name, and its distance.
//!
//! A silent name server delays calls only briefly, and the addresses that it gave before still
//! count.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use arc_swap::ArcSwapOption;
use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};

use crate::lock::lock;
use crate::per_process::PerProcess;

/// The shortest wait: for a nearby server that was down or is not known to be up, and for a name
/// server once it has returned addresses.
pub const BRIEFLY: Duration = Duration::from_millis(30);

/// A host and a port.
#[derive(Debug)]
pub struct Host {
    name: String,
    port: u16,
    /// The host's address, if it is not a name.
    literal: Option<IpAddr>,
    /// The name server's last answer, with the address that worked first.
    last: ArcSwapOption<Vec<SocketAddr>>,
    /// Threads and locks do not survive a fork.
    lookup: PerProcess<Lookup>,
    /// How long the last connect took, in microseconds; 0: none yet.
    distance_us: AtomicU64,
}

/// The lookup of one process: the system's call cannot be cancelled, so a thread makes it, and is
/// left behind if it takes too long.
#[derive(Debug)]
struct Lookup {
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Debug)]
enum State {
    /// Since when a thread has been waiting for the name server.
    Asked(Instant),
    Answered(io::Result<Vec<SocketAddr>>),
}

impl Host {
    /// A host from a name, or from an address, which is never looked up.
    pub fn new(name: &str, port: u16) -> Host {
        Host {
            name: name.to_owned(),
            port,
            literal: name.parse().ok(),
            last: ArcSwapOption::empty(),
            lookup: PerProcess::new(Lookup::new()),
            distance_us: AtomicU64::new(0),
        }
    }

    /// The name or the address, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has this name and port.
    pub fn is_at(&self, name: &str, port: u16) -> bool {
        (self.name.as_str(), self.port) == (name, port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How long a call waits for each answer of a server that may be down: only as long as a server
    /// at this distance needs, and at most `patience`.
    pub fn brief(&self, patience: Duration) -> Duration {
        match self.distance_us.load(Ordering::Relaxed) {
            0 => patience,
            distance => Duration::from_micros(2 * distance).max(BRIEFLY).min(patience),
        }
    }

    /// Notes how long connecting took.
    pub fn learn_distance(&self, connecting: Duration) {
        let distance = u64::try_from(connecting.as_micros()).unwrap_or(u64::MAX / 2).max(1);
        self.distance_us.store(distance, Ordering::Relaxed);
    }

    /// Connects to the host's addresses one after the other, until one works; that one comes first
    /// the next time.
    ///
    /// # Errors
    /// The last attempt's error; or the name is unknown, or the name server has never answered in
    /// time.
    pub fn connect<T, E: From<io::Error>>(
        &self,
        patience: Duration,
        mut attempt: impl FnMut(SocketAddr) -> Result<T, E>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let addresses = self.addresses(patience)?;
        let mut failure = None;
        for (place, address) in addresses.iter().enumerate() {
            if failure.is_some() && began.elapsed() >= patience {
                break;
            }
            match attempt(*address) {
                Ok(connected) => {
                    if place > 0 {
                        let mut sorted = addresses.clone();
                        sorted[..=place].rotate_right(1);
                        self.last.store(Some(Arc::new(sorted)));
                    }
                    return Ok(connected);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| io::Error::other("the name has no address").into()))
    }

    /// Waits until the name server answers. For clients that then resolve the name themselves.
    ///
    /// # Errors
    /// The name is unknown, or the name server did not answer in time.
    pub fn ask(&self, patience: Duration) -> io::Result<()> {
        match self.literal {
            Some(_) => Ok(()),
            None => self.look_up(patience).map(drop),
        }
    }

    fn addresses(&self, patience: Duration) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = self.literal {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        self.note_late_answer();
        let Some(last) = self.last.load_full() else { return self.look_up(patience) };
        match self.look_up(patience.min(BRIEFLY)) {
            // The name server failed; it did not answer that the name does not exist.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(last.to_vec()),
            answer => answer,
        }
    }

    /// An answer too late for its call serves the next one: a name server may always take longer
    /// than calls wait for it.
    fn note_late_answer(&self) {
        match &*lock(&self.lookup().state) {
            State::Asked(_) => {}
            State::Answered(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {}
            State::Answered(Err(_)) => self.last.store(None),
            answered => drop(self.take(answered)),
        }
    }

    /// Asks the name server, unless a thread of this process is doing so, and waits this long from
    /// when it was asked.
    fn look_up(&self, patience: Duration) -> io::Result<Vec<SocketAddr>> {
        let lookup = self.lookup();
        let mut state = lock(&lookup.state);
        if !matches!(*state, State::Asked(_)) {
            *state = State::Asked(Instant::now());
            let (lookup, host, port) = (Arc::clone(&lookup), self.name.clone(), self.port);
            let look_up = move || lookup.answer(resolve(&host, port));
            if let Err(error) = thread::Builder::new().spawn(look_up) {
                *state = State::Answered(Err(error));
            }
        }
        let State::Asked(began) = *state else { return self.take(&state) };
        let left = patience.saturating_sub(began.elapsed());
        let is_asked = |state: &mut State| matches!(state, State::Asked(_));
        let waited = lookup.answered.wait_timeout_while(state, left, is_asked);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        self.take(&state)
    }

    fn take(&self, state: &State) -> io::Result<Vec<SocketAddr>> {
        let answer = match state {
            State::Asked(_) => Err(silent()),
            State::Answered(Ok(addresses)) => Ok(addresses.clone()),
            State::Answered(Err(error)) => Err(copy(error)),
        };
        let mut addresses = answer.map_err(|error| {
            io::Error::new(error.kind(), format!("the name {}: {error}", self.name))
        })?;
        // The address that worked last stays first.
        if let Some(first) = self.last.load().as_ref().and_then(|last| last.first().copied())
            && let Some(place) = addresses.iter().position(|address| *address == first)
        {
            addresses[..=place].rotate_right(1);
        }
        self.last.store(Some(Arc::new(addresses.clone())));
        Ok(addresses)
    }

    fn lookup(&self) -> Arc<Lookup> {
        self.lookup.get(Lookup::new)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.name, self.port)
    }
}

impl Lookup {
    fn new() -> Lookup {
        let state = Mutex::new(State::Answered(Err(silent())));
        Lookup { state, answered: Condvar::new() }
    }

    fn answer(&self, answer: io::Result<Vec<SocketAddr>>) {
        *lock(&self.state) = State::Answered(answer);
        self.answered.notify_all();
    }
}

/// Asks the system, however long that takes. `TimedOut` means that a name server has failed.
fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(|error| {
        let is_temporary = matches!(error.kind(), LookupErrorKind::Again);
        let error = io::Error::from(error);
        let kind = if is_temporary { io::ErrorKind::TimedOut } else { io::ErrorKind::NotFound };
        io::Error::new(kind, error.to_string())
    })?;
    let addresses = found.map(|found| {
        found.map(|found| {
            let mut address = found.sockaddr;
            address.set_port(port);
            address
        })
    });
    addresses.collect()
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the name server does not answer")
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn reached(host: &Host, patience: Duration, there: IpAddr) -> io::Result<SocketAddr> {
        host.connect(patience, |address| {
            if address.ip() == there { Ok(address) } else { Err(io::Error::other("refused")) }
        })
    }

    /// The name server never answers: a thread waits for it.
    fn silence(host: &Host) {
        let long_ago = Instant::now().checked_sub(PATIENCE).unwrap_or_else(Instant::now);
        *lock(&host.lookup().state) = State::Asked(long_ago);
    }

    #[test]
    fn addresses_are_not_looked_up() -> io::Result<()> {
        for literal in ["127.0.0.1", "::1"] {
            let host = Host::new(literal, 7);
            silence(&host);
            let address = reached(&host, PATIENCE, literal.parse().map_err(io::Error::other)?)?;
            assert_eq!((address.ip().to_string().as_str(), address.port()), (literal, 7));
        }
        Ok(())
    }

    #[test]
    fn a_silent_name_server_costs_nothing_once_it_has_answered() -> io::Result<()> {
        let there = IpAddr::from([127, 0, 0, 1]);
        let host = Host::new("localhost", 7);
        silence(&host);
        assert!(reached(&host, PATIENCE, there).is_err_and(|error| {
            error.to_string() == "the name localhost: the name server does not answer"
        }));
        host.lookup().answer(resolve("localhost", 7));
        assert_eq!(reached(&host, PATIENCE, there)?.ip(), there);
        silence(&host);
        assert_eq!(reached(&host, PATIENCE, there)?.ip(), there);
        Ok(())
    }

    #[test]
    fn a_name_that_moved_is_followed() -> io::Result<()> {
        let host = Host::new("localhost", 7);
        let (old, new) = (IpAddr::from([127, 0, 0, 8]), IpAddr::from([127, 0, 0, 1]));
        host.last.store(Some(Arc::new(vec![SocketAddr::new(old, 7)])));
        assert_eq!(reached(&host, PATIENCE, new)?.ip(), new);
        Ok(())
    }

    #[test]
    fn the_address_that_worked_comes_first() -> io::Result<()> {
        let host = Host::new("school.invalid", 7);
        let [first, second] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let both = vec![SocketAddr::new(first, 7), SocketAddr::new(second, 7)];
        host.last.store(Some(Arc::new(both)));
        silence(&host);
        for _ in 0..2 {
            assert_eq!(reached(&host, PATIENCE, second)?.ip(), second);
        }
        let mut tried = Vec::new();
        host.connect(PATIENCE, |address| {
            tried.push(address.ip());
            Ok::<_, io::Error>(())
        })?;
        assert_eq!(tried, [second]);
        Ok(())
    }

    #[test]
    fn what_comes_too_late_for_one_call_counts_for_the_next() {
        let host = Host::new("school.invalid", 7);
        let [old, new] = [8, 9].map(|last| SocketAddr::new(IpAddr::from([127, 0, 0, last]), 7));
        let known = || {
            host.note_late_answer();
            host.last.load_full().map(|last| last.to_vec())
        };
        host.last.store(Some(Arc::new(vec![old])));
        silence(&host);
        assert_eq!(known(), Some(vec![old]));
        host.lookup().answer(Ok(vec![new]));
        assert_eq!(known(), Some(vec![new]));
        host.lookup().answer(Err(silent()));
        assert_eq!(known(), Some(vec![new]));
        let gone = io::Error::new(io::ErrorKind::NotFound, "Name or service not known");
        host.lookup().answer(Err(gone));
        assert_eq!(known(), None);
    }

    #[test]
    fn a_name_that_is_gone_is_not_reached_by_its_old_address() {
        let host = Host::new("school.invalid", 7);
        let old = IpAddr::from([127, 0, 0, 1]);
        host.last.store(Some(Arc::new(vec![SocketAddr::new(old, 7)])));
        let gone = io::Error::new(io::ErrorKind::NotFound, "Name or service not known");
        let error = host.take(&State::Answered(Err(gone)));
        assert!(error.is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn a_distant_server_is_given_more_time() {
        let host = Host::new("127.0.0.1", 7);
        let patience = Duration::from_millis(500);
        // Its distance is unknown.
        assert_eq!(host.brief(patience), patience);
        for (connecting, brief) in [(1, 30), (180, 360), (400, 500)] {
            host.learn_distance(Duration::from_millis(connecting));
            assert_eq!(host.brief(patience), Duration::from_millis(brief));
        }
    }
}

//! A Redis whose primary the sentinels know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use arc_swap::ArcSwapOption;

use super::open::open_at;
use crate::error::{Error, Result, Server};
use crate::servers::host::Host;

/// The port of a sentinel that is named without one.
const SENTINEL_PORT: u16 = 26_379;
/// How often to ask whether the primary is still where a kept connection leads.
const LONGEST_KNOWN: Duration = Duration::from_secs(1);
/// A silent sentinel may take one part of this many of the patience: the rest is for the primary.
const PART: u32 = 3;

/// The sentinels' addresses, and what to ask them, by the names of Frappe's keys.
#[derive(Clone, Debug, Default)]
pub struct SentinelAddress {
    /// Each as `host:port`.
    pub sentinels: Vec<String>,
    /// The name under which they know the primary.
    pub master_service: String,
    /// The user at the sentinels.
    pub sentinel_username: Option<String>,
    /// That user's password.
    pub sentinel_password: Option<String>,
    /// The user at the primary.
    pub master_username: Option<String>,
    /// That user's password.
    pub master_password: Option<String>,
}

/// The sentinels of one primary.
#[derive(Debug)]
pub(super) struct Sentinels {
    server: Server,
    service: String,
    all: Vec<Sentinel>,
    /// The one that answered last. Not a lock, which could be held while the process forks.
    first: AtomicUsize,
    /// Where the primary is, by their last answer.
    primary: ArcSwapOption<Host>,
    /// When they were asked last, in milliseconds after `start`.
    asked_at_ms: AtomicU64,
    start: Instant,
}

/// One of them.
#[derive(Debug)]
struct Sentinel {
    host: Host,
    /// How to reach it, without the address.
    info: ConnectionInfo,
}

impl SentinelAddress {
    /// Reads the addresses.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when they cannot be used.
    pub(super) fn read(&self, server: Server) -> Result<Sentinels> {
        let refuse = |what: String| Err(Error::InvalidInput(format!("{server}: {what}")));
        if self.sentinels.is_empty() || self.master_service.is_empty() {
            return refuse(
                "with Sentinel, both the sentinels and master_service are needed".into(),
            );
        }
        let mut all = Vec::with_capacity(self.sentinels.len());
        for sentinel in &self.sentinels {
            let Some(host) = host(sentinel) else {
                return refuse(format!(
                    "\"{sentinel}\" is not the host:port of a sentinel (as in Frappe, without TLS)"
                ));
            };
            let (user, password) = (&self.sentinel_username, &self.sentinel_password);
            all.push(Sentinel { host, info: reached_as(user.as_deref(), password.as_deref())? });
        }
        Ok(Sentinels {
            server,
            service: self.master_service.clone(),
            all,
            first: AtomicUsize::new(0),
            primary: ArcSwapOption::empty(),
            asked_at_ms: AtomicU64::new(0),
            start: Instant::now(),
        })
    }

    /// How to reach the primary, without its address.
    pub(super) fn primary(&self) -> Result<ConnectionInfo> {
        reached_as(self.master_username.as_deref(), self.master_password.as_deref())
    }
}

/// From `host:port`, or a host alone.
fn host(sentinel: &str) -> Option<Host> {
    let (name, port) = sentinel.rsplit_once(':').unwrap_or((sentinel, ""));
    let port = if port.is_empty() { SENTINEL_PORT } else { port.parse().ok()? };
    (!name.is_empty() && !name.contains('/')).then(|| Host::new(name, port))
}

/// The credentials for a server whose address is not known yet.
fn reached_as(user: Option<&str>, password: Option<&str>) -> Result<ConnectionInfo> {
    let info = ConnectionAddr::Tcp(String::new(), 0)
        .into_connection_info()
        .map_err(|error| Error::InvalidInput(format!("a Redis cannot be reached: {error}")))?;
    let mut settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    settings = settings.set_skip_set_lib_name();
    if let Some(user) = user {
        settings = settings.set_username(user);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    Ok(info.set_redis_settings(settings))
}

impl Sentinels {
    /// Where the primary is: asks one sentinel after another until one knows.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if none does.
    pub(super) fn locate(&self, patience: Duration) -> Result<Arc<Host>> {
        let asked_at = self.now_ms();
        let first = self.first.load(Ordering::Relaxed);
        let mut causes = Vec::with_capacity(self.all.len());
        for number in 0..self.all.len() {
            let index = (first + number) % self.all.len();
            let sentinel = &self.all[index];
            match self.ask(sentinel, patience / PART) {
                Ok(Some((name, port))) => {
                    // Keeps what is known of its host.
                    let primary = self
                        .primary()
                        .filter(|last| last.is_at(&name, port))
                        .unwrap_or_else(|| Arc::new(Host::new(&name, port)));
                    self.first.store(index, Ordering::Relaxed);
                    self.primary.store(Some(Arc::clone(&primary)));
                    self.asked_at_ms.store(asked_at, Ordering::Relaxed);
                    return Ok(primary);
                }
                Ok(None) => {
                    causes.push(format!("{} knows no {}", sentinel.host, self.service));
                }
                Err(error) => causes.push(format!("{}: {error}", sentinel.host)),
            }
        }
        let cause = format!("no sentinel says where it is ({})", causes.join("; "));
        Err(Error::Unavailable { server: self.server, cause, answered: false })
    }

    /// Where the primary is, by their last answer.
    pub(super) fn primary(&self) -> Option<Arc<Host>> {
        self.primary.load_full()
    }

    /// Whether a connection leads to where the primary is. Asks once a second; sentinels that do
    /// not answer change nothing.
    pub(super) fn is_primary(&self, host: &Host, patience: Duration) -> bool {
        let (asked_at, now) = (self.asked_at_ms.load(Ordering::Relaxed), self.now_ms());
        let longest = u64::try_from(LONGEST_KNOWN.as_millis()).unwrap_or(u64::MAX);
        let is_time = now.saturating_sub(asked_at) >= longest;
        // One thread asks; the others continue with what is known.
        let swap = |to| {
            self.asked_at_ms.compare_exchange(asked_at, to, Ordering::Relaxed, Ordering::Relaxed)
        };
        if is_time
            && swap(now).is_ok()
            && let Err(error) = self.locate(patience)
        {
            log::debug!("{error}");
        }
        self.primary().is_none_or(|primary| primary.is_at(host.name(), host.port()))
    }

    fn ask(
        &self,
        sentinel: &Sentinel,
        patience: Duration,
    ) -> redis::RedisResult<Option<(String, u16)>> {
        // The wait is short, because the sentinel may be silent.
        let patience = sentinel.host.brief(patience);
        let began = Instant::now();
        let mut connection = open_at(&sentinel.host, &sentinel.info, patience)?;
        sentinel.host.learn_distance(began.elapsed());
        connection.set_read_timeout(Some(patience))?;
        connection.set_write_timeout(Some(patience))?;
        redis::cmd("SENTINEL")
            .arg("get-master-addr-by-name")
            .arg(&self.service)
            .query(&mut connection)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether these are the same sentinels for the same primary.
    pub(super) fn are_same(&self, other: &Sentinels) -> bool {
        let addresses = |of: &Sentinels| -> Vec<String> {
            let mut all: Vec<_> = of.all.iter().map(|one| one.host.to_string()).collect();
            all.sort();
            all
        };
        self.service == other.service && addresses(self) == addresses(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sentinels: &[&str], service: &str) -> Result<Sentinels> {
        let address = SentinelAddress {
            sentinels: sentinels.iter().map(|one| (*one).to_owned()).collect(),
            master_service: service.to_owned(),
            ..SentinelAddress::default()
        };
        address.read(Server::Journal)
    }

    #[test]
    fn sentinels_are_named_by_host_and_port() -> Result<()> {
        let found = read(&["10.0.0.1:26380", "sentinel"], "school")?;
        let addresses: Vec<String> = found.all.iter().map(|one| one.host.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1:26380", "sentinel:26379"]);
        Ok(())
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (sentinels, service) in
            [(&[][..], "school"), (&["a:1"], ""), (&["a:b"], "school"), (&[":1"], "school")]
        {
            assert!(matches!(read(sentinels, service), Err(Error::InvalidInput(_))));
        }
    }

    #[test]
    fn their_order_makes_no_difference() -> Result<()> {
        let one = read(&["a:1", "b:2"], "school")?;
        assert!(one.are_same(&read(&["b:2", "a:1"], "school")?));
        assert!(!one.are_same(&read(&["b:2", "a:1"], "other")?));
        Ok(())
    }
}

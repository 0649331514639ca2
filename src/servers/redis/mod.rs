//! The only place that speaks Redis. This file has the connections; the commands and scripts are in
//! the others.

mod answer;
pub mod cache;
mod change_dates;
pub mod clock;
mod cluster;
pub mod dump;
mod errors;
pub mod fill;
pub mod forecast;
pub mod frappe_session;
pub mod journal;
pub mod keys;
pub mod latency;
pub mod look;
pub mod memory;
pub mod node;
pub mod nodes;
pub mod notes;
mod open;
pub mod pending;
pub mod replicas;
pub mod replication;
pub mod scan;
pub mod schedules;
pub mod sentinel;
pub mod student;
pub mod students;
mod tls;
pub mod url;
pub mod written;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use ::redis::{
    Cmd, Connection, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    RedisConnectionInfo, RedisResult, Script, ScriptInvocation, Value,
};

use self::open::{open, open_at};
use self::replication::Replication;
use self::sentinel::{SentinelAddress, Sentinels};
use self::url::{Place, RedisUrl};
use crate::error::{Error, Result, Server};
use crate::servers::KEEPALIVE;
use crate::servers::host::{BRIEFLY, Host};
use crate::servers::pool::{Connect, reply_patience};
use crate::servers::tls::{TlsKeys, advice as tls_advice};

/// The number of the database for schedules: one of a server's sixteen that few programs use.
const OWN_DATABASE: i64 = 13;

/// The options of TLS in the URL of a Redis.
fn tls_keys(server: Server) -> TlsKeys {
    let address = match server {
        Server::Journal => "redis_queue (or srs_journal_url)",
        _ => "redis_cache (or srs_cache_url)",
    };
    TlsKeys { address, ca: "ssl_ca_certs in the URL", own: "ssl_certfile in the URL" }
}

/// The advice if a user may not even connect.
const RIGHTS: &str = ": give memora's user the rights that docs/configuration.md lists";

/// How to reach one Redis.
#[derive(Clone, Debug)]
pub struct RedisServer {
    server: Server,
    info: ConnectionInfo,
    /// `None`: it is reached by a socket, or by sentinels.
    host: Option<Arc<Host>>,
    /// The sentinels that know its address; without them, `info` has it.
    sentinels: Option<Arc<Sentinels>>,
    /// How long a call waits for the server.
    timeout: Duration,
    /// The longest that connecting may take.
    connect_timeout: Duration,
    is_in_cluster: bool,
}

impl RedisServer {
    /// Reads a URL as redis-py does: see [`RedisUrl`].
    ///
    /// # Arguments
    /// `key`: where the URL is in the site's configuration, for messages.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it cannot be read, or has options that memora does not support.
    pub fn at(server: Server, key: &str, url: &str, timeout: Duration) -> Result<RedisServer> {
        let url = RedisUrl::read(key, url)?;
        let (address, host) = match url.place {
            Place::Host { name, port, tls } => {
                let host = Arc::new(Host::new(&name, port));
                let address = match tls {
                    Some(tls) => tls::address(&name, port, &tls).map_err(|what| {
                        Error::InvalidInput(format!("{key} cannot be used: {what}"))
                    })?,
                    None => ConnectionAddr::Tcp(name, port),
                };
                (address, Some(host))
            }
            Place::Socket(path) => (ConnectionAddr::Unix(path), None),
        };
        // Sends only what is needed while connecting, so that a probe of a hanging server waits
        // only once.
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(redis::ProtocolVersion::RESP2)
            .set_skip_set_lib_name()
            .set_db(url.database);
        if url.user.is_some() || url.password.is_some() {
            settings = settings.set_password(url.password.unwrap_or_default());
        }
        if let Some(user) = url.user {
            settings = settings.set_username(user);
        }
        let info = address
            .into_connection_info()
            .map_err(|error| Error::InvalidInput(format!("{key} cannot be used: {error}")))?
            .set_redis_settings(settings)
            .set_tcp_settings(kept_alive());
        let timeout = url.reply_timeout.map_or(timeout, |own| own.min(timeout));
        let connect_timeout = url.connect_timeout.map_or(timeout, |own| own.min(timeout));
        let (sentinels, is_in_cluster) = (None, false);
        Ok(RedisServer { server, info, host, sentinels, timeout, connect_timeout, is_in_cluster })
    }

    /// The primary that these sentinels know.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when their addresses cannot be used.
    pub fn known_by(
        server: Server,
        address: &SentinelAddress,
        timeout: Duration,
    ) -> Result<RedisServer> {
        let info = address.primary()?.set_tcp_settings(kept_alive());
        let sentinels = Some(Arc::new(address.read(server)?));
        let (connect_timeout, is_in_cluster) = (timeout, false);
        let host = None;
        Ok(RedisServer { server, info, host, sentinels, timeout, connect_timeout, is_in_cluster })
    }

    /// The database on the same server that memora uses by default, because Frappe runs KEYS over
    /// its own.
    pub fn beside(&self) -> RedisServer {
        let settings = self.info.redis_settings().clone();
        let database = if settings.db() == OWN_DATABASE { OWN_DATABASE - 1 } else { OWN_DATABASE };
        RedisServer {
            info: self.info.clone().set_redis_settings(settings.set_db(database)),
            ..self.clone()
        }
    }

    /// Whether another URL names the same database of the same server.
    pub fn is_same(&self, other: &RedisServer) -> bool {
        let is_same_server = match (&self.sentinels, &other.sentinels) {
            (Some(own), Some(others)) => own.are_same(others),
            (None, None) => self.info.addr() == other.info.addr(),
            _ => false,
        };
        is_same_server && self.database() == other.database()
    }

    /// One of the nodes of a Redis Cluster.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it names another database than 0, the only one of a cluster, or
    /// a socket.
    pub fn in_cluster(self) -> Result<RedisServer> {
        if self.database() != 0 {
            return Err(Error::InvalidInput(format!(
                "a Redis Cluster has no database {}: name none",
                self.database()
            )));
        }
        if self.name().is_none() {
            return Err(Error::InvalidInput(
                "the nodes of a Redis Cluster are named by host and port".to_owned(),
            ));
        }
        Ok(RedisServer { is_in_cluster: true, ..self })
    }

    /// `host:port`; `None` if it is reached by a socket.
    pub fn name(&self) -> Option<String> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some(format!("{host}:{port}"))
            }
            _ => None,
        }
    }

    /// Another node of the same cluster, reached in the same way.
    fn moved_to(&self, host: &str, port: u16) -> RedisServer {
        let address = match self.info.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        let (info, host) = (self.info.clone().set_addr(address), Arc::new(Host::new(host, port)));
        RedisServer { info, host: Some(host), ..self.clone() }
    }

    /// The number of the database.
    pub fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// How long a call waits for each answer if it may wait in vain.
    fn brief(&self) -> Duration {
        match self.sentinels.as_ref().and_then(|all| all.primary()).or_else(|| self.host.clone()) {
            Some(host) => host.brief(self.timeout),
            None => BRIEFLY.min(self.timeout),
        }
    }

    fn is_over_tls(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }

    fn open(&self, host: Option<&Host>, patience: Duration) -> RedisResult<Connection> {
        match host {
            // The client itself resolves the name that the certificate must have.
            Some(host) if self.is_over_tls() => {
                host.ask(patience)?;
                open(self.info.clone(), patience)
            }
            Some(host) => open_at(host, &self.info, patience),
            None => open(self.info.clone(), patience),
        }
    }
}

/// Keepalive for kept connections, which a firewall may otherwise drop.
fn kept_alive() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE.idle);
    let keepalive = keepalive.with_interval(KEEPALIVE.interval).with_retries(KEEPALIVE.retries);
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive)
}

/// A connection to Redis that knows which run of the server it speaks to.
pub struct RedisConnection {
    server: Server,
    inner: Connection,
    /// The host that it leads to; `None` for a socket.
    host: Option<Arc<Host>>,
    /// The server's `run_id`: another one means that it restarted and may have old data.
    pub run_id: String,
    /// The server's clock, Unix microseconds, at most the present; `None` if it is unknown.
    clock: Option<(i64, Instant)>,
    /// How long to wait for each reply.
    patience: Duration,
}

impl Connect for RedisServer {
    type Connection = RedisConnection;

    fn connect(&self, probe: bool) -> Result<RedisConnection> {
        // A server that refuses connections (too many clients, wrong password) is unusable now.
        let fail = |error: redis::RedisError| match Error::from_redis(self.server, &error) {
            Error::Refused { server, cause, .. } if cause.contains("cluster mode") => {
                Error::Unavailable { server, cause: of_cluster(server).to_owned(), answered: false }
            }
            Error::Refused { server: Server::Cache, cause, .. }
                if cause.contains("switch database") =>
            {
                let cause = format!(
                    "database {} is refused ({cause}): name another one, or another Redis, in \
                     srs_cache_url, or the nodes of a cluster in srs_cache_cluster_nodes",
                    self.database()
                );
                Error::Unavailable { server: Server::Cache, cause, answered: false }
            }
            Error::Unavailable { server, cause, answered } if self.is_over_tls() => {
                let cause = match tls_advice(&cause, tls_keys(server)) {
                    Some(advice) => format!("{cause}: {advice}"),
                    None => cause,
                };
                Error::Unavailable { server, cause, answered }
            }
            Error::Refused { server, cause, .. } => {
                let hint = if cause.contains("NoPerm") { RIGHTS } else { "" };
                Error::Unavailable { server, cause: cause + hint, answered: false }
            }
            error => error,
        };
        let patience = if probe { self.brief() } else { self.timeout };
        let host = match &self.sentinels {
            Some(sentinels) => Some(sentinels.locate(patience)?),
            None => self.host.clone(),
        };
        let began = Instant::now();
        let patience_to_connect = patience.min(self.connect_timeout);
        let mut inner = self.open(host.as_deref(), patience_to_connect).map_err(fail)?;
        inner.set_read_timeout(Some(patience)).map_err(fail)?;
        inner.set_write_timeout(Some(patience)).map_err(fail)?;
        let about: String = redis::cmd("INFO").arg("server").query(&mut inner).map_err(fail)?;
        let said = |name| about.lines().find_map(|line| line.strip_prefix(name));
        let run_id = said("run_id:").unwrap_or("unknown").to_owned();
        let time_us = said("server_time_usec:").and_then(|time| time.trim().parse().ok());
        let clock = time_us.map(|time_us| (time_us, Instant::now()));
        if let Some(host) = &host {
            host.learn_distance(began.elapsed());
        }
        // Valkey has another name for it.
        let mode = said("redis_mode:").or_else(|| said("server_mode:"));
        if !self.is_in_cluster && mode == Some("cluster") {
            return Err(Error::Unavailable {
                server: self.server,
                cause: of_cluster(self.server).to_owned(),
                answered: false,
            });
        }
        let reply = reply_patience(self.timeout);
        inner.set_read_timeout(Some(reply)).map_err(fail)?;
        inner.set_write_timeout(Some(reply)).map_err(fail)?;
        if let (Some(_), Some(host)) = (&self.sentinels, &host) {
            let about: String =
                redis::cmd("INFO").arg("replication").query(&mut inner).map_err(fail)?;
            if Replication::read(&about).role == "slave" {
                let cause = format!("{host} is a replica, not what the sentinels say");
                return Err(Error::Unavailable { server: self.server, cause, answered: false });
            }
        }
        Ok(RedisConnection { server: self.server, inner, host, run_id, clock, patience: reply })
    }

    fn leads_there(&self, connection: &RedisConnection) -> bool {
        match (&self.sentinels, &connection.host) {
            (Some(sentinels), Some(host)) => sentinels.is_primary(host, self.timeout),
            _ => true,
        }
    }

    fn test(&self, mut connection: RedisConnection) -> Option<RedisConnection> {
        connection.inner.set_read_timeout(Some(self.brief())).ok()?;
        match connection.ping() {
            // It may be up, but not permit PING.
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(_) => return None,
        }
        connection.inner.set_read_timeout(Some(reply_patience(self.timeout))).ok()?;
        Some(connection)
    }

    fn patience(&self) -> Duration {
        self.timeout
    }
}

/// The advice for a server in cluster mode that is configured as one Redis.
fn of_cluster(server: Server) -> &'static str {
    match server {
        Server::Journal => {
            "it is in cluster mode, and the journal stays on one primary: name another Redis in \
             srs_journal_url"
        }
        _ => "it is in cluster mode: name its nodes in srs_cache_cluster_nodes",
    }
}

impl RedisConnection {
    /// Runs one command.
    pub fn command<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        command.query(&mut self.inner).map_err(|error| Error::from_redis(self.server, &error))
    }

    /// Pings the server: an idle connection cannot otherwise know that it is up.
    pub fn ping(&mut self) -> Result<()> {
        self.command(&redis::cmd("PING"))
    }

    /// When the caller of a command stops waiting, by the server's clock in Unix microseconds.
    fn until_us(&self) -> i64 {
        let microseconds =
            |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.clock.map_or(i64::MAX, |(then, at)| {
            then.saturating_add(microseconds(at.elapsed()))
                .saturating_add(microseconds(self.patience))
        })
    }

    /// The error for a command that the server refused because it was late. The server's clock may
    /// have been set, so another connection is made.
    fn too_late(&self) -> Error {
        let cause = "it was reached too late".to_owned();
        Error::Unavailable { server: self.server, cause, answered: true }
    }

    /// Which run of the server answers now: an idle connection may belong to an earlier one.
    pub fn run_id_now(&mut self) -> Result<String> {
        self.ping()?;
        Ok(self.run_id.clone())
    }

    /// Runs several commands in one round trip.
    pub fn pipeline<T: FromRedisValue>(&mut self, pipeline: &redis::Pipeline) -> Result<T> {
        pipeline.query(&mut self.inner).map_err(|error| Error::from_redis(self.server, &error))
    }

    /// Runs a script, and loads it if the server does not have it.
    pub fn script<T: FromRedisValue>(&mut self, call: &ScriptInvocation<'_>) -> Result<T> {
        call.invoke(&mut self.inner).map_err(|error| Error::from_redis(self.server, &error))
    }
}

/// Claims a look, for this long. A later claim takes it over.
fn claim(
    connection: &mut RedisConnection,
    key: &str,
    token: &str,
    lifetime: Duration,
) -> Result<()> {
    let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
    connection.command(redis::cmd("SET").arg(key).arg(token).arg("PX").arg(milliseconds))
}

/// Notes that a look is done that was claimed before it began. False: the claim was taken over, or
/// expired.
fn confirm(
    connection: &mut RedisConnection,
    script: &Script,
    keys: &[String; 2],
    token: &str,
) -> Result<bool> {
    connection.script(script.key(keys).arg(token))
}

/// Reads a value as text; anything that is not valid UTF-8 text is a fault.
fn text(value: Value) -> Result<String> {
    String::from_redis_value(value)
        .map_err(|error| Error::Fault(format!("Redis sent a value that is not text: {error}")))
}

/// The error for an answer that none of memora's scripts gives.
fn unexpected(what: &Value) -> Error {
    Error::Fault(format!("Redis sent an answer that memora does not know: {what:?}"))
}

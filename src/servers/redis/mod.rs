//! The only place that speaks Redis: connections and scripts. What is asked is in `cache` and
//! `journal`.

mod answer;
pub mod cache;
pub mod dump;
mod errors;
pub mod fill;
pub mod journal;
pub mod keys;
pub mod latency;
pub mod look;
pub mod memory;
pub mod notes;
pub mod scan;
pub mod schedules;
pub mod students;

use std::time::Duration;

use ::redis::{
    Cmd, Connection, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Script, ScriptInvocation,
    Value,
};

use crate::error::{Error, Result, Server};
use crate::servers::pool::{Connect, PROBE_TIMEOUT};

/// The number of the database that schedules are in: of a server's sixteen, one that few others
/// use.
const OWN_DATABASE: i64 = 13;

/// How to reach one Redis.
#[derive(Clone, Debug)]
pub struct RedisServer {
    server: Server,
    info: ConnectionInfo,
    timeout: Duration,
}

impl RedisServer {
    /// Reads a URL such as `redis://user:password@host:6379/0` or `unix://path`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it cannot be read.
    pub fn at(server: Server, url: &str, timeout: Duration) -> Result<RedisServer> {
        let info = url.into_connection_info().map_err(|error| {
            Error::InvalidInput(format!("the URL of the {server} cannot be used: {error}"))
        })?;
        // Nothing is sent while connecting but what is needed: a probe of a hanging server waits
        // only once.
        let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP2);
        let settings = settings.set_skip_set_lib_name();
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        Ok(RedisServer { server, info, timeout })
    }

    /// The database on the same server that memora uses where nothing else is said: Frappe runs
    /// KEYS over its own.
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
        self.info.addr() == other.info.addr() && self.database() == other.database()
    }

    /// The number of the database.
    pub fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }
}

/// A connection to Redis that knows which run of the server it speaks to.
pub struct RedisConnection {
    server: Server,
    inner: Connection,
    /// The server's `run_id`: another one means that it restarted and may have old data.
    pub run_id: String,
}

impl Connect for RedisServer {
    type Connection = RedisConnection;

    fn connect(&self, probe: bool) -> Result<RedisConnection> {
        // A server that does not let us in (too many clients, wrong password) is of no use now.
        let fail = |error: redis::RedisError| match Error::from_redis(self.server, &error) {
            Error::Refused { server: Server::Cache, cause, .. }
                if cause.contains("switch database") =>
            {
                let cause = format!(
                    "database {} is refused ({cause}): name another one, or another Redis, in \
                     srs_cache_url",
                    self.database()
                );
                Error::Unavailable { server: Server::Cache, cause, broken: false }
            }
            Error::Refused { server, cause, .. } => {
                Error::Unavailable { server, cause, broken: false }
            }
            error => error,
        };
        let patience = if probe { PROBE_TIMEOUT.min(self.timeout) } else { self.timeout };
        let mut inner = redis::Client::open(self.info.clone())
            .and_then(|client| client.get_connection_with_timeout(patience))
            .map_err(fail)?;
        inner.set_read_timeout(Some(patience)).map_err(fail)?;
        inner.set_write_timeout(Some(patience)).map_err(fail)?;
        let about: String = redis::cmd("INFO").arg("server").query(&mut inner).map_err(fail)?;
        let run_id = about
            .lines()
            .find_map(|line| line.strip_prefix("run_id:"))
            .unwrap_or("unknown")
            .to_owned();
        inner.set_read_timeout(Some(self.timeout)).map_err(fail)?;
        inner.set_write_timeout(Some(self.timeout)).map_err(fail)?;
        Ok(RedisConnection { server: self.server, inner, run_id })
    }

    fn ping(connection: &mut RedisConnection) -> Result<()> {
        connection.ping()
    }

    fn patience(&self) -> Duration {
        self.timeout
    }
}

impl RedisConnection {
    /// Runs one command.
    pub fn command<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        command.query(&mut self.inner).map_err(|error| Error::from_redis(self.server, &error))
    }

    /// Asks whether the server is there; a connection that was idle does not know otherwise.
    pub fn ping(&mut self) -> Result<()> {
        self.command(&redis::cmd("PING"))
    }

    /// Which run of the server answers now.
    pub fn run_id_now(&mut self) -> Result<String> {
        self.ping()?;
        Ok(self.run_id.clone())
    }

    /// Runs several commands in one round trip.
    pub fn pipeline<T: FromRedisValue>(&mut self, pipeline: &redis::Pipeline) -> Result<T> {
        pipeline.query(&mut self.inner).map_err(|error| Error::from_redis(self.server, &error))
    }

    /// Runs a script; loads it first where the server does not have it.
    pub fn script<T: FromRedisValue>(&mut self, call: &ScriptInvocation<'_>) -> Result<T> {
        call.invoke(&mut self.inner).map_err(|error| Error::from_redis(self.server, &error))
    }
}

/// Claims a look, for so long. Whoever claims it later takes it over.
fn claim(
    connection: &mut RedisConnection,
    key: &str,
    token: &str,
    lifetime: Duration,
) -> Result<()> {
    let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
    connection.command(redis::cmd("SET").arg(key).arg(token).arg("PX").arg(milliseconds))
}

/// Notes that a look is done that was claimed before it began. False: the claim is another's, or
/// over.
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
        .map_err(|error| Error::Fault(format!("Redis sent what is not text: {error}")))
}

/// An answer that no script of ours gives.
fn unexpected(what: &Value) -> Error {
    Error::Fault(format!("Redis sent an answer that memora does not know: {what:?}"))
}

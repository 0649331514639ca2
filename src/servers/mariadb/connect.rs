//! Connecting to the site's database.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mysql::{Conn, OptsBuilder, SslOpts};

use super::errors::UNKNOWN_VARIABLE;
use super::statements::run_text;
use super::tls;
use crate::error::{Error, Result};
use crate::servers::KEEPALIVE;
use crate::servers::host::{BRIEFLY, Host};
use crate::servers::pool::{Connect, reply_patience};
use crate::servers::tls::advice;

/// The shortest limit on connecting, long enough for one lost packet.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// The share of students' patience that connecting may take, if that is more.
const CONNECT_SHARE: f64 = 0.4;

/// The client's words for a way to sign in that it does not know, and the advice.
const UNKNOWN_SIGN_IN: &str = "authentication p";
const SIGN_IN: &str = ": let db_user sign in with mysql_native_password";

/// How long a student's statement waits for a table that others have locked, unless its own time is
/// over before.
const TABLE_WAIT: Duration = Duration::from_secs(20);

/// The share of a caller's patience that a statement may take.
const STATEMENT_SHARE: f64 = 0.8;

/// How to reach the site's database.
#[derive(Clone)]
pub struct DatabaseServer {
    options: OptsBuilder,
    /// `None`: it is reached by a socket.
    host: Option<Arc<Host>>,
    is_over_tls: bool,
    /// How long students wait for the server.
    of_students: Duration,
    /// The statements with which each connection begins.
    session: Vec<String>,
    /// How long a call waits for the server.
    timeout: Duration,
}

/// The address of the site's database, and the user.
pub struct DatabaseAddress<'a> {
    /// Host and TCP port.
    pub host: Arc<Host>,
    /// Unix socket; wins over host and port.
    pub socket: Option<&'a str>,
    /// User.
    pub user: &'a str,
    /// The user's password.
    pub password: &'a str,
    /// Database.
    pub name: &'a str,
    /// How long students wait for each reply.
    pub patience: Duration,
    /// `None`: without TLS.
    pub tls: Option<SslOpts>,
}

impl DatabaseServer {
    /// For calls that students wait for: `timeout` bounds the wait for each reply. A statement ends
    /// by itself before that, so that none continues in the server after its caller has given up.
    pub fn for_students(address: &DatabaseAddress<'_>, timeout: Duration) -> DatabaseServer {
        let statement = timeout.mul_f64(STATEMENT_SHARE).as_secs_f64();
        DatabaseServer::at(address, timeout, (Duration::from_secs(1), TABLE_WAIT), statement)
    }

    /// For background work: a statement may take any time, whatever the server's own limit. It
    /// waits up to `lock_wait` for a row or a table that others have locked.
    pub fn for_background(
        address: &DatabaseAddress<'_>,
        timeout: Duration,
        lock_wait: Duration,
    ) -> DatabaseServer {
        DatabaseServer::at(address, timeout, (lock_wait, lock_wait), 0.0)
    }

    fn at(
        address: &DatabaseAddress<'_>,
        timeout: Duration,
        (row_wait, table_wait): (Duration, Duration),
        statement_seconds: f64,
    ) -> DatabaseServer {
        let milliseconds = u32::try_from(KEEPALIVE.idle.as_millis()).ok();
        let seconds = u32::try_from(KEEPALIVE.interval.as_secs()).ok();
        let options = OptsBuilder::new()
            .tcp_keepalive_time_ms(milliseconds)
            .tcp_keepalive_probe_interval_secs(seconds)
            .tcp_keepalive_probe_count(Some(KEEPALIVE.retries))
            .socket(address.socket)
            .prefer_socket(false)
            .ssl_opts(address.tls.clone())
            .user(Some(address.user))
            .pass(Some(address.password))
            .db_name(Some(address.name))
            .tcp_nodelay(true);
        let session = vec![
            format!(
                "SET SESSION sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', \
                     innodb_lock_wait_timeout={}, lock_wait_timeout={}, \
                     max_statement_time={statement_seconds}, \
                     time_zone='+00:00'",
                row_wait.as_secs(),
                table_wait.as_secs()
            ),
            // Locks only rows, not the gaps between them; each statement sees what is committed.
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
        ];
        let host = address.socket.is_none().then(|| Arc::clone(&address.host));
        let is_over_tls = host.is_some() && address.tls.is_some();
        let of_students = address.patience;
        DatabaseServer { options, host, is_over_tls, of_students, session, timeout }
    }

    /// For connections that are kept between calls: the server closes them when they have been idle
    /// for this long, because the process may never call again.
    pub fn kept(&self, idle_seconds: u64) -> DatabaseServer {
        let mut server = self.clone();
        if let Some(settings) = server.session.first_mut() {
            settings.push_str(&format!(", wait_timeout={idle_seconds}"));
        }
        server
    }

    /// Whether its connections are encrypted.
    pub fn is_over_tls(&self) -> bool {
        self.is_over_tls
    }

    /// How long a call waits for each answer.
    pub fn reply_patience(&self) -> Duration {
        reply_patience(self.timeout)
    }

    /// How long a call waits for each answer of a server that may be down.
    fn brief(&self) -> Duration {
        match &self.host {
            Some(host) => host.brief(self.of_students),
            None => BRIEFLY.min(self.of_students),
        }
    }
}

impl Connect for DatabaseServer {
    type Connection = Conn;

    fn connect(&self, probe: bool) -> Result<Conn> {
        if probe {
            // A connection keeps its timeouts, so a server that was down is first greeted on one of
            // its own.
            self.greet(self.brief(), self.brief())?;
        }
        let began = Instant::now();
        let connect = CONNECT_TIMEOUT.max(self.of_students.mul_f64(CONNECT_SHARE));
        let connection = self.greet(connect, self.reply_patience())?;
        if let Some(host) = &self.host {
            host.learn_distance(began.elapsed());
        }
        Ok(connection)
    }

    fn test(&self, mut connection: Conn) -> Option<Conn> {
        // A connection keeps its timeouts. A thread waits for the reply, and is left behind with
        // the connection if none comes.
        let (sender, receiver) = mpsc::sync_channel(1);
        let ping = move || {
            let tested = connection.ping().is_ok().then_some(connection);
            // The caller may have continued without it.
            sender.send(tested).ok();
        };
        thread::Builder::new().spawn(ping).ok()?;
        receiver.recv_timeout(self.brief()).ok().flatten()
    }

    fn patience(&self) -> Duration {
        self.timeout
    }
}

impl DatabaseServer {
    fn greet(&self, connect: Duration, reply: Duration) -> Result<Conn> {
        let options = self
            .options
            .clone()
            .tcp_connect_timeout(Some(connect))
            .init(self.session.clone())
            .read_timeout(Some(reply))
            .write_timeout(Some(reply));
        let connected = match &self.host {
            // The client itself resolves the name that the certificate must have.
            Some(host) if self.is_over_tls => {
                host.ask(connect).map_err(Into::into).and_then(|()| {
                    let options = options.clone().ip_or_hostname(Some(host.name()));
                    open(options.tcp_port(host.port()))
                })
            }
            Some(host) => host.connect(connect, |address| {
                let options = options.clone().ip_or_hostname(Some(address.ip().to_string()));
                open(options.tcp_port(address.port()))
            }),
            None => open(options),
        };
        let ready = connected.map_err(Error::from_mariadb).and_then(|mut connection| {
            see_what_all_nodes_have(&mut connection)?;
            Ok(connection)
        });
        ready.map_err(|error| match error {
            // A server that refuses connections (too many, shutting down, wrong password) is
            // unusable now.
            Error::Refused { server, cause, .. } => {
                Error::Unavailable { server, cause, answered: false }
            }
            Error::Unavailable { server, cause, answered } => {
                let advice = match advice(&cause, tls::KEYS).filter(|_| self.is_over_tls) {
                    Some(advice) => format!(": {advice}"),
                    None if cause.contains(UNKNOWN_SIGN_IN) => SIGN_IN.to_owned(),
                    None => String::new(),
                };
                Error::Unavailable { server, cause: cause + &advice, answered }
            }
            error => error,
        })
    }
}

/// Makes a node of Galera catch up with the others before each read, and before each INSERT, so
/// that an entry of `memora_journal` gets a higher id than all earlier ones, on any node. Other
/// servers ignore the variable or do not have it.
fn see_what_all_nodes_have(connection: &mut Conn) -> Result<()> {
    match run_text(connection, "SET SESSION wsrep_sync_wait = 5") {
        Err(Error::Refused { code: UNKNOWN_VARIABLE, .. }) => Ok(()),
        done => done,
    }
}

/// Connects. The client panics if the server asks for an authentication method that was not built
/// in.
fn open(options: OptsBuilder) -> std::result::Result<Conn, mysql::Error> {
    catch_unwind(AssertUnwindSafe(|| Conn::new(options))).unwrap_or_else(|panic| {
        let words = match panic.downcast::<String>() {
            Ok(words) => *words,
            Err(panic) => {
                panic.downcast::<&str>().map(|words| words.to_string()).unwrap_or_default()
            }
        };
        Err(io::Error::other(words).into())
    })
}

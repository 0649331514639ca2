//! Locks of a site by their names.
//!
//! MariaDB's own locks (`GET_LOCK`) hold on one server. On a node of Galera, a separate connection
//! changes the row of the lock's name, in a transaction that never commits. It uses *streaming
//! replication*: all nodes have locked the row when the statement is done. So a process on any node
//! waits for that row. It is released when the connection ends for any reason, or when the other
//! nodes exclude its node.
//!
//! The row must exist before: if it were inserted and rolled back, a waiting process would get a
//! gap lock, which blocks other inserts.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mysql::Conn;

use super::connect::DatabaseServer;
use super::errors::{LOCK_WAIT_TIMEOUT, is_contention, is_locked_out};
use super::statements::{row, run, run_texts};
use super::transaction::{in_transaction_again, set_lock_wait};
use crate::error::{Error, Result, Server};
use crate::servers::pool::Connect;

/// A row for each lock that was ever taken on Galera.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_lock` (\
    name VARCHAR(255) NOT NULL PRIMARY KEY, taken BIGINT NOT NULL DEFAULT 0) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";
/// Begins a transaction whose statements reach the other nodes when they are done.
const BEGIN: &str = "SET SESSION wsrep_trx_fragment_unit = 'statements', \
    wsrep_trx_fragment_size = 1, autocommit = 0, idle_transaction_timeout = 0, \
    wait_timeout = 604800; START TRANSACTION";
const TAKE: &str = "UPDATE memora_lock SET taken = taken + 1 WHERE name = ?";
/// A node that rolls back the transaction, because it was cut off from the others for a while, may
/// not report it. The savepoint is lost with the transaction.
const MARK: &str = "SAVEPOINT memora";
const CHECK: &str = "RELEASE SAVEPOINT memora; SAVEPOINT memora";
/// The pause before the next try, after a conflict with another process.
const PAUSE: Duration = Duration::from_millis(20);

/// A lock of this site. It is released when this value or its connection is dropped: drop both
/// together.
#[must_use]
pub struct Held {
    /// On Galera, holds the lock. Elsewhere the connection that took it does.
    row: Option<Conn>,
}

impl Held {
    /// Takes a lock by its name. `None`: another connection kept it for this many seconds.
    pub fn take(
        server: &DatabaseServer,
        connection: &mut Conn,
        name: &str,
        seconds: u32,
    ) -> Result<Option<Held>> {
        if is_node(connection)? {
            make_row(connection, name)?;
            return Ok(take_row(server, name, seconds)?.map(|row| Held { row: Some(row) }));
        }
        let sql = "SELECT GET_LOCK(CONCAT('memora-', ?, '|', DATABASE()), ?)";
        let taken = row::<Option<u8>>(connection, sql, (name, seconds))?.flatten() == Some(1);
        Ok(taken.then_some(Held { row: None }))
    }

    /// Releases the lock on Galera, so that another connection can take it.
    pub fn release(&mut self) {
        self.row = None;
    }

    /// Checks that no process on another node can have the lock.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the node is or was without the others, and another process may have
    /// the lock.
    pub fn check(&mut self) -> Result<()> {
        let Some(row) = &mut self.row else { return Ok(()) };
        run_texts(row, CHECK).map_err(|error| match error {
            Error::Refused { cause, .. } => Error::Unavailable {
                server: Server::Database,
                cause: format!("another process may have this one's lock: {cause}"),
                answered: false,
            },
            error => error,
        })
    }
}

/// Whether any connection has this lock of the site.
pub fn is_locked(connection: &mut Conn, name: &str) -> Result<bool> {
    if !is_node(connection)? {
        let sql = "SELECT IS_FREE_LOCK(CONCAT('memora-', ?, '|', DATABASE()))";
        return Ok(row::<Option<u8>>(connection, sql, (name,))?.flatten() == Some(0));
    }
    let sql = "SELECT 1 FROM memora_lock WHERE name = ? LOCK IN SHARE MODE NOWAIT";
    match row::<u8>(connection, sql, (name,)) {
        Err(Error::Refused { code: LOCK_WAIT_TIMEOUT, .. }) => Ok(true),
        found => found.map(|_| false),
    }
}

fn is_node(connection: &mut Conn) -> Result<bool> {
    let found: Option<(String, String)> = row(connection, "SHOW VARIABLES LIKE 'wsrep_on'", ())?;
    Ok(found.is_some_and(|(_, value)| value == "ON"))
}

/// Creates the row of a name, unless it exists. Does not wait for a process that has locked it.
fn make_row(connection: &mut Conn, name: &str) -> Result<()> {
    if row::<u8>(connection, "SELECT 1 FROM memora_lock WHERE name = ?", (name,))?.is_none() {
        in_transaction_again(connection, |connection| {
            run(connection, "INSERT IGNORE INTO memora_lock (name) VALUES (?)", (name,))
        })?;
    }
    Ok(())
}

/// A connection whose transaction has the row. `None`: another one kept it for this many seconds.
fn take_row(server: &DatabaseServer, name: &str, seconds: u32) -> Result<Option<Conn>> {
    let mut connection = server.connect(false)?;
    set_lock_wait(&mut connection, seconds)?;
    let began = Instant::now();
    loop {
        run_texts(&mut connection, BEGIN)?;
        match run(&mut connection, TAKE, (name,)) {
            Ok(()) => {
                run_texts(&mut connection, MARK)?;
                return Ok(Some(connection));
            }
            Err(error) if is_locked_out(&error) => return Ok(None),
            // Two processes tried at once; this transaction was rolled back.
            Err(error) if is_contention(&error) => {
                if began.elapsed() > Duration::from_secs(seconds.into()) + PAUSE {
                    return Ok(None);
                }
                sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

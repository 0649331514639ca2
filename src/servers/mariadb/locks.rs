//! Locks of a site by their names.
//!
//! MariaDB's own (`GET_LOCK`) are of one server. Where that is a node of Galera, a connection of
//! its own changes the row of the lock's name, in a transaction that never commits. It is one of
//! *streaming replication*: all nodes have locked the row when the statement is done. So a process
//! on any node waits for that row. It is free when the connection ends that changed it, however
//! that ends, or when the others leave out that connection's node.
//!
//! The rows are there before: one that is inserted and rolled back leaves whoever waited for it
//! with the gap that it stood in, where others want to insert theirs.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mysql::Conn;

use super::connect::DatabaseServer;
use super::errors::{LOCK_WAIT_TIMEOUT, is_contention, is_locked_out};
use super::statements::{row, run, run_texts};
use super::transaction::{in_transaction_again, set_lock_wait};
use crate::error::{Error, Result, Server};
use crate::servers::pool::Connect;

/// A row for each lock that was ever taken.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_lock` (\
    name VARCHAR(255) NOT NULL PRIMARY KEY, taken BIGINT NOT NULL DEFAULT 0) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";
/// Begins a transaction whose statements other nodes have when they are done.
const BEGIN: &str = "SET SESSION wsrep_trx_fragment_unit = 'statements', \
    wsrep_trx_fragment_size = 1, autocommit = 0, idle_transaction_timeout = 0, \
    wait_timeout = 604800; START TRANSACTION";
const TAKE: &str = "UPDATE memora_lock SET taken = taken + 1 WHERE name = ?";
/// A node that undoes the transaction, since it was without the others for a while, may say nothing
/// of it. The savepoint goes with it.
const MARK: &str = "SAVEPOINT memora";
const CHECK: &str = "RELEASE SAVEPOINT memora; SAVEPOINT memora";
/// A pause before trying again after another process that came at the same moment.
const PAUSE: Duration = Duration::from_millis(20);

/// A lock of this site. It is free when this ends, or the connection that it was taken with: have
/// both end together.
#[must_use]
pub struct Held {
    /// Holds the lock where there are nodes. Elsewhere the connection does that it was taken with.
    row: Option<Conn>,
}

impl Held {
    /// Takes a lock by its name. None: another connection has it, and kept it for so many seconds.
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

    /// Gives a row free, to be taken again by another connection.
    pub fn release(&mut self) {
        self.row = None;
    }

    /// Checks that no process on another node can have it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the node was without the others, or is, and another process may have
    /// the lock.
    pub fn check(&mut self) -> Result<()> {
        let Some(row) = &mut self.row else { return Ok(()) };
        run_texts(row, CHECK).map_err(|error| match error {
            Error::Refused { cause, .. } => Error::Unavailable {
                server: Server::Database,
                cause: format!("another process may have this one's lock: {cause}"),
                broken: true,
            },
            error => error,
        })
    }
}

/// Whether some connection has a lock of this site.
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

/// Makes the row of a name, if it is not there. It waits for nobody who has it.
fn make_row(connection: &mut Conn, name: &str) -> Result<()> {
    if row::<u8>(connection, "SELECT 1 FROM memora_lock WHERE name = ?", (name,))?.is_none() {
        in_transaction_again(connection, |connection| {
            run(connection, "INSERT IGNORE INTO memora_lock (name) VALUES (?)", (name,))
        })?;
    }
    Ok(())
}

/// A connection whose transaction has the row. None: another kept it for so many seconds.
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
            // Two came at once; this one was undone.
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

//! What an error of MariaDB means.

use crate::error::{Error, Result, Server};

/// MariaDB's number for a variable that it does not have.
pub const UNKNOWN_VARIABLE: u16 = 1193;
/// MariaDB's number for a missing table.
pub const NO_SUCH_TABLE: u16 = 1146;
/// MariaDB's number for a missing column.
const NO_SUCH_COLUMN: u16 = 1054;
/// MariaDB's number for a column that may not be NULL.
pub const NOT_NULL: u16 = 1048;
/// MariaDB's number for a second row with the same key.
pub const DUPLICATE: u16 = 1062;
/// MariaDB's number for a transaction that lost a deadlock.
const DEADLOCK: u16 = 1213;
/// MariaDB's number for a COMMIT that a node of Galera could not certify.
const NOT_COMMITTED: u16 = 1180;
/// MariaDB's number for a missing savepoint.
const NO_SAVEPOINT: u16 = 1305;
/// MariaDB's number for a node of Galera that has lost the others. It keeps its connections.
const NOT_READY: u16 = 1047;
/// Numbers for a statement or a connection that was killed, a server that is stopping, or a table
/// that is newer than the transaction's snapshot.
const ENDED: [u16; 4] = [1317, 1053, 1927, 1412];
/// MariaDB's number for a record that has changed since the transaction's snapshot
/// (`innodb_snapshot_isolation`).
const CHANGED: u16 = 1020;
/// MariaDB's number for a lock wait timeout.
pub const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// MariaDB's number for a statement that took longer than `max_statement_time`.
pub const STATEMENT_TIMEOUT: u16 = 1969;
/// Numbers of a server that takes no writes: a replica, or one that is about to become one.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];

/// The advice for a missing table or column: a new version runs on the tables of an older one.
const OLD_TABLES: &str = ": run bench migrate";

impl Error {
    /// Turns an error of the MariaDB client into ours.
    pub fn from_mariadb(error: mysql::Error) -> Error {
        let server = Server::Database;
        match error {
            mysql::Error::MySqlError(error)
                if is_read_only(error.code) || error.code == NOT_READY =>
            {
                Error::Unavailable { server, cause: error.message, answered: true }
            }
            mysql::Error::MySqlError(error) => {
                let is_transient = matches!(
                    error.code,
                    DEADLOCK | CHANGED | NOT_COMMITTED | LOCK_WAIT_TIMEOUT | STATEMENT_TIMEOUT
                ) || ENDED.contains(&error.code);
                let is_old = matches!(error.code, NO_SUCH_TABLE | NO_SUCH_COLUMN);
                let advice = if is_old { OLD_TABLES } else { "" };
                let cause = error.message + advice;
                Error::Refused { server, cause, code: error.code, is_transient }
            }
            other => Error::Unavailable { server, cause: other.to_string(), answered: false },
        }
    }
}

/// Whether an error means that a transaction conflicted with another, and nothing of it was done.
pub fn is_contention(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused { server: Server::Database, code: DEADLOCK | CHANGED | NOT_COMMITTED, .. }
    )
}

/// What an error of a transaction means, once it is rolled back. A missing savepoint means that the
/// server itself had rolled it back, because of a conflict.
pub fn contention_if_undone(error: Error) -> Error {
    match error {
        Error::Refused { server: Server::Database, code: NO_SAVEPOINT, .. } => Error::Refused {
            server: Server::Database,
            cause: "the server rolled back the transaction".to_owned(),
            code: DEADLOCK,
            is_transient: true,
        },
        error => error,
    }
}

/// Whether an error means that others locked a row for longer than the wait.
pub fn is_locked_out(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused {
            server: Server::Database,
            code: LOCK_WAIT_TIMEOUT | STATEMENT_TIMEOUT,
            ..
        }
    )
}

/// Whether an error means that the statement was ended, and may be tried again.
pub fn is_ended(error: &Error) -> bool {
    matches!(error, Error::Refused { server: Server::Database, code, .. } if ENDED.contains(code))
}

/// Whether MariaDB's number means that the server takes no writes.
pub fn is_read_only(code: u16) -> bool {
    READ_ONLY.contains(&code)
}

/// Whether the server takes no writes, 1 or 0, as part of another statement. Newer versions have a
/// name where older ones have a number.
pub const IS_READ_ONLY: &str = "CONCAT(@@GLOBAL.read_only) NOT IN ('0', 'OFF')";

/// Leaves a server that takes no writes: another one replaced it, and this one may lack its latest
/// data.
pub fn leave_if_read_only(is_read_only: bool) -> Result<()> {
    if !is_read_only {
        return Ok(());
    }
    Err(Error::Unavailable {
        server: Server::Database,
        cause: "it is read-only, so another server has taken its place, or will".to_owned(),
        answered: true,
    })
}

/// The numbers of errors that are always due to the data itself: NULL in a NOT NULL column, out of
/// range, not a date, not text, too long, no partition, a CHECK, a foreign key, a trigger.
const DATA_ERRORS: [u16; 13] =
    [1048, 1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1452, 1526, 1644, 4025];

/// Whether an error means that this data can never be written. All other errors end by themselves
/// or after an administrator's repair, and the data waits for that.
pub fn is_data_error(error: &Error) -> bool {
    match error {
        Error::Refused { server: Server::Database, code, .. } => DATA_ERRORS.contains(code),
        _ => false,
    }
}

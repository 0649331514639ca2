//! Transactions.

use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use mysql::Conn;

use super::errors::{contention_if_undone, is_contention};
use super::statements::{run_text, run_texts};
use crate::error::{Error, Result, Server};

/// The pauses before a transaction is run again after a conflict. They are random, so that two
/// processes do not conflict again.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(2))
    .with_max_times(5)
    .with_jitter();

/// What begins a transaction and marks it. See [`END`].
const BEGIN: &str = "SET autocommit = 0; START TRANSACTION; SAVEPOINT memora";
/// What ends it, if it is the one that was marked. A node of Galera rolls back a transaction that
/// conflicts with another node's, and reports no error, even for COMMIT. The savepoint is lost with
/// it. Without autocommit, later statements are not kept either.
const END: &str = "RELEASE SAVEPOINT memora; COMMIT; SET autocommit = 1";
const UNDO: &str = "ROLLBACK; SET autocommit = 1";

/// Runs `work` in one transaction: all of it or nothing.
pub fn in_transaction<T>(
    connection: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T>,
) -> Result<T> {
    within(connection, BEGIN, work)
}

/// As [`in_transaction`], but tries again after a short pause if it conflicted with others, and so
/// was rolled back.
pub fn in_transaction_again<T>(
    connection: &mut Conn,
    mut work: impl FnMut(&mut Conn) -> Result<T>,
) -> Result<T> {
    (|| in_transaction(connection, &mut work)).retry(PAUSES).when(is_contention).call()
}

/// Runs `work` in a read-only transaction whose statements all see one snapshot. Tries again if the
/// server has rolled it back.
pub fn at_one_moment<T>(
    connection: &mut Conn,
    mut work: impl FnMut(&mut Conn) -> Result<T>,
) -> Result<T> {
    const BEGIN: &str = "SET autocommit = 0; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
        START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; SAVEPOINT memora";
    (|| within(connection, BEGIN, &mut work)).retry(PAUSES).when(is_contention).call()
}

fn within<T>(
    connection: &mut Conn,
    begin: &str,
    work: impl FnOnce(&mut Conn) -> Result<T>,
) -> Result<T> {
    let done = run_texts(connection, begin).and_then(|()| work(connection));
    let outcome = done.and_then(|value| run_texts(connection, END).map(|()| value));
    outcome.map_err(|error| match error {
        Error::Unavailable { .. } => error,
        // A connection without autocommit would lose the next user's changes.
        _ => match run_texts(connection, UNDO) {
            Ok(()) => contention_if_undone(error),
            Err(undo) => Error::Unavailable {
                server: Server::Database,
                cause: format!("{error}, and then: {undo}"),
                answered: false,
            },
        },
    })
}

/// Sets how long this connection waits for a row or a table that others have locked, in seconds; 0:
/// not at all.
pub fn set_lock_wait(connection: &mut Conn, seconds: u32) -> Result<()> {
    let sql =
        format!("SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}");
    run_text(connection, &sql)
}

//! Transactions.

use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use mysql::Conn;

use super::errors::{contention_if_undone, is_contention};
use super::statements::{run_text, run_texts};
use crate::error::{Error, Result, Server};

/// The pauses before a transaction that others came in the way of is run again. Two processes that
/// met do not meet again: the pauses of each are its own.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(2))
    .with_max_times(5)
    .with_jitter();

/// What begins a transaction and marks it. See [`END`].
const BEGIN: &str = "SET autocommit = 0; START TRANSACTION; SAVEPOINT memora";
/// What ends it, if it is the one that was marked. A node of Galera whose transaction was in the
/// way of another node's undoes it, and answers as if nothing were amiss, even to COMMIT. The mark
/// goes with it. Without autocommit, nothing that came after it was kept either.
const END: &str = "RELEASE SAVEPOINT memora; COMMIT; SET autocommit = 1";
const UNDO: &str = "ROLLBACK; SET autocommit = 1";

/// Runs `work` in one transaction: all of it or nothing.
pub fn in_transaction<T>(
    connection: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T>,
) -> Result<T> {
    within(connection, BEGIN, work)
}

/// As [`in_transaction`], and again after a short rest when others came in its way: then nothing of
/// it was done.
pub fn in_transaction_again<T>(
    connection: &mut Conn,
    mut work: impl FnMut(&mut Conn) -> Result<T>,
) -> Result<T> {
    (|| in_transaction(connection, &mut work)).retry(PAUSES).when(is_contention).call()
}

/// Runs `work` in a transaction whose statements all see the same moment; it only reads. Again when
/// the server has ended it.
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
        // A connection without autocommit would keep nothing of what it is used for next.
        _ => match run_texts(connection, UNDO) {
            Ok(()) => contention_if_undone(error),
            Err(undo) => Error::Unavailable {
                server: Server::Database,
                cause: format!("{error}, and then: {undo}"),
                broken: true,
            },
        },
    })
}

/// Sets how long this connection waits for a row or a table that others have locked: whole seconds,
/// 0 not at all.
pub fn set_lock_wait(connection: &mut Conn, seconds: u32) -> Result<()> {
    let sql =
        format!("SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}");
    run_text(connection, &sql)
}

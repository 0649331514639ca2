//! Statements, and their results.

use mysql::prelude::{FromRow, Queryable};
use mysql::{Conn, Params};

use super::errors::{IS_READ_ONLY, leave_if_read_only};
use crate::error::{Error, Result};

/// All rows of a statement.
pub fn rows<T: FromRow>(
    connection: &mut Conn,
    sql: &str,
    params: impl Into<Params>,
) -> Result<Vec<T>> {
    connection.exec(sql, params).map_err(Error::from_mariadb)
}

/// The first row of a statement.
pub fn row<T: FromRow>(
    connection: &mut Conn,
    sql: &str,
    params: impl Into<Params>,
) -> Result<Option<T>> {
    connection.exec_first(sql, params).map_err(Error::from_mariadb)
}

/// Whether a condition holds. Leaves a server that takes no writes.
///
/// Both are in one row without a table: joining a table would need a temporary one, which takes
/// MariaDB as long as a small load.
pub fn ask_writable(
    connection: &mut Conn,
    condition: &str,
    params: impl Into<Params>,
) -> Result<bool> {
    let sql = format!("SELECT {IS_READ_ONLY}, {condition}");
    let (is_read_only, holds) = row(connection, &sql, params)?.unwrap_or((false, false));
    leave_if_read_only(is_read_only)?;
    Ok(holds)
}

/// All rows of a statement that is not prepared: one that was prepared before the table changed, as
/// by ANALYZE or another partition, loses its FORCE INDEX (seen with MariaDB 10.11).
pub fn rows_of_text<T: FromRow>(connection: &mut Conn, sql: &str) -> Result<Vec<T>> {
    connection.query(sql).map_err(Error::from_mariadb)
}

/// Runs a statement for its effect.
pub fn run(connection: &mut Conn, sql: &str, params: impl Into<Params>) -> Result<()> {
    connection.exec_drop(sql, params).map_err(Error::from_mariadb)
}

/// Runs a statement that takes no parameters and cannot be prepared.
pub fn run_text(connection: &mut Conn, sql: &str) -> Result<()> {
    connection.query_drop(sql).map_err(Error::from_mariadb)
}

/// Runs statements in one round trip, up to the first one that fails.
pub fn run_texts(connection: &mut Conn, sql: &str) -> Result<()> {
    let mut results = connection.query_iter(sql).map_err(Error::from_mariadb)?;
    while let Some(result) = results.iter() {
        for row in result {
            row.map_err(Error::from_mariadb)?;
        }
    }
    Ok(())
}

/// Ends the statement that another connection of ours is running.
pub fn stop_statement(connection: &mut Conn, id: u32) -> Result<()> {
    run_text(connection, &format!("KILL QUERY {id}"))
}

/// Most values in one list; a statement of MariaDB takes at most 65,535.
pub const MOST_IN_A_LIST: usize = 1_000;

/// A list of `count` placeholders.
pub fn placeholders(count: usize) -> String {
    vec!["?"; count].join(",")
}

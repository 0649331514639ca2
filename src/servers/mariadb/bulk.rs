//! Many rows in one statement.

use mysql::Conn;
use mysql::Value;
use mysql::prelude::Queryable;

use crate::error::{Error, Result};
use crate::rules::clock::SiteZone;

/// How many rows are sent at a time: their memory is reused for the next ones.
const ROWS: usize = 1_000;
/// How many rows a statement without the bulk protocol has: their conditions make it long.
const ROWS_TOGETHER: usize = 100;

/// How a site's rows are written.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    /// The time zone of their dates.
    pub zone: &'a SiteZone,
    /// If so, the bulk protocol is not used: over TLS, the client does not announce it to MariaDB,
    /// uses it anyway, and is refused (mysql 28.0.4, `do_ssl_request`).
    pub is_over_tls: bool,
}

/// A statement that inserts rows, or changes those that are there.
pub struct Insert<'a> {
    /// `INSERT INTO table (columns)`. The first column names the row.
    pub into: &'a str,
    /// The value of each column, with a `?` for each value of a row. The name of an earlier column
    /// stands for its value, so that no value is sent twice.
    pub values: &'a str,
    /// `ON DUPLICATE KEY UPDATE ...`, or nothing. A `?` stands for a value that each row has after
    /// those of its columns.
    pub update: &'a str,
}

impl Insert<'_> {
    /// Inserts rows with MariaDB's bulk protocol, or many in one statement if it cannot be used.
    pub fn run(
        &self,
        connection: &mut Conn,
        writing: Writing<'_>,
        rows: impl Iterator<Item = Vec<Value>>,
    ) -> Result<()> {
        if writing.is_over_tls {
            return self.run_together(connection, rows);
        }
        let statement = connection.prep(self.sql(1, self.update)).map_err(Error::from_mariadb)?;
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let some = rows.by_ref().take(ROWS);
            connection.exec_batch(&statement, some).map_err(Error::from_mariadb)?;
        }
        Ok(())
    }

    fn run_together(
        &self,
        connection: &mut Conn,
        rows: impl Iterator<Item = Vec<Value>>,
    ) -> Result<()> {
        let of_columns = self.values.matches('?').count();
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let (mut values, mut cases, mut count) = (Vec::new(), Vec::new(), 0);
            for mut row in rows.by_ref().take(ROWS_TOGETHER) {
                for value in row.split_off(of_columns) {
                    cases.extend([row[0].clone(), value]);
                }
                values.append(&mut row);
                count += 1;
            }
            // The first column tells which row is meant.
            let case = format!("CASE VALUES(name){} END", " WHEN ? THEN ?".repeat(count));
            let sql = self.sql(count, &self.update.replace('?', &case));
            values.append(&mut cases);
            connection.exec_drop(sql, values).map_err(Error::from_mariadb)?;
        }
        Ok(())
    }

    fn sql(&self, rows: usize, update: &str) -> String {
        format!("{} VALUES {} {update}", self.into, vec![self.values; rows].join(","))
    }
}

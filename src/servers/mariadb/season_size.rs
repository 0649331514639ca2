//! The size of a season, without reading all of it.

use mysql::{Conn, Value};

use super::key_range::Place;
use super::shape::LIVE;
use super::statements::{placeholders, row, rows_of_text};
use crate::error::Result;

/// How many records a season has, and of how many students, counting the first `most` at most.
pub fn first_records(connection: &mut Conn, season: &str, most: u64) -> Result<(u64, u64)> {
    let records = Place::Live.records_of(season);
    let sql = format!(
        "SELECT COUNT(*), COUNT(DISTINCT player) FROM (SELECT player FROM {records} LIMIT {most}) \
         AS first"
    );
    Ok(rows_of_text(connection, &sql)?.pop().unwrap_or_default())
}

/// The first students of a season, up to `most`. It takes one step in the key for each, however
/// many records they have.
pub fn first_students(connection: &mut Conn, season: &str, most: usize) -> Result<Vec<String>> {
    let records = Place::Live.records_of(season);
    let sql = format!("SELECT DISTINCT player FROM {records} LIMIT {most}");
    rows_of_text(connection, &sql)
}

/// How many records these students have in a season.
pub fn records_of(connection: &mut Conn, season: &str, students: &[&str]) -> Result<u64> {
    let (records, list) = (Place::Live.records_of(season), placeholders(students.len()));
    let sql = format!("SELECT COUNT(*) FROM {records} WHERE season = ? AND player IN ({list})");
    let mut params = vec![Value::from(season)];
    params.extend(students.iter().map(Value::from));
    Ok(row(connection, &sql, params)?.unwrap_or(0))
}

/// Records and bytes of a season's partition, by MariaDB's estimate; `None`: it has no partition.
pub fn partition(connection: &mut Conn, season: &str) -> Result<Option<(u64, u64)>> {
    let sql = "SELECT TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH FROM information_schema.PARTITIONS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND PARTITION_NAME = ?";
    row(connection, sql, (LIVE.table, season))
}

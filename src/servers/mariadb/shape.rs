//! The shape of a table of records on disk: key, collation, indexes. It is read from the schema,
//! and changed with one ALTER TABLE.

use mysql::Conn;

use super::statements::{row, rows};
use crate::error::{Error, Result};

/// Compares bytes, including trailing spaces, as Redis does.
const COLLATION: &str = "utf8mb4_nopad_bin";
const SAFE_MODE_INDEX: &str = "player_season_next_review_date";

/// A table of records. No two of its rows have the same player, season and question.
pub struct Shape {
    /// The table's name.
    pub table: &'static str,
    /// The columns of its primary key, in whose order the rows are stored.
    pub primary_key: [&'static str; 3],
    /// Whether Safe Mode reads it.
    has_safe_mode_index: bool,
}

/// The live table: a student's records are stored together.
pub const LIVE: Shape = Shape {
    table: "tabPlayer Memory Tracker",
    primary_key: ["player", "season", "question_id"],
    has_safe_mode_index: true,
};

/// The archive: a season's records are stored together, so a season is added at its end.
pub const ARCHIVE: Shape = Shape {
    table: "tabArchived Memory Tracker",
    primary_key: ["season", "player", "question_id"],
    has_safe_mode_index: false,
};

impl Shape {
    /// Whether the table has its primary key.
    pub fn has_primary_key(&self, connection: &mut Conn) -> Result<bool> {
        Ok(self.index_columns(connection, "PRIMARY")? == self.primary_key)
    }

    /// The parts of an ALTER TABLE that give the table its shape; none if it has it.
    pub fn missing(&self, connection: &mut Conn) -> Result<Vec<String>> {
        let mut parts = Vec::new();
        let primary_key = self.index_columns(connection, "PRIMARY")?;
        let other_collations = "SELECT COUNT(*) FROM information_schema.COLUMNS \
            WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND COLUMN_NAME IN ('player', \
            'season', 'question_id') \
            AND (COLLATION_NAME <> ? OR IS_NULLABLE = 'YES')";
        if row::<u64>(connection, other_collations, (self.table, COLLATION))?.unwrap_or(0) > 0 {
            parts.push(format!("CONVERT TO CHARACTER SET utf8mb4 COLLATE {COLLATION}"));
            for column in self.primary_key {
                parts.push(format!(
                    "MODIFY `{column}` VARCHAR(140) CHARACTER SET utf8mb4 COLLATE {COLLATION} NOT \
                     NULL"
                ));
            }
        }
        if primary_key != self.primary_key {
            parts.extend((!primary_key.is_empty()).then(|| "DROP PRIMARY KEY".to_owned()));
            parts.push(format!("ADD PRIMARY KEY ({})", self.primary_key.join(", ")));
        }
        if self.index_columns(connection, "name")?.is_empty() {
            parts.push("ADD KEY `name` (name)".to_owned());
        }
        if self.has_safe_mode_index && self.index_columns(connection, SAFE_MODE_INDEX)?.is_empty() {
            parts.push(format!("ADD KEY `{SAFE_MODE_INDEX}` (player, season, next_review_date)"));
        }
        // Indexes of Frappe (15: modified, 16: creation). Every answer would also change them, and
        // nothing reads them.
        for unused in ["modified", "creation"] {
            if !self.index_columns(connection, unused)?.is_empty() {
                parts.push(format!("DROP KEY `{unused}`"));
            }
        }
        Ok(parts)
    }

    /// The primary key takes no NULL and no duplicate: an administrator must clean what the patches
    /// cannot.
    ///
    /// # Errors
    /// [`Error::Fault`] says how many records violate it.
    pub fn check_is_clean(&self, connection: &mut Conn) -> Result<()> {
        if self.has_primary_key(connection)? {
            return Ok(());
        }
        let table = self.table;
        let sql = format!(
            "SELECT COUNT(*) FROM `{table}` WHERE COALESCE(player, '') = '' OR COALESCE(season, \
             '') = '' \
             OR COALESCE(question_id, '') = ''"
        );
        let incomplete: u64 = row(connection, &sql, ())?.unwrap_or(0);
        let sql = format!(
            "SELECT COUNT(*) - COUNT(DISTINCT CAST(player AS BINARY), CAST(season AS BINARY), \
             CAST(question_id AS BINARY)) \
             FROM `{table}` WHERE player IS NOT NULL AND season IS NOT NULL AND question_id IS NOT \
             NULL"
        );
        let duplicates: u64 = row(connection, &sql, ())?.unwrap_or(0);
        if incomplete + duplicates == 0 {
            return Ok(());
        }
        Err(Error::Fault(format!(
            "{table} has {incomplete} records without player, season or question, and {duplicates} \
             duplicates: complete or delete them, then run bench migrate again. Nothing was \
             changed."
        )))
    }

    /// The table's columns in their order.
    pub fn columns(&self, connection: &mut Conn) -> Result<Vec<String>> {
        let sql = "SELECT COLUMN_NAME FROM information_schema.COLUMNS \
            WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
        rows(connection, sql, (self.table,))
    }

    fn index_columns(&self, connection: &mut Conn, index: &str) -> Result<Vec<String>> {
        rows(
            connection,
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND INDEX_NAME = ? ORDER BY \
             SEQ_IN_INDEX",
            (self.table, index),
        )
    }
}

//! The DocTypes whose tables the engine reads and writes, and the columns that it needs. They
//! belong to memora, or to an app that brings its own (docs/adopting.md).

use std::collections::HashMap;

use mysql::{Conn, Value};

use super::shape::{ARCHIVE, LIVE};
use super::statements::{placeholders, rows};
use crate::error::{Error, Result};

/// What a column must hold.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// Small numbers, including Check fields.
    Number,
    /// Microseconds.
    BigNumber,
    /// With at least four decimal places.
    Decimal,
    Moment,
    Date,
}

impl Kind {
    /// MariaDB's types for it.
    fn types(self) -> &'static [&'static str] {
        match self {
            Kind::Text => &["varchar", "char", "text", "mediumtext", "longtext"],
            Kind::Number => &["int", "tinyint", "smallint", "mediumint", "bigint"],
            Kind::BigNumber => &["bigint"],
            Kind::Decimal => &["decimal", "double"],
            Kind::Moment => &["datetime"],
            Kind::Date => &["date", "datetime"],
        }
    }

    /// The field of a DocType that makes such a column.
    fn field(self) -> &'static str {
        match self {
            Kind::Text => "Data",
            Kind::Number => "Int",
            Kind::BigNumber => "Int with the length 20",
            Kind::Decimal => "Float",
            Kind::Moment => "Datetime",
            Kind::Date => "Date",
        }
    }
}

type Fields = &'static [(&'static str, Kind)];

/// A student's state of a question; the archive has the same.
const RECORD: Fields = &[
    ("player", Kind::Text),
    ("season", Kind::Text),
    ("question_id", Kind::Text),
    ("subject", Kind::Text),
    ("topic", Kind::Text),
    ("stability", Kind::Number),
    ("next_review_date", Kind::Moment),
    ("last_review_date", Kind::Moment),
    ("answered_at_us", Kind::BigNumber),
    ("memory_stability", Kind::Decimal),
    ("memory_difficulty", Kind::Decimal),
    ("lapses", Kind::Number),
];
const ARCHIVED: Fields = &[("archived_at", Kind::Moment), ("eligible_for_deletion", Kind::Number)];
const AUDIT: Fields = &[
    ("player", Kind::Text),
    ("season", Kind::Text),
    ("answers", Kind::Number),
    ("answered_at", Kind::Moment),
    ("persisted_at", Kind::Moment),
    ("checksum", Kind::Text),
];
const POISON: Fields = &[
    ("player", Kind::Text),
    ("season", Kind::Text),
    ("question_id", Kind::Text),
    ("job_id", Kind::Text),
    ("reason", Kind::Text),
    ("payload", Kind::Text),
    ("set_aside_at", Kind::Moment),
    ("replayed_at", Kind::Moment),
    ("dismissed_at", Kind::Moment),
];
const SEASON: Fields = &[
    ("start_date", Kind::Date),
    ("end_date", Kind::Date),
    ("is_active", Kind::Number),
    ("enable_redis", Kind::Number),
    ("partition_created", Kind::Number),
    ("archive_status", Kind::Text),
];

/// Each table, and its fields other than those that every DocType has.
const NEEDED: [(&str, &[Fields]); 8] = [
    (LIVE.table, &[RECORD]),
    (ARCHIVE.table, &[RECORD, ARCHIVED]),
    ("tabMemory Review Audit", &[AUDIT]),
    ("tabPoison Review", &[POISON]),
    ("tabGame Subscription Season", &[SEASON]),
    ("tabGame Subject", &[]),
    ("tabGame Topic", &[]),
    ("tabUser", &[]),
];

/// Checks that all tables and columns exist.
///
/// # Errors
/// [`Error::Fault`] names the missing ones.
pub fn check(connection: &mut Conn) -> Result<()> {
    let sql = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({})",
        placeholders(NEEDED.len())
    );
    let tables: Vec<Value> = NEEDED.iter().map(|(table, _)| Value::from(table)).collect();
    let mut columns: HashMap<String, HashMap<String, String>> = HashMap::new();
    for (table, column, kind) in rows::<(String, String, String)>(connection, &sql, tables)? {
        columns.entry(table).or_default().insert(column, kind);
    }
    let missing: Vec<String> = NEEDED
        .iter()
        .filter_map(|(table, fields)| what_lacks(table, fields, columns.get(*table)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Fault(format!(
        "the site lacks DocTypes or fields that the engine reads and writes, and nothing was changed: \
         {}. To fix it, install the app that has them, or add them to your own (docs/adopting.md), \
         and run bench migrate",
        missing.join("; ")
    )))
}

/// What a table lacks, in words; `None`: nothing.
fn what_lacks(
    table: &str,
    fields: &[Fields],
    columns: Option<&HashMap<String, String>>,
) -> Option<String> {
    let doctype = table.strip_prefix("tab").unwrap_or(table);
    let Some(columns) = columns else { return Some(format!("there is no {doctype}")) };
    let lacks: Vec<String> = fields
        .iter()
        .copied()
        .flatten()
        .filter_map(|(name, kind)| match columns.get(*name) {
            None => Some(format!("{name} ({})", kind.field())),
            Some(found) if kind.types().contains(&found.as_str()) => None,
            Some(found) => Some(format!("{name} ({}, and not {found})", kind.field())),
        })
        .collect();
    (!lacks.is_empty()).then(|| format!("{doctype} lacks {}", lacks.join(", ")))
}

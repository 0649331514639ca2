//! How the tables lie on disk: keys, collation, partitions. All of it can be run again and again.

use mysql::Conn;
use mysql::prelude::Queryable;

use super::{blind, limiter, outages, row, rows, run_text};
use crate::error::{Error, Result};

const TABLE: &str = "tabPlayer Memory Tracker";
/// Compares bytes and does not ignore trailing spaces, as Redis does.
const COLLATION: &str = "utf8mb4_nopad_bin";
const PRIMARY_KEY: [&str; 3] = ["player", "season", "question_id"];
const SAFE_MODE_INDEX: &str = "player_season_next_review_date";
const DEFAULT_PARTITION: &str = "PARTITION `p_default` DEFAULT";
const DUPLICATE_PARTITION: u16 = 1517;
const DUPLICATE_VALUE_IN_PARTITIONS: u16 = 1495;
/// MariaDB's longest identifier: a partition bears its season's name.
const LONGEST_SEASON: usize = 64;

/// Refuses a season whose name is not `SEASON-YYYY` or `SEASON-YYYY-SUFFIX` (spec section 1). What passes
/// is safe as an identifier and in a key.
///
/// # Errors
/// [`Error::InvalidInput`].
pub fn check_season_name(season: &str) -> Result<()> {
    let is_valid = season.strip_prefix("SEASON-").is_some_and(|rest| {
        let (year, suffix) = rest.split_once('-').map_or((rest, None), |(year, suffix)| (year, Some(suffix)));
        let year_ok = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
        let in_suffix = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        year_ok && suffix.is_none_or(|suffix| !suffix.is_empty() && suffix.bytes().all(in_suffix))
    });
    if is_valid && season.len() <= LONGEST_SEASON {
        return Ok(());
    }
    let shown: String = season.chars().take(40).collect();
    Err(Error::InvalidInput(format!(
        "{shown:?} is no name of a season: use SEASON-YYYY or SEASON-YYYY-SUFFIX (A-Z, 0-9, _), at most \
         {LONGEST_SEASON} characters"
    )))
}

/// Gives the tables what Frappe's schema cannot express. Returns a line for each change.
///
/// # Errors
/// [`Error::Fault`] when records without a season, or duplicates, have to be cleaned first.
pub fn prepare(connection: &mut Conn) -> Result<Vec<String>> {
    let mut changes = Vec::new();
    for (table, create) in [
        ("memora_safe_mode_read", limiter::CREATE),
        ("memora_outage", outages::CREATE),
        ("memora_blind_answer", blind::CREATE),
    ] {
        if !table_exists(connection, table)? {
            run_text(connection, create)?;
            changes.push(format!("made the table {table}"));
        }
    }
    run_text(connection, outages::ROWS)?;
    let specifications = missing_specifications(connection)?;
    let partitions = if is_partitioned(connection)? { String::new() } else { partition_clause(connection)? };
    if !specifications.is_empty() || !partitions.is_empty() {
        check_is_clean(connection)?;
        run_text(connection, &format!("ALTER TABLE `{TABLE}` {} {partitions}", specifications.join(", ")))?;
        changes.extend(specifications);
        changes.extend((!partitions.is_empty()).then(|| "partitioned by season".to_owned()));
    }
    for season in season_names(connection)? {
        if create_partition(connection, &season)? {
            changes.push(format!("made the partition of {season}"));
        }
    }
    Ok(changes)
}

/// Refuses to write while a record could be there twice: an upsert would then add rows instead of changing
/// them.
///
/// # Errors
/// [`Error::Fault`] until [`prepare`] has given the table its primary key.
pub fn check_primary_key(connection: &mut Conn) -> Result<()> {
    if index_columns(connection, "PRIMARY")? == PRIMARY_KEY {
        return Ok(());
    }
    Err(Error::Fault(format!(
        "{TABLE} lacks its primary key, so answers wait in the journal: run bench migrate and see what it reports"
    )))
}

/// Makes a season's partition, and moves rows of the season there from the default one. False: it was there.
///
/// Seen on MariaDB 10.11.19: ADD PARTITION leaves such rows in the default partition, where no query for the
/// season looks, and REORGANIZE PARTITION puts all rows into the new one unless the default comes first. So
/// the default comes first, and what stands where is checked afterwards.
pub fn create_partition(connection: &mut Conn, season: &str) -> Result<bool> {
    check_season_name(season)?;
    if partition_exists(connection, season)? {
        return Ok(false);
    }
    let sql = format!(
        "ALTER TABLE `{TABLE}` REORGANIZE PARTITION `p_default` INTO ({DEFAULT_PARTITION}, {})",
        partition(season)
    );
    match run_text(connection, &sql) {
        Ok(()) => {}
        // Another process made it a moment ago.
        Err(Error::Refused { code: DUPLICATE_PARTITION | DUPLICATE_VALUE_IN_PARTITIONS, .. }) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    let partitions = format!("PARTITION `p_default`, `{season}`");
    if !check_says_ok(connection, &partitions)? {
        log::warn!("MariaDB put rows into the wrong partition while {season} got its own: moving them");
        connection
            .query_drop(format!("ALTER TABLE `{TABLE}` REPAIR {partitions}"))
            .map_err(Error::from_mariadb)?;
    }
    Ok(true)
}

fn check_says_ok(connection: &mut Conn, partitions: &str) -> Result<bool> {
    let sql = format!("ALTER TABLE `{TABLE}` CHECK {partitions}");
    let messages: Vec<(String, String, String, String)> =
        connection.query(sql).map_err(Error::from_mariadb)?;
    Ok(messages.iter().any(|(_, _, kind, text)| kind == "status" && text == "OK"))
}

/// Whether a season has its partition.
pub fn partition_exists(connection: &mut Conn, season: &str) -> Result<bool> {
    // MariaDB would find the partition of a season in lower case, too.
    if check_season_name(season).is_err() {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM information_schema.PARTITIONS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND PARTITION_NAME = ?";
    Ok(row::<u8>(connection, sql, (TABLE, season))?.is_some())
}

fn partition(season: &str) -> String {
    format!("PARTITION `{season}` VALUES IN ('{season}')")
}

fn partition_clause(connection: &mut Conn) -> Result<String> {
    let mut partitions = vec![DEFAULT_PARTITION.to_owned()];
    partitions.extend(season_names(connection)?.iter().map(|season| partition(season)));
    Ok(format!("PARTITION BY LIST COLUMNS(season) ({})", partitions.join(", ")))
}

fn season_names(connection: &mut Conn) -> Result<Vec<String>> {
    let names: Vec<String> =
        rows(connection, "SELECT name FROM `tabGame Subscription Season` ORDER BY name", ())?;
    Ok(names.into_iter().filter(|name| check_season_name(name).is_ok()).collect())
}

fn table_exists(connection: &mut Conn, table: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";
    Ok(row::<u8>(connection, sql, (table,))?.is_some())
}

fn is_partitioned(connection: &mut Conn) -> Result<bool> {
    let sql = "SELECT 1 FROM information_schema.PARTITIONS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND PARTITION_METHOD IS NOT NULL LIMIT 1";
    Ok(row::<u8>(connection, sql, (TABLE,))?.is_some())
}

/// The parts of an ALTER TABLE that bring the table to its shape; none when it has it.
fn missing_specifications(connection: &mut Conn) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    let other_collations = "SELECT COUNT(*) FROM information_schema.COLUMNS \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND COLUMN_NAME IN ('player', 'season', 'question_id') \
        AND (COLLATION_NAME <> ? OR IS_NULLABLE = 'YES')";
    let primary_key = index_columns(connection, "PRIMARY")?;
    if primary_key.is_empty() {
        return Err(Error::Fault(format!(
            "the table {TABLE} is not there: install the app, or run bench migrate"
        )));
    }
    if row::<u64>(connection, other_collations, (TABLE, COLLATION))?.unwrap_or(0) > 0 {
        parts.push(format!("CONVERT TO CHARACTER SET utf8mb4 COLLATE {COLLATION}"));
        for column in PRIMARY_KEY {
            parts.push(format!(
                "MODIFY `{column}` VARCHAR(140) CHARACTER SET utf8mb4 COLLATE {COLLATION} NOT NULL"
            ));
        }
    }
    if primary_key != PRIMARY_KEY {
        parts.push("DROP PRIMARY KEY".to_owned());
        parts.push(format!("ADD PRIMARY KEY ({})", PRIMARY_KEY.join(", ")));
    }
    if index_columns(connection, "name")?.is_empty() {
        parts.push("ADD KEY `name` (name)".to_owned());
    }
    if index_columns(connection, SAFE_MODE_INDEX)?.is_empty() {
        parts.push(format!("ADD KEY `{SAFE_MODE_INDEX}` (player, season, next_review_date)"));
    }
    // Every answer would move its row in this index, and nothing reads it.
    if !index_columns(connection, "modified")?.is_empty() {
        parts.push("DROP KEY `modified`".to_owned());
    }
    Ok(parts)
}

fn index_columns(connection: &mut Conn, index: &str) -> Result<Vec<String>> {
    rows(
        connection,
        "SELECT COLUMN_NAME FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND INDEX_NAME = ? ORDER BY SEQ_IN_INDEX",
        (TABLE, index),
    )
}

/// The primary key takes no NULL and no duplicate; an administrator decides what becomes of those.
fn check_is_clean(connection: &mut Conn) -> Result<()> {
    if index_columns(connection, "PRIMARY")? == PRIMARY_KEY {
        return Ok(());
    }
    let sql = format!(
        "SELECT COUNT(*) FROM `{TABLE}` WHERE COALESCE(player, '') = '' OR COALESCE(season, '') = '' \
         OR COALESCE(question_id, '') = ''"
    );
    let incomplete: u64 = row(connection, &sql, ())?.unwrap_or(0);
    let sql = format!(
        "SELECT COUNT(*) - COUNT(DISTINCT CAST(player AS BINARY), CAST(season AS BINARY), CAST(question_id AS BINARY)) \
         FROM `{TABLE}` WHERE player IS NOT NULL AND season IS NOT NULL AND question_id IS NOT NULL"
    );
    let duplicates: u64 = row(connection, &sql, ())?.unwrap_or(0);
    if incomplete + duplicates == 0 {
        return Ok(());
    }
    Err(Error::Fault(format!(
        "{TABLE} has {incomplete} records without player, season or question, and {duplicates} duplicates: \
         complete or delete them, then run bench migrate again. Nothing was changed."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn season_names() {
        for good in ["SEASON-2026", "SEASON-2026-A", "SEASON-2026-SPRING_2"] {
            assert!(check_season_name(good).is_ok(), "{good}");
        }
        let long = format!("SEASON-2026-{}", "A".repeat(60));
        for bad in [
            "",
            "season-2026",
            "SEASON-26",
            "SEASON-2026-",
            "SEASON-2026\n",
            "SEASON-2026-a",
            "SEASON-2026-'",
            &long,
        ] {
            assert!(check_season_name(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_has_nothing_to_escape(name in "SEASON-.{0,8}") {
            if check_season_name(&name).is_ok() {
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            }
        }
    }
}

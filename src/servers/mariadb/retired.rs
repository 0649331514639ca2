//! The questions that the site has retired.
//!
//! A row for each question that was ever retired, and one without a question that has the version
//! of the last change. A change locks that row first, so versions are committed in their order: a
//! process that has seen one has seen all before it.

use mysql::{Conn, Value};

use super::statements::{MOST_IN_A_LIST, placeholders, row, rows, run};
use super::transaction::in_transaction_again;
use crate::error::Result;
use crate::rules::hidden::Retired;

/// The table.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_retired` (\
    question_id VARCHAR(140) NOT NULL PRIMARY KEY, version BIGINT UNSIGNED NOT NULL, \
    is_retired TINYINT NOT NULL, changed_by VARCHAR(140) NOT NULL DEFAULT '', \
    changed_at DATETIME(6) NOT NULL DEFAULT NOW(6)) \
    ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

/// Takes the next version, and locks its row. It also grows with time: a database that was restored
/// from a backup must not reuse a version that processes know.
const NEXT_VERSION: &str = "INSERT INTO `memora_retired` (question_id, version, is_retired) \
    VALUES ('', CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED), 0) \
    ON DUPLICATE KEY UPDATE version = GREATEST(version + 1, VALUES(version))";

/// A condition: the site has not retired the question of a record.
pub const IS_NOT_RETIRED: &str = "NOT EXISTS (SELECT 1 FROM `memora_retired` r \
    WHERE r.question_id = `tabPlayer Memory Tracker`.question_id AND r.is_retired = 1)";

/// A question that is retired.
pub struct RetiredQuestion {
    /// The question.
    pub question_id: String,
    /// The user who retired it.
    pub retired_by: String,
    /// When, Unix seconds.
    pub retired_at: i64,
}

/// The version of the last change; 0: there was none.
pub fn version(connection: &mut Conn) -> Result<u64> {
    let sql = "SELECT version FROM `memora_retired` WHERE question_id = ''";
    Ok(row(connection, sql, ())?.unwrap_or(0))
}

/// All questions that were ever retired.
pub fn all(connection: &mut Conn) -> Result<Retired> {
    let sql = "SELECT question_id, version, is_retired FROM `memora_retired`";
    Ok(Retired::new(rows::<(String, u64, bool)>(connection, sql, ())?))
}

/// Retires or restores questions. Returns how many changed.
pub fn change(
    connection: &mut Conn,
    question_ids: &[String],
    is_retired: bool,
    user: &str,
) -> Result<u64> {
    in_transaction_again(connection, |connection| {
        run(connection, NEXT_VERSION, ())?;
        let version = version(connection)?;
        let mut changed = 0;
        for ids in question_ids.chunks(MOST_IN_A_LIST) {
            let list = placeholders(ids.len());
            let sql = format!(
                "SELECT question_id FROM `memora_retired` WHERE is_retired = 1 \
                 AND question_id IN ({list})"
            );
            let retired: Vec<String> =
                rows(connection, &sql, ids.iter().map(Value::from).collect::<Vec<_>>())?;
            for id in ids.iter().filter(|id| retired.contains(id) != is_retired) {
                let sql = "INSERT INTO `memora_retired` (question_id, version, is_retired, \
                    changed_by, changed_at) VALUES (?, ?, ?, ?, NOW(6)) ON DUPLICATE KEY UPDATE \
                    version = VALUES(version), is_retired = VALUES(is_retired), \
                    changed_by = VALUES(changed_by), changed_at = VALUES(changed_at)";
                run(connection, sql, (id, version, is_retired, user))?;
                changed += 1;
            }
        }
        Ok(changed)
    })
}

/// Changes the name of the user who retired or restored questions.
pub fn rename(connection: &mut Conn, old: &str, new: &str) -> Result<()> {
    let sql = "UPDATE `memora_retired` SET changed_by = ? WHERE changed_by = ?";
    run(connection, sql, (new, old))
}

/// `most` of the questions that are retired, from `start` on, latest first, and how many there are.
pub fn list(
    connection: &mut Conn,
    (start, most): (u64, u64),
) -> Result<(Vec<RetiredQuestion>, u64)> {
    let sql = "SELECT question_id, changed_by, CAST(UNIX_TIMESTAMP(changed_at) AS SIGNED) \
        FROM `memora_retired` WHERE is_retired = 1 \
        ORDER BY changed_at DESC, question_id LIMIT ? OFFSET ?";
    let found: Vec<(String, String, i64)> = rows(connection, sql, (most, start))?;
    let question = |(question_id, retired_by, retired_at)| RetiredQuestion {
        question_id,
        retired_by,
        retired_at,
    };
    let count = row(connection, "SELECT COUNT(*) FROM `memora_retired` WHERE is_retired = 1", ())?;
    Ok((found.into_iter().map(question).collect(), count.unwrap_or(0)))
}

//! `memora_registration`: which run of each Redis the site agrees on. All processes reach MariaDB,
//! whichever Redis each of them reaches.

use std::time::Duration;

use mysql::Conn;

use super::outages::NOW_US;
use super::statements::{row, run};
use super::transaction::in_transaction_again;
use crate::error::Result;
use crate::rules::registration::{CONTESTED, Registration, Standing};

/// A row for each server that was registered.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS `memora_registration` (\
    name VARCHAR(64) NOT NULL PRIMARY KEY, run_id VARCHAR(64) NOT NULL, previous VARCHAR(1000) \
    NOT NULL DEFAULT '', challenge VARCHAR(255) NOT NULL DEFAULT '', challenged_at_us BIGINT NOT \
    NULL DEFAULT 0, defended_at_us BIGINT NOT NULL DEFAULT 0) ENGINE=InnoDB CHARACTER SET utf8mb4 \
    COLLATE utf8mb4_nopad_bin";

/// Older versions kept only one earlier run.
pub const WIDEN: &str =
    "ALTER TABLE `memora_registration` MODIFY previous VARCHAR(1000) NOT NULL DEFAULT ''";

/// The name of the journal.
pub const JOURNAL: &str = "journal";

/// The columns of a registration, `r` being its row: the run, the runs before it, the challenge,
/// microseconds since it was made, and since the last defence (-1: never).
pub(super) fn columns() -> String {
    format!(
        "COALESCE(r.run_id, ''), COALESCE(r.previous, ''), COALESCE(r.challenge, ''), \
         COALESCE({NOW_US} - r.challenged_at_us, 0), COALESCE({NOW_US} - r.defended_at_us, -1)"
    )
}

/// Reads [`columns`].
pub(super) fn registration(
    (run, previous, challenge, challenged_us, defended_us): (String, String, String, i64, i64),
) -> Registration {
    let challenged = Duration::from_micros(u64::try_from(challenged_us).unwrap_or(0));
    let defended = u64::try_from(defended_us).ok().map(Duration::from_micros);
    let defended = defended.filter(|defended| *defended < CONTESTED);
    Registration { run, previous, challenge, challenged, defended }
}

/// What is registered under a name.
pub fn look(connection: &mut Conn, name: &str) -> Result<Registration> {
    let sql = format!("SELECT {} FROM `memora_registration` r WHERE r.name = ?", columns());
    Ok(row(connection, &sql, (name,))?.map(registration).unwrap_or_default())
}

/// Applies what `decide` returns for a run, under a lock on the registration. A new challenge has
/// this text.
pub fn settle(
    connection: &mut Conn,
    name: &str,
    (run_id, challenge): (&str, &str),
    mut decide: impl FnMut(&Registration) -> Standing,
) -> Result<Standing> {
    in_transaction_again(connection, |connection| {
        let lock = "SELECT 1 FROM `memora_registration` WHERE name = ? FOR UPDATE";
        run(connection, lock, (name,))?;
        let standing = decide(&look(connection, name)?);
        note(connection, name, standing, (run_id, challenge))?;
        Ok(standing)
    })
}

/// Writes what a standing changes for a run.
pub(super) fn note(
    connection: &mut Conn,
    name: &str,
    standing: Standing,
    (run_id, challenge): (&str, &str),
) -> Result<()> {
    match standing {
        Standing::Holds | Standing::Waits => Ok(()),
        Standing::Takes => run(
            connection,
            "INSERT INTO `memora_registration` (name, run_id) VALUES (?, ?) ON DUPLICATE KEY \
             UPDATE previous = SUBSTRING_INDEX(CONCAT(run_id, ' ', previous), ' ', 20), run_id = \
             VALUES(run_id), challenge = ''",
            (name, run_id),
        ),
        Standing::Defends => {
            let sql = format!(
                "UPDATE `memora_registration` SET challenge = '', defended_at_us = {NOW_US} WHERE \
                 name = ?"
            );
            run(connection, &sql, (name,))
        }
        Standing::Challenges => {
            let sql = format!(
                "UPDATE `memora_registration` SET challenge = ?, challenged_at_us = {NOW_US} WHERE \
                 name = ?"
            );
            run(connection, &sql, (challenge, name))
        }
    }
}

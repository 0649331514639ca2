//! Retires questions of the site: they are due for no student until they are restored.
//!
//! This touches no records or schedules. The change is committed in MariaDB with a higher version.
//! Then every process looks up the version again: it is part of what the cache remembers of the
//! active season, and each read of a schedule compares that with what its process knows. A schedule
//! of an earlier version is updated on its next read (`retire.lua`).

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::rules::names::fault_of_question_id;
use crate::servers::mariadb::retired::{self, RetiredQuestion};

/// The most questions in one call: a schedule gets them in a few milliseconds.
pub const MOST_RETIRED: usize = 1_000;

impl Engine {
    /// Retires questions. When this returns, no read shows them. Returns how many were not retired
    /// before.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an invalid or no id; otherwise when MariaDB is down, or neither
    /// MariaDB nor the cache can be told that other processes must look it up again. Calling it
    /// again continues.
    pub fn retire_questions(&self, question_ids: &[String], user: &str) -> Result<u64> {
        self.change_retired(question_ids, true, user)
    }

    /// Restores retired questions: each student's are due when they were due before. Returns how
    /// many were retired.
    ///
    /// # Errors
    /// As [`Engine::retire_questions`].
    pub fn restore_questions(&self, question_ids: &[String], user: &str) -> Result<u64> {
        self.change_retired(question_ids, false, user)
    }

    fn change_retired(&self, question_ids: &[String], is_retired: bool, user: &str) -> Result<u64> {
        if question_ids.is_empty() || question_ids.len() > MOST_RETIRED {
            return Err(Error::InvalidInput(format!(
                "Nothing was changed: name 1 to {MOST_RETIRED} questions, not {}.",
                question_ids.len()
            )));
        }
        let mut ids = question_ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        if let Some(fault) = ids.iter().find_map(|id| fault_of_question_id(id)) {
            return Err(Error::InvalidInput(format!("Nothing was changed: {fault}.")));
        }
        let process = self.process();
        let changed =
            process.database.with(|database| retired::change(database, &ids, is_retired, user))?;
        // Even if nothing has changed: an earlier call may have failed after its commit.
        self.forget_season_everywhere(&process)?;
        Ok(changed)
    }

    /// Some of the retired questions, latest first, and how many there are.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn retired_questions(&self, start: u64, most: u64) -> Result<(Vec<RetiredQuestion>, u64)> {
        self.process().database.with(|database| retired::list(database, (start, most)))
    }
}

//! Suspends a student's questions: in all seasons, they are not due for this student until resumed.
//! The records stay, and answers count.
//!
//! The row in MariaDB is what counts. Once it is committed, the student's schedules are dropped,
//! and the fences of loads that may have begun before it are broken; the next load leaves the
//! question out. If the cache is not reached, the student is marked, as for an answer that the
//! cache lacks.

use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::rules::names::{check_player, fault_of_question_id};
use crate::servers::mariadb::{seasons, suspended};

/// The most questions that a student may suspend.
const MOST_SUSPENDED: u64 = 10_000;

impl Engine {
    /// Suspends a question that the student has in the active season. When this returns, no read
    /// of this student shows it. Returns whether it was not suspended before.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the student has no such question, or has suspended 10,000;
    /// [`Error::SeasonUnavailable`] if no season is active; and when MariaDB is down.
    pub fn suspend_question(&self, player: &str, question_id: &str) -> Result<bool> {
        check(player, question_id)?;
        let process = self.process();
        let no_season =
            || Error::SeasonUnavailable("Nothing was suspended: no season is active.".to_owned());
        let season = self.season_from_database(&process)?.ok_or_else(no_season)?;
        let ids = [question_id.to_owned()];
        let before = self.before_in_season(&process, player, &season, &ids)?;
        if !before.states.contains_key(question_id) {
            return Err(Error::InvalidInput(
                "Nothing was suspended: you have no such question.".to_owned(),
            ));
        }
        let is_new = process.database.with(|database| {
            if suspended::count(database, player)? >= MOST_SUSPENDED {
                return Err(Error::InvalidInput(format!(
                    "Nothing was suspended: you have suspended {MOST_SUSPENDED} questions already. \
                     Resume some first."
                )));
            }
            suspended::suspend(database, player, question_id)
        })?;
        self.suspension_changed(&process, player)?;
        Ok(is_new)
    }

    /// Resumes a suspended question: it is due when it was due before. Returns whether it was
    /// suspended.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn resume_question(&self, player: &str, question_id: &str) -> Result<bool> {
        check(player, question_id)?;
        let process = self.process();
        let was_suspended =
            process.database.with(|database| suspended::resume(database, player, question_id))?;
        self.suspension_changed(&process, player)?;
        Ok(was_suspended)
    }

    /// The questions that a student has suspended, and since when in Unix seconds.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn suspended_questions(&self, player: &str) -> Result<Vec<(String, i64)>> {
        check_player(player)?;
        self.process().database.with(|database| suspended::of_student(database, player))
    }

    /// Drops the student's schedules even if nothing has changed: an earlier call may have failed
    /// after its commit.
    fn suspension_changed(&self, process: &Process, player: &str) -> Result<()> {
        let seasons = process.database.with(seasons::names)?;
        self.drop_everywhere(process, seasons.iter().map(|season| (player, season.as_str())))
    }
}

fn check(player: &str, question_id: &str) -> Result<()> {
    check_player(player)?;
    match fault_of_question_id(question_id) {
        None => Ok(()),
        Some(reason) => Err(Error::InvalidInput(format!("Nothing was changed: {reason}."))),
    }
}

//! Where a submission is on its way to MariaDB.

use crate::engine::Engine;
use crate::error::Result;
use crate::rules::acknowledgement::{has_key, undo_token_of};
use crate::servers::mariadb::audits;
use crate::servers::mariadb::journal as kept;
use crate::servers::redis::pending::submission;

/// Longest job id that is looked up.
const LONGEST_JOB_ID: usize = 100;

/// Where a submission is on its way to MariaDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// In the journal.
    Pending,
    /// In MariaDB.
    Persisted,
    /// Some of it was set aside, for an administrator to look at.
    Failed,
}

impl Engine {
    /// Where a submission of this player is; `None`: the player has none with this id.
    ///
    /// # Errors
    /// When a server that is needed is down.
    pub fn persistence_status(&self, player: &str, job_id: &str) -> Result<Option<Persistence>> {
        let is_token = !job_id.is_empty()
            && job_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_token || job_id.len() > LONGEST_JOB_ID {
            return Ok(None);
        }
        let process = self.process();
        let keys = &self.settings.keys;
        let found = process.journal.with(|journal| submission(journal, keys, job_id));
        let in_journal = match &found {
            Ok(Some(entry)) if entry.player == player => Some(entry),
            _ => None,
        };
        if in_journal.is_some_and(|entry| entry.written.is_none()) {
            return Ok(Some(Persistence::Pending));
        }
        // Read last: an entry that has left either place by now is in the table.
        let (is_kept, outcome) = process.database.with(|database| {
            let is_kept = kept::is_waiting(database, player, job_id)?;
            Ok((is_kept, audits::outcome(database, player, job_id)?))
        })?;
        match outcome {
            Some(true) => Ok(Some(Persistence::Persisted)),
            Some(false) => Ok(Some(Persistence::Failed)),
            // It was written to a newer database than this one, and will be written again.
            None if is_kept || in_journal.is_some() => Ok(Some(Persistence::Pending)),
            // It may be in a journal that cannot be asked.
            None => found.map(|_| None),
        }
    }

    /// Whether a submission of this player was undone.
    ///
    /// # Errors
    /// When a server that is needed is down.
    pub fn is_undone(&self, player: &str, job_id: &str) -> Result<bool> {
        if !has_key(job_id) {
            return Ok(false);
        }
        let process = self.process();
        let (keys, token) = (&self.settings.keys, undo_token_of(job_id));
        let found = process.journal.with(|journal| submission(journal, keys, &token));
        let in_journal = found.map(|found| found.filter(|entry| entry.player == player));
        if matches!(&in_journal, Ok(Some(entry)) if entry.written.is_none()) {
            return Ok(true);
        }
        // Read last: what has left either place by now is in the table.
        let (is_kept, is_written, is_undone) = process.database.with(|database| {
            let is_kept = kept::is_waiting(database, player, &token)?;
            let is_written = !audits::audited(database, &[&token])?.is_empty();
            Ok((is_kept, is_written, audits::is_undone(database, player, job_id)?))
        })?;
        if is_written || is_kept {
            return Ok(is_undone || !is_written);
        }
        // It may be in a journal that cannot be asked, or written to a newer database than this.
        in_journal.map(|found| found.is_some())
    }
}

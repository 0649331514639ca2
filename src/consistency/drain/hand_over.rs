//! Emptying a journal that is not registered: its host has its own redis_queue, or the journal came
//! back after another one replaced it.

use std::time::Instant;

use super::take::take;
use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::rules::entry::Entry;
use crate::servers::mariadb::journal as kept;

impl Engine {
    /// Moves the entries of an unregistered journal to `memora_journal`, for the drains of the
    /// registered one. Writes no records: an entry's predecessor may be in the other journal, and
    /// would count as lost.
    pub(super) fn hand_over(
        &self,
        process: &Process,
        consumer: &str,
        deadline: Instant,
    ) -> Result<()> {
        let (keys, scripts) = (&self.settings.keys, &self.journal_scripts);
        while Instant::now() < deadline {
            let stream = process.journal.with(|journal| take(journal, keys, consumer))?;
            if stream.is_empty() {
                break;
            }
            let mut tokens = Vec::with_capacity(stream.len());
            for found in &stream {
                // Unreadable entries are set aside once this journal is registered.
                let Ok(entry) = Entry::read(&found.text, &found.id) else { continue };
                process.drain.with(|database| {
                    let student = (found.player.as_str(), found.season.as_str());
                    kept::append(database, &entry.token, student, &found.text)
                })?;
                tokens.push((found, entry.token));
            }
            let done: Vec<_> =
                tokens.iter().map(|(found, token)| (*found, token.as_str())).collect();
            process.journal.with(|journal| scripts.acknowledge(journal, keys, &done))?;
        }
        Ok(())
    }
}

//! A journal that does not count: its host has a redis_queue of its own, or it came back after
//! another took its place.

use std::time::Instant;

use super::take::take;
use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::rules::entry::Entry;
use crate::servers::mariadb::journal as kept;

impl Engine {
    /// Hands what such a journal has to the drains of the one that counts: keeps it in
    /// `memora_journal`. Nothing is written here: what it was computed from may be where this
    /// process does not see it, and would be taken for lost.
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
                // What cannot be read is set aside once this journal counts.
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

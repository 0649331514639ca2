//! Postpones a student's retired questions, which are no longer asked.

use std::collections::HashSet;

use crate::consistency::drain_request::queue_drain;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::rules::clock::now_us;
use crate::rules::entry::Entry;
use crate::rules::names::{check_player, check_season};
use crate::rules::review::{NEVER, Review};
use crate::servers::redis::journal::{Appended, NewEntry};
use crate::servers::redis::replicas::Replicas;

impl Engine {
    /// Postpones the next review of some questions of a student indefinitely. Their records stay,
    /// and an answer brings them back. Returns how many were postponed. Writes an ordinary entry of
    /// the journal.
    ///
    /// # Errors
    /// When MariaDB or the journal is down; nothing is postponed then.
    pub fn retire(
        &self,
        player: &str,
        season: &str,
        question_ids: &HashSet<String>,
    ) -> Result<usize> {
        check_player(player)?;
        check_season(season)?;
        let process = self.process();
        let records = self.load_records(&process, player, season)?;
        if !records.is_whole {
            return Ok(0);
        }
        let order = records.head.next_order(now_us(), process.random());
        let states: Vec<Review> = records
            .reviews
            .into_iter()
            .filter(|review| {
                question_ids.contains(&review.question_id) && review.next_review < NEVER
            })
            .map(|review| Review { next_review: NEVER, answered_at_us: order, ..review })
            .collect();
        if states.is_empty() {
            return Ok(0);
        }
        let count = states.len();
        let entry = Entry::of_states(process.token(), states);
        let text = entry
            .to_text()
            .map_err(|error| Error::Fault(format!("states cannot be written: {error}")))?;
        let new = NewEntry {
            player,
            season,
            knows: records.head.journal,
            order,
            token: &entry.token,
            text: &text,
        };
        let keys = &self.settings.keys;
        // If a failover loses it, the next read asks again.
        let replicas = Replicas::NONE;
        let append = |journal: &mut _| self.journal_scripts.append(journal, keys, &new, replicas);
        match process.journal.with(append)? {
            Appended::Added { drain_wanted, .. } => {
                self.reload(player, season);
                queue_drain(&process, Ok(drain_wanted));
                Ok(count)
            }
            // An answer arrived in between: the next read asks again.
            Appended::Conflict | Appended::Known => Ok(0),
        }
    }
}

//! Writes a student's entries one by one, and sets aside what cannot be written.

use std::collections::HashSet;

use mysql::Conn;

use super::counted::Counted;
use super::waiting::{Part, Waiting, Written};
use super::write::{archived_of, new_states};
use crate::engine::Engine;
use crate::error::Result;
use crate::rules::clock::now_us;
use crate::rules::entry::Entry;
use crate::servers::mariadb::errors::{is_data_error, is_locked_out};
use crate::servers::mariadb::poison::{self, Poison};
use crate::servers::mariadb::transaction::{in_transaction, in_transaction_again};
use crate::servers::mariadb::{audits, journal, records};

impl Engine {
    /// Writes each entry of a student in a transaction of its own, and sets aside the records that
    /// cannot be written.
    pub(super) fn write_one_by_one(
        &self,
        database: &mut Conn,
        student: &Waiting,
        lost: &HashSet<String>,
    ) -> Result<Written> {
        let mut written = Written::default();
        for entry in &student.entries {
            let part = Part { student, entries: std::slice::from_ref(entry) };
            let tried = match self.write_together(database, &[part], lost) {
                Err(error) if is_data_error(&error) => {
                    self.write_what_can_be(database, student, entry)
                }
                tried => tried,
            };
            match tried {
                Ok(one) => written.add(one),
                // The student's later answers depend on this one.
                Err(error) if is_locked_out(&error) => {
                    written.add(Written::locked(&student.player));
                    break;
                }
                Err(error) => return Err(error),
            }
            if !written.early.is_empty() {
                break;
            }
        }
        Ok(written)
    }

    /// Writes an entry record by record, all in one transaction. A record that cannot be written
    /// becomes a Poison Review.
    fn write_what_can_be(
        &self,
        database: &mut Conn,
        student: &Waiting,
        entry: &Entry,
    ) -> Result<Written> {
        let writing = self.settings.writing();
        let done = HashSet::from([entry.token.clone()]);
        in_transaction_again(database, |database| {
            let part = Part { student, entries: std::slice::from_ref(entry) };
            let is_archived = archived_of(database, &[part])?.contains(&student.season);
            let settled = self.settle(database, student.name(), &[entry], is_archived, &done)?;
            let mut set_aside = 0;
            for (ordinal, review) in settled.changed.iter().enumerate() {
                // A failed statement rolls back only itself.
                let state = new_states(student.name(), std::slice::from_ref(review));
                match records::upsert(database, writing, settled.place, &state) {
                    Err(error) if is_data_error(&error) => {
                        let part = entry.only(&review.question_id);
                        let text = part.to_text().unwrap_or_default();
                        let name = (entry.token.as_str(), ordinal, review.question_id.as_str());
                        self.set_aside(database, student, name, &error.to_string(), &text)?;
                        set_aside += 1;
                    }
                    written => written?,
                }
            }
            let counted = settled.counted.into_iter().next().unwrap_or_default();
            let has_undone = counted.has_undone;
            // Records that were set aside may count later, so the submission cannot be undone.
            let counted = Counted { replaced: None, ..counted };
            audits::audit(database, writing, &[student.audit(entry, counted)])?;
            if let (Some(undone), true) = (entry.undoes.as_deref(), has_undone) {
                audits::mark_undone(database, &[undone])?;
            }
            remove_done(database, student, &done)?;
            let answers = entry.states.len().saturating_sub(set_aside);
            Ok(Written { answers, set_aside, done: done.clone(), ..Written::default() })
        })
    }

    /// Sets aside a student's unreadable entries.
    pub(super) fn set_aside_unreadable(
        &self,
        database: &mut Conn,
        student: &Waiting,
    ) -> Result<Written> {
        let mut written = Written::default();
        for (token, text, reason) in student.unreadable() {
            in_transaction(database, |database| {
                self.set_aside(database, student, (token, 0, ""), reason, text)?;
                remove_done(database, student, &HashSet::from([token.clone()]))
            })?;
            written.set_aside += 1;
            written.done.insert(token.clone());
        }
        Ok(written)
    }

    fn set_aside(
        &self,
        database: &mut Conn,
        student: &Waiting,
        (job_id, ordinal, question_id): (&str, usize, &str),
        reason: &str,
        payload: &str,
    ) -> Result<()> {
        let (player, season) = (student.player.as_str(), student.season.as_str());
        log::error!(
            "a record of submission {job_id} of {player} was set aside as a Poison Review: {reason}"
        );
        let poison = Poison { job_id, ordinal, player, season, question_id, reason, payload };
        poison::set_aside(database, &self.settings.zone, now_us(), &poison)
    }
}

/// Removes a student's entries that are in the table, or set aside, from `memora_journal`.
fn remove_done(database: &mut Conn, student: &Waiting, done: &HashSet<String>) -> Result<()> {
    journal::remove(database, &student.ids_of(done).collect::<Vec<_>>())
}

//! Writes a batch on several connections: one transaction for each part, and halves of a part if
//! one of its records cannot be written.

use std::collections::HashSet;

use mysql::Conn;
use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::waiting::{Part, Waiting, Written};
use crate::engine::settings::DRAIN_LOCK_WAIT_SECONDS;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::servers::mariadb::errors::{is_data_error, is_locked_out};
use crate::servers::mariadb::shape::LIVE;
use crate::servers::mariadb::storage;
use crate::servers::mariadb::transaction::set_lock_wait;

impl Engine {
    /// Writes students' entries on several connections: MariaDB uses one core for each.
    pub(super) fn persist_in_parallel(
        &self,
        process: &Process,
        threads: &ThreadPool,
        waiting: &[Waiting],
        lost: &HashSet<String>,
    ) -> Result<Written> {
        let parts = in_parts(waiting, threads.current_num_threads());
        let write =
            |part: &&[Waiting]| process.drain.with(|database| self.persist(database, part, lost));
        // Collects all outcomes, so that no part is still being written when an error returns.
        let outcomes: Vec<_> =
            threads.install(|| parts.par_iter().with_max_len(1).map(write).collect());
        let mut written = Written::default();
        for outcome in outcomes {
            written.add(outcome?);
        }
        if let Some(player) = written.locked.first() {
            log::warn!(
                "answers of {} students wait, {player}'s among them: another transaction has locked \
                 their records, or the table",
                written.locked.len()
            );
        }
        Ok(written)
    }

    /// Writes some students' entries, and sets aside what cannot be written.
    fn persist(
        &self,
        database: &mut Conn,
        waiting: &[Waiting],
        lost: &HashSet<String>,
    ) -> Result<Written> {
        storage::check_primary_key(database, &LIVE)?;
        let mut written = Written::default();
        for student in waiting {
            written.add(self.set_aside_unreadable(database, student)?);
        }
        let parts: Vec<Part<'_>> = waiting
            .iter()
            .filter(|student| !student.entries.is_empty())
            .map(|student| Part { student, entries: &student.entries })
            .collect();
        let outcome = self.write(database, &parts, lost);
        // Not after a failure of the connection: it would wait for the server again.
        if !outcome.as_ref().is_err_and(Error::spoils_connection) {
            set_lock_wait(database, DRAIN_LOCK_WAIT_SECONDS)?;
        }
        written.add(outcome?);
        Ok(written)
    }

    /// Writes students' entries in one transaction. If the data is at fault, or a row is locked,
    /// halves them until the affected students are alone.
    fn write(
        &self,
        database: &mut Conn,
        parts: &[Part<'_>],
        lost: &HashSet<String>,
    ) -> Result<Written> {
        let error = match self.write_together(database, parts, lost) {
            Err(error) if is_data_error(&error) || is_locked_out(&error) => error,
            written => return written,
        };
        match parts {
            [part] if is_locked_out(&error) => Ok(Written::locked(&part.student.player)),
            [part] => self.write_one_by_one(database, part.student, lost),
            _ => {
                if is_locked_out(&error) {
                    // It has waited for the lock once; now it only tries.
                    set_lock_wait(database, 0)?;
                }
                let (left, right) = parts.split_at(parts.len() / 2);
                let mut written = self.write(database, left, lost)?;
                written.add(self.write(database, right, lost)?);
                Ok(written)
            }
        }
    }
}

/// Cuts students into about `count` parts of similar size.
fn in_parts(waiting: &[Waiting], count: usize) -> Vec<&[Waiting]> {
    let all: usize = waiting.iter().map(|student| student.entries.len().max(1)).sum();
    let size = all.div_ceil(count).max(1);
    let mut parts = Vec::new();
    let (mut begin, mut filled) = (0, 0);
    for (place, student) in waiting.iter().enumerate() {
        filled += student.entries.len().max(1);
        if filled >= size {
            parts.push(&waiting[begin..=place]);
            (begin, filled) = (place + 1, 0);
        }
    }
    if begin < waiting.len() {
        parts.push(&waiting[begin..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::entry::Entry;

    fn waiting(player: &str, entries: usize) -> Waiting {
        let entry = Entry::of_states("1-0".to_owned(), Vec::new());
        let name = (player.to_owned(), "SEASON-2026".to_owned());
        let mut waiting = Waiting::new(name, (Vec::new(), Vec::new()));
        waiting.entries = vec![entry; entries];
        waiting
    }

    #[test]
    fn parts_are_of_like_size_and_have_everybody() {
        for sizes in [&[][..], &[1], &[5, 1], &[1, 5], &[1, 1, 1, 1], &[3, 1, 2, 4]] {
            let all: Vec<Waiting> = sizes.iter().map(|size| waiting("a", *size)).collect();
            let parts = in_parts(&all, 2);
            assert!(parts.len() <= 2);
            let together: usize = parts.iter().map(|part| part.len()).sum();
            assert_eq!(together, sizes.len());
        }
    }
}

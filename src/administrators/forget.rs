//! Erasing a student: records, archived records, audit records, Poison Reviews, answers that wait,
//! schedules.
//!
//! It runs two passes. An answer computed from records that the first pass removed is refused by
//! the journal, or removed by the second pass. So a concurrent submission is erased too, or counts
//! as a new student's first.

use std::collections::HashSet;

use mysql::Conn;

use crate::administrators::job::Job;
use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::rules::clock::now_us;
use crate::rules::entry::Entry;
use crate::rules::names::check_player;
use crate::servers::mariadb::locks::Held;
use crate::servers::mariadb::storage;
use crate::servers::mariadb::{archive, forget};
use crate::servers::pool::Connect;
use crate::servers::redis::journal::entries_of;
use crate::servers::redis::pending::{PendingIds, pending_ids};
use crate::servers::redis::written;

/// How long answers computed before are refused: longer than any call lasts.
const VOID_SECONDS: u64 = 600;

/// What was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Records.
    pub records: u64,
    /// Archived records.
    pub archived: u64,
    /// Audit records.
    pub audits: u64,
    /// Poison Reviews.
    pub poison: u64,
    /// Submissions that were not in MariaDB yet.
    pub submissions: u64,
}

impl Engine {
    /// Erases a student, whether there is a user of that name or not.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidInput`] while a season is being archived; otherwise when a
    /// server is down. Running it again continues.
    pub fn forget(&self, player: &str) -> Result<Forgotten> {
        check_player(player)?;
        let process = self.process();
        process.cache.ping()?;
        process.journal.with(|journal| journal.ping())?;
        let server = &self.settings.background;
        let mut connection = server.connect(false)?;
        // Rows that have been outside the table since MariaDB was killed would return.
        self.put_back_moved(&process)?;
        let seasons = forget::seasons(&mut connection, player)?;
        let mut held = Vec::new();
        for season in &seasons {
            // Rows that are being copied would return.
            if archive::progress(&mut connection, season)?
                .is_none_or(|progress| progress.finished_at_us.is_none())
            {
                held.push(Job::Archive.lock(server, &mut connection, season)?);
            }
        }
        for season in &seasons {
            if storage::partition_exists(&mut connection, season)? {
                self.give_partition(&process, season)?;
            }
        }
        // Answers computed from any of it are void, whatever the clocks say.
        let mut orders = Vec::with_capacity(seasons.len());
        for season in &seasons {
            let newest = forget::newest_order(&mut connection, player, season)?;
            orders.push((season.as_str(), now_us().max(newest + 1)));
        }
        let mut forgotten = Forgotten::default();
        for _ in 0..2 {
            self.forget_once(&process, &mut connection, player, &orders, &mut forgotten)?;
        }
        held.iter_mut().try_for_each(Held::check)?;
        log::info!("a student was erased: {forgotten:?}");
        Ok(forgotten)
    }

    fn forget_once(
        &self,
        process: &Process,
        connection: &mut Conn,
        player: &str,
        orders: &[(&str, i64)],
        forgotten: &mut Forgotten,
    ) -> Result<()> {
        let (keys, scripts) = (&self.settings.keys, &self.journal_scripts);
        let mut waiting = Vec::new();
        for &(season, order) in orders {
            waiting.extend(process.journal.with(|journal| {
                scripts.void(journal, keys, (player, season), (order, VOID_SECONDS))?;
                let pending = pending_ids(journal, keys, &[(player, season)])?;
                let mut found = Vec::new();
                for PendingIds { waiting, written, .. } in pending {
                    let places: Vec<&str> = written.iter().map(|one| one.place.as_str()).collect();
                    found.extend(entries_of(journal, keys, &waiting)?);
                    found.extend(written::at(journal, keys, &places)?);
                }
                Ok(found)
            })?);
        }
        // Written lately under another name, before the student was renamed.
        let audited = forget::tokens(connection, player)?;
        let known: HashSet<String> = waiting.iter().map(|found| found.id.clone()).collect();
        let written =
            process.journal.with(|journal| written::of_tokens(journal, keys, &audited))?;
        waiting.extend(written.into_iter().filter(|found| !known.contains(&found.id)));
        let tokens: Vec<String> = waiting
            .iter()
            .map(|found| {
                Entry::read(&found.text, &found.id).map_or(found.id.clone(), |entry| entry.token)
            })
            .collect();
        let (settled, audited) = forget::settle(connection, player, &tokens)?;
        forgotten.submissions += settled;
        forgotten.audits += audited;
        let done: Vec<_> = waiting.iter().zip(tokens.iter().map(String::as_str)).collect();
        process.journal.with(|journal| scripts.acknowledge(journal, keys, &done))?;
        forgotten.poison += forget::remove_poison(connection, player)?;
        for (season, _) in orders {
            let (records, archived) = forget::remove_records(connection, player, season)?;
            forgotten.records += records;
            forgotten.archived += archived;
        }
        let students = orders.iter().map(|(season, _)| (player, *season));
        self.drop_everywhere(process, students)?;
        self.player_changed(player)?;
        forgotten.audits += forget::remove_traces(connection, player)?;
        // Only the order that makes answers void is left there.
        for &(season, order) in orders {
            process.journal.with(|journal| {
                scripts.void(journal, keys, (player, season), (order, VOID_SECONDS))
            })?;
        }
        Ok(())
    }
}

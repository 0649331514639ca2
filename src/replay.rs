//! Writing Poison Reviews after all, once an administrator has removed what was in their way.

use mysql::Conn;

use crate::clock::now_us;
use crate::engine::Engine;
use crate::entry::Entry;
use crate::error::Result;
use crate::mariadb::poison::{self, SetAside};
use crate::mariadb::records;
use crate::mariadb::shape::LIVE;
use crate::mariadb::{in_transaction, is_data_error, storage};
use crate::redis::cache;
use crate::review::Review;
use crate::write::{audit, checksum};

/// Poison Reviews that are looked at, at a time.
const BATCH: usize = 500;

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Are in the table now.
    pub replayed: usize,
    /// Still cannot be written; their reason is up to date.
    pub failed: usize,
    /// Are no Poison Reviews, or were replayed before.
    pub unknown: usize,
}

/// What became of one Poison Review.
enum Outcome {
    /// It is in the table: player and season.
    Replayed(String, String),
    Failed,
    Unknown,
}

impl Engine {
    /// Writes Poison Reviews to the table: those of these names, or all. A newer state of a record stays.
    ///
    /// # Errors
    /// When MariaDB is down; what was replayed by then stays so.
    pub fn replay(&self, names: Option<&[String]>) -> Result<ReplayReport> {
        let process = self.process();
        let mut report = ReplayReport::default();
        let mut after = String::new();
        loop {
            let batch = match names {
                Some(names) => names.to_vec(),
                None => process.background.with(|database| poison::waiting(database, &after, BATCH))?,
            };
            let Some(last) = batch.last().cloned() else { return Ok(report) };
            for name in &batch {
                match process.background.with(|database| self.replay_one(database, name))? {
                    Outcome::Replayed(player, season) => {
                        report.replayed += 1;
                        self.reload(&player, &season);
                    }
                    Outcome::Failed => report.failed += 1,
                    Outcome::Unknown => report.unknown += 1,
                }
            }
            if names.is_some() {
                return Ok(report);
            }
            after = last;
        }
    }

    fn replay_one(&self, database: &mut Conn, name: &str) -> Result<Outcome> {
        storage::check_primary_key(database, &LIVE)?;
        let zone = &self.settings.zone;
        let written = in_transaction(database, |database| {
            let Some(found) = poison::lock(database, name)? else {
                return Ok(Ok(Outcome::Unknown));
            };
            let entry = match entry(&found) {
                // Answers from after it were computed from it, where the student saw it: what is newer stays.
                Ok(entry) => Entry::of_states(entry.token, entry.states),
                Err(reason) => return Ok(Err(reason)),
            };
            let SetAside { player, season, job_id, payload } = found;
            let student = (player.as_str(), season.as_str());
            self.count_alone(database, student, &entry)?;
            if records::audited(database, &[&job_id])?.is_empty() {
                records::audit(database, zone, &[audit(&job_id, student, &entry, checksum(&payload))])?;
            }
            poison::mark_replayed(database, zone, now_us(), name)?;
            Ok(Ok(Outcome::Replayed(player.clone(), season.clone())))
        });
        let reason = match written {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(reason)) => reason,
            Err(error) if is_data_error(&error) => error.to_string(),
            Err(error) => return Err(error),
        };
        log::error!("the Poison Review {name} still cannot be written: {reason}");
        in_transaction(database, |database| poison::note_reason(database, zone, now_us(), name, &reason))?;
        Ok(Outcome::Failed)
    }

    /// Has a student's cache loaded anew: it may lack what was just replayed.
    fn reload(&self, player: &str, season: &str) {
        let process = self.process();
        let keys = &self.settings.keys;
        let dropped = process.cache.with(|cache| cache::drop_students(cache, keys, [(player, season)]));
        if let Err(error) = dropped {
            log::warn!("the cache of {player} could not be dropped after a replay: {error}");
            if let Err(error) = self.make_unbelieved(&process, player, season) {
                log::error!("{player} may see what is older than the replay, until reconciliation: {error}");
            }
        }
    }
}

/// What was set aside: a submission, the part of one, or, by older versions, one state.
fn entry(found: &SetAside) -> std::result::Result<Entry, String> {
    if found.player.is_empty() || found.season.is_empty() {
        return Err("the record names no player or no season".to_owned());
    }
    match serde_json::from_str::<Review>(&found.payload) {
        Ok(review) => Ok(Entry::of_states(found.job_id.clone(), vec![review])),
        Err(_) => Entry::read(&found.payload, &found.job_id),
    }
}

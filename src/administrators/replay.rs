//! Replays Poison Reviews: writes them once an administrator has removed the obstacle.

use mysql::Conn;

use crate::administrators::job::Job;
use crate::consistency::drain::audit::{audit, checksum};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::progress::OnProgress;
use crate::rules::clock::now_us;
use crate::rules::counted_on::as_computed;
use crate::rules::entry::Entry;
use crate::rules::review::Review;
use crate::servers::mariadb::audits;
use crate::servers::mariadb::errors::{is_ended, is_locked_out};
use crate::servers::mariadb::poison::{self, SetAside};
use crate::servers::mariadb::shape::LIVE;
use crate::servers::mariadb::storage;
use crate::servers::mariadb::transaction::in_transaction_again;
use crate::servers::pool::Connect;

/// Poison Reviews that are processed at a time.
const BATCH: usize = 500;

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Poison Reviews that are in the table now.
    pub replayed: usize,
    /// Poison Reviews that still cannot be written; their reason is up to date.
    pub failed: usize,
    /// Names without a Poison Review, or whose Poison Review was replayed before, or dismissed
    /// since the replay of all began.
    pub unknown: usize,
    /// How many there were at the beginning.
    pub total: u64,
}

/// The outcome of one Poison Review.
enum Outcome {
    /// It is in the table: player and season.
    Replayed(String, String),
    Failed,
    Unknown,
}

impl Engine {
    /// Writes Poison Reviews to the table: those of these names, or all that wait. A newer state of
    /// a record stays. One that cannot be written keeps waiting with its reason, and does not block
    /// others.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] while another process replays all; otherwise when MariaDB is down.
    /// What was replayed by then stays replayed.
    pub fn replay(
        &self,
        names: Option<&[String]>,
        on_progress: OnProgress<'_, ReplayReport>,
    ) -> Result<ReplayReport> {
        let mut report = ReplayReport::default();
        let Some(names) = names else { return self.replay_all(report, on_progress) };
        report.total = names.len() as u64;
        self.replay_some(names, false, &mut report)?;
        Ok(report)
    }

    fn replay_all(
        &self,
        mut report: ReplayReport,
        on_progress: OnProgress<'_, ReplayReport>,
    ) -> Result<ReplayReport> {
        let process = self.process();
        let server = &self.settings.background;
        let mut connection = server.connect(false)?;
        let _held = Job::Replay.lock(server, &mut connection, "")?;
        report.total = process.background.with(poison::count)?;
        let mut after = String::new();
        loop {
            let batch =
                process.background.with(|database| poison::waiting(database, &after, BATCH))?;
            let Some(last) = batch.last().cloned() else { return Ok(report) };
            // One may be dismissed meanwhile.
            self.replay_some(&batch, true, &mut report)?;
            on_progress(&report)?;
            after = last;
        }
    }

    fn replay_some(
        &self,
        names: &[String],
        must_wait: bool,
        report: &mut ReplayReport,
    ) -> Result<()> {
        let process = self.process();
        for name in names {
            match process.background.with(|database| self.replay_one(database, name, must_wait))? {
                Outcome::Replayed(player, season) => {
                    report.replayed += 1;
                    self.reload(&player, &season);
                }
                Outcome::Failed => report.failed += 1,
                Outcome::Unknown => report.unknown += 1,
            }
        }
        Ok(())
    }

    fn replay_one(&self, database: &mut Conn, name: &str, must_wait: bool) -> Result<Outcome> {
        storage::check_primary_key(database, &LIVE)?;
        let zone = &self.settings.zone;
        let written = in_transaction_again(database, |database| {
            let Some(found) = poison::lock(database, name, must_wait)? else {
                return Ok(Ok(Outcome::Unknown));
            };
            if let Some(reason) = nobody(database, &found)? {
                return Ok(Err(reason));
            }
            let entry = match entry(&found) {
                Ok(entry) => entry,
                Err(reason) => return Ok(Err(reason)),
            };
            // Later answers were computed from it, if the student saw it, so newer states stay.
            let states = Entry::of_states(entry.token.clone(), entry.states.clone());
            let SetAside { player, season, job_id, payload } = found;
            let student = (player.as_str(), season.as_str());
            self.count_alone(database, student, &states)?;
            if audits::audited(database, &[&job_id])?.is_empty() {
                let before = as_computed(&entry);
                let audit = audit(&job_id, student, (&entry, &before), checksum(&payload));
                audits::audit(database, self.settings.writing(), &[audit])?;
            }
            poison::mark_replayed(database, zone, now_us(), name)?;
            Ok(Ok(Outcome::Replayed(player.clone(), season.clone())))
        });
        let reason = match written {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(reason)) => reason,
            Err(error) if is_locked_out(&error) => {
                log::warn!("the Poison Review {name} was not replayed: it or its record is locked");
                return Ok(Outcome::Failed);
            }
            // MariaDB may accept the next record, even if it refused this one.
            Err(error @ (Error::Refused { .. } | Error::Fault(_))) if !is_ended(&error) => {
                error.to_string()
            }
            Err(error) => return Err(error),
        };
        log::error!("the Poison Review {name} still cannot be written: {reason}");
        in_transaction_again(database, |database| {
            poison::note_reason(database, zone, now_us(), name, &reason)
        })?;
        Ok(Outcome::Failed)
    }

    /// Drops a student's cache: it may lack what was just replayed, or retired.
    pub(crate) fn reload(&self, player: &str, season: &str) {
        let process = self.process();
        if let Err(error) = self.drop_everywhere(&process, [(player, season)]) {
            log::error!("{player} may see an older state until reconciliation: {error}");
        }
    }
}

/// Why a record cannot belong to a user and a season; `None` if it can.
fn nobody(database: &mut Conn, found: &SetAside) -> Result<Option<String>> {
    if found.player.is_empty() || found.season.is_empty() {
        return Ok(Some("the record names no player or no season".to_owned()));
    }
    let (has_player, has_season) = poison::known(database, &found.player, &found.season)?;
    Ok(match (has_player, has_season) {
        (true, true) => None,
        (false, _) => Some(format!("there is no user {}", found.player)),
        (_, false) => Some(format!("there is no season {}", found.season)),
    })
}

/// What was set aside: a submission, a part of one, or, by an older version, one state.
fn entry(found: &SetAside) -> std::result::Result<Entry, String> {
    let entry = match serde_json::from_str::<Review>(&found.payload) {
        Ok(review) => Entry::of_states(found.job_id.clone(), vec![review]),
        Err(_) => Entry::read(&found.payload, &found.job_id)?,
    };
    if entry.states.is_empty() {
        return Err("the entry has no states".to_owned());
    }
    Ok(entry)
}

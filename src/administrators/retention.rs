//! Old archived records: flagged for deletion, then deleted when an administrator orders it (spec
//! section 6).

use std::time::{Duration, Instant};

use mysql::Conn;

use crate::administrators::job::Job;
use crate::administrators::pace::Pace;
use crate::engine::Engine;
use crate::error::Result;
use crate::progress::OnProgress;
use crate::rules::clock::now_us;
use crate::rules::retention::kept_since;
use crate::servers::mariadb::key_range::{Key, KeyRange, Place};
use crate::servers::mariadb::retention;
use crate::servers::mariadb::transaction::in_transaction_again;
use crate::servers::pool::Connect;

/// Records that are checked in one transaction.
const ROWS: usize = 500;

/// The progress of a walk through the archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// How many records were checked.
    pub done: u64,
    /// How many there are, as MariaDB estimates.
    pub total: u64,
}

impl Engine {
    /// Flags records that were archived before a time, in Unix seconds (`None`: [`kept_since`]), as
    /// eligible for deletion. Continues where the last call stopped. Returns how many were flagged.
    /// A call checks at least one piece, and begins no other after `longest`.
    ///
    /// Processes a season once, when all of it is old enough. So a flag that was removed by hand
    /// stays removed.
    ///
    /// # Errors
    /// When MariaDB is down; running it again continues.
    pub fn flag_for_deletion(
        &self,
        archived_before: Option<i64>,
        longest: Duration,
        pace: Pace,
    ) -> Result<u64> {
        let begun = Instant::now();
        let zone = &self.settings.zone;
        let archived_before =
            archived_before.unwrap_or_else(|| kept_since(zone, now_us() / 1_000_000));
        let mut connection = self.settings.background.connect(false)?;
        let mut flagged = 0;
        let mut present = retention::next_season(&mut connection, "")?;
        while let Some(season) = present {
            let mut next = retention::flagging_from(&mut connection, &season, archived_before)?;
            while let Some(after) = next {
                let start = Instant::now();
                let (flagged_here, until) = in_transaction_again(&mut connection, |connection| {
                    let range = KeyRange::next(connection, Place::Archive, &season, &after, ROWS)?;
                    let flagged = retention::flag(connection, zone, &range, archived_before)?;
                    retention::note_flagged(connection, &range)?;
                    Ok((flagged, range.until))
                })?;
                flagged += flagged_here;
                next = until;
                // Only after a piece, so that each call makes progress, however short its time is.
                if begun.elapsed() >= longest {
                    return Ok(flagged);
                }
                pace.rest(start.elapsed());
            }
            present = retention::next_season(&mut connection, &season)?;
        }
        Ok(flagged)
    }

    /// Deletes archived records that are flagged, of one season or of all. Returns how many.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::error::Error::InvalidInput) while another process deletes;
    /// otherwise when MariaDB is down. Running it again continues.
    pub fn delete_flagged(
        &self,
        season: Option<&str>,
        pace: Pace,
        on_progress: OnProgress<'_, Walked>,
    ) -> Result<u64> {
        let server = &self.settings.background;
        let mut connection = server.connect(false)?;
        let mut held = Job::Deletion.lock(server, &mut connection, season.unwrap_or_default())?;
        let total = retention::estimated_rows(&mut connection, season)?;
        let (mut deleted, mut walked) = (0, Walked { done: 0, total });
        on_progress(&walked)?;
        let mut present = match season {
            Some(season) => Some(season.to_owned()),
            None => retention::next_season(&mut connection, "")?,
        };
        while let Some(name) = present {
            let mut after = Key::default();
            loop {
                let start = Instant::now();
                let range = KeyRange::next(&mut connection, Place::Archive, &name, &after, ROWS)?;
                deleted += in_transaction_again(&mut connection, |connection: &mut Conn| {
                    let deleted = retention::delete(connection, &range)?;
                    held.check()?;
                    Ok(deleted)
                })?;
                let worked = start.elapsed();
                let Some(until) = range.until else { break };
                walked.done += ROWS as u64;
                walked.total = walked.total.max(walked.done);
                on_progress(&walked)?;
                after = until;
                pace.rest(worked);
            }
            present = match season {
                Some(_) => None,
                None => retention::next_season(&mut connection, &name)?,
            };
        }
        Ok(deleted)
    }
}

//! Archived records that are old: flagged for deletion, then deleted when an administrator says so (spec
//! section 6).

use std::time::Instant;

use mysql::Conn;

use crate::archive::Pace;
use crate::engine::Engine;
use crate::error::Result;
use crate::mariadb::key_range::{Key, KeyRange, Place};
use crate::mariadb::retention;
use crate::pool::Connect;

/// Records that are looked at in one statement.
const ROWS: usize = 500;

/// Is told how many records were changed so far, after each piece. An error of its own ends the work there.
pub type Watch<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

impl Engine {
    /// Flags archived records as eligible for deletion that were archived before a moment, in Unix seconds.
    /// Returns how many.
    ///
    /// # Errors
    /// When MariaDB is down; running it again goes on.
    pub fn flag_for_deletion(&self, archived_before: i64, pace: Pace, watch: Watch<'_>) -> Result<u64> {
        let zone = &self.settings.zone;
        self.walk_archive(None, pace, watch, |connection, range| {
            retention::flag(connection, zone, range, archived_before)
        })
    }

    /// Deletes archived records that are flagged, of one season or of all. Returns how many.
    ///
    /// # Errors
    /// When MariaDB is down; running it again goes on.
    pub fn delete_flagged(&self, season: Option<&str>, pace: Pace, watch: Watch<'_>) -> Result<u64> {
        self.walk_archive(season, pace, watch, retention::delete)
    }

    /// Goes through the archive, season by season, in ranges. Each is a transaction of its own.
    fn walk_archive(
        &self,
        season: Option<&str>,
        pace: Pace,
        watch: Watch<'_>,
        mut change: impl FnMut(&mut Conn, &KeyRange) -> Result<u64>,
    ) -> Result<u64> {
        let mut connection = self.settings.background.connect(false)?;
        let mut changed = 0;
        let mut present = match season {
            Some(season) => Some(season.to_owned()),
            None => retention::next_season(&mut connection, "")?,
        };
        while let Some(name) = present {
            let mut after = Key::default();
            loop {
                let start = Instant::now();
                let range = KeyRange::next(&mut connection, Place::Archive, &name, &after, ROWS)?;
                changed += change(&mut connection, &range)?;
                let worked = start.elapsed();
                watch(changed)?;
                let Some(until) = range.until else { break };
                after = until;
                pace.rest(worked);
            }
            present = match season {
                Some(_) => None,
                None => retention::next_season(&mut connection, &name)?,
            };
        }
        Ok(changed)
    }
}

//! Students who are renamed. Frappe renames a user in one transaction, with what the student has by then. What is
//! answered until its commit comes under the old name, and is carried after it.

use mysql::Conn;

use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::mariadb::renames::{self, Rename};
use crate::mariadb::seasons;
use crate::mariadb::shape::{ARCHIVE, LIVE};
use crate::redis::cache;
use crate::submission::check_player;

/// Calls that began before a user was renamed have ended by then, and the drains that took their answers.
const FOLLOWED_FOR_US: i64 = 10 * 60 * 1_000_000;

impl Engine {
    /// Notes that a user is about to be renamed.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn note_rename(&self, old: &str, new: &str) -> Result<()> {
        check_player(old)?;
        check_player(new)?;
        self.process().database.with(|database| renames::note(database, old, new))
    }

    /// Gives renamed students what was written under their old names since. Drain first. Returns how many records.
    ///
    /// # Errors
    /// When MariaDB is down. Running it again goes on.
    pub fn carry_renamed(&self) -> Result<u64> {
        let process = self.process();
        let noted = process.background.with(renames::noted)?;
        let mut carried = 0;
        for rename in &noted {
            let is_renamed = process.background.with(|database| {
                Ok(seasons::user_named(database, &rename.old)?.as_deref() != Some(&rename.old)
                    && seasons::user_named(database, &rename.new)?.as_deref() == Some(&rename.new))
            })?;
            if is_renamed {
                carried += self.carry(&process, rename)?;
            }
            if rename.age_us > FOLLOWED_FOR_US && !self.waits_anywhere(&process, &rename.old)? {
                process.background.with(|database| renames::forget(database, rename))?;
            }
        }
        Ok(carried)
    }

    fn carry(&self, process: &Process, rename: &Rename) -> Result<u64> {
        let keys = &self.settings.keys;
        let (seasons, carried) = process.background.with(|database| {
            let seasons = seasons::names(database)?;
            let mut carried = 0;
            for season in &seasons {
                for shape in [&LIVE, &ARCHIVE] {
                    carried += renames::move_records(database, shape, season, rename)?;
                }
            }
            renames::move_traces(database, rename)?;
            Ok((seasons, carried))
        })?;
        if carried > 0 {
            log::info!("{carried} records of {} go to {}, who was renamed", rename.old, rename.new);
            let students = seasons.iter().flat_map(|season| {
                [&rename.old, &rename.new].map(|player| (player.as_str(), season.as_str()))
            });
            process.cache.with(|cache| cache::drop_students(cache, keys, students.clone()))?;
        }
        Ok(carried)
    }

    fn waits_anywhere(&self, process: &Process, player: &str) -> Result<bool> {
        let seasons = process.background.with(|database: &mut Conn| seasons::names(database))?;
        self.has_waiting_answers(player, &seasons)
    }
}

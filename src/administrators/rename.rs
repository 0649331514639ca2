//! Renamed students. Frappe renames a user in one transaction, with the student's records so far.
//! Answers that arrive before its commit have the old name, and are moved to the new one
//! afterwards.

use mysql::Conn;

use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::rules::names::check_player;
use crate::servers::mariadb::renames::{self, Rename};
use crate::servers::mariadb::seasons;
use crate::servers::mariadb::shape::{ARCHIVE, LIVE};

/// After this long, calls that began before a user was renamed have ended, and so have the drains
/// of their answers.
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

    /// Moves records that were written under old names since to the renamed students. The caller
    /// must drain first. Returns how many records.
    ///
    /// # Errors
    /// When MariaDB is down. Running it again continues.
    pub fn carry_renamed(&self) -> Result<u64> {
        let process = self.process();
        let noted = process.background.with(renames::noted)?;
        let mut carried = 0;
        for rename in &noted {
            let bearer = process.background.with(|database| bearer(database, &noted, rename))?;
            // In this order, so that what is written in between is moved the next time.
            let is_over =
                rename.age_us > FOLLOWED_FOR_US && !self.waits_anywhere(&process, &rename.old)?;
            if let Some(new) = bearer {
                carried += self.carry(&process, &Rename { new, ..rename.clone() })?;
            }
            if is_over {
                process.background.with(|database| renames::forget(database, rename))?;
            }
        }
        Ok(carried)
    }

    fn carry(&self, process: &Process, rename: &Rename) -> Result<u64> {
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
            log::info!(
                "{carried} records of {} were moved to the new name {}",
                rename.old,
                rename.new
            );
        }
        // Even if nothing was moved: an earlier run may have died before this.
        let students = seasons.iter().flat_map(|season| {
            [&rename.old, &rename.new].map(|player| (player.as_str(), season.as_str()))
        });
        self.drop_everywhere(process, students)?;
        Ok(carried)
    }

    fn waits_anywhere(&self, process: &Process, player: &str) -> Result<bool> {
        let seasons = process.background.with(|database: &mut Conn| seasons::names(database))?;
        self.has_waiting_answers(player, &seasons)
    }
}

/// The present name of a renamed user, who may have been renamed again since. `None`: the user was
/// not renamed.
fn bearer(database: &mut Conn, noted: &[Rename], rename: &Rename) -> Result<Option<String>> {
    let mut is_user =
        |name: &str| Ok(seasons::user_named(database, name)?.as_deref() == Some(name));
    if is_user(&rename.old)? {
        return Ok(None);
    }
    let mut name = &rename.new;
    for _ in noted {
        if is_user(name)? {
            return Ok(Some(name.clone()));
        }
        let Some(next) = noted.iter().find(|next| next.old == *name) else { break };
        name = &next.new;
    }
    Ok(None)
}

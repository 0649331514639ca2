//! Cleaning an existing site's records before they get their keys (spec section 5).

use crate::engine::Engine;
use crate::error::Result;
use crate::progress::OnProgress;
use crate::rules::names::check_season_name;
use crate::servers::mariadb::shape::{ARCHIVE, LIVE};
use crate::servers::mariadb::{clean, doctypes};
use crate::servers::pool::Connect;

impl Engine {
    /// Whether some record, archived or not, has no season.
    ///
    /// # Errors
    /// When DocTypes or fields are missing, or MariaDB is down.
    pub fn has_records_without_season(&self) -> Result<bool> {
        let mut connection = self.settings.background.connect(false)?;
        doctypes::check(&mut connection)?;
        Ok(clean::lacks_season(&mut connection, &LIVE)?
            || clean::lacks_season(&mut connection, &ARCHIVE)?)
    }

    /// Gives records without a season this one. Returns how many there were.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidInput`] for an invalid season name. Running it again
    /// continues.
    pub fn give_season(&self, season: &str, on_progress: OnProgress<'_, u64>) -> Result<u64> {
        check_season_name(season)?;
        let mut connection = self.settings.background.connect(false)?;
        doctypes::check(&mut connection)?;
        let mut changed = 0;
        for shape in [&LIVE, &ARCHIVE] {
            if clean::lacks_season(&mut connection, shape)? {
                changed += clean::give_season(&mut connection, shape, season, &mut |more| {
                    on_progress(&(changed + more))
                })?;
            }
        }
        Ok(changed)
    }

    /// Removes all but the newest record of each student, season and question. Returns how many.
    ///
    /// # Errors
    /// When DocTypes or fields are missing, or MariaDB is down. Running it again continues.
    pub fn remove_duplicates(&self, on_progress: OnProgress<'_, u64>) -> Result<u64> {
        let mut connection = self.settings.background.connect(false)?;
        doctypes::check(&mut connection)?;
        let mut removed = 0;
        for shape in [&LIVE, &ARCHIVE] {
            removed += clean::remove_duplicates(&mut connection, shape, &mut |more| {
                on_progress(&(removed + more))
            })?;
        }
        Ok(removed)
    }
}

//! Safe Mode (spec section 4): reads from MariaDB while the cache cannot be reached, a few at a
//! time.

use std::time::{Duration, Instant};

use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::rules::names::check_player;
use crate::servers::mariadb::limiter;

impl Engine {
    /// Whether a student may read in Safe Mode now; if so, it counts as such a read.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn may_read_in_safe_mode(&self, player: &str) -> Result<bool> {
        check_player(player)?;
        match self.admit_in_safe_mode(&self.process(), player) {
            Ok(()) => Ok(true),
            Err(Error::RateLimited { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reserves one Safe Mode read.
    ///
    /// # Errors
    /// [`Error::RateLimited`] if the student must wait; and when MariaDB is down.
    pub(crate) fn admit_in_safe_mode(&self, process: &Process, player: &str) -> Result<()> {
        let now = Instant::now();
        let remembered = lock(&process.refusals).wait(player, now);
        let wait = match remembered {
            Some(wait) => Some(wait),
            None => {
                process.database.with(|database| limiter::admit(database, player))?.map(|wait_us| {
                    let wait = Duration::from_micros(u64::try_from(wait_us).unwrap_or(0));
                    lock(&process.refusals).remember(player, now + wait, now);
                    wait
                })
            }
        };
        match wait {
            None => Ok(()),
            Some(wait) => Err(Error::RateLimited { retry_after: wait.as_secs() + 1 }),
        }
    }
}

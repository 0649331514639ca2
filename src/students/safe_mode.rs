//! Safe Mode (spec section 4): reads from MariaDB while the cache is out of reach, a few at a time.

use std::time::{Duration, Instant};

use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::servers::mariadb::limiter;

impl Engine {
    /// Takes room for one Safe Mode read.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when there is none.
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

//! Safe Mode (spec section 4): reads from MariaDB while the cache is out of reach, a few at a time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::engine::{Engine, Process, lock};
use crate::error::{Error, Result};
use crate::mariadb::limiter;

/// Students that a process remembers to have refused; more than these ask MariaDB again.
const MOST_REMEMBERED: usize = 20_000;

/// Who was refused and until when: such a student is refused again without asking MariaDB.
#[derive(Default)]
pub struct Refusals {
    until: HashMap<String, Instant>,
}

impl Refusals {
    fn wait(&mut self, player: &str, now: Instant) -> Option<Duration> {
        let wait =
            self.until.get(player)?.checked_duration_since(now).filter(|wait| !wait.is_zero());
        if wait.is_none() {
            self.until.remove(player);
        }
        wait
    }

    fn remember(&mut self, player: &str, until: Instant, now: Instant) {
        if self.until.len() >= MOST_REMEMBERED {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() < MOST_REMEMBERED {
            self.until.insert(player.to_owned(), until);
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_until_it_is_over() {
        let mut refusals = Refusals::default();
        let now = Instant::now();
        assert_eq!(refusals.wait("a", now), None);
        refusals.remember("a", now + Duration::from_secs(5), now);
        assert_eq!(refusals.wait("a", now), Some(Duration::from_secs(5)));
        assert_eq!(refusals.wait("a", now + Duration::from_secs(5)), None);
    }
}

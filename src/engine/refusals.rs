//! Students whom Safe Mode has refused, in this process's memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many refused students a process remembers; others ask MariaDB again.
const MOST_REMEMBERED: usize = 20_000;

/// The refused students, and until when to refuse them without asking MariaDB.
#[derive(Default)]
pub struct Refusals {
    until: HashMap<String, Instant>,
}

impl Refusals {
    pub(crate) fn wait(&mut self, player: &str, now: Instant) -> Option<Duration> {
        let wait =
            self.until.get(player)?.checked_duration_since(now).filter(|wait| !wait.is_zero());
        if wait.is_none() {
            self.until.remove(player);
        }
        wait
    }

    pub(crate) fn remember(&mut self, player: &str, until: Instant, now: Instant) {
        if self.until.len() >= MOST_REMEMBERED {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() < MOST_REMEMBERED {
            self.until.insert(player.to_owned(), until);
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

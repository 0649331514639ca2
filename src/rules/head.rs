//! What is known of a student's answers when new ones are computed: the newest entry in both places
//! that keep answers until they are in the table. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The newest answers of a student in a season that are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, i64, i64)", into = "(i64, i64, i64)")]
pub struct Head {
    /// The highest order of any state that is known.
    pub order: i64,
    /// The order of the newest entry of the journal's stream that is known; 0: none.
    pub journal: i64,
    /// The id of the newest entry of `memora_journal` that is known; 0: none.
    pub table: i64,
}

/// Added at random, so that two processes that compute from one head hardly ever choose the same
/// order.
const SPREAD: u64 = 1 << 10;

impl Head {
    /// The order of new answers: the time, but always after everything that is known. `now_us` is
    /// Unix time in microseconds; `random` is any number.
    ///
    /// The order identifies a state, and tells which of two states came later if one was computed
    /// from the other. Dates never depend on it.
    pub fn next_order(self, now_us: i64, random: u64) -> i64 {
        let spread = i64::try_from(random % SPREAD).unwrap_or(0);
        now_us.max(self.order.saturating_add(1 + spread))
    }

    /// By how many seconds the newest known state is ahead of the clock; 0 if it is not.
    pub fn seconds_ahead(self, now_us: i64) -> u64 {
        u64::try_from(self.order.saturating_sub(now_us) / 1_000_000).unwrap_or(0)
    }
}

impl From<(i64, i64, i64)> for Head {
    fn from((order, journal, table): (i64, i64, i64)) -> Head {
        Head { order, journal, table }
    }
}

impl From<Head> for (i64, i64, i64) {
    fn from(head: Head) -> (i64, i64, i64) {
        (head.order, head.journal, head.table)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.order, self.journal, self.table)
    }
}

impl FromStr for Head {
    type Err = std::num::ParseIntError;

    /// Parses what [`Head`] displays, padded or not. A single number, as older versions cached it,
    /// is an order.
    fn from_str(text: &str) -> Result<Head, Self::Err> {
        let mut parts = text.trim().split(':');
        let mut next = || parts.next().map_or(Ok(0), str::parse);
        Ok(Head { order: next()?, journal: next()?, table: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn heads_round_trip(order in any::<i64>(), journal in any::<i64>(), table in any::<i64>()) {
            let head = Head { order, journal, table };
            prop_assert_eq!(format!("{head:>65}").parse(), Ok(head));
        }

        #[test]
        fn new_answers_come_after_all_that_is_known(
            order in 0i64..4_000_000_000_000_000,
            now in 0i64..4_000_000_000_000_000,
            random in any::<u64>(),
        ) {
            let head = Head { order, ..Head::default() };
            let next = head.next_order(now, random);
            prop_assert!(next > order && next >= now);
        }
    }

    #[test]
    fn a_clock_that_was_ahead_is_noticed() {
        let head = Head { order: 90_000_000, ..Head::default() };
        assert_eq!((head.seconds_ahead(30_000_000), head.seconds_ahead(91_000_000)), (60, 0));
    }
}

//! Background work that leaves room for students: it rests after each piece.

use std::thread::sleep;
use std::time::Duration;

use crate::error::{Error, Result};

/// The longest rest after a piece of work.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// How many records work that rests copies in one transaction.
const QUIET_TRANSACTION: usize = 1_000;
/// How many records work that never rests copies in one transaction: a commit costs as much as
/// copying hundreds of them. One statement takes less than 0.1 seconds.
const ROWS: usize = 5_000;
/// How many records work that rests copies at a time: half a millisecond's work, for which students
/// on the same processor wait. Five times as many doubled the 99th percentile of their reads (`make
/// bench-archive`).
const QUIET_ROWS: usize = 50;
/// How many pieces work that never rests reads at a time.
const AT_ONCE: usize = 4;

/// Work that others must not notice: it rests after each piece.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    share: f64,
}

impl Pace {
    /// Works for this share of the time.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless it is more than 0 and at most 1.
    pub fn of_share(share: f64) -> Result<Pace> {
        if share > 0.0 && share <= 1.0 {
            return Ok(Pace { share });
        }
        Err(Error::InvalidInput(format!(
            "the share of time is more than 0 and at most 1, not {share}"
        )))
    }

    /// Records that are copied at a time. A process that never rests need not take
    /// small pieces.
    pub(crate) fn rows(self) -> usize {
        if self.share < 1.0 { QUIET_ROWS } else { ROWS }
    }

    /// How many pieces are copied in one transaction.
    pub(crate) fn pieces(self) -> usize {
        if self.share < 1.0 { QUIET_TRANSACTION / QUIET_ROWS } else { 1 }
    }

    /// How many pieces are read at a time. Work that rests keeps at most one processor busy.
    pub(crate) fn at_once(self) -> usize {
        if self.share < 1.0 { 1 } else { AT_ONCE }
    }

    /// Rests after a piece of work that took this long.
    pub fn rest(self, worked: Duration) {
        sleep(self.rest_after(worked));
    }

    fn rest_after(self, worked: Duration) -> Duration {
        let rest = Duration::try_from_secs_f64(worked.as_secs_f64() * (1.0 / self.share - 1.0));
        rest.unwrap_or(LONGEST_REST).min(LONGEST_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_time_is_part_of_it() {
        for share in [0.0, -1.0, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Pace::of_share(share).is_err(), "{share}");
        }
        assert!(Pace::of_share(1.0).is_ok());
        let second = Duration::from_secs(1);
        assert_eq!(Pace { share: 1.0 }.rest_after(second), Duration::ZERO);
        assert_eq!(Pace { share: 0.25 }.rest_after(second), 3 * second);
        for tiny in [1e-30, f64::MIN_POSITIVE] {
            assert_eq!(Pace { share: tiny }.rest_after(second), LONGEST_REST);
        }
    }
}

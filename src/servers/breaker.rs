//! A circuit breaker: no request waits for a server that is known to be down.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the breaker lets a caller do.
#[derive(Debug, PartialEq, Eq)]
pub enum Permit {
    /// The server worked last time.
    Normal,
    /// The pause is over: only this caller may check whether the server is up again.
    Probe,
    /// The server counts as down.
    Refused,
}

/// The state of one server as this process sees it.
pub struct Breaker {
    start: Instant,
    failures: AtomicU32,
    /// When the pause ends and a caller may probe, in milliseconds after `start`.
    probe_at_ms: AtomicU64,
    /// When the last failure was noted, in milliseconds after `start`, plus 1; 0: never.
    failed_at_ms: AtomicU64,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            start: Instant::now(),
            failures: AtomicU32::new(0),
            probe_at_ms: AtomicU64::new(0),
            failed_at_ms: AtomicU64::new(0),
        }
    }
}

impl Breaker {
    /// Asks for permission to use the server.
    pub fn permit(&self) -> Permit {
        if self.failures.load(Ordering::Acquire) == 0 {
            return Permit::Normal;
        }
        let due = self.probe_at_ms.load(Ordering::Acquire);
        let now = self.elapsed_ms();
        if now < due {
            return Permit::Refused;
        }
        let next = now + self.pause_ms();
        match self.probe_at_ms.compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Permit::Probe,
            Err(_) => Permit::Refused,
        }
    }

    /// Notes that the server answered.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Acquire) != 0 {
            self.failures.store(0, Ordering::Release);
        }
    }

    /// The time at which an attempt begins, for [`Breaker::failed`].
    pub fn begin(&self) -> u64 {
        self.elapsed_ms()
    }

    /// Notes that the server did not answer an attempt that began at this time. Of several
    /// concurrent failures, one counts, because pauses grow with failures in a row.
    pub fn failed(&self, began: u64) {
        let last = self.failed_at_ms.fetch_max(self.elapsed_ms() + 1, Ordering::AcqRel);
        if began + 1 > last {
            self.failures.fetch_add(1, Ordering::AcqRel);
        }
        self.probe_at_ms.store(self.elapsed_ms() + self.pause_ms(), Ordering::Release);
    }

    /// Whether the server counts as down.
    pub fn is_open(&self) -> bool {
        self.failures.load(Ordering::Acquire) != 0
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn pause_ms(&self) -> u64 {
        let doublings = self.failures.load(Ordering::Acquire).saturating_sub(1).min(8);
        let pause = (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE);
        u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_a_failure_and_closes_after_a_success() {
        let breaker = Breaker::default();
        assert_eq!(breaker.permit(), Permit::Normal);
        breaker.failed(breaker.begin());
        assert_eq!(breaker.permit(), Permit::Refused);
        breaker.succeeded();
        assert_eq!(breaker.permit(), Permit::Normal);
    }

    #[test]
    fn failures_side_by_side_count_once() {
        let breaker = Breaker::default();
        let began = breaker.begin();
        for _ in 0..10 {
            breaker.failed(began);
        }
        assert_eq!(breaker.failures.load(Ordering::Acquire), 1);
    }

    #[test]
    fn lets_one_caller_probe_after_the_pause() {
        let breaker = Breaker::default();
        breaker.failed(breaker.begin());
        breaker.probe_at_ms.store(0, Ordering::Release);
        assert_eq!(breaker.permit(), Permit::Probe);
        assert_eq!(breaker.permit(), Permit::Refused);
    }
}

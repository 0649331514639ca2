//! How long students' calls take, and how long submissions wait to be written to MariaDB, over all
//! processes of a site.
//!
//! A process counts its calls by kind and duration, and adds the counts to the cache's Redis every
//! few seconds, during a call. A process that ends loses its last counts, and flushing the cache
//! loses all of them. They are for charts, not exact totals.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest duration, in microseconds, that is counted in each place; the last place has no
/// bound.
pub const BOUNDS_US: [u64; 22] = [
    100, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000,
    30_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
];
/// The same for [`Call::Persistence`], which takes seconds. 300 s is what memora promises.
pub const PERSISTENCE_BOUNDS_US: [u64; BOUNDS_US.len()] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    3_000_000,
    5_000_000,
    7_000_000,
    10_000_000,
    15_000_000,
    20_000_000,
    30_000_000,
    45_000_000,
    60_000_000,
    90_000_000,
    120_000_000,
    180_000_000,
    300_000_000,
    600_000_000,
];
const PLACES: usize = BOUNDS_US.len() + 1;

/// How often a process adds its counts to Redis.
const TELL_AFTER: Duration = Duration::from_secs(5);
/// How many seconds each slot of counts covers.
pub const SLOT_SECONDS: i64 = 600;
/// How many slots are kept.
pub const SLOTS: i64 = 144;

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// A read that the cache answered.
    WarmRead,
    /// A read that loaded the student's records.
    ColdRead,
    /// A read of a season that does not use the cache.
    DatabaseRead,
    /// A read while the cache is out of reach.
    SafeModeRead,
    /// A submission.
    Submit,
    /// Not a call: the time from when the journal kept a submission to the commit that wrote it to
    /// MariaDB.
    Persistence,
}

impl Call {
    /// Every kind.
    pub const ALL: [Call; 6] = [
        Call::WarmRead,
        Call::ColdRead,
        Call::DatabaseRead,
        Call::SafeModeRead,
        Call::Submit,
        Call::Persistence,
    ];

    /// The kind's name for tables and programs.
    pub fn name(self) -> &'static str {
        match self {
            Call::WarmRead => "warm read",
            Call::ColdRead => "cold read",
            Call::DatabaseRead => "database read",
            Call::SafeModeRead => "safe mode read",
            Call::Submit => "submit",
            Call::Persistence => "persistence",
        }
    }

    /// The bounds of its places, in microseconds.
    pub fn bounds_us(self) -> &'static [u64; BOUNDS_US.len()] {
        match self {
            Call::Persistence => &PERSISTENCE_BOUNDS_US,
            _ => &BOUNDS_US,
        }
    }
}

/// The durations of the calls of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many calls each place has, by the bounds of the kind.
    pub places: [u64; PLACES],
    /// The sum of all durations, in microseconds.
    pub sum_us: u64,
}

impl Counts {
    /// How many calls there were.
    pub fn total(&self) -> u64 {
        self.places.iter().sum()
    }

    /// The time in milliseconds within which this share of the calls of a kind was done, as
    /// precisely as the bounds allow.
    pub fn quantile_ms(&self, call: Call, share: f64) -> f64 {
        let wanted = share * self.total() as f64;
        let (mut passed, mut lower) = (0.0, 0.0);
        for (count, upper) in self.places.iter().zip(call.bounds_us()) {
            let (count, upper) = (*count as f64, *upper as f64);
            if count > 0.0 && passed + count >= wanted {
                // As if they were spread evenly between the bounds.
                return (lower + (upper - lower) * (wanted - passed) / count) / 1e3;
            }
            passed += count;
            lower = upper;
        }
        lower / 1e3
    }

    /// Adds others.
    pub fn add(&mut self, other: &Counts) {
        for (place, more) in self.places.iter_mut().zip(other.places) {
            *place += more;
        }
        self.sum_us += other.sum_us;
    }
}

/// Counts by kind of call.
pub type ByCall = BTreeMap<Call, Counts>;

/// What a process has counted and not yet reported.
pub struct Recorder {
    places: [[AtomicU64; PLACES]; Call::ALL.len()],
    sums_us: [AtomicU64; Call::ALL.len()],
    began: Instant,
    told_ms: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder {
            places: Default::default(),
            sums_us: Default::default(),
            began: Instant::now(),
            told_ms: AtomicU64::new(0),
        }
    }
}

impl Recorder {
    pub(crate) fn count(&self, call: Call, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let place = call.bounds_us().partition_point(|bound| *bound < micros);
        self.places[call as usize][place].fetch_add(1, Ordering::Relaxed);
        self.sums_us[call as usize].fetch_add(micros, Ordering::Relaxed);
    }

    /// Whether to add the counts to Redis now. True for one caller each time.
    pub(crate) fn is_time(&self) -> bool {
        let told = self.told_ms.load(Ordering::Relaxed);
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_time = now >= told + u64::try_from(TELL_AFTER.as_millis()).unwrap_or(u64::MAX);
        is_time
            && self
                .told_ms
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    pub(crate) fn take(&self) -> ByCall {
        let mut taken = ByCall::new();
        for call in Call::ALL {
            let mut counts = Counts {
                sum_us: self.sums_us[call as usize].swap(0, Ordering::Relaxed),
                ..Counts::default()
            };
            for (place, count) in counts.places.iter_mut().zip(&self.places[call as usize]) {
                *place = count.swap(0, Ordering::Relaxed);
            }
            if counts.total() > 0 {
                taken.insert(call, counts);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_where_the_calls_were() {
        let recorder = Recorder::default();
        for _ in 0..98 {
            recorder.count(Call::WarmRead, Duration::from_micros(450));
        }
        for _ in 0..2 {
            recorder.count(Call::WarmRead, Duration::from_millis(40));
        }
        let taken = recorder.take();
        let counts = &taken[&Call::WarmRead];
        assert_eq!((counts.total(), counts.sum_us), (100, 98 * 450 + 2 * 40_000));
        let quantile = |share| counts.quantile_ms(Call::WarmRead, share);
        assert!((0.3..=0.5).contains(&quantile(0.5)), "{}", quantile(0.5));
        assert!((30.0..=50.0).contains(&quantile(0.99)), "{}", quantile(0.99));
        assert!(recorder.take().is_empty());
    }

    #[test]
    fn nothing_is_too_long_to_be_counted() {
        let recorder = Recorder::default();
        recorder.count(Call::Submit, Duration::MAX);
        let taken = recorder.take();
        assert_eq!(taken[&Call::Submit].places[PLACES - 1], 1);
        assert_eq!(taken[&Call::Submit].quantile_ms(Call::Submit, 0.99), 5_000.0);
    }

    #[test]
    fn whether_a_submission_was_saved_in_five_minutes_is_told_exactly() {
        let recorder = Recorder::default();
        for seconds in [4, 299, 300, 301] {
            recorder.count(Call::Persistence, Duration::from_secs(seconds));
        }
        let places = recorder.take()[&Call::Persistence].places;
        let in_time = PERSISTENCE_BOUNDS_US.iter().zip(places);
        let in_time = in_time.filter(|(bound, _)| **bound <= 300_000_000);
        assert_eq!(in_time.map(|(_, count)| count).sum::<u64>(), 3);
        assert!(PERSISTENCE_BOUNDS_US.is_sorted() && PERSISTENCE_BOUNDS_US.contains(&300_000_000));
    }
}

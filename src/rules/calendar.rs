//! The days of a forecast: whole days of the site's time zone, the first of which is today. Pure.

use jiff::ToSpan;
use jiff::civil::Date;

use super::clock::SiteZone;
use crate::error::{Error, Result};

/// The most days of a forecast.
pub const MOST_DAYS: u32 = 365;

/// The days, and the times up to which a forecast counts.
#[derive(Clone, Debug)]
pub struct Calendar {
    days: Vec<Date>,
    /// In Unix seconds, ascending: the beginning of today, the second after now, the end of each
    /// day. A question counts for the first of them that it is due before.
    ends: Vec<i64>,
}

/// How many questions are due on which day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// On each day; overdue questions count for today.
    pub days: Vec<(Date, u64)>,
    /// Due since an earlier day.
    pub overdue: u64,
    /// Due now, including the overdue ones.
    pub due_now: u64,
}

impl Calendar {
    /// This many days from today; `now` is in Unix seconds.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless they are 1 to [`MOST_DAYS`].
    pub fn new(zone: &SiteZone, now: i64, days: u32) -> Result<Calendar> {
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(Error::InvalidInput(format!("days is 1 to {MOST_DAYS}, not {days}")));
        }
        let today = zone.day(now);
        let on = |later: u32| today.saturating_add(i64::from(later).days());
        let begins = |day: Date| zone.unix(day.at(0, 0, 0, 0));
        let mut ends = vec![begins(today), now + 1];
        ends.extend((1..=days).map(|later| begins(on(later))));
        Ok(Calendar { days: (0..days).map(on).collect(), ends })
    }

    /// The times up to which a forecast counts, in Unix seconds.
    pub fn ends(&self) -> &[i64] {
        &self.ends
    }

    /// How many of these dates, in Unix seconds, are before each end.
    pub fn count(&self, dates: impl Iterator<Item = i64>) -> Vec<u64> {
        let mut counts = vec![0; self.ends.len() + 1];
        for date in dates {
            counts[self.ends.partition_point(|end| *end <= date)] += 1;
        }
        let mut before = 0;
        counts[..self.ends.len()]
            .iter()
            .map(|count| {
                before += count;
                before
            })
            .collect()
    }

    /// The workload, from how many questions are due before each end. If counts are missing at the
    /// end, the last one is used for them.
    pub fn workload(&self, before: &[u64]) -> Workload {
        let last = before.last().copied().unwrap_or(0);
        let before = |place: usize| before.get(place).copied().unwrap_or(last);
        let mut passed = 0;
        let days = self.days.iter().enumerate().map(|(number, day)| {
            let until = before(number + 2);
            let due = until.saturating_sub(passed);
            passed = until;
            (*day, due)
        });
        let days = days.collect();
        Workload { days, overdue: before(0), due_now: before(1) }
    }
}

impl Workload {
    /// How many are due within the days.
    pub fn total(&self) -> u64 {
        self.days.iter().map(|(_, due)| due).sum()
    }

    /// The workload of `factor` times as many students.
    pub fn scaled(&self, factor: f64) -> Workload {
        let scaled = |count: u64| (count as f64 * factor).round() as u64;
        Workload {
            days: self.days.iter().map(|(day, due)| (*day, scaled(*due))).collect(),
            overdue: scaled(self.overdue),
            due_now: scaled(self.due_now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calendar(zone: &str, now: i64, days: u32) -> Calendar {
        let zone = SiteZone::named(zone).unwrap_or_else(|error| panic!("{error}"));
        Calendar::new(&zone, now, days).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn days_are_as_long_as_the_clocks_make_them() {
        // 2026-03-07 12:00 EST; the clocks go forward on the 8th.
        let ends = calendar("America/New_York", 1_772_902_800, 3).ends;
        let hours = ends[2..].windows(2).map(|day| (day[1] - day[0]) / 3600);
        assert_eq!(hours.collect::<Vec<_>>(), [23, 24]);
        // 2026-04-23 12:00 EET; in Cairo the clocks go forward at midnight, and Friday begins at 1.
        let ends = calendar("Africa/Cairo", 1_776_938_400, 3).ends;
        assert_eq!((ends[2] - ends[0]) / 3600, 24);
        assert_eq!((ends[3] - ends[2]) / 3600, 23);
    }

    #[test]
    fn a_question_counts_for_its_day_and_what_is_overdue_for_today() {
        let now = 1_772_902_800;
        let calendar = calendar("UTC", now, 3);
        let day = 86_400;
        let today = now - now % day;
        let dates =
            [0, today - 1, today, now, now + 1, today + day - 1, today + day, today + 3 * day];
        let before = calendar.count(dates.into_iter());
        assert_eq!(before, [2, 4, 6, 7, 7]);
        let found = calendar.workload(&before);
        let due: Vec<u64> = found.days.iter().map(|(_, due)| *due).collect();
        assert_eq!((due, found.overdue, found.due_now, found.total()), (vec![6, 1, 0], 2, 4, 7));
        assert_eq!(calendar.workload(&before[..4]), found);
        assert_eq!(calendar.workload(&[]).total(), 0);
        assert_eq!(found.scaled(2.5).days[0].1, 15);
    }

    #[test]
    fn days_are_1_to_365() {
        let utc = SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"));
        for days in [0, MOST_DAYS + 1, u32::MAX] {
            assert!(matches!(Calendar::new(&utc, 0, days), Err(Error::InvalidInput(_))));
        }
    }

    proptest! {
        #[test]
        fn ends_ascend_and_days_are_those_of_the_zone(
            now in 1_500_000_000i64..2_500_000_000, days in 1..=MOST_DAYS,
        ) {
            for name in ["UTC", "Africa/Cairo", "America/New_York", "Asia/Kolkata", "Asia/Amman"] {
                let zone = SiteZone::named(name).unwrap_or_else(|error| panic!("{error}"));
                let calendar = calendar(name, now, days);
                prop_assert!(calendar.ends.is_sorted());
                prop_assert_eq!(calendar.days[0], zone.day(now));
                for (day, end) in calendar.days.iter().zip(&calendar.ends[2..]) {
                    prop_assert_eq!(zone.day(end - 1), *day);
                    prop_assert!(zone.day(*end) > *day);
                }
            }
        }
    }
}

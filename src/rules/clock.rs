//! Time: the current time in UTC, and the site's time zone, in which Frappe stores naive dates.
//!
//! A naive date is turned into Unix time by one fixed rule (the earlier of two readings when clocks
//! go back, the later side of the gap when they go forward), so cache and database always agree.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::error::{Error, Result};

/// The current Unix time in microseconds (UTC).
pub fn now_us() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

/// The site's time zone.
#[derive(Clone, Debug)]
pub struct SiteZone(TimeZone);

impl SiteZone {
    /// Looks the zone up by its IANA name.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is no such zone.
    pub fn named(name: &str) -> Result<SiteZone> {
        TimeZone::get(name).map(SiteZone).map_err(|_| {
            Error::InvalidInput(format!(
                "time zone {name:?} is not known: set the site's time zone in System Settings to \
                 an IANA name"
            ))
        })
    }

    /// Converts Unix seconds to the naive date that Frappe stores.
    pub fn naive(&self, unix_seconds: i64) -> DateTime {
        self.0.to_datetime(Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Converts a naive date of the site to Unix seconds.
    pub fn unix(&self, naive: DateTime) -> i64 {
        self.0.to_ambiguous_timestamp(naive).compatible().map_or(0, Timestamp::as_second)
    }

    /// The site's day at this time.
    pub fn day(&self, unix_seconds: i64) -> Date {
        self.naive(unix_seconds).date()
    }

    /// How many of the site's days lie between two times in Unix seconds; 0 if `later` is before
    /// `earlier`.
    pub fn days_between(&self, earlier: i64, later: i64) -> u32 {
        let hours = self.day(later).duration_since(self.day(earlier)).as_hours();
        u32::try_from(hours / 24).unwrap_or(0)
    }

    /// The same time of day some days on, in Unix seconds: what Frappe's `add_days` means.
    pub fn add_days(&self, unix_seconds: i64, days: i32) -> i64 {
        let naive = self.naive(unix_seconds);
        self.unix(naive.checked_add(days.days()).unwrap_or(naive))
    }

    /// A date as Frappe writes it: `YYYY-MM-DD HH:MM:SS`.
    pub fn text(&self, unix_seconds: i64) -> String {
        let naive = self.naive(unix_seconds);
        let mut text = String::with_capacity(19);
        // By hand: a list of due questions has forty of these, and format! would take longer than
        // all the rest.
        push_digits(&mut text, naive.year().unsigned_abs(), 4);
        for (separator, part) in [
            ('-', naive.month()),
            ('-', naive.day()),
            (' ', naive.hour()),
            (':', naive.minute()),
            (':', naive.second()),
        ] {
            text.push(separator);
            push_digits(&mut text, u16::from(part.unsigned_abs()), 2);
        }
        text
    }
}

/// Writes the last `width` digits of a number.
fn push_digits(text: &mut String, number: u16, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10u16.pow(place) % 10;
        text.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zone(name: &str) -> SiteZone {
        SiteZone::named(name).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn keeps_the_time_of_day_over_a_change_of_clocks() {
        let new_york = zone("America/New_York");
        // 2026-03-07 12:00 EST; the clocks go forward on the 8th.
        let before = 1_772_902_800;
        assert_eq!(new_york.text(before), "2026-03-07 12:00:00");
        assert_eq!(new_york.text(new_york.add_days(before, 1)), "2026-03-08 12:00:00");
        assert_eq!(new_york.add_days(before, 1) - before, 23 * 3600);
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        assert!(matches!(SiteZone::named("Mars/Olympus"), Err(Error::InvalidInput(_))));
    }

    proptest! {
        /// The result of `add_days` survives a naive column unchanged.
        #[test]
        fn scores_round_trip(seconds in 1_500_000_000i64..2_500_000_000, days in 0i32..30) {
            for name in ["UTC", "Asia/Amman", "America/New_York", "Australia/Lord_Howe"] {
                let zone = zone(name);
                let score = zone.add_days(seconds, days);
                prop_assert_eq!(zone.unix(zone.naive(score)), score);
            }
        }
    }
}

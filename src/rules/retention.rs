//! How long archived records are kept (spec section 6).

use jiff::ToSpan;

use crate::rules::clock::SiteZone;

const KEPT_YEARS: i64 = 3;

/// Records archived before this may be deleted: the same day and time three years ago by the site's
/// clocks, in Unix seconds.
pub fn kept_since(zone: &SiteZone, now: i64) -> i64 {
    let naive = zone.naive(now);
    zone.unix(naive.checked_sub(KEPT_YEARS.years()).unwrap_or(naive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_years_are_counted_on_the_sites_calendar() {
        let zone = SiteZone::named("America/New_York").unwrap_or_else(|error| panic!("{error}"));
        // 2028-02-29 12:00 in New York.
        let leap_day = 1_835_456_400;
        assert_eq!(zone.text(leap_day), "2028-02-29 12:00:00");
        assert_eq!(zone.text(kept_since(&zone, leap_day)), "2025-02-28 12:00:00");
        // 2026-03-09 12:00, when clocks had gone forward; three years before it was not later.
        let summer = 1_773_072_000;
        assert_eq!(zone.text(summer), "2026-03-09 12:00:00");
        assert_eq!(zone.text(kept_since(&zone, summer)), "2023-03-09 12:00:00");
    }
}

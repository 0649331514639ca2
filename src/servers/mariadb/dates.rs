//! Dates as Frappe stores them: naive, in the site's time zone.

use mysql::Value;

use crate::rules::clock::SiteZone;

/// Unix seconds as the naive date that Frappe stores.
pub fn date_value(zone: &SiteZone, unix_seconds: i64) -> Value {
    date_value_us(zone, unix_seconds, 0)
}

/// Unix seconds and microseconds as the naive date that Frappe stores.
pub fn date_value_us(zone: &SiteZone, unix_seconds: i64, microseconds: u32) -> Value {
    let naive = zone.naive(unix_seconds);
    let part = |number: i8| u8::try_from(number).unwrap_or(0);
    Value::Date(
        u16::try_from(naive.year()).unwrap_or(0),
        part(naive.month()),
        part(naive.day()),
        part(naive.hour()),
        part(naive.minute()),
        part(naive.second()),
        microseconds,
    )
}

/// The naive date that Frappe stores as Unix seconds; `None` for NULL and for dates that do not
/// exist.
pub fn unix_value(zone: &SiteZone, value: &Value) -> Option<i64> {
    let Value::Date(year, month, day, hour, minute, second, _) = value else {
        return None;
    };
    let part = |number: &u8| i8::try_from(*number).ok();
    let naive = jiff::civil::DateTime::new(
        i16::try_from(*year).ok()?,
        part(month)?,
        part(day)?,
        part(hour)?,
        part(minute)?,
        part(second)?,
        0,
    );
    naive.ok().map(|naive| zone.unix(naive))
}

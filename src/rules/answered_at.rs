//! When an answer was given, if the client sends it, as devices that were offline do. Pure.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

/// How many seconds a device's clock may be ahead.
const MOST_AHEAD: i64 = 120;
/// How many seconds an answer may have waited on a device.
const LONGEST_AGO: i64 = 30 * 24 * 3600;
/// Numbers beyond this are not Unix seconds, but milliseconds.
const LATEST: f64 = 1e11;

/// Parses a time to Unix microseconds: ISO 8601, in UTC unless it has an offset, or Unix seconds.
/// `None`: it is neither.
pub fn read(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => microseconds(number.as_f64()?),
        Value::String(text) => {
            if let Ok(moment) = text.parse::<Timestamp>() {
                return Some(moment.as_microsecond());
            }
            if let Ok(naive) = text.parse::<DateTime>() {
                return TimeZone::UTC.to_timestamp(naive).ok().map(Timestamp::as_microsecond);
            }
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse().ok())?
                .and_then(microseconds)
        }
        _ => None,
    }
}

fn microseconds(number: f64) -> Option<i64> {
    // In range: only what is smaller is dropped.
    #[allow(clippy::cast_possible_truncation)]
    (0.0..=LATEST).contains(&number).then_some((number * 1e6) as i64)
}

/// What is wrong with the time of an answer to this question; `None`: it is credible. Both times
/// are in Unix seconds.
pub fn fault(id: &str, given_at: i64, now: i64) -> Option<String> {
    if given_at > now.saturating_add(MOST_AHEAD) {
        return Some(format!(
            "the answer to {id:?}: answered_at is more than 2 minutes in the future: check the \
             device's clock"
        ));
    }
    (given_at < now.saturating_sub(LONGEST_AGO))
        .then(|| format!("the answer to {id:?}: answered_at is more than 30 days ago"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_time_is_read_in_the_forms_that_clients_have() {
        for given in [
            json!("2026-11-26T08:00:00Z"),
            json!("2026-11-26T08:00:00.999Z"),
            json!("2026-11-26T10:30:00+02:30"),
            json!("2026-11-26 08:00:00"),
            json!("2026-11-26T08:00:00"),
            json!(1_795_680_000),
            json!(1_795_680_000.75),
            json!("1795680000"),
        ] {
            assert_eq!(read(&given).map(|us| us / 1_000_000), Some(1_795_680_000), "{given}");
        }
        for given in [
            json!("yesterday"),
            json!(""),
            json!("-5"),
            json!(-5),
            json!(1_795_680_000_000_u64),
            json!(1e300),
            json!(true),
            json!([1]),
            json!("2026-13-01T00:00:00Z"),
        ] {
            assert_eq!(read(&given), None, "{given}");
        }
    }

    #[test]
    fn two_minutes_ahead_and_thirty_days_ago_are_believed() {
        let now = 1_795_680_000;
        for (given_at, is_believed) in [
            (now + 120, true),
            (now + 121, false),
            (now, true),
            (now - 30 * 86_400, true),
            (now - 30 * 86_400 - 1, false),
        ] {
            assert_eq!(fault("q", given_at, now).is_none(), is_believed, "{given_at}");
        }
    }
}

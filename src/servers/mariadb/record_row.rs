//! Reads a row of the live table, or of the archive, as a state.

use mysql::Value;

use super::dates::unix_value;
use crate::rules::clock::SiteZone;
use crate::rules::ladder::HIGHEST_STABILITY;
use crate::rules::lineage::Record;
use crate::rules::memory::MemoryState;
use crate::rules::review::Review;

/// The columns of a state.
pub const COLUMNS: &str = "question_id, stability, next_review_date, last_review_date, \
    answered_at_us, subject, topic, memory_stability, memory_difficulty, lapses";

/// Whether an edit changed a record last: answers are written in the student's name.
pub const IS_EDITED: &str = "COALESCE(modified_by, '') <> player";

/// Clocks are set back by less than this, in seconds.
const SECOND_TIME: i64 = 3 * 3600;

/// A row of [`COLUMNS`].
pub type Row = (
    String,
    i64,
    Value,
    Value,
    Option<i64>,
    Option<String>,
    Option<String>,
    Value,
    Value,
    Option<u64>,
);

/// A row with one column more.
pub type RowAnd<T> = (
    String,
    i64,
    Value,
    Value,
    Option<i64>,
    Option<String>,
    Option<String>,
    Value,
    Value,
    Option<u64>,
    T,
);

/// The row, and the value of the additional column.
pub fn apart<T>(row: RowAnd<T>) -> (Row, T) {
    let (id, rung, next, last, order, subject, topic, stability, difficulty, lapses, more) = row;
    ((id, rung, next, last, order, subject, topic, stability, difficulty, lapses), more)
}

/// The state that a row has.
pub fn review(zone: &SiteZone, row: Row) -> Review {
    let (question_id, rung, next_review, last_review, answered_at_us, subject, topic, ..) = row;
    let (.., stability, difficulty, lapses) = row;
    let answered_at_us = answered_at_us.unwrap_or(0);
    let answered = answered_at_us.div_euclid(1_000_000);
    // When clocks are set back, a date in the repeated hour is read as its first occurrence; the
    // answer's own time decides.
    let is_second_time = |last: i64| {
        last != answered
            && (last - answered).abs() < SECOND_TIME
            && zone.naive(last) == zone.naive(answered)
    };
    Review {
        question_id,
        stability: u8::try_from(rung.clamp(0, HIGHEST_STABILITY.into())).unwrap_or(0),
        next_review: unix_value(zone, &next_review).unwrap_or(0),
        last_review: unix_value(zone, &last_review)
            .map(|last| if is_second_time(last) { answered } else { last }),
        answered_at_us,
        subject: subject.filter(|name| !name.is_empty()),
        topic: topic.filter(|name| !name.is_empty()),
        memory: MemoryState::of_wholes(
            number(&stability),
            number(&difficulty),
            u16::try_from(lapses.unwrap_or(0)).unwrap_or(u16::MAX),
        ),
    }
}

/// A DECIMAL or a DOUBLE; 0 where there is none.
fn number(value: &Value) -> f64 {
    match value {
        Value::Double(number) => *number,
        Value::Bytes(text) => {
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0)
        }
        _ => 0.0,
    }
}

/// The record that a row has, with [`IS_EDITED`].
pub fn record(zone: &SiteZone, row: RowAnd<bool>) -> Record {
    let (row, is_edited) = apart(row);
    Record { review: review(zone, row), is_edited }
}

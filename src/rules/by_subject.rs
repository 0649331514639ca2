//! The score of a question in its student's sorted set by subject. Pure.
//!
//! Each subject of the student has a number, from 1. Its questions are one range of scores, ordered
//! by date, so one subject is read in the same way as all of them. The set also holds the subjects'
//! numbers, as scores of members that cannot be question ids. Questions without a subject are not
//! in it.

/// The highest number of a subject: beyond it, scores are not exact, because they are doubles.
pub const MOST_SUBJECTS: usize = (1 << 13) - 1;

/// How many places a subject has, one for each second. The Lua scripts have it as 2 ^ 39.
const PLACES: i64 = 1 << 39;

/// The first second that has a place, before the year 1000: the table has no date outside of the
/// years 1000 to 9999. Dates outside of the range get the first or last place.
const FIRST: i64 = -(1 << 35);

/// A date's place among those of a subject.
pub fn place(next_review: i64) -> i64 {
    next_review.saturating_sub(FIRST).clamp(0, PLACES - 1)
}

/// The score of a question whose subject has this number.
pub fn score(number: usize, next_review: i64) -> f64 {
    (number as f64) * (PLACES as f64) + place(next_review) as f64
}

/// The member that stands for a subject or topic among the questions: no question id has a NUL.
pub fn member(name: &str) -> String {
    format!("\0{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1000-01-01 and 9999-12-31, with a day for time zones.
    const YEARS: std::ops::Range<i64> = -30_610_310_400..253_402_387_200;

    proptest! {
        #[test]
        fn scores_order_by_subject_then_by_date(
            one in (1..=MOST_SUBJECTS, YEARS), other in (1..=MOST_SUBJECTS, YEARS),
        ) {
            let scores = (score(one.0, one.1), score(other.0, other.1));
            prop_assert_eq!(scores.0.partial_cmp(&scores.1), Some(one.cmp(&other)));
        }

        #[test]
        fn no_date_leaves_its_subject(number in 1..=MOST_SUBJECTS, date in any::<i64>()) {
            let range = score(number, i64::MIN)..score(number + 1, i64::MIN);
            prop_assert!(range.contains(&score(number, date)));
        }
    }
}

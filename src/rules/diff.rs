//! How a cached schedule differs from the records that it was loaded from.

use std::collections::HashMap;
use std::ops::AddAssign;

use super::head::Head;
use crate::rules::review::Review;

/// All that is cached of one student.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CachedSchedule {
    /// Whether there is anything.
    pub is_there: bool,
    /// The generation in which it says that it is complete.
    pub marker: Option<f64>,
    /// What it was computed from.
    pub head: Option<Head>,
    /// The date of each question.
    pub dates: HashMap<Vec<u8>, f64>,
    /// What belongs to each question beside its date.
    pub details: HashMap<Vec<u8>, Vec<u8>>,
    /// The fence of a load that nothing has broken through.
    pub fence: Option<String>,
}

/// What is wrong in schedules, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// All records that either side has.
    pub records: u64,
    /// The cache lacks them.
    pub missing: u64,
    /// The cache has them, and nothing else does.
    pub ghost: u64,
    /// The cache has another date.
    pub wrong_date: u64,
    /// The date is right; the stability, subject, topic or last review is not.
    pub wrong_state: u64,
}

impl Differences {
    /// How many records differ.
    pub fn differing(&self) -> u64 {
        self.missing + self.ghost + self.wrong_date + self.wrong_state
    }
}

impl AddAssign for Differences {
    fn add_assign(&mut self, other: Differences) {
        self.records += other.records;
        self.missing += other.missing;
        self.ghost += other.ghost;
        self.wrong_date += other.wrong_date;
        self.wrong_state += other.wrong_state;
    }
}

/// Compares a schedule with the records of its student.
pub fn compare(cached: &CachedSchedule, records: &[Review]) -> Differences {
    let mut found = Differences { records: records.len() as u64, ..Differences::default() };
    let mut detail = String::new();
    for review in records {
        let id = review.question_id.as_bytes();
        detail.clear();
        review.push_detail(&mut detail);
        match cached.dates.get(id) {
            None => found.missing += 1,
            // A date in seconds is a whole number, which Redis keeps as it is.
            Some(date) if *date != review.next_review as f64 => found.wrong_date += 1,
            Some(_) if cached.details.get(id).is_none_or(|cached| cached != detail.as_bytes()) => {
                found.wrong_state += 1;
            }
            Some(_) => {}
        }
    }
    // Each record is missing or has one of the dates: what dates are left have none.
    found.ghost = (cached.dates.len() as u64 + found.missing).saturating_sub(found.records);
    found.records += found.ghost;
    found
}

/// The states that a schedule has and nothing else: newer than what is known of their questions.
pub fn only_cached(cached: &CachedSchedule, known: &[Review]) -> Vec<Review> {
    let known: HashMap<&str, i64> =
        known.iter().map(|review| (review.question_id.as_str(), review.answered_at_us)).collect();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let states = cached.details.iter().filter_map(|(id, detail)| {
        let state = Review::from_detail(&text(id)?, &text(detail)?)?;
        let is_newer =
            known.get(state.question_id.as_str()).is_none_or(|order| *order < state.answered_at_us);
        is_newer.then_some(state)
    });
    let mut states: Vec<Review> = states.collect();
    states.sort_unstable_by(|one, other| one.question_id.cmp(&other.question_id));
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn review(number: usize) -> Review {
        Review { next_review: 1_800_000_000 + number as i64, ..Review::new(&format!("q{number}")) }
    }

    fn cached(records: &[Review]) -> CachedSchedule {
        let id = |review: &Review| review.question_id.clone().into_bytes();
        CachedSchedule {
            is_there: true,
            dates: records.iter().map(|review| (id(review), review.next_review as f64)).collect(),
            details: records
                .iter()
                .map(|review| (id(review), review.detail().into_bytes()))
                .collect(),
            ..CachedSchedule::default()
        }
    }

    #[test]
    fn what_is_the_same_does_not_differ() {
        let records: Vec<Review> = (0..50).map(review).collect();
        let found = compare(&cached(&records), &records);
        assert_eq!(found, Differences { records: 50, ..Differences::default() });
    }

    proptest! {
        /// Whatever is planted is found, each under its name.
        #[test]
        fn planted_errors_are_counted(kinds in proptest::collection::vec(0..5usize, 0..200)) {
            let records: Vec<Review> =
                (0..kinds.len()).filter(|number| kinds[*number] != 1).map(review).collect();
            let mut schedule = cached(&(0..kinds.len()).map(review).collect::<Vec<_>>());
            schedule.dates.retain(|id, _| {
                let number: usize = String::from_utf8_lossy(&id[1..]).parse().unwrap_or(0);
                kinds[number] != 0
            });
            for (id, date) in &mut schedule.dates {
                let number: usize = String::from_utf8_lossy(&id[1..]).parse().unwrap_or(0);
                if kinds[number] == 2 {
                    *date += 86_400.0;
                } else if kinds[number] == 3 {
                    schedule.details.insert(id.clone(), b"nonsense".to_vec());
                }
            }
            let count = |kind| kinds.iter().filter(|planted| **planted == kind).count() as u64;
            let expected = Differences {
                records: kinds.len() as u64,
                missing: count(0),
                ghost: count(1),
                wrong_date: count(2),
                wrong_state: count(3),
            };
            prop_assert_eq!(compare(&schedule, &records), expected);
        }
    }
}

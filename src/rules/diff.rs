//! How a cached schedule differs from the records that it was loaded from.

use std::collections::HashMap;
use std::ops::AddAssign;

use super::head::Head;
use super::hidden::Hidden;
use crate::rules::review::Review;

/// Everything that is cached of one student.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CachedSchedule {
    /// Whether anything is cached.
    pub is_there: bool,
    /// The generation in which the schedule is marked as complete.
    pub marker: Option<f64>,
    /// Which answers the schedule has.
    pub head: Option<Head>,
    /// The version of the site's retired questions that it was updated to.
    pub retired: u64,
    /// The date of each question, each question once.
    pub dates: Vec<(Vec<u8>, f64)>,
    /// The detail of each question, each question once.
    pub details: Vec<(Vec<u8>, Vec<u8>)>,
    /// The fence of a load, if no answer has removed it.
    pub fence: Option<String>,
}

/// How many records of schedules are wrong, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Records that either side has.
    pub records: u64,
    /// Records that the cache lacks.
    pub missing: u64,
    /// Records that only the cache has.
    pub ghost: u64,
    /// Records with another date in the cache.
    pub wrong_date: u64,
    /// Records with the right date, but a wrong stability, subject, topic, last review or memory.
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

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What is wrong.
    pub differences: Differences,
    /// States that only the schedule has, sorted by id: they are newer than the records of their
    /// questions.
    pub only_cached: Vec<Review>,
}

/// What the cache has of a record.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Whether its date is right; `None`: it has no date.
    is_date_right: Option<bool>,
    is_state_right: bool,
}

/// Compares a schedule with the records of its student.
///
/// Nearly all of it is right, so the right case must be cheap: cached items are looked up in one
/// table of the records, and details are parsed only if their text is not the expected one.
///
/// # Arguments
/// `hidden`: what is hidden from the student. A change since the schedule's version makes either
/// date right.
pub fn compare(cached: &CachedSchedule, records: &[Review], hidden: Hidden<'_>) -> Comparison {
    let ids = records.iter().map(|review| review.question_id.as_bytes());
    let places: HashMap<&[u8], usize> = ids.zip(0..).collect();
    let mut seen = vec![Seen::default(); records.len()];
    let mut found = Differences { records: records.len() as u64, ..Differences::default() };
    for (id, date) in &cached.dates {
        match places.get(id.as_slice()) {
            // A date in seconds is a whole number, which Redis keeps as it is.
            Some(&place) => {
                let score = hidden.score_in(&records[place], cached.retired);
                seen[place].is_date_right = Some(score.is_none_or(|score| score == *date));
            }
            None => found.ghost += 1,
        }
    }
    let mut only_cached = Vec::new();
    let mut expected = String::new();
    for (id, detail) in &cached.details {
        let place = places.get(id.as_slice()).copied();
        if let Some(place) = place {
            expected.clear();
            records[place].push_detail(&mut expected);
            seen[place].is_state_right = expected.as_bytes() == detail.as_slice()
                || read(id, detail).is_some_and(|state| is_without_memory(&state, &records[place]));
            if seen[place].is_state_right {
                continue;
            }
        }
        let known = place.map(|place| records[place].answered_at_us);
        only_cached.extend(
            read(id, detail).filter(|state| known.is_none_or(|order| order < state.answered_at_us)),
        );
    }
    for one in seen {
        match one.is_date_right {
            None => found.missing += 1,
            Some(false) => found.wrong_date += 1,
            Some(true) => found.wrong_state += u64::from(!one.is_state_right),
        }
    }
    found.records += found.ghost;
    only_cached.sort_unstable_by(|one, other| one.question_id.cmp(&other.question_id));
    Comparison { differences: found, only_cached }
}

/// Whether two states differ only in that one has no memory: an older memora cached or wrote it,
/// and the next answer gives it one.
fn is_without_memory(cached: &Review, record: &Review) -> bool {
    cached.memory.is_known() != record.memory.is_known()
        && *cached == Review { memory: cached.memory, ..record.clone() }
}

/// Parses a cached state; `None` if it is something else.
fn read(id: &[u8], detail: &[u8]) -> Option<Review> {
    Review::from_detail(std::str::from_utf8(id).ok()?, std::str::from_utf8(detail).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::rules::hidden::{NEVER, Retired};
    use proptest::prelude::*;

    fn hidden((retired, suspended): &(Retired, HashSet<String>)) -> Hidden<'_> {
        Hidden { retired, suspended }
    }

    #[test]
    fn a_hidden_question_has_no_date() {
        let retired = Retired::new([("q1".to_owned(), 1, true), ("q2".to_owned(), 2, true)]);
        let known = (retired, HashSet::from(["q3".to_owned()]));
        let records: Vec<Review> = (0..5).map(review).collect();
        let mut schedule = CachedSchedule { retired: 1, ..cached(&records) };
        let wrong = |schedule: &CachedSchedule| {
            compare(schedule, &records, hidden(&known)).differences.wrong_date
        };
        assert_eq!(wrong(&schedule), 2);
        for place in [1, 3] {
            schedule.dates[place].1 = NEVER;
        }
        // For a question retired since, either date is right.
        assert_eq!(wrong(&schedule), 0);
        schedule.retired = 2;
        assert_eq!(wrong(&schedule), 1);
        schedule.dates[2].1 = NEVER;
        schedule.dates[4].1 = NEVER;
        assert_eq!(wrong(&schedule), 1);
    }

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

    fn number_of(id: &[u8]) -> usize {
        String::from_utf8_lossy(&id[1..]).parse().unwrap_or(0)
    }

    #[test]
    fn what_is_the_same_does_not_differ() {
        let (nothing, records): (_, Vec<Review>) =
            ((Retired::default(), HashSet::new()), (0..50).map(review).collect());
        let found = compare(&cached(&records), &records, hidden(&nothing));
        let differences = Differences { records: 50, ..Differences::default() };
        assert_eq!(found, Comparison { differences, only_cached: Vec::new() });
    }

    proptest! {
        /// Every planted error is found, and counted under its name.
        #[test]
        fn planted_errors_are_counted(kinds in proptest::collection::vec(0..7usize, 0..200)) {
            let records: Vec<Review> =
                (0..kinds.len()).filter(|number| kinds[*number] != 1).map(review).collect();
            let mut schedule = cached(&(0..kinds.len()).map(review).collect::<Vec<_>>());
            schedule.dates.retain(|(id, _)| kinds[number_of(id)] != 0);
            for (id, date) in &mut schedule.dates {
                *date += if kinds[number_of(id)] == 2 { 86_400.0 } else { 0.0 };
            }
            schedule.details.retain(|(id, _)| kinds[number_of(id)] != 4);
            let newer = |number: usize| Review { answered_at_us: 7, ..review(number) };
            for (id, detail) in &mut schedule.details {
                match kinds[number_of(id)] {
                    3 => *detail = b"nonsense".to_vec(),
                    5 => *detail = newer(number_of(id)).detail().into_bytes(),
                    _ => {}
                }
            }
            schedule.dates.reverse();
            let count = |kind| kinds.iter().filter(|planted| **planted == kind).count() as u64;
            let expected = Differences {
                records: kinds.len() as u64,
                missing: count(0),
                ghost: count(1),
                wrong_date: count(2),
                wrong_state: count(3) + count(4) + count(5),
            };
            let nothing = (Retired::default(), HashSet::new());
            let found = compare(&schedule, &records, hidden(&nothing));
            prop_assert_eq!(found.differences, expected);
            // Ghosts, and states newer than their records.
            let mut only_cached: Vec<Review> = (0..kinds.len())
                .filter_map(|number| match kinds[number] {
                    1 => Some(review(number)),
                    5 => Some(newer(number)),
                    _ => None,
                })
                .collect();
            only_cached.sort_unstable_by(|one, other| one.question_id.cmp(&other.question_id));
            prop_assert_eq!(found.only_cached, only_cached);
        }
    }
}

//! The scheduling rules of spec section 3, with the rungs and thresholds that a season chooses.
//! Pure: no server, no clock.

use serde::{Deserialize, Serialize};

/// The lowest stability an answered question has.
pub const LOWEST_STABILITY: u8 = 1;
/// The highest stability: the rung at the top of the longest ladder.
pub const HIGHEST_STABILITY: u8 = 6;
/// The fewest rungs of a ladder, as many as in the spec.
pub const FEWEST_RUNGS: u8 = 4;
/// The assumed duration of an answer without one, in milliseconds.
pub const DEFAULT_DURATION_MS: u64 = 3_000;

const FAST_LESSON_MS: u64 = 2_000;
const FLUENT_LESSON_MS: u64 = 5_000;
/// The longest threshold: an hour.
const LONGEST_ANSWER_MS: u64 = 3_600_000;
/// The longest time to a rung's next review: a year.
const LONGEST_DAYS: u16 = 365;

/// A ladder: each right answer lets a question climb, a wrong one takes it to the lowest rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Ladder {
    /// A right answer that takes fewer milliseconds climbs two rungs.
    fast_ms: u64,
    /// A right answer that takes more milliseconds climbs none.
    slow_ms: u64,
    /// Days until the next review for each rung; 0 where there is no rung.
    days: [u16; HIGHEST_STABILITY as usize],
}

impl Default for Ladder {
    /// The ladder of spec section 3.
    fn default() -> Self {
        Ladder { fast_ms: 2_000, slow_ms: 6_000, days: [1, 3, 7, 14, 0, 0] }
    }
}

/// How a ladder is stored: the thresholds in milliseconds, the days of its rungs.
#[derive(Serialize, Deserialize)]
struct Wire {
    fast_ms: u64,
    slow_ms: u64,
    days: Vec<u16>,
}

impl TryFrom<Wire> for Ladder {
    type Error = String;

    fn try_from(Wire { fast_ms, slow_ms, days: rungs }: Wire) -> Result<Ladder, String> {
        let mut days = [0; HIGHEST_STABILITY as usize];
        if !(usize::from(FEWEST_RUNGS)..=days.len()).contains(&rungs.len()) {
            return Err(format!("a ladder has {FEWEST_RUNGS} to {HIGHEST_STABILITY} rungs"));
        }
        if rungs[0] < 1 || !rungs.is_sorted() || rungs.iter().any(|days| *days > LONGEST_DAYS) {
            return Err(format!(
                "each rung takes 1 to {LONGEST_DAYS} days, and no fewer than the one below it"
            ));
        }
        if fast_ms > slow_ms || slow_ms > LONGEST_ANSWER_MS {
            return Err(format!(
                "a fast answer takes no longer than a slow one, a slow one at most \
                 {LONGEST_ANSWER_MS} ms"
            ));
        }
        days[..rungs.len()].copy_from_slice(&rungs);
        Ok(Ladder { fast_ms, slow_ms, days })
    }
}

impl From<Ladder> for Wire {
    fn from(ladder: Ladder) -> Wire {
        let Ladder { fast_ms, slow_ms, days } = ladder;
        Wire { fast_ms, slow_ms, days: days[..usize::from(ladder.rungs())].to_vec() }
    }
}

impl Ladder {
    /// How many rungs it has, 4 to 6.
    pub fn rungs(&self) -> u8 {
        self.days.iter().fold(0, |count, days| count + u8::from(*days > 0))
    }

    /// In milliseconds: a right answer below the first is fast, one above the second is slow.
    pub fn thresholds(&self) -> (u64, u64) {
        (self.fast_ms, self.slow_ms)
    }

    /// The stability after an answer in a review session.
    ///
    /// `stability` is the one before (0 for a question without a record), `duration_ms` in
    /// milliseconds.
    pub fn stability_after_answer(&self, stability: u8, is_correct: bool, duration_ms: u64) -> u8 {
        if !is_correct {
            return LOWEST_STABILITY;
        }
        let step = match duration_ms {
            ms if ms < self.fast_ms => 2,
            ms if ms <= self.slow_ms => 1,
            _ => 0,
        };
        stability.saturating_add(step).clamp(LOWEST_STABILITY, self.rungs())
    }

    /// Days until the next review after a review session, by the new stability.
    pub fn days_after_answer(&self, stability: u8) -> i32 {
        let rung = stability.clamp(LOWEST_STABILITY, self.rungs());
        self.days[usize::from(rung) - 1].into()
    }
}

/// The stability that a lesson's interaction gives a question.
pub fn stability_after_lesson(attempts: u64, duration_ms: u64) -> u8 {
    match (attempts, duration_ms) {
        (2.., _) => 1,
        (_, ..FAST_LESSON_MS) => 4,
        (_, FAST_LESSON_MS..FLUENT_LESSON_MS) => 3,
        _ => 2,
    }
}

/// Days until the next review after a lesson, by the new stability.
pub fn days_after_lesson(stability: u8) -> i32 {
    match stability {
        ..=1 => 0,
        2 => 2,
        3 => 4,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_follow_the_table() {
        let table = [
            (0, true, 1_999, 2),
            (0, true, 2_000, 1),
            (0, true, 6_000, 1),
            (0, true, 6_001, 1),
            (2, true, 6_001, 2),
            (2, true, 6_000, 3),
            (3, true, 0, 4),
            (4, true, 0, 4),
            (4, false, 0, 1),
        ];
        for (before, is_correct, duration_ms, after) in table {
            let ladder = Ladder::default();
            assert_eq!(ladder.stability_after_answer(before, is_correct, duration_ms), after);
        }
        assert_eq!(
            [1, 2, 3, 4].map(|rung| Ladder::default().days_after_answer(rung)),
            [1, 3, 7, 14]
        );
    }

    #[test]
    fn lessons_follow_the_table() {
        let table =
            [(2, 0, 1), (1, 1_999, 4), (1, 2_000, 3), (1, 4_999, 3), (1, 5_000, 2), (0, 9_000, 2)];
        for (attempts, duration_ms, after) in table {
            assert_eq!(stability_after_lesson(attempts, duration_ms), after);
        }
        assert_eq!([1, 2, 3, 4].map(days_after_lesson), [0, 2, 4, 7]);
    }

    fn read(json: &str) -> Result<Ladder, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_ladder_may_have_its_own_thresholds_and_six_rungs() {
        let text = r#"{"fast_ms":0,"slow_ms":20000,"days":[1,2,4,8,16,32]}"#;
        let ladder = read(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(serde_json::to_string(&ladder).unwrap_or_default(), text);
        let climbed = |stability, duration_ms| {
            let after = ladder.stability_after_answer(stability, true, duration_ms);
            (after, ladder.days_after_answer(after))
        };
        // The slow reader of 9 seconds climbs, and nobody climbs two rungs.
        assert_eq!([climbed(1, 9_000), climbed(4, 1), climbed(6, 1)], [(2, 2), (5, 16), (6, 32)]);
        assert_eq!(climbed(4, 20_001), (4, 8));
        // A stability above the top of a ladder that was shortened.
        let spec = Ladder::default();
        assert_eq!(spec.stability_after_answer(6, true, 9_000), 4);
        assert_eq!(spec.days_after_answer(6), 14);
    }

    #[test]
    fn what_is_no_ladder_is_refused() {
        let one = |fast: u64, slow: u64, days: &str| {
            read(&format!(r#"{{"fast_ms":{fast},"slow_ms":{slow},"days":[{days}]}}"#))
        };
        assert_eq!(one(2_000, 6_000, "1,3,7,14"), Ok(Ladder::default()));
        for (fast, slow, days) in [
            (2_000, 6_000, "1,3,7"),
            (2_000, 6_000, "1,3,7,14,28,56,112"),
            (2_000, 6_000, "0,3,7,14"),
            (2_000, 6_000, "1,7,3,14"),
            (2_000, 6_000, "1,3,7,366"),
            (6_001, 6_000, "1,3,7,14"),
            (2_000, 3_600_001, "1,3,7,14"),
        ] {
            assert!(one(fast, slow, days).is_err(), "{fast} {slow} {days}");
        }
    }

    proptest! {
        #[test]
        fn stability_stays_in_range(before: u8, is_correct: bool, duration_ms: u64) {
            let ladder = Ladder::default();
            let after = ladder.stability_after_answer(before, is_correct, duration_ms);
            prop_assert!((LOWEST_STABILITY..=ladder.rungs()).contains(&after));
        }

        #[test]
        fn a_right_answer_never_lowers_and_speed_never_hurts(
            before in 0u8..=4, fast: u64, slower: u64,
        ) {
            let slow = fast.saturating_add(slower);
            let after = |duration| Ladder::default().stability_after_answer(before, true, duration);
            prop_assert!(after(fast) >= before);
            prop_assert!(after(fast) >= after(slow));
        }
    }
}

//! The scheduling rules of spec section 3. Pure: no server, no clock.

/// The lowest stability an answered question has.
pub const LOWEST_STABILITY: u8 = 1;
/// The highest stability.
pub const HIGHEST_STABILITY: u8 = 4;
/// The assumed duration of an answer without one, in milliseconds.
pub const DEFAULT_DURATION_MS: u64 = 3_000;

const FAST_ANSWER_MS: u64 = 2_000;
const SLOW_ANSWER_MS: u64 = 6_000;
const FAST_LESSON_MS: u64 = 2_000;
const FLUENT_LESSON_MS: u64 = 5_000;

/// The stability after an answer in a review session.
///
/// `stability` is the one before (0 for a question without a record), `duration_ms` in
/// milliseconds.
pub fn stability_after_answer(stability: u8, is_correct: bool, duration_ms: u64) -> u8 {
    if !is_correct {
        return LOWEST_STABILITY;
    }
    let step = match duration_ms {
        ..FAST_ANSWER_MS => 2,
        FAST_ANSWER_MS..=SLOW_ANSWER_MS => 1,
        _ => 0,
    };
    stability.saturating_add(step).clamp(LOWEST_STABILITY, HIGHEST_STABILITY)
}

/// Days until the next review after a review session, by the new stability.
pub fn days_after_answer(stability: u8) -> i32 {
    match stability {
        ..=1 => 1,
        2 => 3,
        3 => 7,
        _ => 14,
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
            assert_eq!(stability_after_answer(before, is_correct, duration_ms), after);
        }
        assert_eq!([1, 2, 3, 4].map(days_after_answer), [1, 3, 7, 14]);
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

    proptest! {
        #[test]
        fn stability_stays_in_range(before: u8, is_correct: bool, duration_ms: u64) {
            let after = stability_after_answer(before, is_correct, duration_ms);
            prop_assert!((LOWEST_STABILITY..=HIGHEST_STABILITY).contains(&after));
        }

        #[test]
        fn a_right_answer_never_lowers_and_speed_never_hurts(
            before in 0u8..=4, fast: u64, slower: u64,
        ) {
            let slow = fast.saturating_add(slower);
            prop_assert!(stability_after_answer(before, true, fast) >= before);
            let after = |duration| stability_after_answer(before, true, duration);
            prop_assert!(after(fast) >= after(slow));
        }
    }
}

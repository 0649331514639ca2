//! The stored memory of a question: FSRS's two numbers, and how often the student answered it
//! wrongly. Pure.
//!
//! Both numbers are rounded to ten-thousandths after each answer. So cache, journal and table hold
//! the same numbers, and computing them again gives the same result, to the last digit.

use super::fsrs::{Grade, Memory, Parameters};

/// How many units of [`MemoryState`] are 1.
const UNITS: f64 = 10_000.0;

/// Bits of the difficulty in the packed form; above it comes the stability, above that the lapses.
const DIFFICULTY_BITS: u32 = 17;
const STABILITY_BITS: u32 = 29;

/// The digits of the packed form as text.
const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

/// A student's memory of a question. By default there is none: the question has not been answered
/// since memora began to keep memories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// FSRS's stability in ten-thousandths of a day; 0: not known.
    pub stability: u32,
    /// FSRS's difficulty in ten-thousandths; 0: not known.
    pub difficulty: u32,
    /// Wrong answers so far.
    pub lapses: u16,
}

/// The circumstances of an answer, besides the memory.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    /// Days since the previous answer; `None`: no previous answer is known.
    pub days: Option<u32>,
    /// The days of the question's rung; `None`: it was on none, as before the first answer.
    pub rung_days: Option<u16>,
}

impl MemoryState {
    /// Whether FSRS's numbers are known.
    pub fn is_known(self) -> bool {
        self.stability > 0
    }

    /// The memory after an answer with this grade. If the memory is not known but the rung is, it
    /// begins from the rung: see [`Parameters::of_rung`].
    pub fn after(
        self,
        parameters: &Parameters,
        met: Met,
        grade: Grade,
        is_correct: bool,
    ) -> MemoryState {
        let of_rung = || met.rung_days.map(|days| parameters.of_rung(days));
        let known = self.is_known().then(|| self.exact()).or_else(of_rung);
        let days = met.days.unwrap_or_else(|| met.rung_days.unwrap_or(0).into());
        let after = parameters.after(known.map(|memory| (memory, days)), grade);
        let lapses = self.lapses.saturating_add((!is_correct).into());
        MemoryState { lapses, ..MemoryState::of(after) }
    }

    /// FSRS's numbers, rounded.
    fn of(memory: Memory) -> MemoryState {
        MemoryState {
            stability: units(memory.stability.into()),
            difficulty: units(memory.difficulty.into()),
            lapses: 0,
        }
    }

    /// The numbers as FSRS computes with them.
    pub fn exact(self) -> Memory {
        // FSRS computes in single precision.
        #[allow(clippy::cast_possible_truncation)]
        let whole = |units: u32| (f64::from(units) / UNITS) as f32;
        Memory { stability: whole(self.stability), difficulty: whole(self.difficulty) }
    }

    /// The stability in days, and the difficulty from 1 to 10, as the table has them; 0: not known.
    pub fn wholes(self) -> (f64, f64) {
        (f64::from(self.stability) / UNITS, f64::from(self.difficulty) / UNITS)
    }

    /// [`MemoryState::wholes`] as decimals.
    pub fn wholes_as_text(self) -> (String, String) {
        let text = |units: u32| format!("{}.{:04}", units / 10_000, units % 10_000);
        (text(self.stability), text(self.difficulty))
    }

    /// Reads [`MemoryState::wholes`]. Invalid numbers are no memory.
    pub fn of_wholes(stability: f64, difficulty: f64, lapses: u16) -> MemoryState {
        let (stability, difficulty) = (units(stability), units(difficulty));
        MemoryState { lapses, ..MemoryState::valid(stability, difficulty) }
    }

    /// The memory as one number, as entries have it; 0: there is none.
    pub fn packed(self) -> u64 {
        u64::from(self.lapses) << (STABILITY_BITS + DIFFICULTY_BITS)
            | u64::from(self.stability) << DIFFICULTY_BITS
            | u64::from(self.difficulty)
    }

    /// Reads [`MemoryState::packed`]. An invalid number is no memory.
    pub fn of_packed(packed: u64) -> MemoryState {
        let low = |bits: u32| (1u64 << bits) - 1;
        let part = |number: u64| u32::try_from(number).unwrap_or(0);
        let difficulty = part(packed & low(DIFFICULTY_BITS));
        let stability = part(packed >> DIFFICULTY_BITS & low(STABILITY_BITS));
        let lapses = packed >> (STABILITY_BITS + DIFFICULTY_BITS);
        let lapses = u16::try_from(lapses).unwrap_or(u16::MAX);
        MemoryState { lapses, ..MemoryState::valid(stability, difficulty) }
    }

    /// The memory as two numbers, as the log of answers has them; most of them take three bytes.
    pub fn numbers(self) -> [u64; 2] {
        let rest = u64::from(self.lapses) << DIFFICULTY_BITS | u64::from(self.difficulty);
        [self.stability.into(), rest]
    }

    /// Reads [`MemoryState::numbers`]. Invalid numbers are no memory.
    pub fn of_numbers([stability, rest]: [u64; 2]) -> MemoryState {
        let part = |number: u64| u32::try_from(number).unwrap_or(0);
        let lapses = u16::try_from(rest >> DIFFICULTY_BITS).unwrap_or(u16::MAX);
        let difficulty = part(rest & ((1 << DIFFICULTY_BITS) - 1));
        MemoryState { lapses, ..MemoryState::valid(part(stability), difficulty) }
    }

    /// Appends the packed form in digits of base 64, as details have it.
    pub fn push_text(self, text: &mut String) {
        let packed = self.packed();
        let digits = (u64::BITS - packed.leading_zeros()).div_ceil(6);
        for place in (0..digits).rev() {
            let digit = packed >> (6 * place) & 63;
            text.push(char::from(DIGITS[usize::try_from(digit).unwrap_or(0)]));
        }
    }

    /// Reads [`MemoryState::push_text`]; `None`: it is something else.
    pub fn read_text(text: &str) -> Option<MemoryState> {
        if text.len() > 11 {
            return None;
        }
        let digits = text.bytes().try_fold(0u64, |number, byte| {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'z' => byte - b'a' + 10,
                b'A'..=b'Z' => byte - b'A' + 36,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            Some(number << 6 | u64::from(digit))
        });
        digits.map(MemoryState::of_packed)
    }

    /// The numbers, unless they are out of FSRS's bounds.
    fn valid(stability: u32, difficulty: u32) -> MemoryState {
        let is_valid =
            (1..=365_000_000).contains(&stability) && (10_000..=100_000).contains(&difficulty);
        if is_valid {
            MemoryState { stability, difficulty, lapses: 0 }
        } else {
            MemoryState::default()
        }
    }
}

/// A number in ten-thousandths.
fn units(wholes: f64) -> u32 {
    // Saturates; NaN becomes 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let units = (wholes * UNITS).round() as u32;
    units
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any possible memory, and none.
    pub(in crate::rules) fn memories() -> impl Strategy<Value = MemoryState> {
        let numbers = prop_oneof![
            Just((0, 0)),
            (10u32..=365_000_000, 10_000u32..=100_000),
            (10u32..=1_000_000, 10_000u32..=100_000),
        ];
        (numbers, any::<u16>()).prop_map(|((stability, difficulty), lapses)| MemoryState {
            stability,
            difficulty,
            lapses,
        })
    }

    proptest! {
        #[test]
        fn every_form_round_trips(memory in memories()) {
            prop_assert_eq!(MemoryState::of_packed(memory.packed()), memory);
            prop_assert_eq!(MemoryState::of_numbers(memory.numbers()), memory);
            let mut text = String::new();
            memory.push_text(&mut text);
            prop_assert!(text.len() <= 11);
            prop_assert_eq!(MemoryState::read_text(&text), Some(memory));
            let (stability, difficulty) = memory.wholes();
            // As a DECIMAL with nine places returns them.
            let read = |number: f64| format!("{number:.9}").parse().unwrap_or(0.0);
            let read = MemoryState::of_wholes(read(stability), read(difficulty), memory.lapses);
            prop_assert_eq!(read, memory);
            let exact = |text: String| text.parse().unwrap_or(0.0);
            let (of_stability, of_difficulty) = memory.wholes_as_text();
            prop_assert_eq!((exact(of_stability), exact(of_difficulty)), (stability, difficulty));
        }

        #[test]
        fn whatever_else_is_none_or_refused(packed: u64, text in "\\PC{0,15}", number: f64) {
            for read in [MemoryState::of_packed(packed), MemoryState::of_wholes(number, number, 0)] {
                prop_assert!(!read.is_known() || (10_000..=100_000).contains(&read.difficulty));
            }
            let _ = MemoryState::read_text(&text);
        }

        /// A better answer never leaves a shorter memory, whatever the day.
        #[test]
        fn a_better_grade_never_leaves_less(
            memory in memories(), days in proptest::option::of(0u32..1_000),
            rung_days in proptest::option::of(1u16..365),
        ) {
            let parameters = Parameters::default();
            let met = Met { days, rung_days };
            let after = Grade::ALL.map(|grade| {
                memory.after(&parameters, met, grade, grade != Grade::Again)
            });
            prop_assert!(after.is_sorted_by_key(|state| state.stability), "{after:?}");
            prop_assert!(after.iter().all(|state| state.is_known()));
            prop_assert_eq!(after[0].lapses, memory.lapses.saturating_add(1));
            prop_assert_eq!(after[3].lapses, memory.lapses);
        }
    }

    #[test]
    fn a_question_from_before_begins_from_its_rung() {
        let parameters = Parameters::default();
        let right = |met| MemoryState::default().after(&parameters, met, Grade::Good, true);
        let first = right(Met { days: None, rung_days: None });
        assert_eq!((first.stability, first.difficulty), (23_065, 21_181));
        let on_time = right(Met { days: Some(14), rung_days: Some(14) });
        let unknown = right(Met { days: None, rung_days: Some(14) });
        assert_eq!(on_time, unknown);
        assert!(on_time.stability > 140_000, "{on_time:?}");
        let same_day = right(Met { days: Some(0), rung_days: Some(14) });
        assert!(same_day.stability < on_time.stability, "{same_day:?}");
    }

    #[test]
    fn most_take_few_characters() {
        let length = |memory: MemoryState| {
            let mut text = String::new();
            memory.push_text(&mut text);
            text.len()
        };
        let of = |days: f64, lapses| MemoryState::of_wholes(days, 5.1, lapses);
        let all = [MemoryState::default(), of(2.3, 0), of(60.0, 0), of(60.0, 3), of(36_500.0, 9)];
        assert_eq!(all.map(length), [0, 6, 7, 8, 9]);
    }
}

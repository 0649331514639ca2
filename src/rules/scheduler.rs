//! How one question is scheduled: by its rung on a ladder, or by FSRS from how well it is
//! remembered. Pure.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fsrs::{Parameters, days_until_review};
use super::ladder::Ladder;
use super::memory::MemoryState;

/// FSRS's parameters if none were trained.
static PARAMETERS: LazyLock<Parameters> = LazyLock::new(Parameters::default);

/// What a season, or a subject of it, chooses. By default the ladder of spec section 3.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scheduler {
    /// How rungs change, whether dates come from them or not. FSRS's grades use its thresholds,
    /// too.
    #[serde(flatten)]
    pub ladder: Ladder,
    /// `None`: the dates come from the rung.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fsrs: Option<Fsrs>,
    /// FSRS's parameters, by which memories change even if dates come from the rung; `None`: the
    /// default ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Box<Parameters>>,
}

impl Scheduler {
    /// The parameters by which memories change if none were trained.
    pub fn default_parameters() -> &'static Parameters {
        &PARAMETERS
    }
}

/// Dates by FSRS.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Fsrs {
    /// The probability with which a question is still known when it is due.
    retention: f32,
    /// The most days until a review.
    longest_days: u16,
}

/// How it is stored.
#[derive(Serialize, Deserialize)]
struct Wire {
    retention: f32,
    longest_days: u16,
}

impl TryFrom<Wire> for Fsrs {
    type Error = String;

    fn try_from(Wire { retention, longest_days }: Wire) -> Result<Fsrs, String> {
        if !(0.7..=0.97).contains(&retention) {
            return Err("the desired retention is 0.70 to 0.97".to_owned());
        }
        if !(1..=36_500).contains(&longest_days) {
            return Err("the longest interval is 1 to 36500 days".to_owned());
        }
        Ok(Fsrs { retention, longest_days })
    }
}

impl From<Fsrs> for Wire {
    fn from(Fsrs { retention, longest_days }: Fsrs) -> Wire {
        Wire { retention, longest_days }
    }
}

impl Fsrs {
    /// Days until a question is due again, with this memory after its answer.
    pub fn days(self, parameters: &Parameters, memory: MemoryState, seed: u64) -> i32 {
        let interval = parameters.interval(memory.exact().stability, self.retention);
        let days = days_until_review(interval, self.longest_days.into(), seed);
        i32::try_from(days).unwrap_or(i32::MAX)
    }
}

/// The seed that spreads the dates of a student's questions, the same for each of their answers.
pub fn seed_of(player: &str) -> u32 {
    let digest = Sha256::digest(player.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// The seed that spreads the dates of one question of a student.
pub fn seed_of_question(of_player: u32, question_id: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(of_player.to_be_bytes());
    hasher.update(question_id.as_bytes());
    let digest = hasher.finalize();
    digest[..8].iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::memory::tests::memories;
    use proptest::prelude::*;

    fn fsrs(retention: f32, longest_days: u16) -> Fsrs {
        let fsrs = Fsrs::try_from(Wire { retention, longest_days });
        fsrs.unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_is_no_choice_is_refused() {
        let read = |json: &str| serde_json::from_str::<Scheduler>(json).map(|_| ());
        let ladder = r#""fast_ms":2000,"slow_ms":6000,"days":[1,3,7,14]"#;
        for (is_right, rest) in [
            (true, r#""fsrs":{"retention":0.9,"longest_days":365}"#),
            (true, r#""fsrs":{"retention":0.7,"longest_days":1}"#),
            (true, r#""fsrs":{"retention":0.97,"longest_days":36500}"#),
            (false, r#""fsrs":{"retention":0.69,"longest_days":365}"#),
            (false, r#""fsrs":{"retention":0.98,"longest_days":365}"#),
            (false, r#""fsrs":{"retention":0.9,"longest_days":0}"#),
            (false, r#""fsrs":{"retention":0.9,"longest_days":36501}"#),
            (false, r#""fsrs":{"retention":0.9}"#),
            (false, r#""parameters":[1,2,3]"#),
        ] {
            assert_eq!(read(&format!("{{{ladder},{rest}}}")).is_ok(), is_right, "{rest}");
        }
    }

    #[test]
    fn nothing_is_the_ladder_of_the_spec() {
        let text = serde_json::to_string(&Scheduler::default()).unwrap_or_default();
        assert_eq!(text, r#"{"fast_ms":2000,"slow_ms":6000,"days":[1,3,7,14]}"#);
        assert_eq!(serde_json::from_str::<Scheduler>(&text).ok(), Some(Scheduler::default()));
    }

    #[test]
    fn a_class_does_not_have_its_questions_on_one_day() {
        let memory = MemoryState::of_wholes(100.0, 5.0, 0);
        let days = (0..100).map(|student| {
            let seed = seed_of_question(seed_of(&format!("{student}@example.com")), "q");
            fsrs(0.9, 365).days(Scheduler::default_parameters(), memory, seed)
        });
        let days: std::collections::BTreeSet<i32> = days.collect();
        assert!(days.len() > 8, "{days:?}");
        assert!(days.iter().all(|days| (95..=105).contains(days)), "{days:?}");
    }

    proptest! {
        /// Dates move by at most 5%, and stay between a day and the longest interval. A longer
        /// memory is not due earlier.
        #[test]
        fn dates_are_spread_within_bounds(
            memory in memories(), seed: u64, retention in 0.7f32..=0.97, longest in 1u16..=36_500,
        ) {
            prop_assume!(memory.is_known());
            let parameters = Scheduler::default_parameters();
            let fsrs = fsrs(retention, longest);
            let days = fsrs.days(parameters, memory, seed);
            let longest = i32::from(longest);
            prop_assert!((1..=longest).contains(&days));
            let exact = f64::from(parameters.interval(memory.exact().stability, retention)).round();
            let spread = (exact * 0.05).floor();
            // The longest interval can only be shortened.
            let (days_f64, longest_f64) = (f64::from(days), f64::from(longest));
            let most = longest_f64 - (longest_f64 * 0.05).floor();
            if exact <= most {
                prop_assert!((days_f64 - exact.max(1.0)).abs() <= spread, "{days} {exact}");
            } else {
                prop_assert!(days_f64 >= most - (most * 0.05).floor(), "{days} {exact}");
            }
            let longer = MemoryState { stability: memory.stability.saturating_mul(2).min(365_000_000), ..memory };
            prop_assert!(fsrs.days(parameters, longer, seed) >= days);
        }
    }
}

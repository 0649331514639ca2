//! One answer, and its result.

use serde::{Deserialize, Serialize};

use super::fsrs::Grade;
use super::ladder::{self, Ladder};

/// One answer, from any form of input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The question.
    pub question_id: String,
    /// What was observed of the student.
    pub observed: Observed,
    /// When it was given, Unix seconds, if the client says so; otherwise when it arrived.
    pub given_at: Option<i64>,
}

/// What was observed of the student, with the rule by which it counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Observed {
    /// In a review session.
    Review {
        /// The answer was right.
        is_correct: bool,
        /// How well the question was known, 0 to 5, if the client sent it.
        #[serde(default)]
        quality: Option<u8>,
        /// Milliseconds it took.
        duration_ms: u64,
    },
    /// In a lesson.
    Lesson {
        /// How many attempts it took.
        attempts: u64,
        /// Milliseconds it took.
        duration_ms: u64,
    },
}

impl Observed {
    /// The stability after this, and the days until the next review.
    pub fn rate(self, stability: u8, ladder: &Ladder) -> (u8, i32) {
        match self {
            Observed::Review { is_correct, duration_ms, .. } => {
                let after = ladder.stability_after_answer(stability, is_correct, duration_ms);
                (after, ladder.days_after_answer(after))
            }
            Observed::Lesson { attempts, duration_ms } => {
                let after = ladder::stability_after_lesson(attempts, duration_ms);
                (after, ladder::days_after_lesson(after))
            }
        }
    }

    /// How FSRS grades this. The ladder defines which answers are fast and slow.
    pub fn grade(self, ladder: &Ladder) -> Grade {
        match self {
            Observed::Review { is_correct, quality, duration_ms } => {
                Grade::of_answer(is_correct, quality, duration_ms, ladder.thresholds())
            }
            Observed::Lesson { attempts, duration_ms } => {
                Grade::of_lesson(ladder::stability_after_lesson(attempts, duration_ms))
            }
        }
    }

    /// Milliseconds it took.
    pub fn duration_ms(self) -> u64 {
        match self {
            Observed::Review { duration_ms, .. } | Observed::Lesson { duration_ms, .. } => {
                duration_ms
            }
        }
    }

    /// How well the question was known, 0 to 5, if the client sent it.
    pub fn quality(self) -> Option<u8> {
        match self {
            Observed::Review { quality, .. } => quality,
            Observed::Lesson { .. } => None,
        }
    }

    /// Whether it counts as a right answer.
    pub fn is_correct(self) -> bool {
        match self {
            Observed::Review { is_correct, .. } => is_correct,
            Observed::Lesson { attempts, .. } => attempts <= 1,
        }
    }
}

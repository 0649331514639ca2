//! How the students of a season answer, counted from its log. Pure.

use std::collections::BTreeMap;

use super::answer::Observed;
use super::answer_log::LoggedAnswer;
use super::counted_on::Before;
use super::fsrs::{Grade, Parameters};
use super::simulation::{RightAnswer, Student};

/// With fewer answers, nothing is said about the students.
pub const FEWEST: u64 = 200;
/// With fewer first answers, nothing is said about first answers.
const FEWEST_FIRST: u64 = 50;
/// The assumed share of right first answers, if too few are known.
const FIRST_RIGHT: f64 = 0.7;
/// How many of thirty right answers of an ordinary reader are fast, neither, or slow.
const ORDINARY: [u32; 3] = [6, 19, 5];

/// How long a right answer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Speed {
    Fast,
    Neither,
    Slow,
}

/// How students answer in review sessions.
#[derive(Clone, Debug)]
pub struct Answering {
    thresholds: (u64, u64),
    /// All answers, and right ones.
    all: (u64, u64),
    /// The same for first answers.
    first: (u64, u64),
    /// Right answers by speed and quality.
    right: BTreeMap<(Speed, Option<u8>), u32>,
}

impl Answering {
    /// Without answers yet. The thresholds are in milliseconds: an answer below the first is fast,
    /// one above the second is slow.
    pub fn new(thresholds: (u64, u64)) -> Answering {
        Answering { thresholds, all: (0, 0), first: (0, 0), right: BTreeMap::new() }
    }

    /// Counts an answer. Answers in lessons, and those that an edit overrides, are ignored.
    pub fn add(&mut self, logged: &LoggedAnswer) {
        let Observed::Review { is_correct, quality, duration_ms } = logged.answer.observed else {
            return;
        };
        let count = |(all, right): &mut (u64, u64)| {
            *all += 1;
            *right += u64::from(is_correct);
        };
        match logged.before {
            Before::Overridden => return,
            Before::NoRecord | Before::Record { rung: 0, .. } => count(&mut self.first),
            Before::Record { .. } => {}
        }
        count(&mut self.all);
        if is_correct {
            let speed = match duration_ms {
                ms if ms < self.thresholds.0 => Speed::Fast,
                ms if ms <= self.thresholds.1 => Speed::Neither,
                _ => Speed::Slow,
            };
            *self.right.entry((speed, quality)).or_default() += 1;
        }
    }

    /// How many answers were counted.
    pub fn answers(&self) -> u64 {
        self.all.0
    }

    /// Whether they are too few to tell how the students answer.
    pub fn is_unknown(&self) -> bool {
        self.answers() < FEWEST
    }

    /// The share of right answers.
    pub fn right(&self) -> f64 {
        share(self.all.1, self.all.0)
    }

    /// The shares of fast and of slow answers among the right ones.
    pub fn fast_and_slow(&self) -> (f64, f64) {
        let of = |wanted| {
            let those = self.right.iter().filter(|((speed, _), _)| *speed == wanted);
            share(those.map(|(_, count)| u64::from(*count)).sum(), self.all.1)
        };
        (of(Speed::Fast), of(Speed::Slow))
    }

    /// A simulated student who answers like the season's students and has this memory. Answers like
    /// an ordinary student if too few answers are known.
    pub fn student(&self, memory: Parameters) -> Student {
        let ordinary = [Speed::Fast, Speed::Neither, Speed::Slow].into_iter().zip(ORDINARY);
        let is_known = !self.is_unknown() && self.all.1 > 0;
        let kinds: Vec<((Speed, Option<u8>), u32)> = if is_known {
            self.right.iter().map(|(kind, count)| (*kind, *count)).collect()
        } else {
            ordinary.map(|(speed, weight)| ((speed, None), weight)).collect()
        };
        let (fast_ms, slow_ms) = self.thresholds;
        let right = kinds.into_iter().map(|((speed, quality), weight)| {
            // Some duration of this speed.
            let duration_ms = match speed {
                Speed::Fast => fast_ms.saturating_sub(1),
                Speed::Neither => fast_ms,
                Speed::Slow => slow_ms.saturating_add(1),
            };
            let grade = Grade::of_answer(true, quality, duration_ms, self.thresholds);
            RightAnswer { grade, quality, duration_ms, weight }
        });
        let is_first_known = is_known && self.first.0 >= FEWEST_FIRST;
        let first_right =
            if is_first_known { share(self.first.1, self.first.0) } else { FIRST_RIGHT };
        // A probability needs no more digits.
        #[allow(clippy::cast_possible_truncation)]
        let first_right = first_right as f32;
        Student { memory, first_right, right: right.collect() }
    }
}

fn share(some: u64, all: u64) -> f64 {
    some as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::counted_on::tests::rung;
    use crate::rules::histories::tests::logged;

    fn answered(
        count: u64,
        duration_ms: u64,
        quality: Option<u8>,
        before: Before,
    ) -> Vec<LoggedAnswer> {
        let mut one = logged("q", 0, true, before);
        let is_correct = quality.is_none_or(|quality| quality > 2);
        one.answer.observed = Observed::Review { is_correct, quality, duration_ms };
        vec![one; usize::try_from(count).unwrap_or(0)]
    }

    fn counted(answers: &[Vec<LoggedAnswer>]) -> Answering {
        let mut answering = Answering::new((2_000, 6_000));
        answers.iter().flatten().for_each(|answer| answering.add(answer));
        answering
    }

    #[test]
    fn a_student_answers_as_those_of_the_season_do() {
        let answering = counted(&[
            answered(60, 1_000, None, rung(2)),
            answered(30, 9_000, Some(5), rung(2)),
            answered(100, 3_000, Some(1), Before::NoRecord),
            answered(60, 3_000, None, Before::NoRecord),
            answered(50, 3_000, None, Before::Overridden),
        ]);
        assert_eq!((answering.answers(), answering.is_unknown()), (250, false));
        assert_eq!((answering.right(), answering.fast_and_slow()), (0.6, (0.4, 0.2)));
        let student = answering.student(Parameters::default());
        assert!((student.first_right - 0.375).abs() < 1e-6);
        let kinds: Vec<_> =
            student.right.iter().map(|kind| (kind.grade, kind.quality, kind.weight)).collect();
        let expected =
            [(Grade::Easy, None, 60), (Grade::Good, None, 60), (Grade::Easy, Some(5), 30)];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_few_answers_tell_nothing() {
        let student =
            counted(&[answered(199, 9_000, None, Before::NoRecord)]).student(Parameters::default());
        let weights: Vec<u32> = student.right.iter().map(|kind| kind.weight).collect();
        assert_eq!((weights, student.first_right), (ORDINARY.to_vec(), 0.7));
    }
}

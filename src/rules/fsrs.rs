//! FSRS-6: how well a student remembers a question, and when it is due. Pure: no server, no clock.
//!
//! The memory of a question is two numbers. *Stability* is the number of days after which the
//! student still knows it with a probability of 90%. *Difficulty*, from 1 to 10, is how little an
//! answer adds to the stability. Each answer has a grade. The grade, and the probability that the
//! student knew the answer, change both.
//!
//! The formulas are those that the authors of FSRS publish
//! (<https://github.com/open-spaced-repetition/fsrs4anki/wiki/The-Algorithm>), in single precision,
//! as in training.

use serde::{Deserialize, Serialize};

/// The least stability, in days.
const LEAST_STABILITY: f32 = 0.001;
/// The greatest stability, in days.
const GREATEST_STABILITY: f32 = 36_500.0;
/// The least difficulty.
const EASIEST: f32 = 1.0;
/// The greatest difficulty.
const HARDEST: f32 = 10.0;
/// The probability of knowing an answer after as many days as the stability says.
const KNOWN_AFTER_STABILITY: f32 = 0.9;

/// The bounds of each parameter in training.
const BOUNDS: [(f32, f32); 21] = [
    (0.001, 100.0),
    (0.001, 100.0),
    (0.001, 100.0),
    (0.001, 100.0),
    (1.0, 10.0),
    (0.001, 4.0),
    (0.001, 4.0),
    (0.001, 0.75),
    (0.0, 4.5),
    (0.0, 0.8),
    (0.001, 3.5),
    (0.001, 5.0),
    (0.001, 0.25),
    (0.001, 0.9),
    (0.0, 4.0),
    (0.0, 1.0),
    (1.0, 6.0),
    (0.0, 2.0),
    (0.0, 2.0),
    (0.01, 0.8),
    (0.1, 0.8),
];

/// How well an answer was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Wrong.
    Again = 1,
    /// Right, with difficulty.
    Hard = 2,
    /// Right.
    Good = 3,
    /// Right, at once.
    Easy = 4,
}

impl Grade {
    /// All grades, the worst first.
    pub const ALL: [Grade; 4] = [Grade::Again, Grade::Hard, Grade::Good, Grade::Easy];

    /// The grade of an answer in a review session: by its quality (0 to 5) if the client gave one,
    /// else by its duration. `fast_ms` and `slow_ms` are the ladder's thresholds.
    pub fn of_answer(
        is_correct: bool,
        quality: Option<u8>,
        duration_ms: u64,
        (fast_ms, slow_ms): (u64, u64),
    ) -> Grade {
        match (is_correct, quality) {
            (false, _) => Grade::Again,
            (true, Some(..=3)) => Grade::Hard,
            (true, Some(4)) => Grade::Good,
            (true, Some(_)) => Grade::Easy,
            (true, None) if duration_ms < fast_ms => Grade::Easy,
            (true, None) if duration_ms > slow_ms => Grade::Hard,
            (true, None) => Grade::Good,
        }
    }

    /// The grade of a lesson's interaction, by the rating (1 to 4) that the lesson gives it.
    pub fn of_lesson(rating: u8) -> Grade {
        match rating {
            ..=1 => Grade::Again,
            2 => Grade::Hard,
            3 => Grade::Good,
            _ => Grade::Easy,
        }
    }

    /// Its number in the formulas.
    fn number(self) -> f32 {
        f32::from(self as u8)
    }
}

/// How well a student remembers a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Days until it is known with a probability of 90%.
    pub stability: f32,
    /// 1 to 10.
    pub difficulty: f32,
}

/// The 21 parameters, w0 to w20 in the published formulas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f32>", into = "Vec<f32>")]
pub struct Parameters {
    /// w0 to w3: the stability after a first answer, by its grade.
    first_stability: [f32; 4],
    /// w4 and w5: the difficulty after a first wrong answer, and how fast it falls with the grade.
    first_difficulty: (f32, f32),
    /// w6: how much a grade changes the difficulty.
    difficulty_step: f32,
    /// w7: how fast the difficulty returns to that of a first easy answer.
    difficulty_return: f32,
    /// w8: how much a right answer adds to the stability, as an exponent.
    gain: f32,
    /// w9: how much less it adds to a greater stability.
    gain_saturation: f32,
    /// w10: how much more it adds to what was nearly forgotten.
    gain_by_forgetting: f32,
    /// w11: the stability after a wrong answer.
    relearned: f32,
    /// w12: how much less it is for a greater difficulty.
    relearned_by_difficulty: f32,
    /// w13: how much of the previous stability it keeps.
    relearned_by_stability: f32,
    /// w14: how much greater it is if the question was nearly forgotten.
    relearned_by_forgetting: f32,
    /// w15: the share of the gain that a hard answer gets.
    hard_share: f32,
    /// w16: how many times the gain an easy answer has.
    easy_bonus: f32,
    /// w17: how much a grade changes the stability on the day of the previous answer.
    same_day_step: f32,
    /// w18: from which grade on the stability then grows.
    same_day_shift: f32,
    /// w19: how much less it changes a greater stability.
    same_day_saturation: f32,
    /// w20: how fast forgetting slows down.
    decay: f32,
}

impl Default for Parameters {
    /// The published defaults of FSRS-6, which fit learners on average.
    fn default() -> Self {
        Parameters::from([
            0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796,
            1.4835, 0.0614, 0.2629, 1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
        ])
    }
}

impl From<[f32; 21]> for Parameters {
    fn from(w: [f32; 21]) -> Self {
        Parameters {
            first_stability: [w[0], w[1], w[2], w[3]],
            first_difficulty: (w[4], w[5]),
            difficulty_step: w[6],
            difficulty_return: w[7],
            gain: w[8],
            gain_saturation: w[9],
            gain_by_forgetting: w[10],
            relearned: w[11],
            relearned_by_difficulty: w[12],
            relearned_by_stability: w[13],
            relearned_by_forgetting: w[14],
            hard_share: w[15],
            easy_bonus: w[16],
            same_day_step: w[17],
            same_day_shift: w[18],
            same_day_saturation: w[19],
            decay: w[20],
        }
    }
}

impl TryFrom<Vec<f32>> for Parameters {
    type Error = String;

    /// Clamps each to the bounds of training, beyond which the formulas may give NaN.
    fn try_from(given: Vec<f32>) -> Result<Parameters, String> {
        let given = <[f32; 21]>::try_from(given).ok();
        let given = given.filter(|given| given.iter().all(|number| number.is_finite()));
        let mut given = given.ok_or("FSRS has 21 parameters, each a number")?;
        for (number, (least, most)) in given.iter_mut().zip(BOUNDS) {
            *number = number.clamp(least, most);
        }
        Ok(Parameters::from(given))
    }
}

impl From<Parameters> for Vec<f32> {
    fn from(parameters: Parameters) -> Vec<f32> {
        let Parameters { first_stability, first_difficulty: (base, rate), .. } = parameters;
        let mut list = first_stability.to_vec();
        list.extend([
            base,
            rate,
            parameters.difficulty_step,
            parameters.difficulty_return,
            parameters.gain,
            parameters.gain_saturation,
            parameters.gain_by_forgetting,
            parameters.relearned,
            parameters.relearned_by_difficulty,
            parameters.relearned_by_stability,
            parameters.relearned_by_forgetting,
            parameters.hard_share,
            parameters.easy_bonus,
            parameters.same_day_step,
            parameters.same_day_shift,
            parameters.same_day_saturation,
            parameters.decay,
        ]);
        list
    }
}

impl Parameters {
    /// The probability that a question is known this many days after its last answer.
    pub fn recall(&self, stability: f32, days: f32) -> f32 {
        (days / stability * self.forgetting() + 1.0).powf(-self.decay)
    }

    /// Days after which a question is known with this probability.
    pub fn interval(&self, stability: f32, retention: f32) -> f32 {
        stability / self.forgetting() * (retention.powf(-self.decay.recip()) - 1.0)
    }

    /// The memory after an answer with this grade. `before` is the memory after the previous answer
    /// and the days since then (0 on the same day); `None` for a first answer.
    pub fn after(&self, before: Option<(Memory, u32)>, grade: Grade) -> Memory {
        let Some((memory, days)) = before else {
            let stability = self.first_stability[grade as usize - 1];
            return bounded(stability, self.first_difficulty(grade));
        };
        let Memory { stability, difficulty } = bounded(memory.stability, memory.difficulty);
        // Days of a person's life: exact in single precision.
        #[allow(clippy::cast_precision_loss)]
        let recall = self.recall(stability, days as f32);
        let after = match (days, grade) {
            (0, _) => self.same_day(stability, grade),
            (_, Grade::Again) => self.relearned(stability, difficulty, recall),
            _ => self.recalled(stability, difficulty, recall, grade),
        };
        bounded(after, self.difficulty(difficulty, grade))
    }

    /// The memory of a question of which only the days of its rung are known, as if they were its
    /// stability, and with the difficulty of a first hard answer.
    pub fn of_rung(&self, days: u16) -> Memory {
        bounded(days.into(), self.first_difficulty(Grade::Hard))
    }

    /// The factor of the curve that makes it 90% after as many days as the stability.
    fn forgetting(&self) -> f32 {
        (KNOWN_AFTER_STABILITY.ln() / -self.decay).exp() - 1.0
    }

    /// The difficulty after a first answer, without bounds.
    fn first_difficulty(&self, grade: Grade) -> f32 {
        let (base, rate) = self.first_difficulty;
        base - (rate * (grade.number() - 1.0)).exp() + 1.0
    }

    /// The difficulty after another answer: the harder a question is, the less it grows.
    fn difficulty(&self, before: f32, grade: Grade) -> f32 {
        let step = -self.difficulty_step * (grade.number() - 3.0);
        let moved = before + step * (HARDEST - before) / (HARDEST - EASIEST);
        moved + self.difficulty_return * (self.first_difficulty(Grade::Easy) - moved)
    }

    /// The stability after a right answer on a later day.
    fn recalled(&self, stability: f32, difficulty: f32, recall: f32, grade: Grade) -> f32 {
        let ease = HARDEST + 1.0 - difficulty;
        let saturation = stability.powf(-self.gain_saturation);
        let surprise = (self.gain_by_forgetting * (1.0 - recall)).exp() - 1.0;
        let by_grade = match grade {
            Grade::Hard => self.hard_share,
            Grade::Easy => self.easy_bonus,
            _ => 1.0,
        };
        stability * (1.0 + self.gain.exp() * ease * saturation * surprise * by_grade)
    }

    /// The stability after a wrong answer on a later day, with the limit of the published formula.
    fn relearned(&self, stability: f32, difficulty: f32, recall: f32) -> f32 {
        let by_difficulty = difficulty.powf(-self.relearned_by_difficulty);
        let kept = (stability + 1.0).powf(self.relearned_by_stability) - 1.0;
        let forgotten = (self.relearned_by_forgetting * (1.0 - recall)).exp();
        let most = stability / (self.same_day_step * self.same_day_shift).exp();
        (self.relearned * by_difficulty * kept * forgotten).min(most)
    }

    /// The stability after another answer on the same day: a right one never lowers it.
    fn same_day(&self, stability: f32, grade: Grade) -> f32 {
        let by_grade = (self.same_day_step * (grade.number() - 3.0 + self.same_day_shift)).exp();
        let factor = by_grade * stability.powf(-self.same_day_saturation);
        stability * if grade == Grade::Again { factor } else { factor.max(1.0) }
    }
}

/// The days until the next review: an interval as a whole number from 1 to `longest`, spread by up
/// to 5% so that a class's questions are not all due on one day. Intervals below 20 days are not
/// spread, and the longest ones stay below `longest`. `seed` is the same for each answer of one
/// student to one question.
pub fn days_until_review(interval: f32, longest: u32, seed: u64) -> u32 {
    let share = (seed >> 40) as f64 / f64::from(1 << 23) - 1.0;
    let longest = f64::from(longest.max(1));
    let most = longest - (longest * SPREAD).floor();
    let days = f64::from(interval).round().clamp(1.0, most);
    // Between 1 and `longest`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let days = (days + (days * SPREAD * share).trunc()) as u32;
    days
}

/// The share of its interval by which a review is moved at most.
const SPREAD: f64 = 0.05;

fn bounded(stability: f32, difficulty: f32) -> Memory {
    Memory {
        stability: stability.clamp(LEAST_STABILITY, GREATEST_STABILITY),
        difficulty: difficulty.clamp(EASIEST, HARDEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsrs::{DEFAULT_PARAMETERS, FSRS, MemoryState};

    fn differs(one: f32, other: f32) -> f32 {
        (one - other).abs() / other.abs()
    }

    /// 600,000 random steps: 2,000 sets of parameters, the first of which is the default. With each
    /// set, a question is answered 75 times, each time with all four grades.
    #[test]
    fn all_is_as_the_crate_fsrs_computes_it() {
        let mut random = fastrand::Rng::with_seed(21);
        let mut worst: f32 = 0.0;
        for set in 0..2_000 {
            let w = match set {
                0 => DEFAULT_PARAMETERS,
                _ => BOUNDS.map(|(least, most)| least + (most - least) * random.f32()),
            };
            let theirs = FSRS::new(&w).unwrap_or_else(|error| panic!("{error}"));
            let ours = Parameters::from(w);
            let mut before: Option<(Memory, u32)> = None;
            for _ in 0..75 {
                let retention = 0.7 + 0.27 * random.f32();
                let state = before.map(|(memory, _)| MemoryState {
                    stability: memory.stability,
                    difficulty: memory.difficulty,
                });
                let days = before.map_or(0, |(_, days)| days);
                let next = theirs.next_states(state, retention, days);
                let next = next.unwrap_or_else(|error| panic!("{error}"));
                let next = [next.again, next.hard, next.good, next.easy];
                let after = Grade::ALL.map(|grade| ours.after(before, grade));
                for (mine, their) in after.iter().zip(next) {
                    let interval = ours.interval(mine.stability, retention);
                    worst = worst
                        .max(differs(mine.stability, their.memory.stability))
                        .max(differs(mine.difficulty, their.memory.difficulty))
                        .max(differs(interval, their.interval));
                }
                // Often right, at about the right time, on the same day now and then.
                let memory = after[[0, 1, 2, 2, 2, 3][random.usize(0..6)]];
                let late = memory.stability.min(1e6) * 2.0 * random.f32();
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let days = if random.u8(0..5) == 0 { 0 } else { late.ceil() as u32 };
                before = Some((memory, days));
            }
        }
        assert!(worst <= 1e-6, "{worst}");
    }
}

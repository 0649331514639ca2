//! Simulates a season: how many reviews a day a scheduler asks of a student, and how much the
//! student knows at the end. Pure, and the same each time.
//!
//! The simulated student remembers as FSRS predicts with parameters that the scheduler need not
//! know.

use fastrand::Rng;

use super::fsrs::{Grade, Memory, Parameters, days_until_review};
use super::ladder::Ladder;

/// A way to choose when a question comes again.
#[derive(Clone, Debug)]
pub enum Way {
    /// By rungs.
    Ladder(Ladder),
    /// By the memory.
    Fsrs {
        /// What the scheduler believes of memories.
        parameters: Parameters,
        /// The probability with which a question is known when it comes again.
        retention: f32,
        /// Which answers are fast and slow, in milliseconds.
        thresholds: (u64, u64),
        /// The longest interval in days.
        longest: u32,
    },
}

/// A right answer of a student.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RightAnswer {
    /// How well it was known.
    pub grade: Grade,
    /// The quality that the client sends, 0 to 5, if any.
    pub quality: Option<u8>,
    /// Milliseconds it takes.
    pub duration_ms: u64,
    /// Its share of the sum of all weights is the share of right answers of this kind.
    pub weight: u32,
}

/// How a student remembers and answers.
#[derive(Clone, Debug)]
pub struct Student {
    /// How the student remembers.
    pub memory: Parameters,
    /// The probability that a first answer is right.
    pub first_right: f32,
    /// The kinds of right answers.
    pub right: Vec<RightAnswer>,
}

/// How long a season is, and how much students learn in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many questions lessons bring in.
    pub questions: usize,
    /// How many days it has.
    pub days: u32,
    /// Over how many days, from the first, lessons bring them in evenly.
    pub lesson_days: u32,
}

/// The outcome of a season, as sums over its students.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Reviews on each day.
    pub by_day: Vec<u64>,
    /// Right ones among them.
    pub right: u64,
    /// Each student's most reviews on one day.
    pub busiest: u64,
    /// How many questions would be answered right on the day after the last.
    pub known: f64,
}

impl Outcome {
    /// All reviews.
    pub fn reviews(&self) -> u64 {
        self.by_day.iter().sum()
    }
}

/// What a scheduler knows of a question.
#[derive(Clone, Copy, Default)]
struct Known {
    rung: u8,
    memory: Option<Memory>,
    /// The day of the last answer.
    last: u32,
}

/// An answer as the scheduler sees it.
#[derive(Clone, Copy)]
struct Seen {
    is_right: bool,
    quality: Option<u8>,
    duration_ms: u64,
}

impl Way {
    /// Notes an answer, and returns the days until the next one.
    fn answered(&self, known: &mut Known, day: u32, seen: Seen, seed: u64) -> u32 {
        let since = day - known.last;
        known.last = day;
        match self {
            Way::Ladder(ladder) => {
                let Seen { is_right, duration_ms, .. } = seen;
                known.rung = ladder.stability_after_answer(known.rung, is_right, duration_ms);
                ladder.days_after_answer(known.rung).unsigned_abs()
            }
            Way::Fsrs { parameters, retention, thresholds, longest } => {
                let Seen { is_right, quality, duration_ms } = seen;
                let grade = Grade::of_answer(is_right, quality, duration_ms, *thresholds);
                let before = known.memory.map(|memory| (memory, since));
                let memory = parameters.after(before, grade);
                known.memory = Some(memory);
                let interval = parameters.interval(memory.stability, *retention);
                days_until_review(interval, *longest, seed)
            }
        }
    }
}

/// Simulates a season of this many students.
pub fn simulate(plan: Plan, student: &Student, way: &Way, students: u64) -> Outcome {
    let mut all = Outcome { by_day: vec![0; plan.days as usize], ..Outcome::default() };
    for number in 0..students {
        live_through(&mut all, plan, student, way, number);
    }
    all
}

fn live_through(all: &mut Outcome, plan: Plan, student: &Student, way: &Way, number: u64) {
    let Plan { questions, days, lesson_days } = plan;
    let mut random = Rng::with_seed(number);
    let mut due: Vec<Vec<usize>> = vec![Vec::new(); days as usize];
    for question in 0..questions {
        let day = question * lesson_days as usize / questions;
        if let Some(day) = due.get_mut(day) {
            day.push(question);
        }
    }
    let mut known = vec![Known::default(); questions];
    let mut memories: Vec<Option<(Memory, u32)>> = vec![None; questions];
    let mut busiest = 0;
    for day in 0..days {
        let today = std::mem::take(&mut due[day as usize]);
        busiest = busiest.max(today.len() as u64);
        all.by_day[day as usize] += today.len() as u64;
        for question in today {
            let memory = memories[question].map(|(memory, last)| (memory, day - last));
            let recall = memory.map_or(student.first_right, |(memory, days)| {
                student.memory.recall(memory.stability, in_single_precision(days))
            });
            let (grade, seen) = student.answer(&mut random, recall);
            all.right += u64::from(seen.is_right);
            memories[question] = Some((student.memory.after(memory, grade), day));
            let seed = Rng::with_seed(number * 10_000 + question as u64).u64(..);
            let days = way.answered(&mut known[question], day, seen, seed);
            if let Some(then) = due.get_mut((day + days.max(1)) as usize) {
                then.push(question);
            }
        }
    }
    all.busiest += busiest;
    let at_the_end = |(memory, last): &(Memory, u32)| {
        f64::from(student.memory.recall(memory.stability, in_single_precision(days - last)))
    };
    all.known += memories.iter().flatten().map(at_the_end).sum::<f64>();
}

impl Student {
    fn answer(&self, random: &mut Rng, recall: f32) -> (Grade, Seen) {
        let total: u32 = self.right.iter().map(|kind| kind.weight).sum();
        if random.f32() >= recall || total == 0 {
            let seen = Seen { is_right: false, quality: None, duration_ms: 0 };
            return (Grade::Again, seen);
        }
        let mut place = random.u32(0..total);
        let kind = self.right.iter().find(|kind| {
            let is_it = place < kind.weight;
            place = place.saturating_sub(kind.weight);
            is_it
        });
        // There is one, because `place` is less than the sum of the weights.
        let kind = kind.unwrap_or(&self.right[0]);
        let RightAnswer { grade, quality, duration_ms, .. } = *kind;
        (grade, Seen { is_right: true, quality, duration_ms })
    }
}

/// Days of a season: exact.
#[allow(clippy::cast_precision_loss)]
fn in_single_precision(days: u32) -> f32 {
    days as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordinary() -> Student {
        let right = [(Grade::Easy, 1_500, 6), (Grade::Hard, 8_000, 5), (Grade::Good, 3_500, 19)];
        let kind = |(grade, duration_ms, weight)| RightAnswer {
            grade,
            quality: None,
            duration_ms,
            weight,
        };
        Student { memory: Parameters::default(), first_right: 0.7, right: right.map(kind).to_vec() }
    }

    fn fsrs(retention: f32) -> Way {
        let parameters = Parameters::default();
        Way::Fsrs { parameters, retention, thresholds: (2_000, 6_000), longest: 365 }
    }

    const YEAR: Plan = Plan { questions: 200, days: 270, lesson_days: 240 };

    #[test]
    fn more_retention_is_more_work_and_more_knowledge() {
        let of = |way: Way| {
            let outcome = simulate(YEAR, &ordinary(), &way, 4);
            (outcome.reviews(), outcome.known)
        };
        let ways = [0.85, 0.90, 0.95].map(|retention| of(fsrs(retention)));
        assert!(ways.is_sorted_by(|one, other| one.0 < other.0 && one.1 < other.1), "{ways:?}");
        let ladder = of(Way::Ladder(Ladder::default()));
        assert!(ladder.0 > ways[1].0, "{ladder:?} {ways:?}");
    }

    #[test]
    fn a_slow_reader_never_climbs() {
        let mut slow = ordinary();
        slow.right.iter_mut().for_each(|kind| kind.duration_ms += 10_000);
        let ladder = Way::Ladder(Ladder::default());
        let [usual, slow] = [ordinary(), slow].map(|student| simulate(YEAR, &student, &ladder, 1));
        // Each day each question.
        assert!(slow.by_day[269] == 200 && usual.by_day[269] < 60, "{slow:?}");
    }

    #[test]
    fn quality_decides_where_there_is_one() {
        let mut student = ordinary();
        student.right = vec![RightAnswer {
            grade: Grade::Easy,
            quality: Some(5),
            duration_ms: 60_000,
            weight: 1,
        }];
        let easy = simulate(YEAR, &student, &fsrs(0.9), 1);
        student.right[0].quality = None;
        assert!(easy.reviews() < simulate(YEAR, &student, &fsrs(0.9), 1).reviews());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_the_season_it_ends_the_same_each_time(
            questions in 0usize..60, days in 1u32..90, lesson_days in 1u32..120,
            first_right in 0.0f32..=1.0, retention in 0.70f32..0.97, students in 0u64..3,
            weights in proptest::collection::vec(0u32..9, 0..3), is_ladder: bool,
        ) {
            let mut student = Student { first_right, ..ordinary() };
            student.right.truncate(weights.len());
            student.right.iter_mut().zip(weights).for_each(|(kind, weight)| kind.weight = weight);
            let way = if is_ladder { Way::Ladder(Ladder::default()) } else { fsrs(retention) };
            let plan = Plan { questions, days, lesson_days };
            let outcome = simulate(plan, &student, &way, students);
            prop_assert_eq!(&outcome, &simulate(plan, &student, &way, students));
            let most = questions as u64 * students;
            prop_assert!(outcome.right <= outcome.reviews());
            prop_assert!(outcome.by_day.iter().all(|reviews| *reviews <= most));
            prop_assert!(outcome.busiest <= most && (0.0..=most as f64).contains(&outcome.known));
        }
    }
}

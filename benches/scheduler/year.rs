//! A school year, simulated: what each scheduler asks of a student a day, and what the student
//! knows at the end.
//!
//! The student remembers as FSRS says with the parameters that were trained on the log. The
//! schedulers do not know those, but for the one that says "trained".

use fastrand::Rng;
use memora_engine::rules::fsrs::{Grade, Memory, Parameters, days_until_review};
use memora_engine::rules::ladder::Ladder;

use crate::log::Item;
use crate::{print_table, trained};

const QUESTIONS: usize = 1_000;
/// A year with its weekends, without the holidays.
const DAYS: u32 = 270;
/// Lessons bring questions in, the same number each day, until a month before the end.
const LESSON_DAYS: u32 = 240;
const STUDENTS: u64 = 20;
/// How many milliseconds longer a slow reader takes.
const SLOWER_MS: u64 = 5_000;

enum Scheduler {
    Ladder(Ladder),
    Fsrs { parameters: Parameters, retention: f32, thresholds: (u64, u64) },
}

/// What a scheduler knows of a question.
#[derive(Clone, Copy, Default)]
struct Known {
    rung: u8,
    memory: Option<Memory>,
    /// The day of the last answer.
    last: u32,
}

impl Scheduler {
    /// Notes an answer, and returns the days until the next one.
    fn answered(&self, known: &mut Known, day: u32, is_right: bool, ms: u64, seed: u64) -> u32 {
        let since = day - known.last;
        known.last = day;
        match self {
            Scheduler::Ladder(ladder) => {
                known.rung = ladder.stability_after_answer(known.rung, is_right, ms);
                ladder.days_after_answer(known.rung).unsigned_abs()
            }
            Scheduler::Fsrs { parameters, retention, thresholds } => {
                let grade = Grade::of_answer(is_right, None, ms, *thresholds);
                let before = known.memory.map(|memory| (memory, since));
                let memory = parameters.after(before, grade);
                known.memory = Some(memory);
                let interval = parameters.interval(memory.stability, *retention);
                days_until_review(interval, 365, seed)
            }
        }
    }
}

/// What a year was like, in sums over the students.
#[derive(Default)]
struct Year {
    reviews: u64,
    right: u64,
    /// The most on one day.
    busiest: u32,
    /// How many questions would be answered right on the day after the last.
    known: f64,
}

/// Prints the tables.
pub fn report(log: &[Item]) {
    let truth = trained(log.iter().map(Item::for_training).collect());
    let ladder = |json: &str| {
        Scheduler::Ladder(serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}")))
    };
    let fsrs = |retention, thresholds| Scheduler::Fsrs {
        parameters: Parameters::default(),
        retention,
        thresholds,
    };
    let spec = (2_000, 6_000);
    let own = (2_000 + SLOWER_MS, 6_000 + SLOWER_MS);
    println!(
        "## A school year\n\n{QUESTIONS} questions, {DAYS} days, {STUDENTS} students of each kind\n"
    );
    table(
        "An ordinary reader",
        &truth,
        0,
        &[
            ("ladder", Scheduler::Ladder(Ladder::default())),
            (
                "ladder with rungs of 30 and 60 days",
                ladder(r#"{"fast_ms":2000,"slow_ms":6000,"days":[1,3,7,14,30,60]}"#),
            ),
            ("FSRS 0.85", fsrs(0.85, spec)),
            ("FSRS 0.90", fsrs(0.90, spec)),
            ("FSRS 0.95", fsrs(0.95, spec)),
            (
                "FSRS 0.90, trained",
                Scheduler::Fsrs { parameters: truth.clone(), retention: 0.9, thresholds: spec },
            ),
        ],
    );
    table(
        "A slow reader (5 seconds longer for each answer)",
        &truth,
        SLOWER_MS,
        &[
            ("ladder", Scheduler::Ladder(Ladder::default())),
            (
                "ladder with thresholds of 7 s and 11 s",
                ladder(r#"{"fast_ms":7000,"slow_ms":11000,"days":[1,3,7,14]}"#),
            ),
            ("FSRS 0.90", fsrs(0.90, spec)),
            ("FSRS 0.90 with thresholds of 7 s and 11 s", fsrs(0.90, own)),
        ],
    );
}

fn table(title: &str, truth: &Parameters, slower_ms: u64, schedulers: &[(&str, Scheduler)]) {
    println!("### {title}\n");
    let rows = schedulers.iter().map(|(name, scheduler)| {
        let mut all = Year::default();
        for student in 0..STUDENTS {
            live_through(&mut all, truth, scheduler, student, slower_ms);
        }
        let each = STUDENTS as f64;
        vec![
            (*name).to_owned(),
            format!("{:.0}", all.reviews as f64 / each / f64::from(DAYS)),
            format!("{:.0}", f64::from(all.busiest) / each),
            format!("{:.0}%", 100.0 * all.right as f64 / all.reviews as f64),
            format!("{:.0}", all.known / each),
        ]
    });
    print_table(
        &["scheduler", "reviews a day", "on the busiest day", "right", "known at the end"],
        &rows.collect::<Vec<_>>(),
    );
}

fn live_through(
    year: &mut Year,
    truth: &Parameters,
    scheduler: &Scheduler,
    student: u64,
    slower_ms: u64,
) {
    let mut random = Rng::with_seed(student);
    let mut due: Vec<Vec<usize>> = vec![Vec::new(); DAYS as usize];
    for question in 0..QUESTIONS {
        due[question * LESSON_DAYS as usize / QUESTIONS].push(question);
    }
    let mut known = vec![Known::default(); QUESTIONS];
    let mut memories: Vec<Option<(Memory, u32)>> = vec![None; QUESTIONS];
    let mut busiest = 0;
    for day in 0..DAYS {
        let today = std::mem::take(&mut due[day as usize]);
        busiest = busiest.max(today.len());
        year.reviews += today.len() as u64;
        for question in today {
            let memory = memories[question].map(|(memory, last)| (memory, day - last));
            // At first a question is known as often as an answer on a first day is right.
            let recall =
                memory.map_or(0.7, |(memory, days)| truth.recall(memory.stability, days as f32));
            let grade = answer(&mut random, recall);
            let is_right = grade != Grade::Again;
            year.right += u64::from(is_right);
            let ms = slower_ms
                + match grade {
                    Grade::Easy => 1_500,
                    Grade::Good | Grade::Again => 3_500,
                    Grade::Hard => 8_000,
                };
            memories[question] = Some((truth.after(memory, grade), day));
            let seed = fastrand::Rng::with_seed(student * 10_000 + question as u64).u64(..);
            let days = scheduler.answered(&mut known[question], day, is_right, ms, seed);
            if let Some(then) = due.get_mut((day + days) as usize) {
                then.push(question);
            }
        }
    }
    year.busiest += u32::try_from(busiest).unwrap_or(u32::MAX);
    let at_the_end = |(memory, last): &(Memory, u32)| {
        f64::from(truth.recall(memory.stability, (DAYS - last) as f32))
    };
    year.known += memories.iter().flatten().map(at_the_end).sum::<f64>();
}

/// The student's answer: of the right ones, a fifth at once and a sixth with difficulty.
fn answer(random: &mut Rng, recall: f32) -> Grade {
    if random.f32() >= recall {
        return Grade::Again;
    }
    match random.u8(0..30) {
        0..6 => Grade::Easy,
        6..11 => Grade::Hard,
        _ => Grade::Good,
    }
}

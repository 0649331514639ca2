//! A school year, simulated: what each scheduler asks of a student a day, and what the student
//! knows at the end.
//!
//! The student remembers as FSRS predicts with the parameters that were trained on the log. No
//! scheduler knows those, except the one named "trained".

use memora_engine::rules::fsrs::{Grade, Parameters};
use memora_engine::rules::ladder::Ladder;
use memora_engine::rules::simulation::{Plan, RightAnswer, Student, Way, simulate};

use crate::log::Item;
use crate::{print_table, trained};

/// A year with its weekends, without the holidays; lessons bring new questions until a month before
/// the end.
const YEAR: Plan = Plan { questions: 1_000, days: 270, lesson_days: 240 };
const STUDENTS: u64 = 20;
/// How many milliseconds longer a slow reader takes.
const SLOWER_MS: u64 = 5_000;
/// Thirty right answers: how well they were known, how many milliseconds they take, and how many
/// they are.
const RIGHT: [(Grade, u64, u32); 3] =
    [(Grade::Easy, 1_500, 6), (Grade::Hard, 8_000, 5), (Grade::Good, 3_500, 19)];

/// Prints the tables.
pub fn report(log: &[Item]) {
    let truth = trained(log.iter().map(Item::for_training).collect());
    let ladder = |json: &str| {
        Way::Ladder(serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}")))
    };
    let fsrs = |retention, thresholds| Way::Fsrs {
        parameters: Parameters::default(),
        retention,
        thresholds,
        longest: 365,
    };
    let spec = (2_000, 6_000);
    let own = (2_000 + SLOWER_MS, 6_000 + SLOWER_MS);
    let Plan { questions, days, .. } = YEAR;
    println!(
        "## A school year\n\n{questions} questions, {days} days, {STUDENTS} students of each kind\n"
    );
    table(
        "An ordinary reader",
        &truth,
        0,
        &[
            ("ladder", Way::Ladder(Ladder::default())),
            (
                "ladder with rungs of 30 and 60 days",
                ladder(r#"{"fast_ms":2000,"slow_ms":6000,"days":[1,3,7,14,30,60]}"#),
            ),
            ("FSRS 0.85", fsrs(0.85, spec)),
            ("FSRS 0.90", fsrs(0.90, spec)),
            ("FSRS 0.95", fsrs(0.95, spec)),
            (
                "FSRS 0.90, trained",
                Way::Fsrs {
                    parameters: truth.clone(),
                    retention: 0.9,
                    thresholds: spec,
                    longest: 365,
                },
            ),
        ],
    );
    table(
        "A slow reader (5 seconds longer for each answer)",
        &truth,
        SLOWER_MS,
        &[
            ("ladder", Way::Ladder(Ladder::default())),
            (
                "ladder with thresholds of 7 s and 11 s",
                ladder(r#"{"fast_ms":7000,"slow_ms":11000,"days":[1,3,7,14]}"#),
            ),
            ("FSRS 0.90", fsrs(0.90, spec)),
            ("FSRS 0.90 with thresholds of 7 s and 11 s", fsrs(0.90, own)),
        ],
    );
}

fn table(title: &str, truth: &Parameters, slower_ms: u64, ways: &[(&str, Way)]) {
    println!("### {title}\n");
    let right = RIGHT.map(|(grade, ms, weight)| RightAnswer {
        grade,
        quality: None,
        duration_ms: ms + slower_ms,
        weight,
    });
    // A first answer is right as often as an answer on a first day.
    let student = Student { memory: truth.clone(), first_right: 0.7, right: right.to_vec() };
    let rows = ways.iter().map(|(name, way)| {
        let all = simulate(YEAR, &student, way, STUDENTS);
        let each = STUDENTS as f64;
        vec![
            (*name).to_owned(),
            format!("{:.0}", all.reviews() as f64 / each / f64::from(YEAR.days)),
            format!("{:.0}", all.busiest as f64 / each),
            format!("{:.0}%", 100.0 * all.right as f64 / all.reviews() as f64),
            format!("{:.0}", all.known / each),
        ]
    });
    print_table(
        &["scheduler", "reviews a day", "on the busiest day", "right", "known at the end"],
        &rows.collect::<Vec<_>>(),
    );
}

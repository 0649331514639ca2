//! How well each way predicts whether an answer is right. The answers are cut into six parts in
//! order of time; each part but the first is predicted from those before it.

use memora_engine::rules::fsrs::{Grade, Memory, Parameters};
use memora_engine::rules::ladder::Ladder;
use memora_engine::rules::predictions::{Bin, Fit, Prediction};

use crate::log::{Answered, Item};
use crate::{print_table, trained};

const PARTS: usize = 6;
const RUNGS: usize = 4;
const DAYS: [u16; RUNGS] = [1, 3, 7, 14];

/// A way to predict, and its predictions of the items.
struct Way {
    name: &'static str,
    predicted: Vec<f64>,
}

/// Gives the probability that an item is right.
type Predict<'a> = Box<dyn Fn(&Item) -> f64 + 'a>;

/// Prints the table.
pub fn report(items: &[Item]) {
    let cut = |part: usize| items.len() * part / PARTS;
    let tested = &items[cut(1)..];
    let default = Parameters::default();
    let mut ways = [
        "ladder, 2 s and 6 s",
        "ladder, this person's own thresholds",
        "ladder, each right answer one rung",
        "FSRS, from the ladder's rung alone",
        "FSRS, default, graded by 2 s and 6 s",
        "FSRS, default, graded by this person's own thresholds",
        "FSRS, default",
        "FSRS, trained",
    ]
    .map(|name| Way { name, predicted: Vec::new() });
    for part in 1..PARTS {
        let (past, now) = (&items[..cut(part)], &items[cut(part)..cut(part + 1)]);
        let own = own_thresholds(past);
        let learned = trained(past.iter().map(Item::for_training).collect());
        let spec = (2_000, 6_000);
        let predictors: [Predict<'_>; 8] = [
            by_rung(past, move |answer| step(answer, spec)),
            by_rung(past, move |answer| step(answer, own)),
            by_rung(past, |_| 1),
            Box::new(|item| {
                let rung = rung(item.before(), |_| 1);
                let memory = default.of_rung(DAYS[usize::from(rung.max(1)) - 1]);
                recall(&default, memory, item)
            }),
            by_fsrs(&default, move |answer| by_duration(answer, spec)),
            by_fsrs(&default, move |answer| by_duration(answer, own)),
            by_fsrs(&default, |answer| answer.grade),
            by_fsrs(&learned, |answer| answer.grade),
        ];
        for (way, predict) in ways.iter_mut().zip(&predictors) {
            way.predicted.extend(now.iter().map(predict));
        }
    }
    let right = tested.iter().filter(|item| item.is_right()).count();
    println!(
        "## Predictions\n\n{} answers predicted, {:.1}% of them right\n",
        tested.len(),
        100.0 * right as f64 / tested.len() as f64
    );
    let rows = ways.iter().map(|way| {
        let fit = fit(tested, &way.predicted);
        let measures = [fit.log_loss, fit.rmse_of_bins, fit.auc];
        std::iter::once(way.name.to_owned())
            .chain(measures.map(|measure| format!("{measure:.3}")))
            .collect()
    });
    print_table(&["way", "log loss", "RMSE(bins)", "AUC"], &rows.collect::<Vec<_>>());
}

/// The thresholds, in milliseconds: a tenth of the right answers so far were faster than the first,
/// a tenth slower than the second.
fn own_thresholds(past: &[Item]) -> (u64, u64) {
    let right = past.iter().filter(|item| item.is_right());
    let mut durations: Vec<u64> = right.map(|item| item.last().duration_ms).collect();
    durations.sort_unstable();
    (durations[durations.len() / 10], durations[durations.len() * 9 / 10])
}

fn by_duration(answer: &Answered, thresholds: (u64, u64)) -> Grade {
    Grade::of_answer(answer.grade != Grade::Again, None, answer.duration_ms, thresholds)
}

fn step(answer: &Answered, (fast_ms, slow_ms): (u64, u64)) -> u8 {
    match answer.duration_ms {
        ms if ms < fast_ms => 2,
        ms if ms <= slow_ms => 1,
        _ => 0,
    }
}

/// The rung after these answers, if a right one climbs as many rungs as `climbed` says.
fn rung(answers: &[Answered], climbed: impl Fn(&Answered) -> u8) -> u8 {
    let top = Ladder::default().rungs();
    answers.iter().fold(0, |rung, answer| match answer.grade {
        Grade::Again => 1,
        _ => (rung + climbed(answer)).clamp(1, top),
    })
}

/// The ladder knows no probabilities. The best that it could say is the share of answers on the
/// question's rung that were right so far.
fn by_rung<'a>(past: &[Item], climbed: impl Fn(&Answered) -> u8 + Copy + 'a) -> Predict<'a> {
    let mut seen = [(1.0, 2.0); RUNGS + 1];
    for item in past {
        let (right, all) = &mut seen[usize::from(rung(item.before(), climbed))];
        *right += f64::from(u8::from(item.is_right()));
        *all += 1.0;
    }
    Box::new(move |item| {
        let (right, all) = seen[usize::from(rung(item.before(), climbed))];
        right / all
    })
}

fn by_fsrs<'a>(parameters: &'a Parameters, grade: impl Fn(&Answered) -> Grade + 'a) -> Predict<'a> {
    Box::new(move |item| {
        let mut before: Option<Memory> = None;
        for answer in item.before() {
            let known = before.map(|memory| (memory, answer.days));
            before = Some(parameters.after(known, grade(answer)));
        }
        before.map_or(0.5, |memory| recall(parameters, memory, item))
    })
}

fn recall(parameters: &Parameters, memory: Memory, item: &Item) -> f64 {
    f64::from(parameters.recall(memory.stability, item.last().days as f32))
}

fn fit(items: &[Item], predicted: &[f64]) -> Fit {
    let prediction = |(item, probability): (&Item, &f64)| {
        let later = item.before().iter().filter(|answer| answer.days > 0);
        let lapses = later.clone().filter(|answer| answer.grade == Grade::Again).count();
        Prediction {
            probability: *probability,
            is_right: item.is_right(),
            bin: Bin::new(item.last().days, later.count() as u32, lapses as u32),
        }
    };
    Fit::of(&items.iter().zip(predicted).map(prediction).collect::<Vec<_>>())
}

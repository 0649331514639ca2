//! Finds the parameters of FSRS that predict a season's answers best. Pure: no server, no clock.
//!
//! The crate `fsrs` finds them from all but the newest fifth of the answers. They will be used if
//! they predict that fifth better than the parameters in use.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use fsrs::{
    CombinedProgressState, ComputeParametersInput, FSRSError, FSRSItem, FSRSReview, TrainingConfig,
    compute_parameters,
};

use super::clock::SiteZone;
use super::fsrs::{Grade, Memory, Parameters};
use super::histories::{Answered, History};
use super::predictions::{Bin, Fit, Prediction};
use crate::error::{Error, Result};

/// With fewer predicted answers nothing is trained. A fifth of them, 200, tells two sets of
/// parameters apart if their log losses differ by about 0.01, which training usually gains.
pub const FEWEST_PREDICTED: usize = 1_000;
/// One part in this many is held out.
const PARTS: usize = 5;
/// How many answers of a question are trained on, from the first.
const LONGEST_HISTORY: usize = 64;
/// Most bytes of what is trained on.
const MOST_BYTES: usize = 96 << 20;
/// The bytes of an answer, without the answers before it.
const BYTES_OF_ITEM: usize = 48;
/// How often progress is reported.
const TELL_EACH: Duration = Duration::from_millis(50);

/// One answer to a question, in its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    at: i64,
    /// Days since the previous answer, by the site's calendar; 0 for the first.
    days: u32,
    grade: Grade,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Answers in the histories.
    pub answers: usize,
    /// Those that were predicted: on a later day than the previous answer to the question.
    pub predicted: usize,
    /// The newest of these, which training did not see.
    pub held_out: usize,
    /// `None`: there are too few answers.
    pub found: Option<Found>,
}

/// Parameters, and how well they predict what is held out.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The new ones.
    pub parameters: Parameters,
    /// The fit of the parameters in use.
    pub before: Fit,
    /// The fit of the new ones.
    pub after: Fit,
}

impl Found {
    /// Whether they will be used: they predict the answers that training did not see better.
    pub fn is_better(&self) -> bool {
        self.after.log_loss < self.before.log_loss
    }
}

/// The histories as FSRS sees them, graded by a ladder's thresholds in milliseconds.
pub fn steps(histories: &[History], thresholds: (u64, u64), zone: &SiteZone) -> Vec<Vec<Step>> {
    let of = |history: &History| {
        let mut last = None;
        let step = |answer: &Answered| {
            let days = last.replace(answer.at).map_or(0, |last| zone.days_between(last, answer.at));
            Step { at: answer.at, days, grade: answer.grade(thresholds) }
        };
        history.answers.iter().map(step).collect()
    };
    histories.iter().map(of).collect()
}

/// Trains on all but the newest fifth, and compares with the parameters in use on that fifth.
/// `on_progress` gets the share that is done, and its error ends the work.
///
/// # Errors
/// That of `on_progress`, and [`Error::Fault`] if no parameters can be found.
pub fn train(
    histories: &[Vec<Step>],
    in_use: &Parameters,
    on_progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Trained> {
    let answers = histories.iter().map(Vec::len).sum();
    let mut times: Vec<i64> =
        histories.iter().flatten().filter(|step| step.days > 0).map(|step| step.at).collect();
    let predicted = times.len();
    if predicted < FEWEST_PREDICTED {
        return Ok(Trained { answers, predicted, held_out: 0, found: None });
    }
    let newest = begin_of_newest(&mut times);
    let before = predictions(histories, in_use, newest);
    let held_out = before.len();
    let Some(parameters) = find(histories, newest, on_progress)? else {
        return Ok(Trained { answers, predicted, held_out: 0, found: None });
    };
    let after = predictions(histories, &parameters, newest);
    let found = Found { parameters, before: Fit::of(&before), after: Fit::of(&after) };
    Ok(Trained { answers, predicted, held_out, found: Some(found) })
}

/// When the newest fifth of these times begins.
fn begin_of_newest(times: &mut [i64]) -> i64 {
    *times.select_nth_unstable(times.len() - times.len() / PARTS).1
}

/// What the parameters predict for the answers from this time on.
fn predictions(histories: &[Vec<Step>], parameters: &Parameters, from: i64) -> Vec<Prediction> {
    let mut found = Vec::new();
    for history in histories {
        let mut before: Option<Memory> = None;
        let (mut reviews, mut lapses) = (0, 0);
        for step in history {
            if let (Some(memory), 1..) = (before, step.days) {
                if step.at >= from {
                    // Days of a person's life: exact in single precision.
                    #[allow(clippy::cast_precision_loss)]
                    let recall = parameters.recall(memory.stability, step.days as f32);
                    found.push(Prediction {
                        probability: recall.into(),
                        is_right: step.grade != Grade::Again,
                        bin: Bin::new(step.days, reviews, lapses),
                    });
                }
                reviews += 1;
                lapses += u32::from(step.grade == Grade::Again);
            }
            let since = before.map(|memory| (memory, step.days));
            before = Some(parameters.after(since, step.grade));
        }
    }
    found
}

/// The crate's items and their questions, from answers before this time: each answer with those
/// before it. They are sorted by time, because the crate gives later ones more weight. Questions
/// are in no order, so if there are too many, the first are as good as any.
fn items(histories: &[Vec<Step>], until: i64) -> (Vec<FSRSItem>, Vec<i64>) {
    let mut places: Vec<(i64, usize, usize)> = Vec::new();
    let mut bytes = 0;
    for (question, history) in histories.iter().enumerate() {
        for (last, step) in history.iter().take(LONGEST_HISTORY).enumerate() {
            if step.days > 0 && step.at < until {
                bytes += BYTES_OF_ITEM + (last + 1) * size_of::<FSRSReview>();
                places.push((step.at, question, last));
            }
        }
        if bytes > MOST_BYTES {
            break;
        }
    }
    places.sort_unstable();
    let review = |step: &Step| FSRSReview { rating: step.grade as u32, delta_t: step.days };
    let item = |(_, question, last): (i64, usize, usize)| {
        let reviews = histories[question][..=last].iter().map(review).collect();
        (FSRSItem { reviews }, i64::try_from(question).unwrap_or(i64::MAX))
    };
    places.into_iter().map(item).unzip()
}

/// Finds parameters for the answers before this time; `None`: there are too few.
///
/// One thread computes them, so it keeps at most one processor busy. It ends before this returns.
fn find(
    histories: &[Vec<Step>],
    until: i64,
    on_progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Option<Parameters>> {
    on_progress(0.0)?;
    let progress = CombinedProgressState::new_shared();
    let (train_set, card_ids) = items(histories, until);
    let input = ComputeParametersInput {
        train_set,
        card_ids: Some(card_ids),
        progress: Some(Arc::clone(&progress)),
        training_config: Some(TrainingConfig {
            max_seq_len: LONGEST_HISTORY,
            ..TrainingConfig::default()
        }),
        ..ComputeParametersInput::default()
    };
    let found = thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        let worker = scope.spawn(move || {
            let _tells_at_its_end = done;
            compute_parameters(input)
        });
        let mut told = Ok(());
        while is_done.recv_timeout(TELL_EACH) == Err(RecvTimeoutError::Timeout) {
            let mut state = progress.lock().unwrap_or_else(PoisonError::into_inner);
            let (done, total) = (state.current(), state.total().max(1));
            state.want_abort = told.is_err();
            drop(state);
            if told.is_ok() {
                told = on_progress(done as f64 / total as f64);
            }
        }
        let found = worker.join();
        told.map(|()| found)
    })?;
    let failed = |reason: &str| {
        let cause = format!("no parameters can be found from these answers: {reason}");
        Err(Error::Fault(cause))
    };
    let found = match found {
        Ok(Ok(found)) => found,
        Ok(Err(FSRSError::NotEnoughData)) => return Ok(None),
        Ok(Err(error)) => return failed(&error.to_string()),
        Err(_) => return failed("the crate fsrs panicked"),
    };
    Parameters::try_from(found).map(Some).or_else(|reason| failed(&reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::counted_on::Before;
    use crate::rules::counted_on::tests::rung;
    use crate::rules::histories::Histories;
    use crate::rules::histories::tests::logged;
    use fastrand::Rng;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const DAY: i64 = 86_400;

    /// Each question answered a few times by a student who remembers by these parameters.
    fn answered(truth: &Parameters, questions: u64, answers: usize) -> Vec<Vec<Step>> {
        let mut random = Rng::with_seed(21);
        let of = |question: u64| {
            let mut at = DAY * i64::try_from(question % 50).unwrap_or(0);
            let mut memory: Option<Memory> = None;
            let mut history = Vec::new();
            for _ in 0..answers {
                let days = memory.map_or(0, |_| random.u32(0..25));
                let recall =
                    memory.map_or(0.7, |memory| truth.recall(memory.stability, days as f32));
                let is_right = random.f32() < recall;
                let grade = if is_right { Grade::Good } else { Grade::Again };
                memory = Some(truth.after(memory.map(|memory| (memory, days)), grade));
                at += DAY * i64::from(days);
                history.push(Step { at, days, grade });
            }
            history
        };
        (0..questions).map(of).collect()
    }

    /// The parameters of students whose memories last a third as long.
    fn forgetful() -> Parameters {
        let mut numbers = Vec::from(Parameters::default());
        numbers[..4].iter_mut().for_each(|stability| *stability /= 3.0);
        numbers[8] -= 0.7;
        Parameters::try_from(numbers).unwrap_or_else(|error| panic!("{error}"))
    }

    fn trained(histories: &[Vec<Step>]) -> Trained {
        train(histories, &Parameters::default(), &mut |_| Ok(()))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn newest(histories: &[Vec<Step>]) -> i64 {
        let later = histories.iter().flatten().filter(|step| step.days > 0);
        begin_of_newest(&mut later.map(|step| step.at).collect::<Vec<_>>())
    }

    #[test]
    fn parameters_come_near_to_those_by_which_students_remember() {
        let truth = forgetful();
        let histories = answered(&truth, 3_000, 6);
        let trained = trained(&histories);
        let found = trained.found.clone().unwrap_or_else(|| panic!("{trained:?}"));
        assert!(found.is_better(), "{found:?}");
        let best = Fit::of(&predictions(&histories, &truth, newest(&histories))).log_loss;
        let [before, after] = [found.before, found.after].map(|fit| fit.log_loss - best);
        assert!(after < 0.005 && before > 5.0 * after.max(0.002), "{before} {after}");
        assert!(trained.held_out >= trained.predicted / PARTS, "{trained:?}");
        // Training again finds the same fit, which is not better.
        let again = train(&histories, &found.parameters, &mut |_| Ok(()));
        let again = again.ok().and_then(|again| again.found);
        assert_eq!(again.map(|again| (again.is_better(), again.after)), Some((false, found.after)));
    }

    #[test]
    fn the_newest_fifth_is_not_seen() {
        let histories = answered(&Parameters::default(), 600, 6);
        let (before, newest) = (trained(&histories), newest(&histories));
        let mut changed = histories.clone();
        let late = changed.iter_mut().flatten().filter(|step| step.at >= newest);
        assert!(late.map(|step| step.grade = Grade::Again).count() > 100);
        let after = trained(&changed);
        let parameters = |trained: &Trained| trained.found.clone().map(|found| found.parameters);
        assert_eq!(parameters(&before), parameters(&after));
        assert_ne!(before, after);
    }

    #[test]
    fn with_too_few_answers_nothing_is_found() {
        let histories = answered(&forgetful(), 150, 6);
        let few = trained(&histories);
        assert!(few.predicted < FEWEST_PREDICTED, "{few:?}");
        assert_eq!((few.answers, few.found), (900, None));
        assert_eq!(trained(&[]).predicted, 0);
    }

    #[test]
    fn an_error_ends_it() {
        let histories = answered(&forgetful(), 3_000, 6);
        let mut told = 0;
        let stopped = train(&histories, &Parameters::default(), &mut |_| {
            told += 1;
            Err(Error::Fault("enough".to_owned()))
        });
        assert!(matches!(stopped, Err(Error::Fault(text)) if text == "enough"));
        assert_eq!(told, 1);
    }

    #[test]
    fn what_is_trained_on_has_a_limit() {
        let one = Step { at: 0, days: 1, grade: Grade::Good };
        let (items, questions) = items(&vec![vec![one; 300]; 10_000], 1);
        let reviews: usize = items.iter().map(|item| item.reviews.len()).sum();
        let bytes = items.len() * BYTES_OF_ITEM + reviews * size_of::<FSRSReview>();
        let of_one = LONGEST_HISTORY * (BYTES_OF_ITEM + LONGEST_HISTORY * 8);
        assert!((MOST_BYTES..MOST_BYTES + of_one).contains(&bytes), "{bytes}");
        assert!(items.iter().all(|item| item.reviews.len() <= LONGEST_HISTORY));
        assert_eq!(questions.len(), items.len());
    }

    #[test]
    fn the_crate_gets_answers_in_the_order_of_time() {
        let step = |at, days| Step { at, days, grade: Grade::Good };
        let histories =
            [vec![step(1, 0), step(5, 1), step(9, 2)], vec![step(2, 0), step(2, 0), step(7, 3)]];
        let (items, questions) = items(&histories, 9);
        let days: Vec<Vec<u32>> = items
            .iter()
            .map(|item| item.reviews.iter().map(|review| review.delta_t).collect())
            .collect();
        assert_eq!((days, questions), (vec![vec![0, 1], vec![0, 0, 3]], vec![0, 1]));
    }

    proptest! {
        #[test]
        fn days_are_the_sites_and_add_up(
            gaps in proptest::collection::vec(0i64..40 * DAY, 1..20), begin in 0i64..2_000_000_000,
        ) {
            let zone = SiteZone::named("America/New_York");
            let zone = zone.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let mut histories = Histories::of_at_most(1_000);
            let mut at = begin;
            histories.add("s", &[logged("q", at, true, Before::NoRecord)]);
            for gap in gaps {
                at += gap;
                histories.add("s", &[logged("q", at, true, rung(1))]);
            }
            let groups = histories.into_groups(&HashMap::new(), 1);
            let found = steps(&groups[0], (2_000, 6_000), &zone);
            let sum: u32 = found[0].iter().map(|step| step.days).sum();
            let days = zone.day(at).duration_since(zone.day(begin)).as_hours() / 24;
            prop_assert_eq!(i64::from(sum), days);
            prop_assert_eq!(found[0][0].days, 0);
        }
    }
}

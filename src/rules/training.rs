//! Finding the parameters of FSRS that predict a season's answers best. Pure: no server, no clock.
//!
//! The crate `fsrs` finds them, from all but the newest fifth of the answers. How well they predict
//! that fifth, beside those that are in use, decides whether they will be used.

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
use super::histories::History;
use super::predictions::{Bin, Fit, Prediction};
use crate::error::{Error, Result};

/// With fewer predicted answers nothing is trained: a fifth of them, 200, tells two sets of
/// parameters apart if their log losses differ by about 0.01, as much as training wins as a rule.
pub const FEWEST_PREDICTED: usize = 1_000;
/// One of so many is held out.
const PARTS: usize = 5;
/// Answers of a question that are trained on; of more, the first.
const LONGEST_HISTORY: usize = 64;
/// Most bytes of what is trained on.
const MOST_BYTES: usize = 96 << 20;
/// What an answer takes beside the answers before it.
const BYTES_OF_ITEM: usize = 48;
/// How often the progress is told.
const TELL_EACH: Duration = Duration::from_millis(50);

/// One answer to a question, in its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    at: i64,
    /// Days since the answer before it, of the site's calendar; 0 for the first.
    days: u32,
    grade: Grade,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Answers in the histories.
    pub answers: usize,
    /// Those that were predicted: on a later day than the question's answer before it.
    pub predicted: usize,
    /// Of these, the newest, which training did not see.
    pub held_out: usize,
    /// `None`: there are too few.
    pub found: Option<Found>,
}

/// Parameters, and how well they predict what is held out.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The new ones.
    pub parameters: Parameters,
    /// Of those in use.
    pub before: Fit,
    /// Of the new ones.
    pub after: Fit,
}

impl Found {
    /// Whether they will be used: the answers that training did not see surprise them less.
    pub fn is_better(&self) -> bool {
        self.after.log_loss < self.before.log_loss
    }
}

/// The histories as FSRS sees them, by these thresholds of a ladder.
pub fn steps(histories: &[History], thresholds: (u64, u64), zone: &SiteZone) -> Vec<Vec<Step>> {
    let of = |history: &History| {
        let mut last = None;
        let step = |answer: &super::histories::Answered| {
            let day = zone.day(answer.at);
            let since =
                last.replace(day).map_or(0, |last| day.duration_since(last).as_hours() / 24);
            let days = u32::try_from(since).unwrap_or(0);
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
    let (_, newest, _) = times.select_nth_unstable(predicted - predicted / PARTS);
    let newest = *newest;
    let before = predictions(histories, in_use, newest);
    let held_out = before.len();
    let Some(parameters) = find(histories, newest, on_progress)? else {
        return Ok(Trained { answers, predicted, held_out: 0, found: None });
    };
    let after = predictions(histories, &parameters, newest);
    let found = Found { parameters, before: Fit::of(&before), after: Fit::of(&after) };
    Ok(Trained { answers, predicted, held_out, found: Some(found) })
}

/// What the parameters say of the answers from this time on.
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

/// The crate's items and the questions they are of, from answers before this time: each answer with
/// those before it. Questions are in no order, so if there are too many, the first are as good as
/// any.
fn items(histories: &[Vec<Step>], until: i64) -> (Vec<FSRSItem>, Vec<i64>) {
    let (mut items, mut questions) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for (question, history) in (0..).zip(histories) {
        let mut reviews = Vec::new();
        for step in history.iter().take(LONGEST_HISTORY).take_while(|step| step.at < until) {
            reviews.push(FSRSReview { rating: step.grade as u32, delta_t: step.days });
            if step.days > 0 {
                bytes += BYTES_OF_ITEM + reviews.len() * size_of::<FSRSReview>();
                items.push(FSRSItem { reviews: reviews.clone() });
                questions.push(question);
            }
        }
        if bytes > MOST_BYTES {
            break;
        }
    }
    (items, questions)
}

/// Parameters for the answers before this time; `None`: they are too few.
///
/// One thread computes them, so one processor at most is kept from others. It ends before this
/// returns.
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
    match <[f32; 21]>::try_from(found) {
        Ok(found) if found.iter().all(|number| number.is_finite()) => {
            Ok(Some(Parameters::from(found)))
        }
        Ok(_) => failed("they are not finite"),
        Err(found) => failed(&format!("there are {}", found.len())),
    }
}

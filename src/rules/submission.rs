//! A submission: the answers of one call. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::answered_at;
use super::scheduling::Scheduling;
use crate::error::{Error, Result};

/// Most answers in one submission.
pub const MOST_ANSWERS: usize = 50;

/// Everything of one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// In the order they were given.
    pub answers: Vec<Answer>,
    /// Given to questions that have none yet.
    pub subject: Option<String>,
    /// Given to questions that have none yet.
    pub topic: Option<String>,
    /// How many right answers in a row the client counts: only for XP, and not stored.
    #[serde(skip)]
    pub total_combo: u64,
    /// The client's own id for it, so that it counts once, however often it is sent. It only makes
    /// the token, and is not stored.
    #[serde(skip)]
    pub key: Option<String>,
    /// How the season schedules these questions.
    #[serde(skip)]
    pub scheduling: Scheduling,
    /// The seed that spreads the dates of the student's questions, if any come from FSRS (see
    /// [`crate::rules::scheduler::seed_of`]).
    #[serde(skip)]
    pub seed: u32,
}

impl Submission {
    /// The submission as it arrives at `now`, in Unix seconds: no answer was given later.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the time of an answer is not credible.
    pub fn arrived(&self, now: i64) -> Result<Cow<'_, Submission>> {
        for answer in &self.answers {
            let id = &answer.question_id;
            if let Some(fault) = answer.given_at.and_then(|at| answered_at::fault(id, at, now)) {
                return Err(invalid(&fault));
            }
        }
        let is_later = |answer: &Answer| answer.given_at.is_some_and(|at| at >= now);
        if !self.answers.iter().any(is_later) {
            return Ok(Cow::Borrowed(self));
        }
        let mut arrived = self.clone();
        for answer in &mut arrived.answers {
            answer.given_at = answer.given_at.filter(|at| *at < now);
        }
        Ok(Cow::Owned(arrived))
    }

    /// Every question that the submission may change, each once: those answered, and the stages
    /// they are in.
    pub fn question_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .answers
            .iter()
            .flat_map(|answer| {
                let stage = stage_of(&answer.question_id).map(str::to_owned);
                std::iter::once(answer.question_id.clone()).chain(stage)
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// The stage that a question `stage:atom` is part of.
pub fn stage_of(question_id: &str) -> Option<&str> {
    question_id.split_once(':').map(|(stage, _)| stage).filter(|stage| !stage.is_empty())
}

/// The refusal of a whole submission.
pub(super) fn invalid(what: &str) -> Error {
    Error::InvalidInput(format!("Nothing was saved: {what}."))
}

//! The calls of students, and of jobs that write their answers: see `students`.

use std::collections::BTreeMap;

use pyo3::prelude::*;

use super::Engine;
use super::values::whole_seconds;
use crate::error::{Error, Result};
use crate::rules::clock::SiteZone;
use crate::rules::leech::at_places;
use crate::rules::review::Review;
use crate::rules::submission::Submission;
use crate::students::due::{self, DueQuery, Source};
use crate::students::set_states::GivenState;
use crate::students::submission_status::Persistence;
use crate::students::submit_answer;

/// A question, its stability, the Unix time of its next review, its subject and its topic.
type StateTuple = (String, u8, f64, Option<String>, Option<String>);

/// The most characters of a client's id for a submission.
const LONGEST_KEY: usize = 64;

#[pymethods]
impl Engine {
    #[pyo3(signature = (player, limit=20, subject=None, topic=None))]
    fn due(
        &self,
        py: Python<'_>,
        player: &str,
        limit: u32,
        subject: Option<String>,
        topic: Option<String>,
    ) -> PyResult<DueAnswer> {
        let query = DueQuery { limit, subject, topic };
        let answer = py.detach(|| self.0.due(player, &query))?;
        Ok(DueAnswer::new(&self.0.settings.zone, answer))
    }

    #[pyo3(signature = (player, session_data=None, responses=None, submission_id=None))]
    fn submit(
        &self,
        py: Python<'_>,
        player: &str,
        session_data: Option<&str>,
        responses: Option<&str>,
        submission_id: Option<String>,
    ) -> PyResult<SubmitAnswer> {
        let answer: Result<_> = py.detach(|| {
            let mut submission = match (session_data, responses) {
                (Some(json), None) => Submission::from_session_data(json),
                (None, Some(json)) => Submission::from_responses(json),
                (Some(_), Some(_)) => Err(Error::InvalidInput(
                    "Nothing was saved: give session_data or responses, not both.".to_owned(),
                )),
                (None, None) => Err(Error::InvalidInput(
                    "Nothing was saved: give session_data or responses.".to_owned(),
                )),
            }?;
            submission.key = key(submission_id)?;
            let answer = self.0.submit(player, &submission)?;
            Ok(SubmitAnswer::new(answer, &submission))
        });
        Ok(answer?)
    }

    #[pyo3(signature = (player, interactions, subject=None, topic=None, submission_id=None))]
    fn rate(
        &self,
        py: Python<'_>,
        player: &str,
        interactions: &str,
        subject: Option<String>,
        topic: Option<String>,
        submission_id: Option<String>,
    ) -> PyResult<SubmitAnswer> {
        let answer: Result<_> = py.detach(|| {
            let mut submission = Submission::from_interactions(interactions, subject, topic)?;
            submission.key = key(submission_id)?;
            let answer = self.0.rate(player, &submission)?;
            Ok(SubmitAnswer::new(answer, &submission))
        });
        Ok(answer?)
    }

    fn undo(&self, py: Python<'_>, player: &str, submission_id: &str) -> PyResult<UndoAnswer> {
        let answer = py.detach(|| self.0.undo(player, submission_id))?;
        Ok(UndoAnswer {
            persistence_job_id: answer.job_id,
            season: answer.season,
            undone: answer.told.processed,
            xp_taken_back: answer.told.xp_earned,
            remaining_items: answer.told.remaining,
            drain_wanted: answer.drain_wanted,
        })
    }

    fn is_undone(&self, py: Python<'_>, player: &str, job_id: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.is_undone(player, job_id))?)
    }

    fn set_states(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        states: Vec<StateTuple>,
    ) -> PyResult<usize> {
        let given = |(question_id, stability, next_review, subject, topic): StateTuple| {
            let next_review = whole_seconds(next_review)?;
            Ok(GivenState { question_id, stability, next_review, subject, topic })
        };
        let states = states.into_iter().map(given).collect::<Result<Vec<_>>>()?;
        Ok(py.detach(|| self.0.set_states(player, season, &states))?)
    }

    fn may_read_in_safe_mode(&self, py: Python<'_>, player: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.may_read_in_safe_mode(player))?)
    }

    #[pyo3(signature = (player, season, limit=10, subject=None))]
    fn due_as_in_safe_mode(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        limit: u32,
        subject: Option<String>,
    ) -> PyResult<DueAnswer> {
        let answer = py.detach(|| self.0.due_as_in_safe_mode(player, season, limit, subject))?;
        Ok(DueAnswer::new(&self.0.settings.zone, answer))
    }

    fn persistence_status(
        &self,
        py: Python<'_>,
        player: &str,
        job_id: &str,
    ) -> PyResult<Option<&'static str>> {
        let status = py.detach(|| self.0.persistence_status(player, job_id))?;
        Ok(status.map(|status| match status {
            Persistence::Pending => "pending",
            Persistence::Persisted => "persisted",
            Persistence::Failed => "failed",
        }))
    }
}

/// Checks a client's id for a submission, if it gave one.
fn key(submission_id: Option<String>) -> Result<Option<String>> {
    match submission_id {
        Some(id) if id.is_empty() || id.chars().count() > LONGEST_KEY => Err(Error::InvalidInput(
            format!("Nothing was saved: submission_id must have 1 to {LONGEST_KEY} characters."),
        )),
        id => Ok(id),
    }
}

#[derive(IntoPyObject)]
pub(super) struct DueAnswer {
    questions: Vec<Question>,
    total_due: u64,
    is_degraded: bool,
    is_whole: bool,
    season: Option<String>,
    source: &'static str,
}

impl DueAnswer {
    pub(super) fn new(zone: &SiteZone, answer: due::DueAnswer) -> DueAnswer {
        let source = match answer.source {
            Source::Cache | Source::Loaded => "cache",
            Source::Database => "database",
            Source::SafeMode => "safe_mode",
            Source::Nothing => "none",
        };
        DueAnswer {
            questions: questions(zone, answer.reviews),
            total_due: answer.total,
            is_degraded: answer.is_degraded,
            is_whole: answer.is_whole,
            season: answer.season,
            source,
        }
    }
}

/// A review as students see it, its dates in the site's time zone.
#[derive(IntoPyObject)]
pub(super) struct Question {
    question_id: String,
    stability: u8,
    next_review_date: String,
    last_review_date: Option<String>,
    subject: Option<String>,
    topic: Option<String>,
}

pub(super) fn questions(zone: &SiteZone, reviews: Vec<Review>) -> Vec<Question> {
    let question = |review: Review| Question {
        question_id: review.question_id,
        stability: review.stability,
        next_review_date: zone.text(review.next_review),
        last_review_date: review.last_review.map(|seconds| zone.text(seconds)),
        subject: review.subject,
        topic: review.topic,
    };
    reviews.into_iter().map(question).collect()
}

#[derive(IntoPyObject)]
struct SubmitAnswer {
    persistence_job_id: String,
    season: String,
    processed: usize,
    correct: usize,
    xp_earned: u64,
    remaining_items: u64,
    new_stability_counts: BTreeMap<String, u32>,
    leeches: Vec<String>,
    drain_wanted: bool,
    is_first: bool,
}

#[derive(IntoPyObject)]
struct UndoAnswer {
    persistence_job_id: String,
    season: String,
    undone: usize,
    xp_taken_back: u64,
    remaining_items: u64,
    drain_wanted: bool,
}

impl SubmitAnswer {
    fn new(answer: submit_answer::SubmitAnswer, submission: &Submission) -> SubmitAnswer {
        let by_rung = (1..).map(|rung: u8| rung.to_string()).zip(answer.told.stability_counts);
        SubmitAnswer {
            persistence_job_id: answer.job_id,
            season: answer.season,
            processed: answer.told.processed,
            correct: answer.told.correct,
            xp_earned: answer.told.xp_earned,
            remaining_items: answer.told.remaining,
            new_stability_counts: by_rung.collect(),
            leeches: at_places(&answer.told.leeches, submission),
            drain_wanted: answer.drain_wanted,
            is_first: answer.is_first,
        }
    }
}

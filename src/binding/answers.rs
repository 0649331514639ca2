//! The log of answers.

use pyo3::prelude::*;

use super::Engine;
use super::values::whole_seconds;
use crate::rules::answer::Observed;
use crate::rules::answer_log::LoggedAnswer;
use crate::rules::counted_on::Before;
use crate::students::answers::AnswersQuery;

#[pymethods]
impl Engine {
    #[pyo3(signature = (player, season, since=None, until=None, limit=1000, after=None))]
    #[allow(clippy::too_many_arguments)]
    fn answers(
        &self,
        py: Python<'_>,
        player: &str,
        season: Option<&str>,
        since: Option<f64>,
        until: Option<f64>,
        limit: usize,
        after: Option<&str>,
    ) -> PyResult<Vec<Answer>> {
        let found = py.detach(|| {
            let since = since.map(whole_seconds).transpose()?;
            let until = until.map(whole_seconds).transpose()?;
            let query = AnswersQuery { season, since, until, limit, after };
            self.0.answers(player, query)
        })?;
        let answers = found.into_iter().flat_map(|of| {
            let (job_id, season) = (of.job_id, of.season);
            of.answers
                .into_iter()
                .map(move |answer| Answer::new(job_id.clone(), season.clone(), answer))
        });
        Ok(answers.collect())
    }
}

#[derive(IntoPyObject)]
struct Answer {
    job_id: String,
    season: String,
    question_id: String,
    answered_at: i64,
    is_correct: bool,
    duration_ms: u64,
    quality: Option<u8>,
    attempts: Option<u64>,
    stability_before: Option<u8>,
    memory_stability_before: Option<f64>,
    memory_difficulty_before: Option<f64>,
    lapses_before: Option<u16>,
    is_counted: bool,
}

impl Answer {
    fn new(job_id: String, season: String, logged: LoggedAnswer) -> Answer {
        let LoggedAnswer { answer, answered_at, before } = logged;
        let observed = answer.observed;
        let (attempts, duration_ms) = match observed {
            Observed::Review { duration_ms, .. } => (None, duration_ms),
            Observed::Lesson { attempts, duration_ms } => (Some(attempts), duration_ms),
        };
        let record = match before {
            Before::Record { rung, memory } => Some((rung, memory)),
            Before::NoRecord | Before::Overridden => None,
        };
        let memory = record.map(|(_, memory)| memory).filter(|memory| memory.is_known());
        Answer {
            job_id,
            season,
            question_id: answer.question_id,
            answered_at,
            is_correct: observed.is_correct(),
            duration_ms,
            quality: observed.quality(),
            attempts,
            stability_before: record.map(|(rung, _)| rung),
            memory_stability_before: memory.map(|memory| memory.wholes().0),
            memory_difficulty_before: memory.map(|memory| memory.wholes().1),
            lapses_before: memory.map(|memory| memory.lapses),
            is_counted: before != Before::Overridden,
        }
    }
}

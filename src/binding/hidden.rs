//! Questions that are due for nobody, or not for one student.

use pyo3::prelude::*;

use super::Engine;

#[pymethods]
impl Engine {
    fn retire_questions(
        &self,
        py: Python<'_>,
        question_ids: Vec<String>,
        user: &str,
    ) -> PyResult<u64> {
        Ok(py.detach(|| self.0.retire_questions(&question_ids, user))?)
    }

    fn restore_questions(
        &self,
        py: Python<'_>,
        question_ids: Vec<String>,
        user: &str,
    ) -> PyResult<u64> {
        Ok(py.detach(|| self.0.restore_questions(&question_ids, user))?)
    }

    #[pyo3(signature = (start=0, limit=20))]
    fn retired_questions(
        &self,
        py: Python<'_>,
        start: u64,
        limit: u64,
    ) -> PyResult<RetiredQuestions> {
        let (found, total) = py.detach(|| self.0.retired_questions(start, limit))?;
        let zone = &self.0.settings.zone;
        let questions = found.into_iter().map(|question| RetiredQuestion {
            question_id: question.question_id,
            retired_by: question.retired_by,
            retired_at: zone.text(question.retired_at),
        });
        Ok(RetiredQuestions { questions: questions.collect(), total })
    }

    fn suspend_question(&self, py: Python<'_>, player: &str, question_id: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.suspend_question(player, question_id))?)
    }

    fn resume_question(&self, py: Python<'_>, player: &str, question_id: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.resume_question(player, question_id))?)
    }

    fn suspended_questions(
        &self,
        py: Python<'_>,
        player: &str,
    ) -> PyResult<Vec<SuspendedQuestion>> {
        let found = py.detach(|| self.0.suspended_questions(player))?;
        let zone = &self.0.settings.zone;
        let question = |(question_id, since)| SuspendedQuestion {
            question_id,
            suspended_at: zone.text(since),
        };
        Ok(found.into_iter().map(question).collect())
    }
}

#[derive(IntoPyObject)]
struct RetiredQuestions {
    questions: Vec<RetiredQuestion>,
    total: u64,
}

#[derive(IntoPyObject)]
struct RetiredQuestion {
    question_id: String,
    retired_by: String,
    retired_at: String,
}

#[derive(IntoPyObject)]
struct SuspendedQuestion {
    question_id: String,
    suspended_at: String,
}

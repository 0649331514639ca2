//! Moving answers from the journal to the table.

use std::collections::HashSet;

use pyo3::prelude::*;

use super::Engine;
use super::progress::with_progress;
use super::values::duration;
use crate::administrators::replay;
use crate::consistency::drain;

#[pymethods]
impl Engine {
    #[pyo3(signature = (seconds=60.0))]
    fn drain(&self, py: Python<'_>, seconds: f64) -> PyResult<DrainReport> {
        let patience = duration(seconds)?;
        Ok(py.detach(|| self.0.drain(patience))?.into())
    }

    #[pyo3(signature = (names=None, progress=None))]
    fn replay(
        &self,
        py: Python<'_>,
        names: Option<Vec<String>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<ReplayReport> {
        let report = with_progress(py, progress, ReplayReport::new, |on_progress| {
            self.0.replay(names.as_deref(), on_progress)
        })?;
        Ok(ReplayReport::new(&report))
    }

    fn retire(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        question_ids: HashSet<String>,
    ) -> PyResult<usize> {
        Ok(py.detach(|| self.0.retire(player, season, &question_ids))?)
    }

    fn has_waiting_answers(
        &self,
        py: Python<'_>,
        player: &str,
        seasons: Vec<String>,
    ) -> PyResult<bool> {
        Ok(py.detach(|| self.0.has_waiting_answers(player, &seasons))?)
    }
}

#[derive(IntoPyObject)]
struct DrainReport {
    submissions: usize,
    answers: usize,
    set_aside: usize,
    written_again: usize,
    remaining: u64,
}

impl From<drain::DrainReport> for DrainReport {
    fn from(report: drain::DrainReport) -> DrainReport {
        DrainReport {
            submissions: report.submissions,
            answers: report.answers,
            set_aside: report.set_aside,
            written_again: report.written_again,
            remaining: report.remaining,
        }
    }
}

#[derive(IntoPyObject)]
struct ReplayReport {
    replayed: usize,
    failed: usize,
    unknown: usize,
    done: usize,
    total: u64,
}

impl ReplayReport {
    fn new(report: &replay::ReplayReport) -> ReplayReport {
        ReplayReport {
            replayed: report.replayed,
            failed: report.failed,
            unknown: report.unknown,
            done: report.replayed + report.failed + report.unknown,
            total: report.total,
        }
    }
}

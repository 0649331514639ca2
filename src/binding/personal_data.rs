//! Erasing and renaming a student.

use pyo3::prelude::*;

use super::Engine;
use crate::administrators::forget;

#[pymethods]
impl Engine {
    fn forget(&self, py: Python<'_>, player: &str) -> PyResult<Forgotten> {
        Ok(py.detach(|| self.0.forget(player))?.into())
    }

    fn note_rename(&self, py: Python<'_>, old: &str, new: &str) -> PyResult<()> {
        Ok(py.detach(|| self.0.note_rename(old, new))?)
    }

    fn carry_renamed(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(py.detach(|| self.0.carry_renamed())?)
    }
}

#[derive(IntoPyObject)]
struct Forgotten {
    records: u64,
    archived_records: u64,
    audit_records: u64,
    poison_reviews: u64,
    waiting_submissions: u64,
}

impl From<forget::Forgotten> for Forgotten {
    fn from(forgotten: forget::Forgotten) -> Forgotten {
        Forgotten {
            records: forgotten.records,
            archived_records: forgotten.archived,
            audit_records: forgotten.audits,
            poison_reviews: forgotten.poison,
            waiting_submissions: forgotten.submissions,
        }
    }
}

//! Frappe's sessions: see `students::session`.

use pyo3::prelude::*;

use super::Engine;
use super::students::DueAnswer;

#[pymethods]
impl Engine {
    #[pyo3(signature = (session_id, user, limit=None))]
    fn frappe_session(
        &self,
        py: Python<'_>,
        session_id: &str,
        user: &str,
        limit: Option<u32>,
    ) -> PyResult<FrappeSession> {
        let (found, due) = py.detach(|| self.0.frappe_session(session_id, user, limit))?;
        Ok(FrappeSession {
            record: found.record,
            last_update: found.last_update,
            user: found.user,
            redirect: found.redirect,
            recorder: found.recorder,
            hooks_length: found.hooks_length,
            due: due.map(|due| DueAnswer::new(&self.0.settings.zone, due)),
        })
    }
}

#[derive(IntoPyObject)]
struct FrappeSession {
    record: Option<Vec<u8>>,
    last_update: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    redirect: Option<Vec<u8>>,
    recorder: Option<Vec<u8>>,
    hooks_length: u64,
    due: Option<DueAnswer>,
}

//! The cache of whole seasons: rebuilding, reconciling, dropping it.

use pyo3::prelude::*;

use super::Engine;
use super::progress::with_progress;
use crate::administrators::job::Job;
use crate::administrators::pace::Pace;
use crate::administrators::rebuild::Rebuilt;
use crate::administrators::reconcile::Reconciled;

#[pymethods]
impl Engine {
    #[pyo3(signature = (season, progress=None, share=1.0))]
    fn rebuild(
        &self,
        py: Python<'_>,
        season: &str,
        progress: Option<Py<PyAny>>,
        share: f64,
    ) -> PyResult<RebuildProgress> {
        let pace = Pace::of_share(share)?;
        let shown = |rebuilt: &Rebuilt| RebuildProgress::new(season, rebuilt);
        let rebuilt = with_progress(py, progress, shown, |on_progress| {
            self.0.rebuild(season, pace, on_progress)
        })?;
        Ok(shown(&rebuilt))
    }

    #[pyo3(signature = (season, sample=None, progress=None, share=1.0))]
    fn reconcile(
        &self,
        py: Python<'_>,
        season: &str,
        sample: Option<u64>,
        progress: Option<Py<PyAny>>,
        share: f64,
    ) -> PyResult<Reconciliation> {
        let pace = Pace::of_share(share)?;
        let shown = |found: &Reconciled| Reconciliation::new(season, found);
        let found = with_progress(py, progress, shown, |on_progress| {
            self.0.reconcile(season, sample, pace, on_progress)
        })?;
        Ok(shown(&found))
    }

    fn estimated_records(&self, py: Python<'_>, season: &str) -> PyResult<u64> {
        Ok(py.detach(|| self.0.estimated_records(season))?)
    }

    fn is_running(&self, py: Python<'_>, kind: &str, season: &str) -> PyResult<bool> {
        let job = Job::named(kind)?;
        Ok(py.detach(|| self.0.is_running(job, season))?)
    }

    fn check_cache(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.0.check_cache())?)
    }

    #[pyo3(signature = (share=1.0))]
    fn load_recent_students(&self, py: Python<'_>, share: f64) -> PyResult<usize> {
        let pace = Pace::of_share(share)?;
        Ok(py.detach(|| self.0.load_recent_students(pace))?)
    }

    #[pyo3(signature = (cache_is_void=false))]
    fn season_changed(&self, py: Python<'_>, cache_is_void: bool) -> PyResult<()> {
        Ok(py.detach(|| self.0.season_changed(cache_is_void))?)
    }

    fn links_changed(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.links_changed())?)
    }

    fn player_changed(&self, py: Python<'_>, player: &str) -> PyResult<()> {
        Ok(py.detach(|| self.0.player_changed(player))?)
    }
}

#[derive(IntoPyObject)]
struct RebuildProgress {
    season: String,
    students: u64,
    done: u64,
    total: u64,
    dropped: u64,
}

impl RebuildProgress {
    fn new(season: &str, rebuilt: &Rebuilt) -> RebuildProgress {
        RebuildProgress {
            season: season.to_owned(),
            students: rebuilt.students,
            done: rebuilt.records,
            total: rebuilt.total,
            dropped: rebuilt.dropped,
        }
    }
}

#[derive(IntoPyObject)]
struct Reconciliation {
    season: String,
    done: u64,
    total: u64,
    students: u64,
    records: u64,
    missing: u64,
    ghost: u64,
    wrong_date: u64,
    wrong_state: u64,
    half_filled: u64,
    corrected: u64,
    unsettled: u64,
    void: u64,
    offered: u64,
    percent_differing: f64,
    percent_low: f64,
    percent_high: f64,
    is_alarming: bool,
}

impl Reconciliation {
    fn new(season: &str, reconciled: &Reconciled) -> Reconciliation {
        let (found, estimate) = (reconciled.differences, reconciled.estimate);
        Reconciliation {
            season: season.to_owned(),
            done: found.records,
            total: reconciled.total,
            students: reconciled.students,
            records: found.records,
            missing: found.missing,
            ghost: found.ghost,
            wrong_date: found.wrong_date,
            wrong_state: found.wrong_state,
            half_filled: reconciled.half_filled,
            corrected: reconciled.corrected,
            unsettled: reconciled.unsettled,
            void: reconciled.void,
            offered: reconciled.offered,
            percent_differing: 100.0 * estimate.share,
            percent_low: 100.0 * estimate.low,
            percent_high: 100.0 * estimate.high,
            is_alarming: reconciled.is_alarming(),
        }
    }
}

//! The archive of seasons, and deletion from it.

use pyo3::prelude::*;

use super::Engine;
use super::progress::with_progress;
use super::values::{duration, whole_seconds};
use crate::administrators::pace::Pace;
use crate::administrators::retention::Walked;
use crate::servers::mariadb::archive::Progress;

#[pymethods]
impl Engine {
    #[pyo3(signature = (season, progress=None, share=0.5))]
    fn archive(
        &self,
        py: Python<'_>,
        season: &str,
        progress: Option<Py<PyAny>>,
        share: f64,
    ) -> PyResult<ArchiveProgress> {
        let pace = Pace::of_share(share)?;
        let shown = |progress: &Progress| ArchiveProgress::new(season, progress);
        let archived = with_progress(py, progress, shown, |on_progress| {
            self.0.archive(season, pace, on_progress)
        })?;
        Ok(shown(&archived))
    }

    fn archive_status(&self, py: Python<'_>, season: &str) -> PyResult<Option<ArchiveStatus>> {
        let status = py.detach(|| self.0.archive_status(season))?;
        let shown = |progress| ArchiveStatus::new(season, &progress, status.is_running);
        Ok(status.progress.map(shown))
    }

    fn drop_left_partitions(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(py.detach(|| self.0.drop_left_partitions())?)
    }

    fn forget_archive(&self, py: Python<'_>, season: &str) -> PyResult<()> {
        Ok(py.detach(|| self.0.forget_archive(season))?)
    }

    #[pyo3(signature = (archived_before, seconds, share=0.5))]
    fn flag_for_deletion(
        &self,
        py: Python<'_>,
        archived_before: Option<f64>,
        seconds: f64,
        share: f64,
    ) -> PyResult<u64> {
        let before = archived_before.map(whole_seconds).transpose()?;
        let (longest, pace) = (duration(seconds)?, Pace::of_share(share)?);
        Ok(py.detach(|| self.0.flag_for_deletion(before, longest, pace))?)
    }

    #[pyo3(signature = (season=None, progress=None, share=0.5))]
    fn delete_flagged(
        &self,
        py: Python<'_>,
        season: Option<&str>,
        progress: Option<Py<PyAny>>,
        share: f64,
    ) -> PyResult<u64> {
        let pace = Pace::of_share(share)?;
        with_progress(py, progress, DeletionProgress::new, |on_progress| {
            self.0.delete_flagged(season, pace, on_progress)
        })
    }
}

#[derive(IntoPyObject)]
struct ArchiveProgress {
    season: String,
    step: &'static str,
    done: u64,
    total: u64,
}

impl ArchiveProgress {
    fn new(season: &str, progress: &Progress) -> ArchiveProgress {
        let (done, total) = progress.done_of_total();
        ArchiveProgress { season: season.to_owned(), step: progress.step.name(), done, total }
    }
}

#[derive(IntoPyObject)]
struct ArchiveStatus {
    season: String,
    step: &'static str,
    done: u64,
    total: u64,
    is_running: bool,
    started_at: f64,
    finished_at: Option<f64>,
}

impl ArchiveStatus {
    fn new(season: &str, progress: &Progress, is_running: bool) -> ArchiveStatus {
        let seconds = |microseconds: i64| microseconds as f64 / 1e6;
        let ArchiveProgress { season, step, done, total } = ArchiveProgress::new(season, progress);
        ArchiveStatus {
            season,
            step,
            done,
            total,
            is_running,
            started_at: seconds(progress.started_at_us),
            finished_at: progress.finished_at_us.map(seconds),
        }
    }
}

#[derive(IntoPyObject)]
struct DeletionProgress {
    done: u64,
    total: u64,
}

impl DeletionProgress {
    fn new(walked: &Walked) -> DeletionProgress {
        DeletionProgress { done: walked.done, total: walked.total }
    }
}

//! Training FSRS, and what it would do to a season.

use pyo3::prelude::*;

use super::Engine;
use super::progress::with_progress;
use crate::administrators::pace::Pace;
use crate::administrators::scheduler_report::{ReportedWay, SchedulerReport};
use crate::administrators::training::{TrainedSubject, TrainingProgress};
use crate::rules::predictions::Fit;

#[pymethods]
impl Engine {
    #[pyo3(signature = (season, progress=None, share=1.0))]
    fn train(
        &self,
        py: Python<'_>,
        season: &str,
        progress: Option<Py<PyAny>>,
        share: f64,
    ) -> PyResult<Vec<Training>> {
        let pace = Pace::of_share(share)?;
        let shown = |progress: &TrainingProgress| Progress {
            step: if progress.is_computing { "computing" } else { "reading" },
            done: progress.done,
            total: progress.total,
        };
        let found = with_progress(py, progress, shown, |on_progress| {
            self.0.train(season, pace, on_progress)
        })?;
        Ok(found.into_iter().map(Training::new).collect())
    }

    fn scheduler_report(
        &self,
        py: Python<'_>,
        season: &str,
        days: u32,
        until: &str,
    ) -> PyResult<Report> {
        Ok(Report::new(py.detach(|| self.0.scheduler_report(season, days, until))?))
    }
}

#[derive(IntoPyObject)]
struct Progress {
    step: &'static str,
    done: u64,
    total: u64,
}

#[derive(IntoPyObject)]
struct Training {
    subject: Option<String>,
    answers: usize,
    predicted: usize,
    held_out: usize,
    parameters: Option<Vec<f32>>,
    before: Option<FitOfAnswers>,
    after: Option<FitOfAnswers>,
    is_better: bool,
}

impl Training {
    fn new(found: TrainedSubject) -> Training {
        let TrainedSubject { subject, trained } = found;
        let found = trained.found;
        Training {
            subject,
            answers: trained.answers,
            predicted: trained.predicted,
            held_out: trained.held_out,
            is_better: found.as_ref().is_some_and(|found| found.is_better()),
            before: found.as_ref().map(|found| found.before.into()),
            after: found.as_ref().map(|found| found.after.into()),
            parameters: found.map(|found| Vec::from(found.parameters)),
        }
    }
}

#[derive(IntoPyObject)]
struct FitOfAnswers {
    log_loss: f64,
    rmse_of_bins: f64,
    auc: f64,
}

impl From<Fit> for FitOfAnswers {
    fn from(Fit { log_loss, rmse_of_bins, auc }: Fit) -> FitOfAnswers {
        FitOfAnswers { log_loss, rmse_of_bins, auc }
    }
}

#[derive(IntoPyObject)]
struct Report {
    answers: u64,
    is_assumed: bool,
    right: f64,
    fast: f64,
    slow: f64,
    questions: usize,
    days: u32,
    students: u64,
    ways: Vec<WayOfReport>,
}

impl Report {
    fn new(report: SchedulerReport) -> Report {
        Report {
            answers: report.answers,
            is_assumed: report.is_assumed,
            right: report.right,
            fast: report.fast,
            slow: report.slow,
            questions: report.questions,
            days: report.days,
            students: report.students,
            ways: report.ways.into_iter().map(WayOfReport::from).collect(),
        }
    }
}

#[derive(IntoPyObject)]
struct WayOfReport {
    retention: Option<f64>,
    weeks: Vec<f64>,
    reviews_a_day: f64,
    busiest_day: f64,
    right: f64,
    known: f64,
}

impl From<ReportedWay> for WayOfReport {
    fn from(way: ReportedWay) -> WayOfReport {
        // 0.85, not the nearest number in single precision.
        let retention = way.retention.map(|share| (f64::from(share) * 100.0).round() / 100.0);
        WayOfReport {
            retention,
            weeks: way.weeks,
            reviews_a_day: way.reviews_a_day,
            busiest_day: way.busiest_day,
            right: way.right,
            known: way.known,
        }
    }
}

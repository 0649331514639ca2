//! How much is due on each of the next days: see `forecast` and `season_forecast`.

use jiff::civil::Date;
use pyo3::prelude::*;

use super::Engine;
use crate::administrators::season_forecast;
use crate::students::forecast;

#[pymethods]
impl Engine {
    #[pyo3(signature = (player, days=30))]
    fn forecast(&self, py: Python<'_>, player: &str, days: u32) -> PyResult<Forecast> {
        Ok(py.detach(|| self.0.forecast(player, days))?.into())
    }

    #[pyo3(signature = (season, days=30))]
    fn season_forecast(&self, py: Python<'_>, season: &str, days: u32) -> PyResult<SeasonForecast> {
        Ok(py.detach(|| self.0.season_forecast(season, days))?.into())
    }
}

#[derive(IntoPyObject)]
struct Day {
    date: String,
    due: u64,
}

fn days(days: Vec<(Date, u64)>) -> Vec<Day> {
    days.into_iter().map(|(date, due)| Day { date: date.to_string(), due }).collect()
}

#[derive(IntoPyObject)]
struct Forecast {
    season: Option<String>,
    days: Vec<Day>,
    total: u64,
    overdue: u64,
    due_now: u64,
    is_degraded: bool,
}

impl From<forecast::Forecast> for Forecast {
    fn from(found: forecast::Forecast) -> Forecast {
        let (season, workload) = (found.season, found.workload);
        Forecast {
            season,
            total: workload.total(),
            overdue: workload.overdue,
            due_now: workload.due_now,
            days: days(workload.days),
            is_degraded: found.is_degraded,
        }
    }
}

#[derive(IntoPyObject)]
struct SeasonForecast {
    days: Vec<Day>,
    total: u64,
    overdue: u64,
    sampled_students: u64,
    cached_students: u64,
    students: Option<u64>,
}

impl From<season_forecast::SeasonForecast> for SeasonForecast {
    fn from(found: season_forecast::SeasonForecast) -> SeasonForecast {
        let workload = found.workload;
        SeasonForecast {
            total: workload.total(),
            overdue: workload.overdue,
            days: days(workload.days),
            sampled_students: found.sampled_students,
            cached_students: found.cached_students,
            students: found.students,
        }
    }
}

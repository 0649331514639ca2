//! The engine as Python sees it: take the values, leave the GIL, call Rust, turn the result back.
//! Documented in `python/memora/_engine.pyi`, where editors look.

use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::clock::SiteZone;
use crate::due::{DueQuery, Source};
use crate::error::{Error, Result};
use crate::mariadb::DatabaseAddress;
use crate::outage::OutageNews;
use crate::review::Review;
use crate::settings::PlainSettings;
use crate::status::Persistence;
use crate::submission::Submission;
use crate::submit::SubmitAnswer;

create_exception!(memora._engine, MemoraError, PyException);
create_exception!(memora._engine, InvalidInput, MemoraError);
create_exception!(memora._engine, SeasonUnavailable, MemoraError);
create_exception!(memora._engine, RateLimited, MemoraError);
create_exception!(memora._engine, ServiceUnavailable, MemoraError);
create_exception!(memora._engine, EngineFault, MemoraError);

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let message = error.to_string();
        match error {
            Error::InvalidInput(_) => InvalidInput::new_err(message),
            Error::SeasonUnavailable(_) => SeasonUnavailable::new_err(message),
            Error::RateLimited { retry_after } => RateLimited::new_err((message, retry_after)),
            Error::Unavailable { .. } => ServiceUnavailable::new_err(message),
            Error::Refused { .. } | Error::Fault(_) => EngineFault::new_err(message),
        }
    }
}

/// Where one site's servers are, and its limits.
#[pyclass(module = "memora._engine", frozen)]
pub struct Settings(crate::settings::Settings);

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (*, site, cache_url, journal_url, database_name, database_user, database_password,
        database_host="127.0.0.1", database_port=3306, database_socket=None, time_zone="UTC", max_questions=20_000,
        redis_timeout_ms=150, database_timeout_ms=700, cache_ttl_seconds=604_800, trust_lease_ms=300))]
    // One argument for each setting, all by keyword: that is what a settings value is.
    #[allow(clippy::too_many_arguments)]
    fn new(
        site: &str,
        cache_url: &str,
        journal_url: &str,
        database_name: &str,
        database_user: &str,
        database_password: &str,
        database_host: &str,
        database_port: u16,
        database_socket: Option<&str>,
        time_zone: &str,
        max_questions: u64,
        redis_timeout_ms: u64,
        database_timeout_ms: u64,
        cache_ttl_seconds: u64,
        trust_lease_ms: u64,
    ) -> PyResult<Settings> {
        let database = DatabaseAddress {
            host: database_host,
            port: database_port,
            socket: database_socket,
            user: database_user,
            password: database_password,
            name: database_name,
        };
        let plain = PlainSettings {
            site,
            cache_url,
            journal_url,
            database,
            time_zone,
            max_questions,
            redis_timeout_ms,
            database_timeout_ms,
            cache_ttl_seconds,
            trust_lease_ms,
        };
        Ok(Settings(crate::settings::Settings::check(&plain)?))
    }
}

/// One site's engine.
#[pyclass(module = "memora._engine", frozen)]
pub struct Engine(crate::engine::Engine);

#[pymethods]
impl Engine {
    #[new]
    fn new(settings: &Settings) -> Engine {
        Engine(crate::engine::Engine::new(settings.0.clone()))
    }

    #[pyo3(signature = (player, limit=20, subject=None, topic=None))]
    fn due<'py>(
        &self,
        py: Python<'py>,
        player: &str,
        limit: u32,
        subject: Option<String>,
        topic: Option<String>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let query = DueQuery { limit, subject, topic };
        let answer = py.detach(|| self.0.due(player, &query))?;
        let source = match answer.source {
            Source::Cache => "cache",
            Source::Database => "database",
            Source::SafeMode => "safe_mode",
            Source::Nothing => "none",
        };
        let dict = PyDict::new(py);
        dict.set_item(intern!(py, "questions"), questions(py, &self.0.settings.zone, &answer.reviews)?)?;
        dict.set_item(intern!(py, "total_due"), answer.total)?;
        dict.set_item(intern!(py, "is_degraded"), answer.is_degraded)?;
        dict.set_item(intern!(py, "is_whole"), answer.is_whole)?;
        dict.set_item(intern!(py, "season"), answer.season)?;
        dict.set_item(intern!(py, "source"), source)?;
        Ok(dict)
    }

    #[pyo3(signature = (player, session_data=None, responses=None))]
    fn submit<'py>(
        &self,
        py: Python<'py>,
        player: &str,
        session_data: Option<&str>,
        responses: Option<&str>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let answer = py.detach(|| {
            let submission = match (session_data, responses) {
                (Some(json), None) => Submission::from_session_data(json),
                (None, Some(json)) => Submission::from_responses(json),
                _ => {
                    Err(Error::InvalidInput("Nothing was saved: give session_data or responses.".to_owned()))
                }
            }?;
            self.0.submit(player, &submission)
        })?;
        acknowledgement(py, &answer)
    }

    #[pyo3(signature = (player, interactions, subject=None, topic=None))]
    fn rate<'py>(
        &self,
        py: Python<'py>,
        player: &str,
        interactions: &str,
        subject: Option<String>,
        topic: Option<String>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let answer = py.detach(|| {
            let submission = Submission::from_interactions(interactions, subject, topic)?;
            self.0.submit(player, &submission)
        })?;
        acknowledgement(py, &answer)
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

    #[pyo3(signature = (seconds=60.0))]
    fn drain<'py>(&self, py: Python<'py>, seconds: f64) -> PyResult<Bound<'py, PyDict>> {
        let patience = Duration::try_from_secs_f64(seconds)
            .map_err(|_| Error::InvalidInput(format!("seconds is a positive number, not {seconds}")))?;
        let report = py.detach(|| self.0.drain(patience))?;
        let dict = PyDict::new(py);
        dict.set_item("submissions", report.submissions)?;
        dict.set_item("answers", report.answers)?;
        dict.set_item("set_aside", report.set_aside)?;
        dict.set_item("remaining", report.remaining)?;
        Ok(dict)
    }

    #[pyo3(signature = (names=None))]
    fn replay<'py>(&self, py: Python<'py>, names: Option<Vec<String>>) -> PyResult<Bound<'py, PyDict>> {
        let report = py.detach(|| self.0.replay(names.as_deref()))?;
        let dict = PyDict::new(py);
        dict.set_item("replayed", report.replayed)?;
        dict.set_item("failed", report.failed)?;
        dict.set_item("unknown", report.unknown)?;
        Ok(dict)
    }

    fn check_outages(&self, py: Python<'_>) {
        py.detach(|| self.0.check_outages());
    }

    fn outage_news<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let told = self.0.outage_news().into_iter().map(|news| {
            let (server, event, seconds) = match news {
                OutageNews::Began(server) => (server, "began", 0),
                OutageNews::Ended(server, seconds) => (server, "ended", seconds),
            };
            let dict = PyDict::new(py);
            dict.set_item("server", server.id())?;
            dict.set_item("event", event)?;
            dict.set_item("seconds", seconds)?;
            Ok(dict)
        });
        told.collect()
    }

    fn rehydrate(&self, py: Python<'_>, player: &str, season: &str) -> PyResult<usize> {
        Ok(py.detach(|| self.0.rehydrate(player, season))?)
    }

    fn journal_status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let status = py.detach(|| self.0.journal_status())?;
        let dict = PyDict::new(py);
        dict.set_item("reachable", status.is_reachable)?;
        dict.set_item("backlog", status.backlog)?;
        dict.set_item("oldest_age_seconds", status.oldest_age_seconds)?;
        dict.set_item("appendonly", status.appendonly)?;
        dict.set_item("appendfsync", status.appendfsync)?;
        dict.set_item("maxmemory_policy", status.maxmemory_policy)?;
        dict.set_item("durable", status.warning.is_none())?;
        dict.set_item("warning", status.warning)?;
        Ok(dict)
    }

    #[pyo3(signature = (cache_is_void=false))]
    fn season_changed(&self, py: Python<'_>, cache_is_void: bool) -> PyResult<()> {
        Ok(py.detach(|| self.0.season_changed(cache_is_void))?)
    }

    fn links_changed(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.links_changed())?)
    }

    fn cache_available(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.cache_available())
    }

    fn cache_add(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        items: Vec<(String, f64)>,
    ) -> PyResult<usize> {
        let whole = |(id, seconds): (String, f64)| {
            if !(0.0..1e11).contains(&seconds) {
                return Err(Error::InvalidInput(format!("{seconds} is no Unix time in seconds")));
            }
            // In range: only the fraction is dropped.
            #[allow(clippy::cast_possible_truncation)]
            Ok((id, seconds as i64))
        };
        let dates = items.into_iter().map(whole).collect::<Result<Vec<_>>>()?;
        Ok(py.detach(|| self.0.cache_add(player, season, &dates))?)
    }

    fn cache_remove(&self, py: Python<'_>, player: &str, season: &str, question_id: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.cache_remove(player, season, question_id))?)
    }

    #[pyo3(signature = (player, season, limit=20))]
    fn cache_due(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        limit: u32,
    ) -> PyResult<Vec<(String, f64)>> {
        Ok(py.detach(|| self.0.cache_due(player, season, limit))?)
    }

    fn cache_scores<'py>(&self, py: Python<'py>, player: &str, season: &str) -> PyResult<Bound<'py, PyDict>> {
        let scores = py.detach(|| self.0.cache_scores(player, season))?;
        let dict = PyDict::new(py);
        for (id, score) in scores {
            dict.set_item(id, score)?;
        }
        Ok(dict)
    }

    fn cache_count_due(&self, py: Python<'_>, player: &str, season: &str) -> PyResult<u64> {
        Ok(py.detach(|| self.0.cache_count_due(player, season))?)
    }

    fn cache_clear(&self, py: Python<'_>, player: &str, season: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.cache_clear(player, season))?)
    }

    fn cache_stats<'py>(&self, py: Python<'py>, player: &str, season: &str) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.0.cache_stats(player, season))?;
        let dict = PyDict::new(py);
        dict.set_item("complete", stats.is_complete)?;
        dict.set_item("records", stats.records)?;
        dict.set_item("due", stats.due)?;
        dict.set_item("memory_bytes", stats.memory_bytes)?;
        Ok(dict)
    }

    #[pyo3(signature = (player, season, limit=20))]
    fn due_in_season<'py>(
        &self,
        py: Python<'py>,
        player: &str,
        season: &str,
        limit: u32,
    ) -> PyResult<Bound<'py, PyList>> {
        let reviews = py.detach(|| self.0.due_in_season(player, season, limit))?;
        questions(py, &self.0.settings.zone, &reviews)
    }

    fn prepare_storage(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(py.detach(|| self.0.prepare_storage())?)
    }

    fn create_partition(&self, py: Python<'_>, season: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.create_partition(season))?)
    }

    fn partition_exists(&self, py: Python<'_>, season: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.partition_exists(season))?)
    }
}

fn questions<'py>(py: Python<'py>, zone: &SiteZone, reviews: &[Review]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for review in reviews {
        let dict = PyDict::new(py);
        dict.set_item(intern!(py, "question_id"), &review.question_id)?;
        dict.set_item(intern!(py, "stability"), review.stability)?;
        dict.set_item(intern!(py, "next_review_date"), zone.text(review.next_review))?;
        let last_review = review.last_review.map(|seconds| zone.text(seconds));
        dict.set_item(intern!(py, "last_review_date"), last_review)?;
        dict.set_item(intern!(py, "subject"), &review.subject)?;
        dict.set_item(intern!(py, "topic"), &review.topic)?;
        list.append(dict)?;
    }
    Ok(list)
}

fn acknowledgement<'py>(py: Python<'py>, answer: &SubmitAnswer) -> PyResult<Bound<'py, PyDict>> {
    let counts = PyDict::new(py);
    for (stability, count) in (1..).zip(answer.stability_counts) {
        counts.set_item(format!("{stability}"), count)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("persistence_job_id", &answer.job_id)?;
    dict.set_item("season", &answer.season)?;
    dict.set_item("processed", answer.processed)?;
    dict.set_item("correct", answer.correct)?;
    dict.set_item("remaining_items", answer.remaining)?;
    dict.set_item("new_stability_counts", counts)?;
    dict.set_item("drain_wanted", answer.drain_wanted)?;
    Ok(dict)
}

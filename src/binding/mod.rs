//! The engine as Python sees it: take the values, leave the GIL, call Rust, turn the result back.
//! Documented in `python/memora/_engine.pyi`, where editors look.

use std::collections::HashSet;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::administrators::job::Job;
use crate::administrators::pace::Pace;
use crate::administrators::rebuild::Rebuilt;
use crate::administrators::reconcile::Reconciled;
use crate::administrators::replay::ReplayReport;
use crate::administrators::retention::Walked;
use crate::engine::outages::OutageNews;
use crate::engine::settings::PlainSettings;
use crate::error::{Error, Result};
use crate::rules::clock::SiteZone;
use crate::rules::latency::{BOUNDS_US, ByCall};
use crate::rules::review::Review;
use crate::rules::submission::Submission;
use crate::servers::mariadb::DatabaseAddress;
use crate::servers::mariadb::archive::Progress;
use crate::students::due::{DueQuery, Source};
use crate::students::persistence::Persistence;
use crate::students::submit::SubmitAnswer;

create_exception!(memora._engine, MemoraError, PyException);
create_exception!(memora._engine, InvalidInput, MemoraError);
create_exception!(memora._engine, SeasonUnavailable, MemoraError);
create_exception!(memora._engine, RateLimited, MemoraError);
create_exception!(memora._engine, ServiceUnavailable, MemoraError);
create_exception!(memora._engine, OutcomeUnknown, ServiceUnavailable);
create_exception!(memora._engine, EngineFault, MemoraError);

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let message = error.to_string();
        match error {
            Error::Unsettled { .. } => OutcomeUnknown::new_err(message),
            error if error.is_transient() => ServiceUnavailable::new_err(message),
            Error::InvalidInput(_) => InvalidInput::new_err(message),
            Error::SeasonUnavailable(_) | Error::SeasonArchived(_) => {
                SeasonUnavailable::new_err(message)
            }
            Error::RateLimited { retry_after } => RateLimited::new_err((message, retry_after)),
            Error::Unavailable { .. } => ServiceUnavailable::new_err(message),
            Error::Refused { .. } | Error::Fault(_) => EngineFault::new_err(message),
        }
    }
}

/// Where one site's servers are, and its limits.
#[pyclass(module = "memora._engine", frozen)]
pub struct Settings(crate::engine::settings::Settings);

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (*, site, cache_url=None, frappe_cache_url=None, journal_url, database_name, database_user,
        database_password, database_host="127.0.0.1", database_port=3306, database_socket=None, time_zone="UTC", max_questions=20_000,
        redis_timeout_ms=150, database_timeout_ms=700, cache_ttl_seconds=604_800, trust_lease_ms=320))]
    // One argument for each setting, all by keyword: that is what a settings value is.
    #[allow(clippy::too_many_arguments)]
    fn new(
        site: &str,
        cache_url: Option<&str>,
        frappe_cache_url: Option<&str>,
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
            frappe_cache_url,
            journal_url,
            database,
            time_zone,
            max_questions,
            redis_timeout_ms,
            database_timeout_ms,
            cache_ttl_seconds,
            trust_lease_ms,
        };
        Ok(Settings(crate::engine::settings::Settings::check(&plain)?))
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
            Source::Cache | Source::Loaded => "cache",
            Source::Database => "database",
            Source::SafeMode => "safe_mode",
            Source::Nothing => "none",
        };
        let dict = PyDict::new(py);
        dict.set_item(
            intern!(py, "questions"),
            questions(py, &self.0.settings.zone, &answer.reviews)?,
        )?;
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
                _ => Err(Error::InvalidInput(
                    "Nothing was saved: give session_data or responses.".to_owned(),
                )),
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
            self.0.rate(player, &submission)
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
        let patience = duration(seconds)?;
        let report = py.detach(|| self.0.drain(patience))?;
        let dict = PyDict::new(py);
        dict.set_item("submissions", report.submissions)?;
        dict.set_item("answers", report.answers)?;
        dict.set_item("set_aside", report.set_aside)?;
        dict.set_item("remaining", report.remaining)?;
        Ok(dict)
    }

    #[pyo3(signature = (names=None, progress=None))]
    fn replay<'py>(
        &self,
        py: Python<'py>,
        names: Option<Vec<String>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut watcher = Watcher::new(progress);
        let replayed = py.detach(|| {
            self.0.replay(names.as_deref(), &mut |report| {
                watcher.tell(|py| Ok(replay_dict(py, report)?.into_any()))
            })
        });
        replay_dict(py, &watcher.outcome(replayed)?)
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

    fn check_outages(&self, py: Python<'_>) {
        py.detach(|| self.0.check_outages());
    }

    fn outage_news<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let told = self.0.outage_news().into_iter().map(|news| {
            let (server, event, seconds) = match news {
                OutageNews::Began(server) => (server.id(), "began", 0),
                OutageNews::Ended(server, seconds) => (server.id(), "ended", seconds),
                OutageNews::ClockAhead(seconds) => ("clock", "ahead", seconds),
                OutageNews::BacklogIsOld(seconds) => ("backlog", "old", seconds),
                OutageNews::DrainIsOverdue => ("drain", "overdue", 0),
                OutageNews::JournalReplaced(false) => ("journal", "restarted", 0),
                OutageNews::JournalReplaced(true) => ("journal", "replaced", 0),
            };
            let dict = PyDict::new(py);
            dict.set_item("server", server)?;
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
        dict.set_item("kept_in_database", status.kept_in_database)?;
        dict.set_item("is_clock_ahead", status.is_clock_ahead)?;
        dict.set_item("warning", status.warning)?;
        Ok(dict)
    }

    fn cache_status<'py>(
        &self,
        py: Python<'py>,
        seasons: Vec<String>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let status = py.detach(|| self.0.cache_status(&seasons))?;
        let cached = PyDict::new(py);
        for (season, found) in seasons.iter().zip(&status.seasons) {
            let dict = PyDict::new(py);
            dict.set_item("students", found.students)?;
            dict.set_item("memory_bytes", found.memory_bytes)?;
            cached.set_item(season, dict)?;
        }
        let dict = PyDict::new(py);
        dict.set_item("reachable", status.is_reachable)?;
        dict.set_item("is_safe_mode", status.is_safe_mode)?;
        dict.set_item("cause", status.cause)?;
        dict.set_item("memory_bytes", status.memory_bytes)?;
        dict.set_item("memory_limit_bytes", status.memory_limit_bytes)?;
        dict.set_item("maxmemory_policy", status.maxmemory_policy)?;
        dict.set_item("warning", status.warning)?;
        dict.set_item("seasons", cached)?;
        Ok(dict)
    }

    fn latency<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let latency = py.detach(|| self.0.latency())?;
        let series = PyList::empty(py);
        for slot in &latency.slots {
            let dict = PyDict::new(py);
            dict.set_item("began_at", slot.began)?;
            dict.set_item("calls", latency_dict(py, &slot.calls)?)?;
            series.append(dict)?;
        }
        let dict = PyDict::new(py);
        dict.set_item("series", series)?;
        dict.set_item("last_hour", latency_dict(py, &latency.last_hour)?)?;
        dict.set_item("all", latency_dict(py, &latency.all)?)?;
        Ok(dict)
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
        let whole = |(id, seconds): (String, f64)| Ok((id, whole_seconds(seconds)?));
        let dates = items.into_iter().map(whole).collect::<Result<Vec<_>>>()?;
        Ok(py.detach(|| self.0.cache_add(player, season, &dates))?)
    }

    fn cache_remove(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        question_id: &str,
    ) -> PyResult<bool> {
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

    fn cache_scores<'py>(
        &self,
        py: Python<'py>,
        player: &str,
        season: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
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

    fn cache_stats<'py>(
        &self,
        py: Python<'py>,
        player: &str,
        season: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
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

    #[pyo3(signature = (season, progress=None, share=0.5))]
    fn archive<'py>(
        &self,
        py: Python<'py>,
        season: &str,
        progress: Option<Py<PyAny>>,
        share: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let pace = Pace::of_share(share)?;
        watched(py, progress, season, |watch| self.0.archive(season, pace, watch))
    }

    #[pyo3(signature = (season, progress=None, share=1.0))]
    fn rebuild<'py>(
        &self,
        py: Python<'py>,
        season: &str,
        progress: Option<Py<PyAny>>,
        share: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let pace = Pace::of_share(share)?;
        watched(py, progress, season, |watch| self.0.rebuild(season, pace, watch))
    }

    #[pyo3(signature = (season, sample=None, progress=None, share=1.0))]
    fn reconcile<'py>(
        &self,
        py: Python<'py>,
        season: &str,
        sample: Option<u64>,
        progress: Option<Py<PyAny>>,
        share: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let pace = Pace::of_share(share)?;
        watched(py, progress, season, |watch| self.0.reconcile(season, sample, pace, watch))
    }

    fn check_cache(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.0.check_cache())?)
    }

    #[pyo3(signature = (share=1.0))]
    fn load_recent_students(&self, py: Python<'_>, share: f64) -> PyResult<usize> {
        let pace = Pace::of_share(share)?;
        Ok(py.detach(|| self.0.load_recent_students(pace))?)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    fn is_running(&self, py: Python<'_>, kind: &str, season: &str) -> PyResult<bool> {
        let job = Job::named(kind)?;
        Ok(py.detach(|| self.0.is_running(job, season))?)
    }

    fn archive_status<'py>(
        &self,
        py: Python<'py>,
        season: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let status = py.detach(|| self.0.archive_status(season))?;
        let Some(progress) = status.progress else { return Ok(None) };
        let dict = season_dict(py, season, &progress)?;
        let seconds = |microseconds: i64| microseconds as f64 / 1e6;
        dict.set_item("is_running", status.is_running)?;
        dict.set_item("started_at", seconds(progress.started_at_us))?;
        dict.set_item("finished_at", progress.finished_at_us.map(seconds))?;
        Ok(Some(dict))
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
        archived_before: f64,
        seconds: f64,
        share: f64,
    ) -> PyResult<u64> {
        let (before, pace) = (whole_seconds(archived_before)?, Pace::of_share(share)?);
        let longest = duration(seconds)?;
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
        let mut watcher = Watcher::new(progress);
        let deleted = py.detach(|| {
            self.0.delete_flagged(season, pace, &mut |news| {
                watcher.tell(|py| {
                    let dict = PyDict::new(py);
                    news.show(&dict)?;
                    Ok(dict.into_any())
                })
            })
        });
        watcher.outcome(deleted)
    }

    fn has_records_without_season(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.0.has_records_without_season())?)
    }

    #[pyo3(signature = (season, progress=None))]
    fn give_season(
        &self,
        py: Python<'_>,
        season: &str,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        let mut watcher = Watcher::new(progress);
        let changed = py.detach(|| self.0.give_season(season, &mut |count| watcher.count(*count)));
        watcher.outcome(changed)
    }

    #[pyo3(signature = (progress=None))]
    fn remove_duplicates(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<u64> {
        let mut watcher = Watcher::new(progress);
        let removed = py.detach(|| self.0.remove_duplicates(&mut |count| watcher.count(*count)));
        watcher.outcome(removed)
    }

    fn has_waiting_answers(
        &self,
        py: Python<'_>,
        player: &str,
        seasons: Vec<String>,
    ) -> PyResult<bool> {
        Ok(py.detach(|| self.0.has_waiting_answers(player, &seasons))?)
    }

    fn forget<'py>(&self, py: Python<'py>, player: &str) -> PyResult<Bound<'py, PyDict>> {
        let forgotten = py.detach(|| self.0.forget(player))?;
        let dict = PyDict::new(py);
        dict.set_item("records", forgotten.records)?;
        dict.set_item("archived_records", forgotten.archived)?;
        dict.set_item("audit_records", forgotten.audits)?;
        dict.set_item("poison_reviews", forgotten.poison)?;
        dict.set_item("waiting_submissions", forgotten.submissions)?;
        Ok(dict)
    }

    fn note_rename(&self, py: Python<'_>, old: &str, new: &str) -> PyResult<()> {
        Ok(py.detach(|| self.0.note_rename(old, new))?)
    }

    fn carry_renamed(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(py.detach(|| self.0.carry_renamed())?)
    }

    fn mend_clock(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(py.detach(|| self.0.mend_clock())?)
    }

    fn free_old_cache(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.free_old_cache())?)
    }

    fn uninstall(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.uninstall())?)
    }

    fn prepare_storage(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(py.detach(|| self.0.prepare_storage())?)
    }

    fn create_partition(&self, py: Python<'_>, season: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.create_partition(season))?)
    }

    fn partitions<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let partitions = py.detach(|| self.0.partitions())?.into_iter().map(|partition| {
            let dict = PyDict::new(py);
            dict.set_item("name", partition.name)?;
            dict.set_item("rows", partition.rows)?;
            dict.set_item("bytes", partition.bytes)?;
            Ok(dict)
        });
        partitions.collect()
    }

    fn partition_exists(&self, py: Python<'_>, season: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.partition_exists(season))?)
    }
}

/// Tells a Python function how far a piece of work is. What it raises, Ctrl-C included, ends the
/// work.
struct Watcher {
    function: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Watcher {
    fn new(function: Option<Py<PyAny>>) -> Watcher {
        Watcher { function, raised: None }
    }

    fn tell(&mut self, news: impl FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>>) -> Result<()> {
        let told = Python::attach(|py| {
            py.check_signals()?;
            if let Some(function) = &self.function {
                function.call1(py, (news(py)?,))?;
            }
            Ok(())
        });
        told.map_err(|raised| {
            self.raised = Some(raised);
            Error::Fault(
                "the work was ended by whoever watched it; running it again goes on".to_owned(),
            )
        })
    }

    fn count(&mut self, count: u64) -> Result<()> {
        self.tell(|py| Ok(count.into_pyobject(py)?.into_any()))
    }

    fn outcome<T>(self, outcome: Result<T>) -> PyResult<T> {
        match self.raised {
            Some(raised) => Err(raised),
            None => Ok(outcome?),
        }
    }
}

fn duration(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| Error::InvalidInput(format!("seconds is a positive number, not {seconds}")))
}

fn whole_seconds(seconds: f64) -> Result<i64> {
    if !(0.0..1e11).contains(&seconds) {
        return Err(Error::InvalidInput(format!("{seconds} is no Unix time in seconds")));
    }
    // In range: only the fraction is dropped.
    #[allow(clippy::cast_possible_truncation)]
    Ok(seconds as i64)
}

/// Does work on a season that tells how far it is, outside the GIL. What is told has the form of
/// the outcome.
fn watched<'py, P: Shown + Send>(
    py: Python<'py>,
    progress: Option<Py<PyAny>>,
    season: &str,
    work: impl FnOnce(&mut dyn FnMut(&P) -> Result<()>) -> Result<P> + Send,
) -> PyResult<Bound<'py, PyDict>> {
    let mut watcher = Watcher::new(progress);
    let outcome = py.detach(|| {
        work(&mut |news| watcher.tell(|py| Ok(season_dict(py, season, news)?.into_any())))
    });
    season_dict(py, season, &watcher.outcome(outcome)?)
}

fn season_dict<'py>(
    py: Python<'py>,
    season: &str,
    shown: &impl Shown,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("season", season)?;
    shown.show(&dict)?;
    Ok(dict)
}

/// How far work on a season is, for a dict.
trait Shown {
    fn show(&self, dict: &Bound<'_, PyDict>) -> PyResult<()>;
}

impl Shown for Walked {
    fn show(&self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
        dict.set_item("done", self.done)?;
        dict.set_item("total", self.total)
    }
}

impl Shown for Progress {
    fn show(&self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
        let (done, total) = self.done_of_total();
        dict.set_item("step", self.step.name())?;
        dict.set_item("done", done)?;
        dict.set_item("total", total)
    }
}

impl Shown for Rebuilt {
    fn show(&self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
        dict.set_item("students", self.students)?;
        dict.set_item("done", self.records)?;
        dict.set_item("total", self.total)?;
        dict.set_item("dropped", self.dropped)
    }
}

impl Shown for Reconciled {
    fn show(&self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
        let (found, estimate) = (self.differences, self.estimate);
        dict.set_item("done", found.records)?;
        dict.set_item("total", self.total)?;
        dict.set_item("students", self.students)?;
        dict.set_item("records", found.records)?;
        dict.set_item("missing", found.missing)?;
        dict.set_item("ghost", found.ghost)?;
        dict.set_item("wrong_date", found.wrong_date)?;
        dict.set_item("wrong_state", found.wrong_state)?;
        dict.set_item("half_filled", self.half_filled)?;
        dict.set_item("corrected", self.corrected)?;
        dict.set_item("unsettled", self.unsettled)?;
        dict.set_item("void", self.void)?;
        dict.set_item("offered", self.offered)?;
        dict.set_item("percent_differing", 100.0 * estimate.share)?;
        dict.set_item("percent_low", 100.0 * estimate.low)?;
        dict.set_item("percent_high", 100.0 * estimate.high)
    }
}

fn replay_dict<'py>(py: Python<'py>, report: &ReplayReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("replayed", report.replayed)?;
    dict.set_item("failed", report.failed)?;
    dict.set_item("unknown", report.unknown)?;
    dict.set_item("done", report.replayed + report.failed + report.unknown)?;
    dict.set_item("total", report.total)?;
    Ok(dict)
}

fn latency_dict<'py>(py: Python<'py>, calls: &ByCall) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (call, counts) in calls {
        let one = PyDict::new(py);
        one.set_item("count", counts.total())?;
        one.set_item("sum_ms", counts.sum_us as f64 / 1e3)?;
        one.set_item("p50_ms", counts.quantile_ms(0.5))?;
        one.set_item("p99_ms", counts.quantile_ms(0.99))?;
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e3).chain([f64::INFINITY]);
        one.set_item("buckets", bounds.zip(counts.places).collect::<Vec<_>>())?;
        dict.set_item(call.name(), one)?;
    }
    Ok(dict)
}

fn questions<'py>(
    py: Python<'py>,
    zone: &SiteZone,
    reviews: &[Review],
) -> PyResult<Bound<'py, PyList>> {
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

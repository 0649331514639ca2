//! The health of a site: its servers, its outages, how long calls take.

use pyo3::prelude::*;

use super::Engine;
use super::values::Ordered;
use crate::administrators::{cache_status, journal_status, latency};
use crate::engine::outages;
use crate::rules::latency::{ByCall, Call, Counts};
use crate::servers::redis::replication;

#[pymethods]
impl Engine {
    fn journal_status(&self, py: Python<'_>) -> PyResult<JournalStatus> {
        Ok(py.detach(|| self.0.journal_status())?.into())
    }

    fn cache_status(&self, py: Python<'_>, seasons: Vec<String>) -> PyResult<CacheStatus> {
        let status = py.detach(|| self.0.cache_status(&seasons))?;
        Ok(CacheStatus::new(seasons, status))
    }

    fn cache_available(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.cache_available())
    }

    fn latency(&self, py: Python<'_>) -> PyResult<LatencyReport> {
        Ok(py.detach(|| self.0.latency())?.into())
    }

    fn check_outages(&self, py: Python<'_>) {
        py.detach(|| self.0.check_outages());
    }

    fn outage_news(&self) -> Vec<OutageNews> {
        self.0.outage_news().into_iter().map(OutageNews::from).collect()
    }
}

#[derive(IntoPyObject)]
struct JournalStatus {
    reachable: bool,
    backlog: u64,
    oldest_age_seconds: f64,
    appendonly: bool,
    appendfsync: String,
    maxmemory_policy: String,
    role: String,
    replicas: Vec<Replica>,
    replicas_asked: u32,
    durable: bool,
    kept_in_database: u64,
    saved_lately: u64,
    is_clock_ahead: bool,
    warning: Option<String>,
}

impl From<journal_status::JournalStatus> for JournalStatus {
    fn from(status: journal_status::JournalStatus) -> JournalStatus {
        JournalStatus {
            reachable: status.is_reachable,
            backlog: status.backlog,
            oldest_age_seconds: status.oldest_age_seconds,
            appendonly: status.appendonly,
            appendfsync: status.appendfsync,
            maxmemory_policy: status.maxmemory_policy,
            role: status.role,
            replicas: status.replicas.into_iter().map(Replica::from).collect(),
            replicas_asked: status.replicas_asked,
            durable: status.is_durable,
            kept_in_database: status.kept_in_database,
            saved_lately: status.saved_lately,
            is_clock_ahead: status.is_clock_ahead,
            warning: status.warning,
        }
    }
}

#[derive(IntoPyObject)]
struct Replica {
    address: String,
    is_online: bool,
    lag_bytes: u64,
    lag_seconds: u64,
}

impl From<replication::Replica> for Replica {
    fn from(replica: replication::Replica) -> Replica {
        let replication::Replica { address, is_online, lag_bytes, lag_seconds } = replica;
        Replica { address, is_online, lag_bytes, lag_seconds }
    }
}

#[derive(IntoPyObject)]
struct CacheStatus {
    reachable: bool,
    is_safe_mode: bool,
    cause: Option<String>,
    memory_bytes: u64,
    memory_limit_bytes: u64,
    maxmemory_policy: String,
    warning: Option<String>,
    seasons: Ordered<String, SeasonCache>,
}

#[derive(IntoPyObject)]
struct SeasonCache {
    students: u64,
    memory_bytes: u64,
}

impl CacheStatus {
    fn new(seasons: Vec<String>, status: cache_status::CacheStatus) -> CacheStatus {
        let cached = status.seasons.iter().map(|found| SeasonCache {
            students: found.students,
            memory_bytes: found.memory_bytes,
        });
        CacheStatus {
            reachable: status.is_reachable,
            is_safe_mode: status.is_safe_mode,
            cause: status.cause,
            memory_bytes: status.memory_bytes,
            memory_limit_bytes: status.memory_limit_bytes,
            maxmemory_policy: status.maxmemory_policy,
            warning: status.warning,
            seasons: Ordered(seasons.into_iter().zip(cached).collect()),
        }
    }
}

#[derive(IntoPyObject)]
struct LatencyReport {
    series: Vec<LatencySlot>,
    last_hour: LatencyByCall,
    all: LatencyByCall,
}

#[derive(IntoPyObject)]
struct LatencySlot {
    began_at: i64,
    calls: LatencyByCall,
}

/// By the names of the calls.
type LatencyByCall = Ordered<&'static str, Latency>;

#[derive(IntoPyObject)]
struct Latency {
    count: u64,
    sum_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
    buckets: Vec<(f64, u64)>,
}

impl From<latency::Latency> for LatencyReport {
    fn from(latency: latency::Latency) -> LatencyReport {
        let slots = latency.slots.iter();
        LatencyReport {
            series: slots
                .map(|slot| LatencySlot { began_at: slot.began, calls: by_name(&slot.calls) })
                .collect(),
            last_hour: by_name(&latency.last_hour),
            all: by_name(&latency.all),
        }
    }
}

fn by_name(calls: &ByCall) -> LatencyByCall {
    let named = calls.iter().map(|(call, counts)| (call.name(), Latency::new(*call, counts)));
    Ordered(named.collect())
}

impl Latency {
    fn new(call: Call, counts: &Counts) -> Latency {
        let bounds = call.bounds_us().iter().map(|bound| *bound as f64 / 1e3);
        Latency {
            count: counts.total(),
            sum_ms: counts.sum_us as f64 / 1e3,
            p50_ms: counts.quantile_ms(call, 0.5),
            p99_ms: counts.quantile_ms(call, 0.99),
            buckets: bounds.chain([f64::INFINITY]).zip(counts.places).collect(),
        }
    }
}

#[derive(IntoPyObject)]
struct OutageNews {
    server: &'static str,
    event: &'static str,
    seconds: u64,
    submissions: usize,
}

impl From<outages::OutageNews> for OutageNews {
    fn from(news: outages::OutageNews) -> OutageNews {
        use outages::OutageNews as News;
        let submissions = if let News::WrittenAgain(count) = news { count } else { 0 };
        let (server, event, seconds) = match news {
            News::Began(server) => (server.id(), "began", 0),
            News::Ended(server, seconds) => (server.id(), "ended", seconds),
            News::Several(server) => (server.id(), "several", 0),
            News::ClockAhead(seconds) => ("clock", "ahead", seconds),
            News::BacklogIsOld(seconds) => ("backlog", "old", seconds),
            News::DrainIsOverdue => ("drain", "overdue", 0),
            News::JournalReplaced(false) => ("journal", "restarted", 0),
            News::JournalReplaced(true) => ("journal", "replaced", 0),
            News::WrittenAgain(_) => ("database", "older", 0),
        };
        OutageNews { server, event, seconds, submissions }
    }
}

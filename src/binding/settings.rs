//! A site's settings, from Python's keywords.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use crate::engine::settings::PlainSettings;
use crate::servers::host::Host;
use crate::servers::mariadb::connect::DatabaseAddress;
use crate::servers::mariadb::tls::DatabaseTls;
use crate::servers::redis::sentinel::SentinelAddress;

/// Where one site's servers are, and its limits.
#[pyclass(module = "_engine", frozen)]
pub struct Settings(pub(super) crate::engine::settings::Settings);

/// The sentinels' addresses, as a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Sentinel {
    sentinels: Vec<String>,
    master_service: String,
    sentinel_username: Option<String>,
    sentinel_password: Option<String>,
    master_username: Option<String>,
    master_password: Option<String>,
}

impl From<Sentinel> for SentinelAddress {
    fn from(plain: Sentinel) -> SentinelAddress {
        SentinelAddress {
            sentinels: plain.sentinels,
            master_service: plain.master_service,
            sentinel_username: plain.sentinel_username,
            sentinel_password: plain.sentinel_password,
            master_username: plain.master_username,
            master_password: plain.master_password,
        }
    }
}

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (
        *,
        site,
        cache_url=None,
        cache_cluster_nodes=None,
        frappe_cache_url=None,
        frappe_cache_sentinel=None,
        journal_url=None,
        journal_sentinel=None,
        journal_replicas=0,
        database_name,
        database_user,
        database_password,
        database_host="127.0.0.1",
        database_port=3306,
        database_socket=None,
        database_ssl_ca=None,
        database_ssl_cert=None,
        database_ssl_key=None,
        time_zone="UTC",
        max_questions=20_000,
        leech_lapses=8,
        redis_timeout_ms=150,
        database_timeout_ms=700,
        cache_ttl_seconds=604_800,
        trust_lease_ms=320,
        connection_idle_seconds=60,
    ))]
    // One keyword argument for each setting.
    #[allow(clippy::too_many_arguments)]
    fn new(
        site: &str,
        cache_url: Option<&str>,
        cache_cluster_nodes: Option<Vec<String>>,
        frappe_cache_url: Option<&str>,
        frappe_cache_sentinel: Option<Sentinel>,
        journal_url: Option<&str>,
        journal_sentinel: Option<Sentinel>,
        journal_replicas: u64,
        database_name: &str,
        database_user: &str,
        database_password: &str,
        database_host: &str,
        database_port: u16,
        database_socket: Option<&str>,
        database_ssl_ca: Option<&str>,
        database_ssl_cert: Option<&str>,
        database_ssl_key: Option<&str>,
        time_zone: &str,
        max_questions: u64,
        leech_lapses: u64,
        redis_timeout_ms: u64,
        database_timeout_ms: u64,
        cache_ttl_seconds: u64,
        trust_lease_ms: u64,
        connection_idle_seconds: u64,
    ) -> PyResult<Settings> {
        // As in Frappe: all three, or none.
        let tls = match (database_ssl_ca, database_ssl_cert, database_ssl_key) {
            (Some(ca), Some(cert), Some(key)) => Some(DatabaseTls { ca, cert, key }.options()?),
            _ => None,
        };
        let frappe_cache_sentinel = frappe_cache_sentinel.map(SentinelAddress::from);
        let journal_sentinel = journal_sentinel.map(SentinelAddress::from);
        let database = DatabaseAddress {
            host: Arc::new(Host::new(database_host, database_port)),
            socket: database_socket,
            user: database_user,
            password: database_password,
            name: database_name,
            patience: Duration::from_millis(database_timeout_ms),
            tls,
        };
        let plain = PlainSettings {
            site,
            cache_url,
            cache_cluster_nodes: &cache_cluster_nodes.unwrap_or_default(),
            frappe_cache_url,
            frappe_cache_sentinel: frappe_cache_sentinel.as_ref(),
            journal_url,
            journal_sentinel: journal_sentinel.as_ref(),
            journal_replicas,
            database,
            time_zone,
            max_questions,
            leech_lapses,
            redis_timeout_ms,
            cache_ttl_seconds,
            trust_lease_ms,
            connection_idle_seconds,
        };
        Ok(Settings(crate::engine::settings::Settings::check(&plain)?))
    }
}

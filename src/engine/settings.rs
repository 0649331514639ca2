//! Where one site's servers are, and its limits. One value, checked once.

use std::time::Duration;

use crate::error::{Error, Result, Server};
use crate::rules::clock::SiteZone;
use crate::servers::mariadb::bulk::Writing;
use crate::servers::mariadb::connect::{DatabaseAddress, DatabaseServer};
use crate::servers::redis::RedisServer;
use crate::servers::redis::keys::Keys;
use crate::servers::redis::nodes::Servers;
use crate::servers::redis::sentinel::SentinelAddress;

/// All settings of the engine.
#[derive(Clone)]
pub struct Settings {
    /// The names of the site's keys.
    pub keys: Keys,
    /// The cache's servers.
    pub cache: Servers,
    /// Frappe's own cache, where its sessions are, and memora's older versions left keys.
    pub frappe_cache: Option<RedisServer>,
    /// The journal's Redis.
    pub journal: RedisServer,
    /// How many replicas of the journal must have an entry before it counts as kept there.
    pub journal_replicas: u32,
    /// The database, for students: short waits.
    pub database: DatabaseServer,
    /// The database, for the look that a cached read may need: the shortest waits.
    pub look: DatabaseServer,
    /// The database, for work in the background: long waits.
    pub background: DatabaseServer,
    /// The database, for the drain, which skips what others have locked.
    pub drain: DatabaseServer,
    /// The site's time zone.
    pub zone: SiteZone,
    /// Most questions a student may track in a season.
    pub max_questions: u64,
    /// The number of wrong answers to a question that a student is told of; 0: none.
    pub leech_lapses: u16,
    /// Seconds that a student's cache lives without an answer.
    pub cache_ttl_seconds: u64,
    /// How long the cache is believed after a process has looked whether it lacks an answer.
    pub trust_lease: Duration,
    /// Seconds after which MariaDB closes a connection that is kept and idle.
    pub connection_idle_seconds: u64,
}

/// The settings as plain values.
pub struct PlainSettings<'a> {
    /// Prefix of every key: Frappe's db_name.
    pub site: &'a str,
    /// URL of the cache's Redis; by default another database of the server of Frappe's cache.
    pub cache_url: Option<&'a str>,
    /// URLs, or `host:port`, of nodes of the Redis Cluster that is the cache, in place of
    /// `cache_url`.
    pub cache_cluster_nodes: &'a [String],
    /// URL of Frappe's own cache.
    pub frappe_cache_url: Option<&'a str>,
    /// The sentinels that know where Frappe's own cache is, instead of its URL.
    pub frappe_cache_sentinel: Option<&'a SentinelAddress>,
    /// URL of the journal's Redis.
    pub journal_url: Option<&'a str>,
    /// The sentinels that know where the journal's Redis is, if there is no URL.
    pub journal_sentinel: Option<&'a SentinelAddress>,
    /// How many replicas of the journal must have an entry.
    pub journal_replicas: u64,
    /// The site's database.
    pub database: DatabaseAddress<'a>,
    /// IANA name of the site's time zone.
    pub time_zone: &'a str,
    /// Most questions a student may track in a season.
    pub max_questions: u64,
    /// The number of wrong answers to a question that a student is told of; 0: none.
    pub leech_lapses: u64,
    /// Longest wait for one reply of a Redis, in milliseconds.
    pub redis_timeout_ms: u64,
    /// Seconds that a student's cache lives without an answer.
    pub cache_ttl_seconds: u64,
    /// Milliseconds that the cache is believed after a process has looked whether it lacks an
    /// answer.
    pub trust_lease_ms: u64,
    /// Seconds after which MariaDB closes a connection that is kept and idle.
    pub connection_idle_seconds: u64,
}

/// Where the journal's URL is in a site's configuration.
const JOURNAL: &str = "redis_queue (or srs_journal_url)";

/// How long background work waits for one reply: an ALTER TABLE over the whole table can take
/// hours.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
const BACKGROUND_LOCK_WAIT: Duration = Duration::from_secs(20);
/// How long the drain waits for one reply: its largest transaction takes seconds.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Seconds that the drain waits for a row or a table that others have locked, before it postpones
/// those students.
pub const DRAIN_LOCK_WAIT_SECONDS: u32 = 1;
/// A schedule untouched for this long is not worth its memory.
const LONGEST_CACHE_TTL_SECONDS: u64 = 29 * 24 * 3600;
/// More replicas than any site has.
const MOST_REPLICAS: u64 = 15;

impl Settings {
    /// How the site's dates are written.
    pub fn writing(&self) -> Writing<'_> {
        Writing { zone: &self.zone, is_over_tls: self.database.is_over_tls() }
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] names the setting that cannot be used.
    pub fn check(plain: &PlainSettings<'_>) -> Result<Settings> {
        let refuse = |what: &str| {
            Err(Error::InvalidInput(format!("memora's settings cannot be used: {what}")))
        };
        if plain.site.is_empty() || plain.site.contains('|') {
            return refuse("site is Frappe's db_name: not empty and without |");
        }
        let database_timeout_ms =
            u64::try_from(plain.database.patience.as_millis()).unwrap_or(u64::MAX);
        for (name, value, least, most) in [
            ("redis_timeout_ms", plain.redis_timeout_ms, 10, 60_000),
            ("database_timeout_ms", database_timeout_ms, 10, 600_000),
            ("cache_ttl_seconds", plain.cache_ttl_seconds, 60, LONGEST_CACHE_TTL_SECONDS),
            ("trust_lease_ms", plain.trust_lease_ms, 1, 10_000),
            ("connection_idle_seconds", plain.connection_idle_seconds, 1, 3_600),
            ("journal_replicas", plain.journal_replicas, 0, MOST_REPLICAS),
            ("max_questions", plain.max_questions, 1, 1_000_000),
            ("leech_lapses", plain.leech_lapses, 0, 1_000),
        ] {
            if !(least..=most).contains(&value) {
                return refuse(&format!("{name} is {least} to {most}, not {value}"));
            }
        }
        let redis_timeout = Duration::from_millis(plain.redis_timeout_ms);
        let cache_at = |key, url: &str| RedisServer::at(Server::Cache, key, url, redis_timeout);
        let is_elsewhere = plain.cache_url.is_some() || !plain.cache_cluster_nodes.is_empty();
        let of_frappe = match plain.frappe_cache_sentinel {
            Some(address) => Some(RedisServer::known_by(Server::Cache, address, redis_timeout)),
            None => plain.frappe_cache_url.map(|url| cache_at("redis_cache", url)),
        };
        let frappe_cache = match of_frappe {
            // Then only keys of older versions cannot be found.
            Some(Err(error)) if is_elsewhere => {
                log::warn!("memora's old keys in Frappe's cache cannot be found: {error}");
                None
            }
            read => read.transpose()?,
        };
        let mut nodes = Vec::new();
        for node in plain.cache_cluster_nodes {
            let url = if node.contains("://") { node.clone() } else { format!("redis://{node}") };
            nodes.push(cache_at("srs_cache_cluster_nodes", &url)?.in_cluster()?);
        }
        let cache = match (nodes.split_first(), plain.cache_url, &frappe_cache) {
            (Some(_), Some(_), _) => {
                return refuse("srs_cache_url and srs_cache_cluster_nodes: name one of them");
            }
            (Some(_), ..) if plain.site.contains(['{', '}']) => {
                return refuse("with a Redis Cluster, the site's db_name must not have braces");
            }
            (Some((first, others)), ..) => Servers::Cluster(first.clone(), others.to_vec()),
            (None, Some(url), _) => Servers::One(cache_at("srs_cache_url", url)?),
            (None, None, Some(frappe_cache)) => Servers::One(frappe_cache.beside()),
            (None, None, None) => return refuse("cache_url or frappe_cache_url is needed"),
        };
        let is_same = |frappe_cache: &RedisServer| match &cache {
            Servers::One(cache) => frappe_cache.is_same(cache),
            Servers::Cluster(..) => false,
        };
        if frappe_cache.as_ref().is_some_and(is_same) {
            return refuse(
                "srs_cache_url names the database of redis_cache that Frappe scans at each login: \
                 name another one, such as .../13",
            );
        }
        let journal = match (plain.journal_url, plain.journal_sentinel) {
            (Some(url), _) => RedisServer::at(Server::Journal, JOURNAL, url, redis_timeout)?,
            (None, Some(address)) => {
                RedisServer::known_by(Server::Journal, address, redis_timeout)?
            }
            (None, None) => return refuse("journal_url or journal_sentinel is needed"),
        };
        let database_timeout = plain.database.patience;
        Ok(Settings {
            keys: Keys::of_site(plain.site),
            cache,
            frappe_cache,
            journal,
            journal_replicas: u32::try_from(plain.journal_replicas).unwrap_or(u32::MAX),
            database: DatabaseServer::for_students(&plain.database, database_timeout),
            look: DatabaseServer::for_students(
                &plain.database,
                database_timeout.min(redis_timeout),
            ),
            background: DatabaseServer::for_background(
                &plain.database,
                BACKGROUND_TIMEOUT,
                BACKGROUND_LOCK_WAIT,
            ),
            drain: DatabaseServer::for_background(
                &plain.database,
                DRAIN_TIMEOUT,
                Duration::from_secs(u64::from(DRAIN_LOCK_WAIT_SECONDS)),
            ),
            zone: SiteZone::named(plain.time_zone)?,
            max_questions: plain.max_questions,
            leech_lapses: u16::try_from(plain.leech_lapses).unwrap_or(u16::MAX),
            cache_ttl_seconds: plain.cache_ttl_seconds,
            trust_lease: Duration::from_millis(plain.trust_lease_ms),
            connection_idle_seconds: plain.connection_idle_seconds,
        })
    }
}

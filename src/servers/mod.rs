//! The servers: connections, the breaker, Redis and MariaDB.

pub mod breaker;
pub mod host;
pub mod mariadb;
pub mod pool;
pub mod redis;
pub mod tls;

use std::time::Duration;

/// TCP keepalive, so that firewalls see traffic: they forget idle connections after 240 s at the
/// earliest.
pub(crate) struct Keepalive {
    /// How long a connection must be idle first.
    pub idle: Duration,
    /// The pause between two probes.
    pub interval: Duration,
    /// How many unanswered probes close it.
    pub retries: u32,
}

/// For all connections.
pub(crate) const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), retries: 3 };

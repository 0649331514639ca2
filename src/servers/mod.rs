//! The servers: connections, the breaker, Redis and MariaDB.

pub mod breaker;
pub mod host;
pub mod mariadb;
pub mod pool;
pub mod redis;
pub mod tls;

use std::time::Duration;

/// When the system asks after a connection that is idle: what lies between is to see it at work,
/// and forgets idle ones after 240 s at the earliest.
pub(crate) struct Keepalive {
    /// How long it must have been idle.
    pub idle: Duration,
    /// The pause before asking again.
    pub interval: Duration,
    /// How often it is asked in vain before it is broken.
    pub retries: u32,
}

/// Of all connections.
pub(crate) const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), retries: 3 };

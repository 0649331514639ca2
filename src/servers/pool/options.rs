//! The limits of a pool.

use std::time::Duration;

/// A pool's limits, named as in sqlx's `PoolOptions`.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// The most connections at a time, including idle ones. More threads than this would wait for
    /// Python anyway; MariaDB accepts 151 from all processes together.
    pub max_connections: usize,
    /// How long a call waits for one, unless its patience for the server ends before.
    pub acquire_timeout: Duration,
    /// One that was idle for longer is closed when the pool is used again; MariaDB has closed it by
    /// then. Firewalls and load balancers silently drop it, after 350 s at the earliest.
    pub idle_timeout: Duration,
    /// An older one is closed after use: the server may be on another host by now.
    pub max_lifetime: Duration,
    /// One that was idle for longer is tested before it is used. A busy process never pays for it.
    pub test_after: Duration,
}

/// The limits of all pools.
pub const OPTIONS: PoolOptions = PoolOptions {
    max_connections: 16,
    acquire_timeout: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(60),
    max_lifetime: Duration::from_secs(1800),
    test_after: Duration::from_secs(1),
};

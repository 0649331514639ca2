//! What a pool keeps to.

use std::time::Duration;

/// What a pool keeps to. The names are those of sqlx's `PoolOptions`.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Most connections at a time, those that are idle among them. A process with more threads than
    /// this is one that waits for its own Python; MariaDB takes 151 of all processes together.
    pub max_connections: usize,
    /// How long a call waits for one of them, if its patience for the server is not over before.
    pub acquire_timeout: Duration,
    /// One that was idle for longer is closed when the pool is used again; MariaDB has closed it by
    /// then. Firewalls and balancers forget it without a word, the earliest after 350 s.
    pub idle_timeout: Duration,
    /// One that is older is closed after use: it leads to where the server was, which may be
    /// another host by now.
    pub max_lifetime: Duration,
    /// One that was idle for longer is tested before it is used. A busy process never pays for it.
    pub test_after: Duration,
}

/// What all pools keep to.
pub const OPTIONS: PoolOptions = PoolOptions {
    max_connections: 16,
    acquire_timeout: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(60),
    max_lifetime: Duration::from_secs(1800),
    test_after: Duration::from_secs(1),
};

//! A season as its record has it. Pure.

use super::scheduling::Scheduling;

/// What the engine knows of a season.
#[derive(Clone, Debug, PartialEq)]
pub struct Season {
    /// Its name.
    pub name: String,
    /// Its enable_redis.
    pub uses_cache: bool,
    /// How its questions are scheduled.
    pub scheduling: Scheduling,
}

//! What administrators do: rebuild, check, archive and clean seasons.

pub mod archive;
pub mod cache_status;
mod cached_students;
pub mod clean;
pub mod clock_repair;
pub mod forget;
pub mod job;
pub mod journal_status;
pub mod latency;
pub mod pace;
pub mod parallel;
pub mod partition;
pub mod rebuild;
pub mod reconcile;
pub mod rename;
pub mod replay;
pub mod retention;
pub mod retire;
pub mod retired_questions;
pub mod season_cache;
pub mod season_forecast;
pub mod season_size;
pub mod student_cache;
pub mod uninstall;
pub mod upgrade;
pub mod warm_up;
pub mod watch;

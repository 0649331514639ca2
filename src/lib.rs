//! The engine of memora: spaced-repetition schedules for schools, behind a Frappe app.
//!
//! One verb, one file: `due`, `submit`, `drain`, `rehydrate`, `rebuild`, `reconcile`, `replay`,
//! `archive`, `retention`, `clean`, `safe_mode`, `status`, `latency`, `partition`, `uninstall`.
//! Rules that touch no server are in `ladder`, `plan`, `entry`, `lineage`, `head`, `belief`,
//! `focus`, `submission`, `diff`, `sample`. Only
//! `redis` speaks Redis, only `mariadb` SQL.
#![deny(unsafe_code)]

pub mod archive;
pub mod belief;
pub mod breaker;
pub mod clean;
pub mod clock;
pub mod clock_repair;
pub mod diff;
pub mod drain;
pub mod due;
pub mod engine;
pub mod entry;
pub mod error;
pub mod focus;
pub mod forget;
pub mod head;
pub mod job;
pub mod ladder;
pub mod latency;
pub mod lineage;
pub mod mariadb;
pub mod outage;
pub mod overdue;
pub mod parallel;
pub mod partition;
pub mod plan;
pub mod pool;
mod python;
pub mod rebuild;
pub mod reconcile;
pub mod redis;
pub mod rehydrate;
pub mod rename;
pub mod replay;
pub mod restored;
pub mod retention;
pub mod retire;
pub mod review;
pub mod safe_mode;
pub mod sample;
pub mod season;
pub mod season_cache;
pub mod settings;
pub mod status;
pub mod student_cache;
pub mod submission;
pub mod submit;
pub mod trust;
pub mod uninstall;
pub mod upgrade;
pub mod warm_up;
pub mod write;

/// The module `memora._engine`.
#[pyo3::pymodule]
mod _engine {
    #[pymodule_export]
    use crate::python::{
        Engine, EngineFault, InvalidInput, MemoraError, OutcomeUnknown, RateLimited,
        SeasonUnavailable, ServiceUnavailable, Settings,
    };

    use pyo3::prelude::*;

    /// Rust's log records go to Python's logging, under the names `memora_engine.*`.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        // A second initialisation, as in a sub-interpreter, keeps the first logger.
        let _ = pyo3_log::try_init();
        Ok(())
    }
}

//! The engine of memora: spaced-repetition schedules for schools, behind a Frappe app.
//!
//! Modules, from the API inwards; imports run only in this direction (`make lint` checks it):
//!
//! - `binding`: what Python sees.
//! - `administrators`: rebuild, reconcile, archive, and other work on seasons.
//! - `students`: which questions are due, and taking answers.
//! - `consistency`: cache, journals and table agree: whether the cache may be believed,
//!   loading it, draining the journal, outages.
//! - `engine`: one site's connections and what a process remembers.
//! - `servers`: connections, the breaker, Redis (only `redis` speaks it), MariaDB (only `mariadb`
//!   speaks SQL).
//! - `rules`: pure rules: the ladder, lineage, when the cache is believed.
#![deny(unsafe_code)]

pub mod administrators;
mod binding;
pub mod consistency;
pub mod engine;
pub mod error;
mod lock;
mod per_process;
pub mod progress;
pub mod rules;
pub mod servers;
pub mod students;

/// The module `memora._engine`, and `memora_engine._engine` in the wheel for apps that bring their
/// own DocTypes.
#[pyo3::pymodule]
mod _engine {
    #[pymodule_export]
    use crate::binding::{
        Engine, EngineFault, InvalidInput, MemoraError, OutcomeUnknown, RateLimited,
        SeasonUnavailable, ServiceUnavailable, Settings,
    };

    use pyo3::prelude::*;

    /// Rust's log records go to Python's logging, under the names `memora_engine.*`.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::binding::name_module(module)?;
        crate::binding::describe_classes(module.py())?;
        module.add("ALARMING_PERCENT", crate::rules::alarm::ALARMING_PERCENT)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        // A second initialisation, as in a sub-interpreter, keeps the first logger.
        let _ = pyo3_log::try_init();
        Ok(())
    }
}

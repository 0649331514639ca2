//! The engine's Python API: each method converts the arguments, releases the GIL, calls Rust, and
//! converts the result. It is documented in `python/memora/_engine.pyi`, where editors look.

mod answers;
mod archive;
mod exceptions;
mod forecast;
mod hidden;
mod journal;
mod personal_data;
mod progress;
mod season_cache;
mod sessions;
mod settings;
mod status;
mod storage;
mod student_cache;
mod students;
mod training;
mod values;

use pyo3::intern;
use pyo3::prelude::*;

pub(crate) use self::exceptions::{
    EngineFault, InvalidInput, MemoraError, OutcomeUnknown, RateLimited, SeasonUnavailable,
    ServiceUnavailable, describe_classes,
};
pub(crate) use self::settings::Settings;

/// Sets the classes' module: this library is `memora._engine` in one wheel and
/// `memora_engine._engine` in the other.
pub(crate) fn name_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let (py, name) = (module.py(), module.name()?);
    let own = [py.get_type::<Engine>(), py.get_type::<Settings>()];
    own.into_iter()
        .chain(exceptions::classes(py))
        .try_for_each(|class| class.setattr(intern!(py, "__module__"), &name))
}

/// One site's engine. Its methods are in this folder's files, by topic.
#[pyclass(module = "_engine", frozen)]
pub struct Engine(crate::engine::Engine);

#[pymethods]
impl Engine {
    #[new]
    fn new(settings: &Settings) -> Engine {
        Engine(crate::engine::Engine::new(settings.0.clone()))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

//! Values from Python that need a check, and dicts without a type of their own.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

use crate::error::{Error, Result};

/// A dict with its keys in this order.
pub(super) struct Ordered<K, V>(pub(super) Vec<(K, V)>);

impl<'py, K: IntoPyObject<'py>, V: IntoPyObject<'py>> IntoPyObject<'py> for Ordered<K, V> {
    type Target = PyDict;
    type Output = Bound<'py, PyDict>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.0.into_py_dict(py)
    }
}

pub(super) fn duration(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| Error::InvalidInput(format!("seconds is a positive number, not {seconds}")))
}

pub(super) fn whole_seconds(seconds: f64) -> Result<i64> {
    if !(0.0..1e11).contains(&seconds) {
        return Err(Error::InvalidInput(format!("{seconds} is no Unix time in seconds")));
    }
    // In range: only the fraction is dropped.
    #[allow(clippy::cast_possible_truncation)]
    Ok(seconds as i64)
}

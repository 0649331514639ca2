//! Work that reports its progress to a Python function.

use pyo3::prelude::*;

use crate::error::{Error, Result};
use crate::progress::OnProgress;

/// Does work outside the GIL. After each piece it calls `on_progress` with the result of `shown`;
/// any exception, Ctrl-C included, ends the work.
pub(super) fn with_progress<P, S, T: Send>(
    py: Python<'_>,
    on_progress: Option<Py<PyAny>>,
    shown: impl Fn(&P) -> S + Sync,
    work: impl FnOnce(OnProgress<'_, P>) -> Result<T> + Send,
) -> PyResult<T>
where
    S: for<'py> IntoPyObject<'py>,
{
    let mut raised = None;
    let outcome = py.detach(|| {
        work(&mut |progress| {
            report_progress(on_progress.as_ref(), || shown(progress)).map_err(|error| {
                raised = Some(error);
                Error::Fault("the work was cancelled; running it again continues".to_owned())
            })
        })
    });
    match raised {
        Some(raised) => Err(raised),
        None => Ok(outcome?),
    }
}

fn report_progress<S>(on_progress: Option<&Py<PyAny>>, shown: impl FnOnce() -> S) -> PyResult<()>
where
    S: for<'py> IntoPyObject<'py>,
{
    Python::attach(|py| {
        py.check_signals()?;
        if let Some(on_progress) = on_progress {
            on_progress.call1(py, (shown(),))?;
        }
        Ok(())
    })
}

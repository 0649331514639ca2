//! The engine's errors as Python exceptions: a class for each possible reaction of a caller, with
//! attributes for programs.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{create_exception, intern};

use crate::error::{Error, Server};

create_exception!(_engine, MemoraError, PyException);
create_exception!(_engine, InvalidInput, MemoraError);
create_exception!(_engine, SeasonUnavailable, MemoraError);
create_exception!(_engine, RateLimited, MemoraError);
create_exception!(_engine, ServiceUnavailable, MemoraError);
create_exception!(_engine, OutcomeUnknown, ServiceUnavailable);
create_exception!(_engine, EngineFault, MemoraError);

/// The classes.
pub(crate) fn classes(py: Python<'_>) -> [Bound<'_, PyType>; 7] {
    [
        py.get_type::<MemoraError>(),
        py.get_type::<InvalidInput>(),
        py.get_type::<SeasonUnavailable>(),
        py.get_type::<RateLimited>(),
        py.get_type::<ServiceUnavailable>(),
        py.get_type::<OutcomeUnknown>(),
        py.get_type::<EngineFault>(),
    ]
}

/// Sets class defaults, for exceptions that Python code raises: the engine sets them on each of its
/// own.
pub(crate) fn describe_classes(py: Python<'_>) -> PyResult<()> {
    let nothing = String::new;
    describe(py.get_type::<MemoraError>().as_any(), &Error::Fault(nothing()))?;
    describe(py.get_type::<InvalidInput>().as_any(), &Error::InvalidInput(nothing()))?;
    describe(py.get_type::<SeasonUnavailable>().as_any(), &Error::SeasonUnavailable(nothing()))?;
    describe(py.get_type::<RateLimited>().as_any(), &Error::RateLimited { retry_after: 0 })?;
    let (server, cause) = (Server::Database, nothing());
    describe(py.get_type::<OutcomeUnknown>().as_any(), &Error::Unsettled { server, cause })?;
    // Only the engine knows which server it is.
    py.get_type::<ServiceUnavailable>().setattr(intern!(py, "is_transient"), true)
}

/// Sets an error's attributes for programs. Under abi3, exceptions can have fields only from Python
/// 3.12 on, but attributes always.
fn describe(exception: &Bound<'_, PyAny>, error: &Error) -> PyResult<()> {
    let py = exception.py();
    exception.setattr(intern!(py, "code"), error.code())?;
    exception.setattr(intern!(py, "server"), error.server().map(Server::id))?;
    exception.setattr(intern!(py, "is_transient"), error.is_transient())?;
    if let Error::RateLimited { retry_after } = error {
        exception.setattr(intern!(py, "retry_after"), retry_after)?;
    }
    Ok(())
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        Python::attach(|py| exception(py, &error).unwrap_or_else(|failure| failure))
    }
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let message = error.to_string();
    let exception = match error {
        Error::InvalidInput(_)
        | Error::UnknownSubject(_)
        | Error::UnknownTopic(_)
        | Error::NotUndone(_) => InvalidInput::new_err(message),
        Error::SeasonUnavailable(_) | Error::SeasonArchived(_) => {
            SeasonUnavailable::new_err(message)
        }
        Error::RateLimited { retry_after } => RateLimited::new_err((message, *retry_after)),
        Error::Unsettled { .. } => OutcomeUnknown::new_err(message),
        Error::Unavailable { .. }
        | Error::Elsewhere { .. }
        | Error::NotRegistered { .. }
        | Error::Exhausted { .. }
        | Error::Overtaken { .. }
        | Error::NotCertain
        | Error::Refused { is_transient: true, .. } => ServiceUnavailable::new_err(message),
        Error::Refused { is_transient: false, .. } | Error::Fault(_) => {
            EngineFault::new_err(message)
        }
    };
    describe(exception.value(py), error)?;
    Ok(exception)
}

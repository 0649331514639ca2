//! Errors as Python sees them: a class for each thing that a caller can do about one.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::error::Error;

create_exception!(memora._engine, MemoraError, PyException);
create_exception!(memora._engine, InvalidInput, MemoraError);
create_exception!(memora._engine, SeasonUnavailable, MemoraError);
create_exception!(memora._engine, RateLimited, MemoraError);
create_exception!(memora._engine, ServiceUnavailable, MemoraError);
create_exception!(memora._engine, OutcomeUnknown, ServiceUnavailable);
create_exception!(memora._engine, EngineFault, MemoraError);

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let message = error.to_string();
        match error {
            Error::InvalidInput(_) => InvalidInput::new_err(message),
            Error::SeasonUnavailable(_) | Error::SeasonArchived(_) => {
                SeasonUnavailable::new_err(message)
            }
            Error::RateLimited { retry_after } => RateLimited::new_err((message, retry_after)),
            Error::Unsettled { .. } => OutcomeUnknown::new_err(message),
            Error::Unavailable { .. } | Error::Refused { is_transient: true, .. } => {
                ServiceUnavailable::new_err(message)
            }
            Error::Refused { is_transient: false, .. } | Error::Fault(_) => {
                EngineFault::new_err(message)
            }
        }
    }
}

//! Threads of one call.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// Runs `work` with a pool of `count` threads. They end with the call, so there is none for a fork
/// to lose; `work` itself runs on the caller's thread.
///
/// # Errors
/// [`Error::Fault`] if the host cannot start threads, or one of them panics; otherwise the error of
/// `work`.
pub fn with_threads<T>(count: usize, work: impl FnOnce(&ThreadPool) -> Result<T>) -> Result<T> {
    let pool = ThreadPoolBuilder::new().num_threads(count);
    let run = || pool.build_scoped(|thread| thread.run(), work);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(Error::Fault(format!("no threads could be started: {error}"))),
        Err(_) => Err(Error::Fault("a thread panicked: see the log".to_owned())),
    }
}

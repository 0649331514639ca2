//! Work that reports its progress.

use crate::error::Result;

/// Called with the progress after each piece. An error from it ends the work.
pub type OnProgress<'a, P> = &'a mut dyn FnMut(&P) -> Result<()>;

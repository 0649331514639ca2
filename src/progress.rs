//! Work that tells how far it is.

use crate::error::Result;

/// Called with how far the work is, after each piece. An error of its own ends the work there.
pub type OnProgress<'a, P> = &'a mut dyn FnMut(&P) -> Result<()>;

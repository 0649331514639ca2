//! The outcome of an entry that counts.

use crate::rules::counted_on::{Before, as_computed};
use crate::rules::entry::Entry;
use crate::rules::undo;

/// The outcome of an entry.
#[derive(Default)]
pub(super) struct Counted {
    /// What each of its answers counted on.
    pub on: Vec<Before>,
    /// The states that it replaced, packed; `None` if it cannot be undone.
    pub replaced: Option<Vec<u8>>,
    /// Whether it undid another submission.
    pub has_undone: bool,
}

impl Counted {
    /// The outcome of an entry that counted on what it was computed from.
    pub fn as_computed(entry: &Entry) -> Counted {
        Counted {
            on: as_computed(entry),
            replaced: undo::as_computed(entry, entry.order),
            has_undone: entry.undoes.is_some(),
        }
    }
}

//! What became of an entry that counts.

use crate::rules::counted_on::{Before, as_computed};
use crate::rules::entry::Entry;
use crate::rules::undo;

/// What became of an entry.
#[derive(Default)]
pub(super) struct Counted {
    /// What its answers counted on.
    pub on: Vec<Before>,
    /// What it replaced, packed, if it can be undone.
    pub replaced: Option<Vec<u8>>,
    /// It undid another one.
    pub has_undone: bool,
}

impl Counted {
    /// Of an entry that counted on what it was computed from.
    pub fn as_computed(entry: &Entry) -> Counted {
        Counted {
            on: as_computed(entry),
            replaced: undo::as_computed(entry, entry.order),
            has_undone: entry.undoes.is_some(),
        }
    }
}

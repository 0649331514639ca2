//! Takes entries from the journal's stream.

use crate::error::Result;
use crate::servers::redis::RedisConnection;
use crate::servers::redis::journal::{self, StreamEntry};
use crate::servers::redis::keys::Keys;

/// How many submissions are taken from each place at a time; twice as many from the stream if
/// another drain has died.
pub(super) const BATCH: usize = 1_000;
/// After this many milliseconds, an entry that another drain took is taken over: that drain is
/// dead.
const TAKE_OVER_AFTER_MS: u64 = 20_000;

/// Takes entries from the stream: new ones, and those that a dead drain took.
pub(super) fn take(
    journal: &mut RedisConnection,
    keys: &Keys,
    consumer: &str,
) -> Result<Vec<StreamEntry>> {
    journal::take(journal, keys, consumer, TAKE_OVER_AFTER_MS, BATCH)
}

//! Taking entries of the journal's stream.

use crate::error::Result;
use crate::servers::redis::RedisConnection;
use crate::servers::redis::journal::{self, StreamEntry};
use crate::servers::redis::keys::Keys;

/// Submissions that are taken from each place at a time; as many again, where a drain has died.
pub(super) const BATCH: usize = 1_000;
/// An entry that another drain took this long ago, in milliseconds, is taken over: that drain is
/// dead.
const TAKE_OVER_AFTER_MS: u64 = 20_000;

/// Takes entries of the stream: those of a drain that is dead, and new ones.
pub(super) fn take(
    journal: &mut RedisConnection,
    keys: &Keys,
    consumer: &str,
) -> Result<Vec<StreamEntry>> {
    journal::take(journal, keys, consumer, TAKE_OVER_AFTER_MS, BATCH)
}

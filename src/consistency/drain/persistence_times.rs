//! How long submissions waited to be in MariaDB.

use std::time::Duration;

use super::waiting::Waiting;
use crate::engine::Process;
use crate::rules::clock::now_us;
use crate::rules::latency::Call;

/// Counts the submissions that are in MariaDB since a moment, each from when its journal had it, by
/// that server's clock.
pub(super) fn count_persisted(
    process: &Process,
    waiting: &[Waiting],
    is_new: impl Fn(&str) -> bool,
) {
    let now = now_us();
    let entries = waiting.iter().flat_map(|student| &student.entries);
    for entry in entries.filter(|entry| is_new(&entry.token)) {
        let waited = u64::try_from(now.saturating_sub(entry.kept_at_us)).unwrap_or(0);
        process.latency.count(Call::Persistence, Duration::from_micros(waited));
    }
}

//! How long submissions waited to be written to MariaDB.

use std::collections::HashSet;
use std::time::Duration;

use super::waiting::Waiting;
use crate::engine::Process;
use crate::rules::latency::Call;
use crate::servers::mariadb::outages;
use crate::servers::redis::clock;

/// Counts how long each newly written submission waited, by the clock of the server that kept it:
/// this host's clock may differ. Submissions whose server cannot be asked are left out.
pub(super) fn count_persisted(
    process: &Process,
    waiting: &[Waiting],
    is_new: impl Fn(&str) -> bool,
) {
    let by_journal = process.journal.with(clock::now_us).ok();
    let uses_table = waiting.iter().any(|student| !student.table.is_empty());
    let by_database = uses_table.then(|| process.drain.with(outages::now_us).ok()).flatten();
    for student in waiting {
        let in_stream: HashSet<&str> = student.stream_tokens.iter().map(String::as_str).collect();
        for entry in student.entries.iter().filter(|entry| is_new(&entry.token)) {
            let is_in_stream = in_stream.contains(entry.token.as_str());
            let Some(now) = (if is_in_stream { by_journal } else { by_database }) else { continue };
            let waited = u64::try_from(now.saturating_sub(entry.kept_at_us)).unwrap_or(0);
            process.latency.count(Call::Persistence, Duration::from_micros(waited));
        }
    }
}

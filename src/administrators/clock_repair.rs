//! Repairs what a host whose clock was ahead has left: states whose order is in the future.
//!
//! Their content is right, and later answers still count. But an edit in the Desk, or an answer
//! computed without knowing them, would come before them.

use std::time::Duration;

use crate::engine::Engine;
use crate::error::Result;
use crate::servers::mariadb::{outages, records};

/// Orders that are further ahead than this, in microseconds, are corrected.
const MOST_AHEAD_US: i64 = 60_000_000;
/// How long to drain waiting answers first.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records that are changed at a time.
const BATCH: usize = 5_000;

impl Engine {
    /// Sets the order of states that are more than a minute ahead of MariaDB's clock to the current
    /// time. Returns how many records it changed. Running it again continues.
    ///
    /// # Errors
    /// When a server that is needed is down.
    pub fn mend_clock(&self) -> Result<u64> {
        let process = self.process();
        self.ensure_registered(&process)?;
        // Waiting answers would bring their order back.
        self.drain(PATIENCE)?;
        let mut mended = 0;
        loop {
            let now = process.background.with(outages::now_us)?;
            let ahead = process
                .background
                .with(|database| records::ahead(database, now + MOST_AHEAD_US, BATCH))?;
            if ahead.is_empty() {
                break;
            }
            let students =
                || ahead.iter().map(|record| (record.player.as_str(), record.season.as_str()));
            process.cache.drop_students(students())?;
            mended +=
                process.background.with(|database| records::put_back(database, &ahead, now))?;
            // A schedule that was loaded meanwhile has the old order.
            if let Err(error) = process.cache.drop_students(students()) {
                log::warn!("all schedules become void, because some could not be dropped: {error}");
                self.renew_generation(&process)?;
            }
        }
        process.database.with(|database| outages::end_named(database, outages::CLOCK))?;
        Ok(mended)
    }
}

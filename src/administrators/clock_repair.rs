//! Putting right what a host's clock has left that was ahead: states whose order lies in the
//! future.
//!
//! Nothing is wrong with what they say, and later answers count all the same. But an edit in the
//! Desk, or an answer computed where nobody knew of them, would come before them.

use std::time::Duration;

use crate::engine::Engine;
use crate::error::Result;
use crate::servers::mariadb::{outages, records};

/// Orders that are further ahead than this, in microseconds, are put right.
const MOST_AHEAD_US: i64 = 60_000_000;
/// How long answers that wait are drained before.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records that are changed at a time.
const BATCH: usize = 5_000;

impl Engine {
    /// Gives states whose order is more than a minute ahead of MariaDB's clock the present as their
    /// order. Returns how many records it changed. Running it again goes on.
    ///
    /// # Errors
    /// When a server that is needed is down.
    pub fn mend_clock(&self) -> Result<u64> {
        let process = self.process();
        self.ensure_registered(&process)?;
        // What waits would bring its order back.
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
            // Loaded meanwhile, a schedule would have the old order.
            if let Err(error) = process.cache.drop_students(students()) {
                log::warn!("all schedules are given up, since some could not be dropped: {error}");
                self.renew_generation(&process)?;
            }
        }
        process.database.with(|database| outages::end_named(database, outages::CLOCK))?;
        Ok(mended)
    }
}

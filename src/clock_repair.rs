//! Putting right what a host's clock has left that was ahead: states whose order lies in the future.
//!
//! Nothing is wrong with what they say, and later answers count all the same. But an edit in the Desk, or an answer
//! computed where nobody knew of them, would come before them.

use crate::clock::now_us;
use crate::engine::Engine;
use crate::error::Result;
use crate::mariadb::{outages, records};
use crate::redis::{cache, journal};

/// Orders that are further ahead than this, in microseconds, are put right.
const MOST_AHEAD_US: i64 = 60_000_000;
/// Records that are changed at a time.
const BATCH: usize = 500;

impl Engine {
    /// Gives states whose order is more than a minute ahead of the clock the present as their order. Returns how
    /// many records it changed. Running it again goes on.
    ///
    /// # Errors
    /// When a server that is needed is down.
    pub fn mend_clock(&self) -> Result<u64> {
        let (keys, process) = (&self.settings.keys, self.process());
        let mut mended = 0;
        loop {
            let now = now_us();
            let ahead =
                process.background.with(|database| records::ahead(database, now + MOST_AHEAD_US, BATCH))?;
            if ahead.is_empty() {
                break;
            }
            mended += process.background.with(|database| records::put_back(database, &ahead, now))?;
            for record in &ahead {
                let student = (record.player.as_str(), record.season.as_str());
                process.journal.with(|journal| journal::lower_head(journal, keys, student, now))?;
            }
            let students = || ahead.iter().map(|record| (record.player.as_str(), record.season.as_str()));
            process.cache.with(|cache| cache::drop_students(cache, keys, students()))?;
        }
        process.database.with(|database| outages::end_named(database, outages::CLOCK))?;
        Ok(mended)
    }
}

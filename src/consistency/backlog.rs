//! How many submissions wait, in either place.

use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::servers::mariadb::connect::DatabaseServer;
use crate::servers::mariadb::journal as kept;
use crate::servers::pool::Pool;
use crate::servers::redis::journal;

impl Engine {
    /// How many of those in `memora_journal` also wait in the stream: they count once.
    ///
    /// # Arguments
    /// `waiting`: the number in the stream, and the number in the table.
    pub(crate) fn in_both_places(
        &self,
        process: &Process,
        database: &Pool<DatabaseServer>,
        waiting: (u64, u64),
    ) -> Result<u64> {
        if waiting.0 == 0 || waiting.1 == 0 {
            return Ok(0);
        }
        let tokens = database.with(kept::tokens)?;
        let keys = &self.settings.keys;
        process.journal.with(|journal| journal::count_waiting(journal, keys, &tokens))
    }
}

//! Removing what Frappe does not know of, once the app is uninstalled: a later install begins anew.

use crate::engine::Engine;
use crate::error::Result;
use crate::mariadb::storage;
use crate::pool::Connect;
use crate::redis::cache;

impl Engine {
    /// Removes the tables that are no DocTypes, and the site's keys in both Redis servers: also answers that wait in
    /// the journal, which have no table to go to any more.
    ///
    /// # Errors
    /// When a server is down. Running it again goes on.
    pub fn uninstall(&self) -> Result<()> {
        let (keys, process) = (&self.settings.keys, self.process());
        storage::drop_own_tables(&mut self.settings.background.connect(false)?)?;
        for server in [&process.cache, &process.journal] {
            cache::look_through(server, |redis, cursor| cache::clear_site(redis, keys, cursor))?;
        }
        Ok(())
    }
}

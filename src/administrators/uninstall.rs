//! Removes what Frappe does not know of, once the app is uninstalled, so that a later install
//! starts fresh.

use crate::engine::Engine;
use crate::error::{Result, Server};
use crate::servers::mariadb::storage;
use crate::servers::pool::{Connect, Pool};
use crate::servers::redis::scan;

impl Engine {
    /// Removes, a part at a time, the keys that older versions of memora left in the database of
    /// Frappe's cache.
    ///
    /// # Errors
    /// When the server is down. Running it again continues.
    pub fn free_old_cache(&self) -> Result<()> {
        let Some(frappe_cache) = &self.settings.frappe_cache else { return Ok(()) };
        let server = Pool::new(Server::Cache, frappe_cache.clone());
        let keys = &self.settings.keys;
        scan::look_through(|cursor| server.with(|redis| scan::clear_site(redis, keys, cursor)))
    }

    /// Removes memora's tables that are not DocTypes, and the site's keys in both Redis servers,
    /// including answers that wait in the journal: they have no table any more.
    ///
    /// # Errors
    /// When a server is down. Running it again continues.
    pub fn uninstall(&self) -> Result<()> {
        let (keys, process) = (&self.settings.keys, self.process());
        storage::drop_own_tables(&mut self.settings.background.connect(false)?)?;
        let of_cache = &process.cache.of_site().keys;
        for node in process.cache.nodes()? {
            scan::look_through(|cursor| {
                node.with(|cache| scan::clear_site(cache, of_cache, cursor))
            })?;
        }
        scan::look_through(|cursor| {
            process.journal.with(|journal| scan::clear_site(journal, keys, cursor))
        })?;
        self.free_old_cache()
    }
}

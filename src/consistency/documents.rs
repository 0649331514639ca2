//! Forgetting what is remembered of Frappe's documents, once they have changed.

use crate::engine::Engine;
use crate::error::Result;
use crate::servers::mariadb::seasons::Link;
use crate::servers::redis::notes;

impl Engine {
    /// Forgets which season is active. With `cache_is_void`, also everything that is cached: a
    /// season that begins to use the cache again may find sets from before.
    ///
    /// # Errors
    /// When a server cannot be told.
    pub fn season_changed(&self, cache_is_void: bool) -> Result<()> {
        let process = self.process();
        process.cache.forget_season();
        if cache_is_void {
            self.renew_generation(&process)?;
        }
        process
            .cache
            .in_each(|shard| shard.with(|cache| notes::forget_season(cache, &shard.keys)))?;
        if !cache_is_void && !self.cache_counts(&process)? {
            // The one that counts remembers it, too, and this process cannot tell it so.
            self.make_nothing_believed(&process)?;
        }
        Ok(())
    }

    /// Forgets that a user exists.
    ///
    /// # Errors
    /// When the cache cannot be told.
    pub fn player_changed(&self, player: &str) -> Result<()> {
        let member = Link::Player.member(player);
        self.process()
            .cache
            .in_each(|shard| shard.with(|cache| notes::forget_link(cache, &shard.keys, &member)))
    }

    /// Forgets which subjects, topics and users exist.
    ///
    /// # Errors
    /// When the cache cannot be told.
    pub fn links_changed(&self) -> Result<()> {
        self.process()
            .cache
            .in_each(|shard| shard.with(|cache| notes::forget_links(cache, &shard.keys)))
    }
}

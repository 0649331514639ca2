//! Remembers which of Frappe's documents exist, and forgets it once they change.

use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::servers::mariadb::seasons::{self, Link};
use crate::servers::redis::notes;

/// The message about a subject, a topic or a user that does not exist. `lost` begins the sentence.
pub(crate) fn unknown(lost: &str, link: Link, name: &str) -> Error {
    let shown: String = name.chars().filter(|letter| !letter.is_control()).take(60).collect();
    let message = format!("{lost} no {link} \"{shown}\".");
    match link {
        Link::Subject => Error::UnknownSubject(message),
        Link::Topic => Error::UnknownTopic(message),
        Link::Player => Error::InvalidInput(message),
    }
}

impl Engine {
    /// Whether a subject, a topic or a user exists. The student's shard remembers those that do.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub(crate) fn link_exists(
        &self,
        process: &Process,
        player: &str,
        (link, name): (Link, &str),
    ) -> Result<bool> {
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        let look = || process.database.with(|database| seasons::link_exists(database, link, name));
        if !look()? {
            return Ok(false);
        }
        let member = [link.member(name)];
        let remembered = shard.with(|cache| notes::remember_links(cache, keys, &member));
        if let Err(error) = remembered {
            log::debug!("the {link} {name} could not be remembered: {error}");
            return Ok(true);
        }
        // It may have been deleted and forgotten before it was remembered.
        let is_there = look();
        if !matches!(is_there, Ok(true)) {
            let forgotten = shard.with(|cache| notes::forget_link(cache, keys, &member[0]));
            if let Err(error) = forgotten {
                log::warn!("the {link} {name} could not be forgotten: {error}");
            }
        }
        is_there
    }

    /// Forgets which season is active. With `cache_is_void`, also everything that is cached: a
    /// season that uses the cache again may find old schedules.
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
            // The registered cache remembers the season too, and this process cannot reach that
            // cache.
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

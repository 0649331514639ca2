//! Loads the students of the last day into an emptied cache, for example after `bench build`:
//! otherwise all their next reads are cold.

use std::collections::HashSet;
use std::time::Instant;

use mysql::Conn;

use crate::administrators::pace::Pace;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::rules::clock::now_us;
use crate::servers::mariadb::audits;
use crate::servers::mariadb::locks::Held;
use crate::servers::pool::Connect;
use crate::servers::redis::schedules;

const DAY_US: i64 = 24 * 3600 * 1_000_000;
/// Audit records that are read at a time.
const PAGE: usize = 5_000;

impl Engine {
    /// Loads the schedules of those who answered in the last 24 hours, the latest first, unless
    /// they are cached. Returns how many it loaded; none if another process does it, the active
    /// season does not use the cache, or another cache is in use.
    ///
    /// # Errors
    /// When a server that is needed is down. What was loaded by then stays.
    pub fn load_recent_students(&self, pace: Pace) -> Result<usize> {
        let process = self.process();
        let server = &self.settings.background;
        let mut connection = server.connect(false)?;
        let Some(_held) = Held::take(server, &mut connection, "warm-up", 0)? else {
            return Ok(0);
        };
        match self.register_cache(&process) {
            Err(Error::NotRegistered { .. }) => return Ok(0),
            registered => registered?,
        }
        let mut loaded = 0;
        loop {
            let active = self.active_seasons(&process)?;
            let season = active.first().filter(|active| active.uses_cache);
            let Some(season) = season.and_then(|active| active.name.clone()) else {
                return Ok(loaded);
            };
            loaded += self.load_those_of(&process, &mut connection, &season, pace)?;
            // If the cache was emptied again meanwhile, it lacks the students loaded before.
            let now = self.active_seasons(&process)?;
            if now.iter().zip(&active).all(|(now, then)| now.generation == then.generation) {
                return Ok(loaded);
            }
        }
    }

    fn load_those_of(
        &self,
        process: &Process,
        connection: &mut Conn,
        season: &str,
        pace: Pace,
    ) -> Result<usize> {
        let since = now_us() - DAY_US;
        let (mut until, mut seen, mut loaded) = (None, HashSet::new(), 0);
        loop {
            let (zone, of) = (&self.settings.zone, (season, since));
            let page = audits::submitted_since(connection, zone, of, until.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(loaded) };
            until = Some(last.clone());
            for (_, player) in page {
                if seen.contains(&player) {
                    continue;
                }
                let began = Instant::now();
                match self.load_if_cold(process, &player, season) {
                    Ok(was_cold) => loaded += usize::from(was_cold),
                    // The season ended meanwhile.
                    Err(Error::SeasonArchived(_)) => return Ok(loaded),
                    Err(error) => return Err(error),
                }
                pace.rest(began.elapsed());
                seen.insert(player);
            }
        }
    }

    fn load_if_cold(&self, process: &Process, player: &str, season: &str) -> Result<bool> {
        let shard = process.cache.of(player);
        self.with_cache(process, shard, |active| {
            let is_there = self.on_current_cache(process, shard, active, |cache| {
                let (marker, _) = schedules::weigh(cache, &shard.keys, (player, season))?;
                Ok(marker == Some(active.generation))
            })?;
            is_there.and_then(|is_there| {
                if !is_there {
                    self.load_and_fill(process, active, player, season)?;
                }
                Ok(!is_there)
            })
        })
    }
}

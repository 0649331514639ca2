//! Loading a whole season into the cache again (spec section 7).
//!
//! Each student's schedule is loaded as a cold read loads it, behind a fence, some students at a time: whoever
//! answers meanwhile breaks through the fence, and is loaded again. The old schedule serves until the new one
//! takes its place. Nothing is kept of how far it came: killed, it is started again from the beginning.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::archive::Pace;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::job::Job;
use crate::mariadb::{archive, records, seasons, storage};
use crate::parallel::in_parallel;
use crate::pool::Connect;
use crate::redis::cache::{self, Found};
use crate::redis::students;
use crate::rehydrate::Records;
use crate::trust::Lease;

/// Students who are loaded at a time.
const STUDENTS: usize = 8;
/// Records that are sent to Redis at a time, for others not to wait long.
const RECORDS: usize = 4_000;
/// How often a student is loaded who answers whenever he is.
const MOST_TRIES: u32 = 3;
/// How often a piece is tried while a server does not answer.
const MOST_FAILURES: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// How far a rebuild is, and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Students whose schedules were loaded.
    pub students: u64,
    /// Records in them.
    pub records: u64,
    /// How many records there are, as MariaDB estimates.
    pub total: u64,
    /// Students whose schedules were dropped: they have no records, or answered whenever they were loaded.
    pub dropped: u64,
}

/// Is told how far the work is, after each piece. An error of its own ends the work there.
pub type Watch<'a> = &'a mut dyn FnMut(&Rebuilt) -> Result<()>;

impl Engine {
    /// Loads all schedules of a season into the cache.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a season that does not use the cache, or while another process is at it; else
    /// what a server said. Running it again begins anew.
    pub fn rebuild(&self, season: &str, pace: Pace, watch: Watch<'_>) -> Result<Rebuilt> {
        let process = self.process();
        // Held until the connection ends, however it ends.
        let mut connection = self.settings.background.connect(false)?;
        self.check_uses_cache(&mut connection, season)?;
        Job::Rebuild.lock(&mut connection, season)?;
        self.check_servers(&process)?;
        let untouched = self.end_of_life();
        let mut done =
            Rebuilt { total: archive::estimated_rows(&mut connection, season)?, ..Rebuilt::default() };
        watch(&done)?;
        let mut after = String::new();
        let next = || {
            let found =
                process.background.with(|database| records::students(database, season, &after, STUDENTS))?;
            Ok(found.last().cloned().map(|last| {
                after = last;
                found
            }))
        };
        let load = |players: Vec<String>| {
            let start = Instant::now();
            let piece = patiently(|| self.rebuild_students(&process, season, &players));
            pace.rest(start.elapsed());
            piece
        };
        in_parallel(next, load, |piece| {
            done.students += piece.students;
            done.records += piece.records;
            done.dropped += piece.dropped;
            done.total = done.total.max(done.records);
            watch(&done)
        })?;
        done.dropped += self.drop_unseen(&process, season, untouched)?;
        done.total = done.records;
        watch(&done)?;
        log::info!("the cache of {season} was rebuilt: {done:?}");
        Ok(done)
    }

    /// Refuses a season whose schedules nobody reads from the cache.
    pub(crate) fn check_uses_cache(&self, connection: &mut mysql::Conn, season: &str) -> Result<()> {
        storage::check_season_name(season)?;
        match seasons::uses_cache(connection, season)? {
            None => Err(Error::InvalidInput(format!("There is no season {season}."))),
            Some(_) if archive::is_archived(connection, season)? => {
                Err(Error::SeasonArchived(season.to_owned()))
            }
            Some(false) => Err(Error::InvalidInput(format!(
                "{season} does not use the cache: switch enable_redis on first."
            ))),
            Some(true) => Ok(()),
        }
    }

    /// Fails at once where a Redis is away at the beginning. Later it is waited for.
    pub(crate) fn check_servers(&self, process: &Process) -> Result<()> {
        let ping = redis::cmd("PING");
        process.journal.with(|journal| journal.command::<()>(&ping))?;
        process.cache.with(|cache| cache.command(&ping))
    }

    /// Loads some students; again those who answer meanwhile.
    fn rebuild_students(&self, process: &Process, season: &str, players: &[String]) -> Result<Rebuilt> {
        let mut rebuilt = Rebuilt::default();
        let mut waiting: Vec<&str> = players.iter().map(String::as_str).collect();
        for _ in 0..MOST_TRIES {
            let fence = process.token();
            let (lease, records) = self.load_behind_fence(process, season, &waiting, &fence)?;
            let mut changed = Vec::new();
            let mut rest = &records[..];
            while !rest.is_empty() {
                let (piece, others) = rest.split_at(piece_of(rest, RECORDS));
                rest = others;
                let filled = self.fill(process, &lease, season, &fence, piece)?;
                for ((player, records), filled) in piece.iter().zip(filled) {
                    if filled {
                        rebuilt.students += 1;
                        rebuilt.records += records.reviews.len() as u64;
                    } else {
                        changed.push(*player);
                    }
                }
            }
            if changed.is_empty() {
                return Ok(rebuilt);
            }
            waiting = changed;
        }
        // The next read loads them.
        for player in waiting {
            process.cache.with(|cache| cache::drop_student(cache, &self.settings.keys, player, season))?;
            rebuilt.dropped += 1;
        }
        Ok(rebuilt)
    }

    /// Loads all that is known of some students. Nothing that is computed from it goes into the cache through
    /// the fence once one of them has answered.
    pub(crate) fn load_behind_fence<'a>(
        &self,
        process: &Process,
        season: &str,
        players: &[&'a str],
        fence: &str,
    ) -> Result<(Lease, Vec<(&'a str, Records)>)> {
        let keys = &self.settings.keys;
        self.with_cache(process, |lease| {
            let fenced = Self::ask_cache(process, lease, |cache| {
                cache::set_fences(cache, keys, season, players.iter().copied(), fence).map(Found::Warm)
            })?;
            fenced.and_then(|_| {
                let pending = self.pending_of(process, players, season)?;
                let loaded = self.load_students(&process.background, players, season, pending)?;
                let records = players
                    .iter()
                    .zip(loaded)
                    .map(|(player, (reviews, head))| (*player, Records { reviews, head, is_whole: true }));
                Ok((lease.clone(), records.collect()))
            })
        })
    }

    /// Drops the schedules that were to go before a moment: no load or answer has touched them since the rebuild
    /// began, so they belong to no records. Returns how many.
    fn drop_unseen(&self, process: &Process, season: &str, until: i64) -> Result<u64> {
        let keys = &self.settings.keys;
        let mut dropped = 0;
        loop {
            let unseen = process.cache.with(|cache| students::until(cache, keys, season, until, STUDENTS))?;
            if unseen.is_empty() {
                return Ok(dropped);
            }
            for player in unseen {
                let was_there =
                    process.cache.with(|cache| cache::drop_student(cache, keys, &player, season))?;
                dropped += u64::from(was_there);
            }
        }
    }
}

/// How many students from the start have about so many records.
fn piece_of(records: &[(&str, Records)], most: usize) -> usize {
    let mut sum = 0;
    let place = records.iter().position(|(_, records)| {
        sum += records.reviews.len();
        sum >= most
    });
    place.map_or(records.len(), |place| place + 1)
}

/// Tries again, in ever longer intervals, while a server does not answer: one moment need not end the work of
/// minutes.
pub(crate) fn patiently<T>(mut work: impl FnMut() -> Result<T>) -> Result<T> {
    let mut pause = FIRST_RETRY;
    for _ in 1..MOST_FAILURES {
        match work() {
            Err(Error::Unavailable { server, cause, .. }) => {
                log::warn!("the {server} does not answer, next try in {pause:?}: {cause}");
                sleep(pause);
                pause *= 2;
            }
            outcome => return outcome,
        }
    }
    work()
}

//! Rebuilds the cache of a whole season (spec section 7).
//!
//! Loads all students at once, in the order of every load: it sets a fence for each student, finds
//! the students with waiting answers, then reads the records in one statement. Students with
//! waiting answers, and those who answer meanwhile and so remove their fence, are loaded again
//! alone. The old schedule serves until the new one replaces it. Progress is not stored: a killed
//! rebuild starts from the beginning.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use mysql::Conn;

use crate::administrators::job::Job;
use crate::administrators::pace::Pace;
use crate::administrators::parallel::in_parallel;
use crate::administrators::season_cache::{CHECK_LOCK_AFTER, check_lock, patiently};
use crate::consistency::cache_access::Attempt;
use crate::consistency::rehydrate::{Records, students_in_table};
use crate::engine::active_season::ActiveSeason;
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::progress::OnProgress;
use crate::rules::review::Review;
use crate::servers::mariadb::archive;
use crate::servers::mariadb::locks::Held;
use crate::servers::mariadb::records::{self, Scan};
use crate::servers::mariadb::statements::stop_statement;
use crate::servers::mariadb::suspended;
use crate::servers::pool::Connect;
use crate::servers::redis::fill;
use crate::servers::redis::pending::{PendingIds, pending_ids};
use crate::servers::redis::students;

/// Students whose fences are set, or whose schedules are dropped, at a time.
const STUDENTS: usize = 200;
/// How many students, and records, are loaded at a time, so that other calls do not wait long for
/// Redis.
const PIECE_STUDENTS: usize = 10;
const PIECE_RECORDS: usize = 4_000;
/// When a rebuild's fences expire: it leaves schedules that it has not loaded by then unchanged.
const SEASON_FENCE_SECONDS: u64 = 12 * 3600;
/// How often to load a student who answers during each load.
const MOST_TRIES: u32 = 3;

/// A rebuild's progress, and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Students whose schedules were loaded.
    pub students: u64,
    /// Records in them.
    pub records: u64,
    /// How many records there are, as MariaDB estimates.
    pub total: u64,
    /// Students whose schedules were dropped: they have no records, or answered each time they were
    /// loaded.
    pub dropped: u64,
}

impl Engine {
    /// Loads all schedules of a season into the cache.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a season that does not use the cache, or while another process
    /// does it; otherwise a server's error. Running it again starts over.
    pub fn rebuild(
        &self,
        season: &str,
        pace: Pace,
        on_progress: OnProgress<'_, Rebuilt>,
    ) -> Result<Rebuilt> {
        let process = self.process();
        let mut lock = self.begin_on_cache(&process, Job::Rebuild, season)?;
        // Without a partition, the season's records are among those of others.
        self.give_partition(&process, season)?;
        let total = archive::estimated_rows(&mut lock.0, season)?;
        let done = patiently(|| {
            if check_lock(&mut lock).is_err() {
                // Another process may have the lock.
                lock.1.release();
                lock = self.begin_on_cache(&process, Job::Rebuild, season)?;
            }
            self.rebuild_from_scan(&process, &mut lock, season, total, pace, on_progress)
        })?;
        log::info!("the cache of {season} was rebuilt: {done:?}");
        Ok(done)
    }

    /// One try, from the beginning.
    fn rebuild_from_scan(
        &self,
        process: &Process,
        lock: &mut (Conn, Held),
        season: &str,
        total: u64,
        pace: Pace,
        on_progress: OnProgress<'_, Rebuilt>,
    ) -> Result<Rebuilt> {
        let mut done = Rebuilt { total, ..Rebuilt::default() };
        on_progress(&done)?;
        let untouched = self.end_of_life();
        let fence = process.token();
        let active = self.current_seasons(process)?;
        let waiting = self.fence_season(process, season, &fence)?;
        // On a connection of its own: the other one must stay free.
        let mut reader = self.settings.background.connect(false)?;
        let reader_id = reader.connection_id();
        let mut scan = Scan::begin(&mut reader, &self.settings.zone, season)?;
        let next = || {
            let mut piece = Vec::new();
            let mut size = 0;
            while size < PIECE_RECORDS && piece.len() < PIECE_STUDENTS {
                let Some((player, reviews)) = scan.next_student()? else { break };
                size += reviews.len();
                piece.push((player, reviews));
            }
            Ok((!piece.is_empty()).then_some(piece))
        };
        let work = |piece: Vec<(String, Vec<Review>)>| {
            let start = Instant::now();
            let rebuilt = self.rebuild_piece(process, &active, season, &fence, &waiting, piece);
            pace.rest(start.elapsed());
            rebuilt
        };
        let mut checked = Instant::now();
        let outcome = in_parallel(next, work, |piece| {
            if checked.elapsed() >= CHECK_LOCK_AFTER {
                checked = Instant::now();
                check_lock(lock)?;
            }
            done.students += piece.students;
            done.records += piece.records;
            done.dropped += piece.dropped;
            done.total = done.total.max(done.records);
            on_progress(&done)
        });
        if outcome.is_err() {
            // Dropping the scan would read it to its end, unless MariaDB ends it.
            let stopped = stop_statement(&mut lock.0, reader_id);
            if stopped.is_err() {
                stop_statement(&mut self.settings.background.connect(false)?, reader_id)?;
            }
        }
        outcome?;
        for (shard, active) in process.cache.shards().iter().zip(&active) {
            self.check_generation(process, shard, active)?;
        }
        if archive::is_archived(&mut lock.0, season)? {
            return Err(Error::SeasonArchived(season.to_owned()));
        }
        done.dropped += self.drop_unseen(process, season, untouched)?;
        done.total = done.records;
        on_progress(&done)?;
        Ok(done)
    }

    /// Sets a fence for each student of a season. Returns the students whose answers wait, or were
    /// written lately. Looks for them after setting the fences, and before the records are read.
    fn fence_season(
        &self,
        process: &Process,
        season: &str,
        fence: &str,
    ) -> Result<HashSet<String>> {
        let keys = &self.settings.keys;
        let mut waiting = HashSet::new();
        let mut after = String::new();
        loop {
            let found = process
                .background
                .with(|database| records::students(database, season, &after, STUDENTS))?;
            let Some(last) = found.last() else { return Ok(waiting) };
            after.clone_from(last);
            let players: Vec<&str> = found.iter().map(String::as_str).collect();
            for (shard, players) in process.cache.by_shard(players.iter().copied(), |one| one) {
                let players = || players.iter().copied();
                shard.with(|cache| {
                    let keys = &shard.keys;
                    fill::set_fences(cache, keys, season, players(), fence, SEASON_FENCE_SECONDS)
                })?;
            }
            let students: Vec<(&str, &str)> =
                players.iter().map(|player| (*player, season)).collect();
            let in_stream =
                process.journal.with(|journal| pending_ids(journal, keys, &students))?;
            let in_table = process
                .background
                .with(|database| students_in_table(database, &players, season))?;
            let waits = |(player, ids): &(String, PendingIds)| {
                let is_quiet = ids.waiting.is_empty() && ids.written.is_empty();
                !is_quiet || in_table.contains(player)
            };
            waiting
                .extend(found.into_iter().zip(in_stream).filter(waits).map(|(player, _)| player));
        }
    }

    /// Caches loaded schedules, and loads students again who answered since the fence was set.
    fn rebuild_piece(
        &self,
        process: &Process,
        active: &[Arc<ActiveSeason>],
        season: &str,
        fence: &str,
        waiting: &HashSet<String>,
        piece: Vec<(String, Vec<Review>)>,
    ) -> Result<Rebuilt> {
        let mut rebuilt = Rebuilt::default();
        for (shard, piece) in process.cache.by_shard(piece, |(player, _)| player) {
            let active = &active[shard.place];
            // The waiting answers and the records must come from one snapshot.
            let (apart, piece): (Vec<_>, Vec<_>) =
                piece.into_iter().partition(|(player, _)| waiting.contains(player));
            let players: Vec<&str> = piece.iter().map(|(player, _)| player.as_str()).collect();
            let mut suspended =
                process.background.with(|database| suspended::of_students(database, &players))?;
            let loaded: Vec<(String, Records)> = piece
                .into_iter()
                .map(|(player, reviews)| {
                    let suspended = suspended.remove(&player).unwrap_or_default();
                    (player, Records { suspended, ..Records::of(reviews, 0) })
                })
                .collect();
            self.check_generation(process, shard, active)?;
            let mut changed =
                self.fill_and_count(shard, active, season, fence, &loaded, &mut rebuilt)?;
            changed.extend(apart.iter().map(|(player, _)| player));
            self.rebuild_alone(process, shard, season, changed, &mut rebuilt)?;
        }
        Ok(rebuilt)
    }

    /// Fills schedules, and counts them. Returns the students who changed meanwhile.
    fn fill_and_count<'a, P: AsRef<str>>(
        &self,
        shard: &Shard,
        active: &ActiveSeason,
        season: &str,
        fence: &str,
        loaded: &'a [(P, Records)],
        rebuilt: &mut Rebuilt,
    ) -> Result<Vec<&'a P>> {
        let filled = self.fill(shard, active, season, fence, loaded)?;
        let mut changed = Vec::new();
        for ((player, records), filled) in loaded.iter().zip(filled) {
            if filled {
                rebuilt.students += 1;
                rebuilt.records += records.reviews.len() as u64;
            } else {
                changed.push(player);
            }
        }
        Ok(changed)
    }

    /// Loads some students alone; those who answer each time they are loaded are left to the next
    /// read.
    fn rebuild_alone(
        &self,
        process: &Process,
        shard: &Shard,
        season: &str,
        players: Vec<&String>,
        rebuilt: &mut Rebuilt,
    ) -> Result<()> {
        let mut waiting: Vec<&str> = players.into_iter().map(String::as_str).collect();
        for _ in 0..MOST_TRIES {
            if waiting.is_empty() {
                return Ok(());
            }
            let fence = process.token();
            let (active, records) =
                self.load_behind_fence(process, shard, season, &waiting, &fence)?;
            let changed = self.fill_and_count(shard, &active, season, &fence, &records, rebuilt)?;
            waiting = changed.into_iter().copied().collect();
        }
        rebuilt.dropped += waiting.len() as u64;
        self.drop_students(process, season, waiting)?;
        Ok(())
    }

    /// The active season of each shard, in their order, in the valid generation.
    fn current_seasons(&self, process: &Process) -> Result<Vec<Arc<ActiveSeason>>> {
        let current = |shard| {
            self.with_cache(process, shard, |active| {
                self.on_current_cache(process, shard, active, |_| Ok(()))?
                    .and_then(|()| Ok(Arc::clone(active)))
            })
        };
        process.cache.shards().iter().map(current).collect()
    }

    /// Checks that a shard of the cache is the same run as before, in the same generation.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: what was cached before is lost or void.
    fn check_generation(
        &self,
        process: &Process,
        shard: &Shard,
        active: &ActiveSeason,
    ) -> Result<()> {
        if let Attempt::Done(()) = self.on_current_cache(process, shard, active, |_| Ok(()))? {
            return Ok(());
        }
        let cause = "it was down meanwhile".to_owned();
        Err(Error::Unavailable { server: Server::Cache, cause, answered: false })
    }

    /// Drops the schedules that expire before a given time: no load or answer has touched them
    /// since the rebuild began, so they have no records. Returns how many.
    fn drop_unseen(&self, process: &Process, season: &str, until: i64) -> Result<u64> {
        let mut dropped = 0;
        for shard in process.cache.shards() {
            loop {
                let unseen = shard
                    .with(|cache| students::until(cache, &shard.keys, season, until, STUDENTS))?;
                if unseen.is_empty() {
                    break;
                }
                dropped += self.drop_students(process, season, unseen)?;
            }
        }
        Ok(dropped)
    }
}

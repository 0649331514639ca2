//! Archives a season: moves its records to the archive, then removes its partition and its cached
//! schedules (spec section 6).
//!
//! Records are copied and compared in small transactions by key range. Each transaction stores the
//! progress, so if a process is killed, the next run continues its work. From the first commit on,
//! late answers are written to the archive, and nothing writes the season's records in the live
//! table.

use std::time::{Duration, Instant};

use mysql::Conn;

use crate::administrators::job::Job;
use crate::administrators::pace::Pace;
use crate::administrators::parallel::in_parallel;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::progress::OnProgress;
use crate::rules::archive_step::Step;
use crate::rules::clock::{SiteZone, now_us};
use crate::rules::names;
use crate::servers::mariadb::archive::{self, Move, Progress};
use crate::servers::mariadb::key_range::{Key, KeyRange, Place};
use crate::servers::mariadb::locks::Held;
use crate::servers::mariadb::shape::{ARCHIVE, LIVE};
use crate::servers::mariadb::transaction::in_transaction_again;
use crate::servers::mariadb::{outages, retention, storage};
use crate::servers::pool::Connect;
use crate::servers::redis::{scan, students};

/// How often a season is copied if records change meanwhile.
const MOST_ROUNDS: u32 = 3;

/// How often the number of compared records is stored.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// No backup takes longer.
const LONGEST_BACKUP_US: i64 = 7 * 86_400 * 1_000_000;

/// What is known of a season.
#[derive(Clone, Debug)]
pub struct ArchiveStatus {
    /// `None`: it was never archived.
    pub progress: Option<Progress>,
    /// Whether a process is archiving it.
    pub is_running: bool,
}

impl Engine {
    /// Archives a season, or continues where an earlier run ended, on a connection of its own.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a season that cannot be archived; otherwise a server's error.
    /// Running it again continues.
    pub fn archive(
        &self,
        season: &str,
        pace: Pace,
        on_progress: OnProgress<'_, Progress>,
    ) -> Result<Progress> {
        names::check_season_name(season)?;
        let server = &self.settings.background;
        let mut connection = server.connect(false)?;
        let mut held = Job::Archive.lock(server, &mut connection, season)?;
        storage::check_primary_key(&mut connection, &LIVE)?;
        storage::check_primary_key(&mut connection, &ARCHIVE)?;
        let columns = archive::columns(&mut connection)?;
        let began = outages::now_us(&mut connection)?;
        let mut progress = archive::begin(&mut connection, &self.settings.zone, season, began)?;
        if progress.step == Step::Done {
            return Ok(progress);
        }
        // Processes that still know it as the active season look it up again, unless the cache is
        // down.
        if let Err(error) = self.season_changed(false) {
            log::debug!("the cache cannot be told that {season} is being archived: {error}");
        }
        on_progress(&progress)?;
        let mut run = Run {
            engine: self,
            connection: &mut connection,
            held: &mut held,
            zone: &self.settings.zone,
            season,
            statements: Move::of(season, &columns),
            progress: &mut progress,
            pace,
            on_progress: &mut *on_progress,
        };
        run.empty_partition()?;
        drop(storage::remove_freed(server, &mut connection)?);
        self.clear_season(season)?;
        progress.begin(Step::Done);
        let now = outages::now_us(&mut connection)?;
        progress.finished_at_us = Some(now);
        archive::finish(&mut connection, &self.settings.zone, season, &progress, now)?;
        on_progress(&progress)?;
        log::info!("{season} is archived: {} records", progress.verified);
        Ok(progress)
    }

    /// What is known of a season.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn archive_status(&self, season: &str) -> Result<ArchiveStatus> {
        let progress =
            self.process().database.with(|database| archive::progress(database, season))?;
        Ok(ArchiveStatus { progress, is_running: self.is_running(Job::Archive, season)? })
    }

    /// Drops the empty partitions of seasons that were archived so long ago that no backup from
    /// before is still being made: with its partition gone, it would lack the records. Returns the
    /// seasons.
    ///
    /// # Errors
    /// When the table was in use all the time, or MariaDB is down.
    pub fn drop_left_partitions(&self) -> Result<Vec<String>> {
        let mut connection = self.settings.background.connect(false)?;
        let mut dropped = Vec::new();
        let before = outages::now_us(&mut connection)? - LONGEST_BACKUP_US;
        for season in archive::left_partitions(&mut connection, before)? {
            if storage::drop_empty_partition(&mut connection, &season)? {
                dropped.push(season);
            } else {
                log::warn!(
                    "{season} is archived, but its records were written to the live table since"
                );
            }
        }
        Ok(dropped)
    }

    /// Forgets a deleted season without records, so that its name can be used again.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn forget_archive(&self, season: &str) -> Result<()> {
        self.process().database.with(|database| {
            archive::forget(database, season)?;
            retention::forget(database, season)
        })
    }

    /// Removes what is cached of a season, and nothing else.
    fn clear_season(&self, season: &str) -> Result<()> {
        let process = self.process();
        let keys = &process.cache.of_site().keys;
        for node in process.cache.nodes()? {
            scan::look_through(|cursor| {
                node.with(|cache| scan::clear_season(cache, keys, season, cursor))
            })?;
        }
        process
            .cache
            .in_each(|shard| shard.with(|cache| students::clear(cache, &shard.keys, season)))
    }
}

/// One run of the archiver: its resources and its progress.
struct Run<'a> {
    engine: &'a Engine,
    connection: &'a mut Conn,
    held: &'a mut Held,
    zone: &'a SiteZone,
    season: &'a str,
    statements: Move,
    progress: &'a mut Progress,
    pace: Pace,
    on_progress: OnProgress<'a, Progress>,
}

impl Run<'_> {
    /// Copies and compares, and frees the partition once every record has an equal copy in the
    /// archive.
    fn empty_partition(&mut self) -> Result<()> {
        // A run that was killed may already have freed the partition.
        let is_there = storage::partition_exists(self.connection, self.season)?;
        match self.progress.step {
            Step::Freeing if !is_there || storage::is_empty(self.connection, self.season)? => {
                self.enter(Step::Clearing)?;
            }
            Step::Freeing => self.enter(Step::Verifying)?,
            Step::Verifying if !is_there => self.enter(Step::Copying)?,
            _ => {}
        }
        let mut rounds = 0;
        while self.progress.step != Step::Clearing {
            match self.progress.step {
                Step::Copying => {
                    rounds += 1;
                    // Rows of a season without a partition are in the default one.
                    self.engine.give_partition(&self.engine.process(), self.season)?;
                    self.copy()?;
                }
                Step::Verifying => {
                    let (season, differing) = (self.season, self.compare()?);
                    if differing > 0 && rounds >= MOST_ROUNDS {
                        return Err(Error::Fault(format!(
                            "{differing} records of {season} changed while they were archived, \
                             {rounds} times: find out what writes them without memora, then \
                             archive again"
                        )));
                    }
                    if differing > 0 {
                        log::warn!(
                            "{differing} records of {season} changed after they were copied"
                        );
                    }
                    self.enter(if differing > 0 { Step::Copying } else { Step::Freeing })?;
                }
                Step::Freeing => {
                    (self.on_progress)(self.progress)?;
                    let server = &self.engine.settings.background;
                    storage::free_partition(server, self.connection, self.season, self.held)?;
                    self.enter(Step::Clearing)?;
                }
                Step::Clearing | Step::Done => {}
            }
        }
        (self.on_progress)(self.progress)
    }

    /// Notes that a step begins.
    fn enter(&mut self, step: Step) -> Result<()> {
        self.progress.begin(step);
        self.held.check()?;
        archive::save(self.connection, self.season, self.progress)
    }

    /// Copies what is left to be copied, and enters the next step.
    fn copy(&mut self) -> Result<()> {
        while self.progress.step == Step::Copying {
            let mut further = self.progress.clone();
            let (zone, season, statements, pace, held) =
                (self.zone, self.season, &self.statements, self.pace, &mut *self.held);
            in_transaction_again(self.connection, |connection| {
                further = self.progress.clone();
                for _ in 0..pace.pieces() {
                    let start = Instant::now();
                    let range = KeyRange::next(
                        connection,
                        Place::Live,
                        season,
                        &further.after,
                        pace.rows(),
                    )?;
                    statements.copy(connection, zone, &range, now_us())?;
                    match &range.until {
                        Some(until) => {
                            further.copied += pace.rows() as u64;
                            further.after = until.clone();
                        }
                        None => {
                            further.copied += archive::count(connection, &range)?;
                            further.begin(Step::Verifying);
                            break;
                        }
                    }
                    pace.rest(start.elapsed());
                }
                archive::save(connection, season, &further)?;
                held.check()
            })?;
            *self.progress = further;
            (self.on_progress)(self.progress)?;
        }
        Ok(())
    }

    /// Compares every record with its copy. Returns how many have no copy that is as new.
    fn compare(&mut self) -> Result<u64> {
        // From the start: what was compared by an earlier run may have changed since.
        self.progress.begin(Step::Verifying);
        let (mut after, mut differing) = (Key::default(), 0);
        let mut told = Instant::now();
        loop {
            let start = Instant::now();
            let ranges = self.next_ranges(&after)?;
            let until = ranges.last().and_then(|range| range.until.clone());
            let (records, differing_here) = self.compare_ranges(ranges)?;
            self.progress.verified += records;
            differing += differing_here;
            // For other processes, which show the progress.
            if told.elapsed() >= TELL_AFTER {
                archive::save(self.connection, self.season, self.progress)?;
                told = Instant::now();
            }
            let worked = start.elapsed();
            (self.on_progress)(self.progress)?;
            let Some(until) = until else { return Ok(differing) };
            after = until;
            self.pace.rest(worked);
        }
    }

    /// The next ranges to be compared.
    fn next_ranges(&mut self, after: &Key) -> Result<Vec<KeyRange>> {
        let (rows, mut after) = (2 * self.pace.rows(), Some(after.clone()));
        let mut ranges = Vec::new();
        while let Some(from) = after.filter(|_| ranges.len() < self.pace.at_once()) {
            let range = KeyRange::next(self.connection, Place::Live, self.season, &from, rows)?;
            after = range.until.clone();
            ranges.push(range);
        }
        Ok(ranges)
    }

    /// Compares some ranges, several at a time. Returns how many records they have, and how many
    /// differ.
    fn compare_ranges(&mut self, ranges: Vec<KeyRange>) -> Result<(u64, u64)> {
        if let [range] = ranges.as_slice() {
            return self.statements.compare(self.connection, range);
        }
        let (process, statements) = (self.engine.process(), &self.statements);
        let (mut records, mut differing) = (0, 0);
        let mut ranges = ranges.into_iter();
        in_parallel(
            || Ok(ranges.next()),
            |range| process.background.with(|database| statements.compare(database, &range)),
            |(records_here, differing_here)| {
                records += records_here;
                differing += differing_here;
                Ok(())
            },
        )?;
        Ok((records, differing))
    }
}

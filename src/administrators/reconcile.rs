//! Compares cached schedules with the database, and corrects them (spec section 7).
//!
//! Whole students are compared: those of a sample, or all that the cache has. What is cached of a
//! student must be what a load would put there now: the table's records with the waiting entries
//! applied. A schedule that differs is an error only if nothing came in between, which the fence of
//! a load tells, and if no answer is on its way from the journal to the cache, which the heads
//! tell.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::administrators::cached_students::{self, Scan};
use crate::administrators::job::Job;
use crate::administrators::pace::Pace;
use crate::administrators::parallel::in_parallel;
use crate::administrators::season_cache::{CHECK_LOCK_AFTER, check_lock, patiently};
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::progress::OnProgress;
use crate::rules::alarm::is_alarming;
use crate::rules::diff::{Comparison, Differences, compare};
use crate::rules::entry::{Entry, fingerprint};
use crate::rules::hidden::Hidden;
use crate::rules::review::Review;
use crate::rules::sample::{Cluster, Estimate};
use crate::servers::mariadb::{journal as kept, poison};
use crate::servers::redis::student::generation_of;
use crate::servers::redis::students;

/// Students who are compared at a time.
const STUDENTS: usize = 5;
/// The fewest students of a sample, however many records they have: fewer tell nothing about the
/// others.
const FEWEST_STUDENTS: usize = 10;
/// The most students that Redis draws at once: more than there can be.
const MOST_DRAWN: usize = 1 << 30;
/// By how much the clock of the host that took an answer may differ from MariaDB's, in
/// microseconds.
const CLOCKS_DIFFER_US: i64 = 900_000_000;
/// How often a student is compared who answers during each comparison.
const MOST_LOOKS: u32 = 4;
/// An answer in the journal is in the cache after this time, or never.
const SETTLING: Duration = Duration::from_secs(1);

/// The progress of a reconciliation, and what it found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciled {
    /// Students who were compared.
    pub students: u64,
    /// Their records, and what was wrong.
    pub differences: Differences,
    /// Schedules that are not marked as complete. No process believes them, so their records count
    /// neither as compared nor as differing.
    pub half_filled: u64,
    /// Schedules that were corrected.
    pub corrected: u64,
    /// Schedules that changed during each comparison. They were dropped, so the next read loads
    /// them.
    pub unsettled: u64,
    /// Schedules of an earlier generation: since an outage no process believes them, and the next
    /// read loads them. They are not compared.
    pub void: u64,
    /// Records with an answer that only the cache had: a journal came back older. They are put into
    /// `memora_journal`, and not compared.
    pub offered: u64,
    /// How many records there are to compare, an estimate while it runs.
    pub total: u64,
    /// The share of records that differ, of all that is cached.
    pub estimate: Estimate,
}

impl Reconciled {
    /// Whether administrators must know.
    pub fn is_alarming(&self) -> bool {
        is_alarming(self.estimate.share, self.half_filled, self.students)
    }
}

/// What was found of some students.
#[derive(Default)]
struct Piece {
    compared: Vec<(Cluster, Differences)>,
    half_filled: u64,
    corrected: u64,
    unsettled: u64,
    void: u64,
    offered: u64,
}

impl Engine {
    /// Compares cached schedules of a season with the database, and corrects them: of students who
    /// have about `sample` records together, drawn at random, or of all.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a season that does not use the cache, or while another process
    /// reconciles it; otherwise a server's error.
    pub fn reconcile(
        &self,
        season: &str,
        sample: Option<u64>,
        pace: Pace,
        on_progress: OnProgress<'_, Reconciled>,
    ) -> Result<Reconciled> {
        let process = self.process();
        let mut lock = self.begin_on_cache(&process, Job::Reconciliation, season)?;
        let mut checked = Instant::now();
        let population = cached_students::count(&process, season)?;
        let mut found = Reconciled { total: sample.unwrap_or(0), ..Reconciled::default() };
        on_progress(&found)?;
        let mut clusters = Vec::new();
        let compared = Compared::default();
        let work = |players: Vec<String>| {
            let start = Instant::now();
            let piece = patiently(|| self.reconcile_students(&process, season, &players))?;
            compared.add(&piece);
            pace.rest(start.elapsed());
            Ok(piece)
        };
        let told = |piece: Piece| {
            if checked.elapsed() >= CHECK_LOCK_AFTER {
                checked = Instant::now();
                if check_lock(&mut lock).is_err() {
                    // Another process may have the lock.
                    lock.1.release();
                    lock =
                        patiently(|| self.begin_on_cache(&process, Job::Reconciliation, season))?;
                }
            }
            for (cluster, differences) in piece.compared {
                found.students += 1;
                found.differences += differences;
                // Only a sample needs them for its estimate, and there can be millions of students.
                clusters.extend(sample.map(|_| cluster));
            }
            found.half_filled += piece.half_filled;
            found.corrected += piece.corrected;
            found.unsettled += piece.unsettled;
            found.void += piece.void;
            found.offered += piece.offered;
            if sample.is_none() && found.students > 0 {
                found.total =
                    found.differences.records * population.max(found.students) / found.students;
            }
            found.total = found.total.max(found.differences.records);
            on_progress(&found)
        };
        match sample {
            Some(records) => {
                let mut draw = Draw::default();
                let next = || self.draw(&process, season, records, &compared, &mut draw);
                in_parallel(next, work, told)?;
            }
            None => {
                let mut scan = Scan::begin(&process)?;
                in_parallel(|| scan.next(&process, season), work, told)?;
            }
        }
        let Differences { records, .. } = found.differences;
        found.estimate = match sample {
            Some(_) => Estimate::from_sample(&clusters, population),
            None => Estimate::exact(records, found.differences.differing()),
        };
        found.total = records;
        on_progress(&found)?;
        log::info!("{season} was reconciled: {found:?}");
        Ok(found)
    }

    /// The next students of a sample. `None`: it is large enough, or has everybody.
    fn draw(
        &self,
        process: &Process,
        season: &str,
        wanted: u64,
        compared: &Compared,
        draw: &mut Draw,
    ) -> Result<Option<Vec<String>>> {
        if draw.waiting.is_empty() {
            let missing = compared.missing_students(draw.drawn.len(), wanted);
            if missing == 0 {
                return Ok(None);
            }
            // Enough that at least as many as are missing are new, or that all students are drawn.
            let most = draw.drawn.len().saturating_add(missing).min(MOST_DRAWN);
            draw.waiting = cached_students::at_random(process, season, most)?;
            draw.waiting.retain(|player| draw.drawn.insert(player.clone()));
        }
        let rest = draw.waiting.split_off(draw.waiting.len().min(STUDENTS));
        let next = std::mem::replace(&mut draw.waiting, rest);
        Ok((!next.is_empty()).then_some(next))
    }

    /// Compares some students, some at a time, and corrects what is wrong.
    fn reconcile_students(
        &self,
        process: &Process,
        season: &str,
        players: &[String],
    ) -> Result<Piece> {
        let mut piece = Piece::default();
        let pieces = process.cache.by_shard(players.iter().map(String::as_str), |player| player);
        let pieces = pieces.iter().flat_map(|(shard, players)| {
            players.chunks(STUDENTS).map(move |players| (*shard, players))
        });
        for (shard, players) in pieces {
            let mut waiting: Vec<(&str, Option<Heads>)> =
                players.iter().map(|player| (*player, None)).collect();
            for _ in 0..MOST_LOOKS {
                waiting = self.look(process, shard, season, &waiting, &mut piece)?;
                if waiting.iter().any(|(_, behind)| behind.is_some()) {
                    sleep(SETTLING);
                }
            }
            piece.unsettled += waiting.len() as u64;
            self.drop_students(process, season, waiting.iter().map(|(player, _)| *player))?;
        }
        Ok(piece)
    }

    /// Keeps again the states that only the cache still has of a student: a journal that was
    /// replaced by an older one has lost them. Returns how many.
    fn offer(
        &self,
        process: &Process,
        season: &str,
        player: &str,
        mut states: Vec<Review>,
        known: &[Review],
    ) -> Result<u64> {
        if states.is_empty() {
            return Ok(0);
        }
        let (loss, set_aside) = process.background.with(|database| {
            Ok((kept::last_loss(database)?, poison::questions(database, player, season)?))
        })?;
        let rows: HashSet<&str> = known.iter().map(|review| review.question_id.as_str()).collect();
        states.retain(|state| {
            // A question without a record may have been removed by hand, unless it was lost when
            // others were.
            let may_be_lost =
                rows.contains(state.question_id.as_str()) || is_within(loss, state.answered_at_us);
            may_be_lost && !set_aside.contains(&state.question_id)
        });
        let mut submissions: BTreeMap<i64, Vec<Review>> = BTreeMap::new();
        for state in states {
            submissions.entry(state.answered_at_us).or_default().push(state);
        }
        let name = fingerprint(player, season);
        let mut offered = 0;
        for (order, states) in submissions {
            offered += states.len() as u64;
            // The same token whenever it is offered: it counts once.
            let token = format!("cache-{order:x}-{name}");
            let text = Entry::of_states(token.clone(), states)
                .to_text()
                .map_err(|error| Error::Fault(format!("answers cannot be written: {error}")))?;
            process.background.with(|database| {
                kept::append(database, &token, (player, season), &text).map(drop)
            })?;
        }
        if offered > 0 {
            log::warn!(
                "{offered} answers of {player} were in the cache alone: they are kept again"
            );
        }
        Ok(offered)
    }

    /// Compares some students of a shard once. Returns those who must be compared again, with the
    /// heads of those whose cache lacks an answer.
    fn look<'a>(
        &self,
        process: &Process,
        shard: &Shard,
        season: &str,
        waiting: &[(&'a str, Option<Heads>)],
        piece: &mut Piece,
    ) -> Result<Vec<(&'a str, Option<Heads>)>> {
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let keys = &shard.keys;
        let fence = process.token();
        let players: Vec<&str> = waiting.iter().map(|(player, _)| *player).collect();
        let (active, records) = self.load_behind_fence(process, shard, season, &players, &fence)?;
        let expected: Vec<(&str, usize)> =
            records.iter().map(|(player, records)| (*player, records.reviews.len())).collect();
        let cached = shard.with(|cache| students::read(cache, keys, season, &expected))?;
        let (mut wrong, mut again, mut gone, mut present) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (((player, records), cached), (name, behind)) in
            records.into_iter().zip(cached).zip(waiting)
        {
            if !cached.is_there {
                gone.push(player);
                continue;
            }
            if cached.marker.is_some_and(|marker| generation_of(marker) != active.generation) {
                piece.void += 1;
                continue;
            }
            let is_half_filled = cached.marker.is_none() || cached.head.is_none();
            let hidden = Hidden { retired: &active.retired, suspended: &records.suspended };
            let Comparison { differences, only_cached } =
                compare(&cached, &records.reviews, hidden);
            if !is_half_filled && cached.fence.as_deref() == Some(&fence) {
                let offered = self.offer(process, season, player, only_cached, &records.reviews)?;
                if offered > 0 {
                    piece.offered += offered;
                    present.push(player);
                    continue;
                }
            }
            let heads =
                Heads { cached: cached.head.unwrap_or_default().order, known: records.head.order };
            if is_half_filled || differences.differing() > 0 {
                if cached.fence.as_deref() != Some(&fence) {
                    again.push((*name, None));
                    continue;
                }
                // The answer may be on its way from the journal to the cache. If the heads are the
                // same after a pause, it will not arrive.
                if heads.cached < heads.known && !is_half_filled && *behind != Some(heads) {
                    again.push((*name, Some(heads)));
                    continue;
                }
                wrong.push((player, records));
            }
            present.push(player);
            if is_half_filled {
                piece.half_filled += 1;
            } else {
                let cluster =
                    Cluster { records: differences.records, differing: differences.differing() };
                piece.compared.push((cluster, differences));
            }
        }
        if !gone.is_empty() {
            shard.with(|cache| students::forget(cache, keys, season, &gone))?;
        }
        if !present.is_empty() {
            let until = self.end_of_life();
            shard.with(|cache| students::remember(cache, keys, season, &present, until))?;
        }
        piece.corrected += wrong.len() as u64;
        let filled = self.fill(shard, &active, season, &fence, &wrong)?;
        let refused = wrong.iter().zip(filled).filter(|(_, filled)| !filled);
        // An answer came in between: the next read loads the schedule.
        self.drop_students(process, season, refused.map(|((player, _), _)| *player))?;
        Ok(again)
    }
}

/// Whether an order lies in the time in which the journal may have lost answers. Hosts' clocks
/// differ.
fn is_within((from_us, until_us): (i64, i64), order: i64) -> bool {
    from_us > 0 && (from_us - CLOCKS_DIFFER_US..=until_us + CLOCKS_DIFFER_US).contains(&order)
}

/// The newest answer that the cache knows of, and the newest of all; Unix microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heads {
    cached: i64,
    known: i64,
}

/// The students drawn so far, and the next of them.
#[derive(Default)]
struct Draw {
    drawn: HashSet<String>,
    waiting: Vec<String>,
}

/// How much has been compared so far.
#[derive(Default)]
struct Compared {
    students: AtomicU64,
    records: AtomicU64,
}

impl Compared {
    fn add(&self, piece: &Piece) {
        let records = piece.compared.iter().map(|(cluster, _)| cluster.records).sum();
        self.records.fetch_add(records, Ordering::Relaxed);
        self.students.fetch_add(piece.compared.len() as u64, Ordering::Relaxed);
    }

    /// How many more students must be drawn to have about `wanted` records in total.
    fn missing_students(&self, drawn: usize, wanted: u64) -> usize {
        let (students, records) =
            (self.students.load(Ordering::Relaxed), self.records.load(Ordering::Relaxed));
        let needed =
            if records == 0 { 0 } else { wanted.saturating_mul(students).div_ceil(records) };
        usize::try_from(needed).unwrap_or(usize::MAX).max(FEWEST_STUDENTS).saturating_sub(drawn)
    }
}

//! Loads a student's records from MariaDB and the journal, and caches them.
//!
//! The journal is read before the table, so an answer that has left the journal is in the table. If
//! entries wait, or this database lacks entries written lately, one snapshot gives the records and
//! which entries they include. A fence, set before anything is read, keeps a load from overwriting
//! an answer that arrives meanwhile.

use std::borrow::Cow;
use std::collections::HashSet;

use mysql::Conn;

use crate::consistency::cache_access::Attempt;
use crate::consistency::moment::{Moment, told_by_audit};
use crate::engine::active_season::ActiveSeason;
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::clock::now_us;
use crate::rules::head::Head;
use crate::rules::hidden::{Hidden, Retired};
use crate::rules::lineage::lay_over;
use crate::rules::names::check_season;
use crate::rules::review::Review;
use crate::servers::mariadb::connect::DatabaseServer;
use crate::servers::mariadb::journal::{self, Begun};
use crate::servers::mariadb::{archive, records, suspended};
use crate::servers::pool::Pool;
use crate::servers::redis::fill;
use crate::servers::redis::fill::Loaded;
use crate::servers::redis::journal::is_replicated;
use crate::servers::redis::pending::{Pending, pending, pending_ids};

/// A load that takes longer does not fill the cache.
pub(crate) const FENCE_SECONDS: u64 = 60;

/// A student's whole state in a season.
#[derive(Default)]
pub struct Records {
    /// Every tracked question.
    pub reviews: Vec<Review>,
    /// The newest answers that this state includes.
    pub head: Head,
    /// The questions that the student has suspended, whether there is a record of them or not.
    pub suspended: HashSet<String>,
    /// False if the journal could not be asked: answers on their way to MariaDB may be missing.
    pub is_whole: bool,
}

impl Engine {
    /// Caches a student's records of a season. Returns how many there are.
    ///
    /// # Errors
    /// When a server that is needed is down; nothing is cached then.
    pub fn rehydrate(&self, player: &str, season: &str) -> Result<usize> {
        check_season(season)?;
        let process = self.process();
        let shard = process.cache.of(player);
        let records = self.with_cache(&process, shard, |active| {
            self.on_current_cache(&process, shard, active, |_| Ok(()))?
                .and_then(|()| self.load_and_fill(&process, active, player, season))
        })?;
        Ok(records.reviews.len())
    }

    /// Loads a student's records, and caches them if no answer arrived meanwhile.
    pub(crate) fn load_and_fill(
        &self,
        process: &Process,
        active: &ActiveSeason,
        player: &str,
        season: &str,
    ) -> Result<Records> {
        let shard = process.cache.of(player);
        let fence = process.token();
        let fenced = shard.with(|cache| {
            fill::set_fences(cache, &shard.keys, season, [player], &fence, FENCE_SECONDS)
        });
        if let Err(error) = &fenced {
            log::debug!("the records of {player} will not be cached: {error}");
        }
        let loaded = [(player, self.load_records(process, player, season)?)];
        // Without the journal the schedule could lack answers, and must not count as complete. A
        // fence that was not confirmed may have been set too late.
        if loaded[0].1.is_whole && fenced.is_ok() {
            match self.fill(shard, active, season, &fence, &loaded) {
                Ok(filled) if filled == [true] => {}
                Ok(_) => log::debug!(
                    "the records of {player} changed while they were loaded; not cached"
                ),
                // An outage was reported already.
                Err(error @ Error::Unavailable { .. }) => {
                    log::debug!("{player} is not cached: {error}")
                }
                Err(error) => log::warn!("the records of {player} could not be cached: {error}"),
            }
        }
        let [(_, records)] = loaded;
        Ok(records)
    }

    /// Caches records of a shard's students that were loaded behind a fence. False for each student
    /// who changed meanwhile.
    pub(crate) fn fill<P: AsRef<str>>(
        &self,
        shard: &Shard,
        active: &ActiveSeason,
        season: &str,
        fence: &str,
        records: &[(P, Records)],
    ) -> Result<Vec<bool>> {
        let loaded: Vec<Loaded<'_>> = records
            .iter()
            .map(|(player, Records { reviews, head, suspended, .. })| Loaded {
                student: active.student(&shard.keys, player.as_ref(), season),
                head: *head,
                reviews,
                suspended,
            })
            .collect();
        let (until, seconds_to_live) = (self.end_of_life(), self.settings.cache_ttl_seconds);
        shard.with(|cache| fill::fill(cache, &loaded, fence, until, seconds_to_live))
    }

    /// When a schedule cached now expires, in Unix seconds.
    pub(crate) fn end_of_life(&self) -> i64 {
        now_us() / 1_000_000 + i64::try_from(self.settings.cache_ttl_seconds).unwrap_or(i64::MAX)
    }

    /// Loads a student's records of a season: the table's, and over them what waits in the journal.
    ///
    /// # Errors
    /// [`Error::SeasonArchived`] once archiving has begun: the live table is no longer
    /// authoritative.
    pub(crate) fn load_records(
        &self,
        process: &Process,
        player: &str,
        season: &str,
    ) -> Result<Records> {
        let (pending, is_whole) = self.pending(process, player, season)?;
        let loaded = self.load_students(&process.database, &[player], season, vec![pending])?.pop();
        Ok(Records { is_whole, ..loaded.unwrap_or_default() })
    }

    /// Loads the records of some students, in their order, and applies the waiting entries.
    ///
    /// # Errors
    /// As [`Engine::load_records`].
    pub(crate) fn load_students(
        &self,
        database: &Pool<DatabaseServer>,
        players: &[&str],
        season: &str,
        pending: Vec<Pending>,
    ) -> Result<Vec<Records>> {
        let zone = &self.settings.zone;
        let (loaded, has_nobody) = database.with(|database| {
            // Read before the records: entries that have left it by then are among them.
            let Begun { is_settled, suspends, .. } = match (players, pending.as_slice()) {
                ([player], [pending]) => begin(database, (player, season), pending)?,
                _ => Begun { is_settled: false, suspends: true, retires: true },
            };
            let (in_table, pending) = if is_settled {
                (HashSet::new(), Cow::Borrowed(pending.as_slice()))
            } else {
                let in_table = students_in_table(database, players, season)?;
                (in_table, self.with_lacking(database, &pending)?)
            };
            let is_quiet = |player: &str, pending: &Pending| {
                pending.entries.is_empty() && !in_table.contains(player)
            };
            let quiet: Vec<&str> = players
                .iter()
                .zip(pending.iter())
                .filter(|(player, pending)| is_quiet(player, pending))
                .map(|(player, _)| *player)
                .collect();
            let mut records = records::of_students(database, zone, &quiet, season)?.into_iter();
            let mut loaded = Vec::with_capacity(players.len());
            let mut has_nobody = false;
            for (player, pending) in players.iter().zip(pending.iter()) {
                let (of_player, is_empty) = if is_quiet(player, pending) {
                    let reviews = records.next().unwrap_or_default();
                    let is_empty = reviews.is_empty();
                    (Records::of(reviews, pending.head), is_empty)
                } else {
                    self.load_with_waiting(database, player, season, pending)?
                };
                has_nobody |= is_empty;
                loaded.push(of_player);
            }
            if suspends {
                let mut suspended = suspended::of_students(database, players)?;
                for (player, records) in players.iter().zip(&mut loaded) {
                    records.suspended = suspended.remove(*player).unwrap_or_default();
                }
            }
            Ok((loaded, has_nobody))
        })?;
        if has_nobody && database.with(|database| archive::is_archived(database, season))? {
            return Err(Error::SeasonArchived(season.to_owned()));
        }
        Ok(loaded)
    }

    /// Loads the records of a student who has waiting answers. The flag says that the table has
    /// none.
    fn load_with_waiting(
        &self,
        database: &mut Conn,
        player: &str,
        season: &str,
        pending: &Pending,
    ) -> Result<(Records, bool)> {
        let Moment { records, entries, head, .. } =
            self.moment(database, (player, season), pending)?;
        let is_empty = records.is_empty();
        let (reviews, newest) = lay_over(&self.settings.zone, records, &entries);
        let head = Head { order: head.order.max(newest), ..head };
        Ok((Records { reviews, head, suspended: HashSet::new(), is_whole: true }, is_empty))
    }

    /// A student's entries in the journal; false if it cannot be asked, or is not registered.
    pub(crate) fn pending(
        &self,
        process: &Process,
        player: &str,
        season: &str,
    ) -> Result<(Pending, bool)> {
        match self.pending_of(process, &[player], season) {
            Ok(mut pending) => {
                Ok((pending.pop().unwrap_or_default(), self.journal_counts(process)))
            }
            Err(error) if error.is_failure_of(Server::Journal) => {
                self.notice_outage(process, Server::Journal, &error);
                Ok((Pending::default(), false))
            }
            Err(error) => Err(error),
        }
    }

    /// The entries of some students in the journal, in their order. First puts those that its
    /// replicas lack into `memora_journal`: so if the journal is lost, no entry is lost that was
    /// shown or computed from.
    pub(crate) fn pending_of(
        &self,
        process: &Process,
        players: &[&str],
        season: &str,
    ) -> Result<Vec<Pending>> {
        let (keys, replicas) = (&self.settings.keys, self.replicas(process));
        let (found, is_replicated) = process.journal.with(|journal| {
            let found = pending(journal, keys, players, season)?;
            let is_empty = found.iter().all(|pending| pending.entries.is_empty());
            Ok((found, is_empty || is_replicated(journal, keys, replicas)?))
        })?;
        if !is_replicated {
            process.replicas.note(false);
            for (player, pending) in players.iter().zip(&found) {
                for entry in &pending.entries {
                    let text = entry.to_text().map_err(|error| {
                        Error::Fault(format!("answers cannot be written: {error}"))
                    })?;
                    process.database.with(|database| {
                        journal::append(database, &entry.token, (player, season), &text)
                    })?;
                }
            }
        }
        Ok(found)
    }

    /// Whether answers of a student to questions of these seasons wait in the journal.
    ///
    /// # Errors
    /// When the journal is down.
    pub fn has_waiting_answers(&self, player: &str, seasons: &[String]) -> Result<bool> {
        let process = self.process();
        for season in seasons {
            check_season(season)?;
            let (keys, student) = (&self.settings.keys, (player, season.as_str()));
            let pending = process.journal.with(|journal| pending_ids(journal, keys, &[student]))?;
            if pending.iter().any(|ids| !ids.waiting.is_empty())
                || !process.database.with(|database| journal::is_settled(database, student, &[]))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Records {
    /// The table's records of a student, and the head that the journal knows. Entries that have
    /// left the journal are among the records, so the newest record gives their head.
    pub(crate) fn of(reviews: Vec<Review>, journal: i64) -> Records {
        let newest =
            reviews.iter().map(|review| review.answered_at_us).max().unwrap_or(0).max(journal);
        let head = Head { order: newest, journal: newest, table: 0 };
        Records { reviews, head, suspended: HashSet::new(), is_whole: true }
    }

    /// The records of questions that are not hidden.
    pub(crate) fn shown(self, retired: &Retired) -> Vec<Review> {
        Hidden { retired, suspended: &self.suspended }.shown(self.reviews)
    }
}

/// Whether entries must be applied to a student's records, and questions hidden, by one statement.
pub(crate) fn begin(
    database: &mut Conn,
    student: (&str, &str),
    pending: &Pending,
) -> Result<Begun> {
    if !pending.entries.is_empty() {
        return Ok(Begun { is_settled: false, suspends: true, retires: true });
    }
    journal::begin(database, student, &tokens_told_by_audit(pending))
}

fn tokens_told_by_audit(pending: &Pending) -> Vec<&str> {
    told_by_audit(&pending.written).map(|one| one.token.as_str()).collect()
}

/// The students who have entries in `memora_journal`.
pub(crate) fn students_in_table(
    database: &mut Conn,
    players: &[&str],
    season: &str,
) -> Result<HashSet<String>> {
    let found = journal::of_students(database, players)?;
    Ok(found.into_iter().filter(|entry| entry.season == season).map(|entry| entry.player).collect())
}

/// Makes [`Engine::with_cache`] look up the active season again, when the known one is archived.
pub(crate) fn other_season_if_archived<T>(error: Error) -> Result<Attempt<T>> {
    match error {
        Error::SeasonArchived(_) => Ok(Attempt::OtherSeason(None)),
        error => Err(error),
    }
}

//! Loading a student's records from MariaDB and the journal, and caching them.
//!
//! The journal is read before the table: an answer that has left the journal by then is in the table. A
//! fence, set before either is read, keeps a load from undoing an answer that comes in meanwhile.

use std::collections::HashMap;

use crate::blind::correct;
use crate::clock::now_us;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::mariadb::{DatabaseServer, archive, blind, records};
use crate::pool::Pool;
use crate::redis::RedisConnection;
use crate::redis::cache::{self, Found, Loaded, Student};
use crate::redis::journal::Pending;
use crate::review::Review;
use crate::submission::check_season;
use crate::trust::Lease;

/// A load that takes longer fills nothing.
pub(crate) const FENCE_SECONDS: u64 = 60;

/// All that is known of a student in a season.
#[derive(Default)]
pub struct Records {
    /// Every tracked question.
    pub reviews: Vec<Review>,
    /// Time of the newest state, Unix microseconds; 0 without records.
    pub head: i64,
    /// False when the journal could not be asked: answers on their way to MariaDB may be missing.
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
        let lease = self.lease(&process)?;
        let records = self.load_and_fill(&process, &lease, player, season)?;
        Ok(records.reviews.len())
    }

    /// Loads a student's records, and caches them if nothing came in between.
    pub(crate) fn load_and_fill(
        &self,
        process: &Process,
        lease: &Lease,
        player: &str,
        season: &str,
    ) -> Result<Records> {
        let keys = &self.settings.keys;
        let fence = process.token();
        let fenced = process
            .cache
            .with(|cache| cache::set_fences(cache, keys, season, [player], &fence, FENCE_SECONDS));
        if let Err(error) = fenced {
            log::debug!("the records of {player} will not be cached: {error}");
        }
        let loaded = [(player, self.load_records(process, player, season)?)];
        // Without the journal the set could lack answers; it must not be taken for complete later.
        if loaded[0].1.is_whole {
            match self.fill(process, lease, season, &fence, &loaded) {
                Ok(filled) if filled == [true] => {}
                Ok(_) => log::debug!("the records of {player} changed while they were loaded; not cached"),
                // An outage has been told of already.
                Err(error @ Error::Unavailable { .. }) => log::debug!("{player} is not cached: {error}"),
                Err(error) => log::warn!("the records of {player} could not be cached: {error}"),
            }
        }
        let [(_, records)] = loaded;
        Ok(records)
    }

    /// Caches students' records that were loaded behind a fence. False for each who changed meanwhile.
    pub(crate) fn fill<P: AsRef<str>>(
        &self,
        process: &Process,
        lease: &Lease,
        season: &str,
        fence: &str,
        records: &[(P, Records)],
    ) -> Result<Vec<bool>> {
        let (keys, generation) = (&self.settings.keys, lease.generation);
        let loaded: Vec<Loaded<'_>> = records
            .iter()
            .map(|(player, Records { reviews, head, .. })| Loaded {
                student: Student { keys, player: player.as_ref(), season, season_token: "", generation },
                head: *head,
                reviews,
            })
            .collect();
        let (until, seconds_to_live) = (self.end_of_life(), self.settings.cache_ttl_seconds);
        process.cache.with(|cache| cache::fill(cache, &loaded, fence, until, seconds_to_live))
    }

    /// When a schedule goes that is cached now, Unix seconds.
    pub(crate) fn end_of_life(&self) -> i64 {
        now_us() / 1_000_000 + i64::try_from(self.settings.cache_ttl_seconds).unwrap_or(i64::MAX)
    }

    /// Loads a student's records of a season: the table's, and over them what waits in the journal.
    ///
    /// # Errors
    /// [`Error::SeasonArchived`] once the season is on its way to the archive: the table is not its last word.
    pub(crate) fn load_records(&self, process: &Process, player: &str, season: &str) -> Result<Records> {
        let (pending, is_whole) = self.pending(process, player, season)?;
        let loaded = self.load_students(&process.database, &[player], season, vec![pending])?.pop();
        Ok(Records { is_whole, ..loaded.unwrap_or_default() })
    }

    /// Loads the records of some students and lays over them what waits in the journal, in their order.
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
        let records = database.with(|database| records::of_students(database, zone, players, season))?;
        if records.iter().any(Vec::is_empty)
            && database.with(|database| archive::is_archived(database, season))?
        {
            return Err(Error::SeasonArchived(season.to_owned()));
        }
        records
            .into_iter()
            .zip(pending)
            .zip(players)
            .map(|((reviews, pending), player)| self.with_pending(database, player, season, reviews, pending))
            .collect()
    }

    /// Lays over a student's records what waits in the journal.
    pub(crate) fn with_pending(
        &self,
        database: &Pool<DatabaseServer>,
        player: &str,
        season: &str,
        mut reviews: Vec<Review>,
        pending: Pending,
    ) -> Result<Records> {
        if !pending.reviews.is_empty() {
            let zone = &self.settings.zone;
            let blind = database.with(|database| blind::of_student(database, player, season, false))?;
            let replayed = blind.map(|mut blind| {
                blind.learn(&pending.reviews);
                blind.replay(zone)
            });
            overlay(&mut reviews, pending.reviews);
            correct(&mut reviews, replayed.unwrap_or_default());
        }
        let newest = reviews.iter().map(|review| review.answered_at_us).max().unwrap_or(0);
        Ok(Records { reviews, head: newest.max(pending.head), is_whole: true })
    }

    /// What of a student waits in the journal; false when it cannot be asked.
    pub(crate) fn pending(&self, process: &Process, player: &str, season: &str) -> Result<(Pending, bool)> {
        match self.pending_of(process, &[player], season) {
            Ok(mut pending) => Ok((pending.pop().unwrap_or_default(), true)),
            Err(error) if error.is_failure_of(Server::Journal) => {
                self.notice_outage(process, Server::Journal, &error);
                Ok((Pending::default(), false))
            }
            Err(error) => Err(error),
        }
    }

    /// What of some students waits in the journal, in their order.
    pub(crate) fn pending_of(
        &self,
        process: &Process,
        players: &[&str],
        season: &str,
    ) -> Result<Vec<Pending>> {
        let keys = &self.settings.keys;
        process.journal.with(|journal| self.journal_scripts.pending(journal, keys, players, season))
    }

    /// Asks the cache about a student: `None` when it is cold.
    pub(crate) fn ask_cache<T>(
        process: &Process,
        lease: &Lease,
        mut ask: impl FnMut(&mut RedisConnection) -> Result<Found<T>>,
    ) -> Result<Attempt<Option<T>>> {
        process.cache.with(|cache| {
            if *lease.run_id != cache.run_id {
                return Ok(Attempt::Restarted(cache.run_id.clone()));
            }
            Ok(match ask(cache)? {
                Found::Warm(value) => Attempt::Done(Some(value)),
                Found::Cold => Attempt::Done(None),
                Found::OtherSeason(token) => Attempt::OtherSeason(token),
            })
        })
    }

    /// Runs `work` with the lease that a connection to the cache fits, and tries again when the cache
    /// restarted or another season became active.
    pub(crate) fn with_cache<T>(
        &self,
        process: &Process,
        mut work: impl FnMut(&Lease) -> Result<Attempt<T>>,
    ) -> Result<T> {
        for _ in 0..5 {
            let lease = self.lease(process)?;
            match work(&lease)? {
                Attempt::Done(value) => {
                    self.notice_recovery(process, Server::Cache);
                    return Ok(value);
                }
                Attempt::Restarted(run_id) => {
                    self.cache_restarted(process, &run_id)?;
                }
                Attempt::OtherSeason(token) => {
                    let newer = token.as_deref().and_then(crate::season::generation_of);
                    if newer.is_some_and(|generation| generation > lease.generation) && lease.is_confirmed {
                        self.drop_lease(process);
                    } else {
                        self.season_changed_to(process, &lease, token)?;
                    }
                }
            }
        }
        Err(Error::Unavailable {
            server: Server::Cache,
            cause: "it changes faster than it can be read".to_owned(),
            broken: false,
        })
    }
}

/// What became of one try to use the cache. All but `Done` are for [`Engine::with_cache`] to settle.
pub(crate) enum Attempt<T> {
    /// It worked.
    Done(T),
    /// The cache has another run id than the lease: this one.
    Restarted(String),
    /// The cache remembers another active season: this token.
    OtherSeason(Option<String>),
}

impl<T> Attempt<T> {
    /// Goes on with the value of a try that worked.
    pub(crate) fn and_then<U>(self, next: impl FnOnce(T) -> Result<U>) -> Result<Attempt<U>> {
        Ok(match self {
            Attempt::Done(value) => Attempt::Done(next(value)?),
            Attempt::Restarted(run_id) => Attempt::Restarted(run_id),
            Attempt::OtherSeason(token) => Attempt::OtherSeason(token),
        })
    }
}

/// Has [`Engine::with_cache`] look which season is active now, when the one that was is archived.
pub(crate) fn other_season_if_archived<T>(error: Error) -> Result<Attempt<T>> {
    match error {
        Error::SeasonArchived(_) => Ok(Attempt::OtherSeason(None)),
        error => Err(error),
    }
}

/// Puts newer states over older ones, question by question.
pub fn overlay(reviews: &mut Vec<Review>, newer: Vec<Review>) {
    if newer.is_empty() {
        return;
    }
    let mut places: HashMap<String, usize> =
        reviews.iter().enumerate().map(|(place, review)| (review.question_id.clone(), place)).collect();
    for review in newer {
        match places.get(&review.question_id) {
            Some(place) if reviews[*place].answered_at_us < review.answered_at_us => reviews[*place] = review,
            Some(_) => {}
            None => {
                places.insert(review.question_id.clone(), reviews.len());
                reviews.push(review);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(id: &str, answered_at_us: i64) -> Review {
        Review { answered_at_us, ..Review::new(id) }
    }

    #[test]
    fn the_newest_state_of_each_question_wins() {
        let mut reviews = vec![review("a", 5), review("b", 5)];
        overlay(&mut reviews, vec![review("a", 4), review("b", 6), review("c", 2), review("c", 1)]);
        let times: Vec<i64> = reviews.iter().map(|review| review.answered_at_us).collect();
        assert_eq!(times, [5, 6, 2]);
    }
}

//! Which questions a student must review now (spec sections 2 and 4).

use std::time::Instant;

use crate::consistency::cache_access::{Asked, Attempt};
use crate::consistency::documents::unknown;
use crate::consistency::rehydrate::{begin, other_season_if_archived};
use crate::engine::active_season::ActiveSeason;
use crate::engine::cache::Shard;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::clock::now_us;
use crate::rules::focus;
use crate::rules::latency::Call;
use crate::rules::names::{check_player, check_season};
use crate::rules::review::Review;
use crate::rules::season::Season;
use crate::servers::mariadb::records;
use crate::servers::mariadb::seasons::{self, Link};
use crate::servers::redis::notes;

/// The most questions in one answer.
pub const LARGEST_LIMIT: u32 = 50;
/// The most questions in one answer of Safe Mode.
pub const SAFE_MODE_LIMIT: u32 = 10;

/// How many are due, and those to show.
type Selected = (u64, Vec<Review>);

/// What a student asks for.
#[derive(Clone, Debug)]
pub struct DueQuery {
    /// Most questions wanted, 1 to 50. With a topic, focus mode decides how many there are.
    pub limit: u32,
    /// Only this subject.
    pub subject: Option<String>,
    /// Focus mode: only this topic.
    pub topic: Option<String>,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The cache.
    Cache,
    /// MariaDB and the journal; the cache was filled from them.
    Loaded,
    /// MariaDB: the season does not use the cache, or this process does not reach the registered
    /// cache.
    Database,
    /// MariaDB, because the cache cannot be reached.
    SafeMode,
    /// No season is active.
    Nothing,
}

/// The answer to [`Engine::due`].
#[derive(Debug)]
pub struct DueAnswer {
    /// Most overdue first; with a topic, in the order of [`focus::pick`].
    pub reviews: Vec<Review>,
    /// How many are due, including those past the limit.
    pub total: u64,
    /// The active season.
    pub season: Option<String>,
    /// Where it came from.
    pub source: Source,
    /// Whether the answer is from Safe Mode, or may be incomplete.
    pub is_degraded: bool,
    /// False if acknowledged answers may be missing, because the journal is down, or nobody could
    /// check the cache.
    pub is_whole: bool,
}

impl DueAnswer {
    fn no_season() -> DueAnswer {
        DueAnswer {
            reviews: Vec::new(),
            total: 0,
            season: None,
            source: Source::Nothing,
            is_degraded: false,
            is_whole: true,
        }
    }
}

impl DueQuery {
    /// All subjects and topics.
    pub fn of_all(limit: u32) -> DueQuery {
        DueQuery { limit, subject: None, topic: None }
    }

    /// Checks the query.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a limit out of range.
    pub fn check(&self) -> Result<()> {
        if !(1..=LARGEST_LIMIT).contains(&self.limit) {
            return Err(Error::InvalidInput(format!(
                "limit is 1 to {LARGEST_LIMIT}, not {}",
                self.limit
            )));
        }
        Ok(())
    }

    /// The subject and the topic that are wanted.
    fn links(&self) -> Vec<(Link, &str)> {
        let subject = self.subject.as_deref().map(|name| (Link::Subject, name));
        let topic = self.topic.as_deref().map(|name| (Link::Topic, name));
        subject.into_iter().chain(topic).collect()
    }
}

impl Engine {
    /// A student's due questions of the active season.
    ///
    /// # Errors
    /// [`Error::InvalidInput`], [`Error::UnknownSubject`], [`Error::UnknownTopic`],
    /// [`Error::RateLimited`], or [`Error::Unavailable`] of the database.
    pub fn due(&self, player: &str, query: &DueQuery) -> Result<DueAnswer> {
        let began = Instant::now();
        check_player(player)?;
        query.check()?;
        let process = self.process();
        let answer = self.with_cache(&process, process.cache.of(player), |active| {
            self.due_from_cache(&process, active, player, query)
        });
        let answer = match answer {
            Err(Error::NotRegistered { server: Server::Cache }) => {
                self.due_without_cache(&process, player, query)
            }
            Err(error) if error.is_failure_of(Server::Cache) => {
                self.notice_outage(&process, Server::Cache, &error);
                self.due_in_safe_mode(&process, player, query)
            }
            answer => answer,
        }?;
        self.notice_overdue(&process);
        let call = match answer.source {
            Source::Cache => Call::WarmRead,
            Source::Loaded => Call::ColdRead,
            Source::Database => Call::DatabaseRead,
            Source::SafeMode => Call::SafeModeRead,
            Source::Nothing => return Ok(answer),
        };
        self.count_call(&process, call, began);
        Ok(answer)
    }

    fn due_from_cache(
        &self,
        process: &Process,
        active: &ActiveSeason,
        player: &str,
        query: &DueQuery,
    ) -> Result<Attempt<DueAnswer>> {
        let Some(season) = active.name.as_deref().filter(|_| active.uses_cache) else {
            // Only the season that the cache knows is needed.
            return confirm_season(process.cache.of(player), &active.token)?.and_then(|()| {
                match &active.name {
                    Some(season) => {
                        self.due_from_database(process, season, player, query, Source::Database)
                    }
                    None => Ok(DueAnswer::no_season()),
                }
            });
        };
        let found = self
            .due_in(process, active, (player, season), query)
            .or_else(other_season_if_archived)?;
        found.and_then(|((total, reviews), source, is_whole)| {
            let season = Some(season.to_owned());
            Ok(DueAnswer { reviews, total, season, source, is_degraded: !is_whole, is_whole })
        })
    }

    /// Asks the cache, and fills it if it is cold. The flag is false if the journal could not be
    /// asked, or it is unknown whether the cache lacks an answer.
    fn due_in(
        &self,
        process: &Process,
        active: &ActiveSeason,
        (player, season): (&str, &str),
        query: &DueQuery,
    ) -> Result<Attempt<(Selected, Source, bool)>> {
        let shard = process.cache.of(player);
        let student = active.student(&shard.keys, player, season);
        let now = now_us() / 1_000_000;
        let links = query.links();
        let members: Vec<String> = links.iter().map(|(link, name)| link.member(name)).collect();
        let asked = if let Some(topic) = query.topic.as_deref() {
            self.ask_cache(process, shard, active, |cache| {
                self.cache_scripts.of_topic(cache, student, topic, &members)
            })?
            .and_then(|asked| {
                let warm = asked.value.map(|all| (self.select(all.reviews, query, now), all.links));
                Ok((warm, asked.is_sure))
            })?
        } else {
            let subject = query.subject.as_deref();
            let subject = subject.zip(members.first().map(String::as_str));
            let asked = self.ask_cache(process, shard, active, |cache| {
                self.cache_scripts.due(cache, student, now, query.limit, subject)
            })?;
            if let Attempt::Done(Asked { value: Some(None), .. }) = asked {
                self.arrange(process, active, student, &members)?.and_then(|asked| {
                    let all = asked.value;
                    let warm = all.map(|all| (self.select(all.reviews, query, now), all.links));
                    Ok((warm, asked.is_sure))
                })?
            } else {
                asked.and_then(|asked| {
                    let due = asked.value.flatten();
                    let warm = due.map(|due| ((due.total, due.reviews), vec![due.knows_subject]));
                    Ok((warm, asked.is_sure))
                })?
            }
        };
        asked.and_then(|(warm, is_sure)| match warm {
            Some((selected, known)) => {
                self.check_unknown(process, player, &links, &known)?;
                Ok((selected, Source::Cache, is_sure))
            }
            None => {
                if !links.is_empty() {
                    let known =
                        shard.with(|cache| notes::known_links(cache, &shard.keys, &members))?;
                    self.check_unknown(process, player, &links, &known)?;
                }
                let records = self.load_and_fill(process, active, player, season)?;
                let is_whole = records.is_whole;
                Ok((
                    self.select(records.shown(&active.retired), query, now),
                    Source::Loaded,
                    is_whole,
                ))
            }
        })
    }

    /// Makes sure that those of subject and topic exist that the cache does not know. If that
    /// cannot be looked up, they count as existing.
    ///
    /// # Errors
    /// [`Error::UnknownSubject`], [`Error::UnknownTopic`].
    fn check_unknown(
        &self,
        process: &Process,
        player: &str,
        links: &[(Link, &str)],
        known: &[bool],
    ) -> Result<()> {
        for ((link, name), _) in links.iter().zip(known).filter(|(_, is_known)| !**is_known) {
            match self.link_exists(process, player, (*link, name)) {
                Ok(true) => {}
                Ok(false) => return Err(unknown("There is", *link, name)),
                Err(error) => {
                    log::debug!("it is not known whether the {link} {name} exists: {error}")
                }
            }
        }
        Ok(())
    }

    /// Answers from MariaDB, as for a season that does not use the cache, because the cache that
    /// this process reaches is not registered.
    fn due_without_cache(
        &self,
        process: &Process,
        player: &str,
        query: &DueQuery,
    ) -> Result<DueAnswer> {
        match self.season_from_database(process)? {
            Some(season) => {
                self.due_from_database(process, &season.name, player, query, Source::Database)
            }
            None => Ok(DueAnswer::no_season()),
        }
    }

    fn due_in_safe_mode(
        &self,
        process: &Process,
        player: &str,
        query: &DueQuery,
    ) -> Result<DueAnswer> {
        let Some(Season { name: season, uses_cache, .. }) = self.season_from_database(process)?
        else {
            return Ok(DueAnswer::no_season());
        };
        if !uses_cache {
            return self.due_from_database(process, &season, player, query, Source::Database);
        }
        self.admit_in_safe_mode(process, player)?;
        let query = DueQuery { limit: query.limit.min(SAFE_MODE_LIMIT), ..query.clone() };
        let mut answer =
            self.due_from_database(process, &season, player, &query, Source::SafeMode)?;
        answer.reviews.truncate(SAFE_MODE_LIMIT as usize);
        answer.is_degraded = true;
        Ok(answer)
    }

    /// Answers from MariaDB, with the journal's waiting entries applied.
    fn due_from_database(
        &self,
        process: &Process,
        season: &str,
        player: &str,
        query: &DueQuery,
        source: Source,
    ) -> Result<DueAnswer> {
        for (link, name) in query.links() {
            if !process.database.with(|database| seasons::link_exists(database, link, name))? {
                return Err(unknown("There is", link, name));
            }
        }
        let now = now_us() / 1_000_000;
        let (pending, is_whole) = self.pending(process, player, season)?;
        let of_table = if query.topic.is_none() {
            let (zone, subject) = (&self.settings.zone, query.subject.as_deref());
            process.database.with(|database| {
                let begun = begin(database, (player, season), &pending)?;
                if !begun.is_settled {
                    return Ok(None);
                }
                let wanted = (subject, now, query.limit);
                records::due(database, zone, (player, season), wanted, begun).map(Some)
            })?
        } else {
            None
        };
        let (total, reviews) = match of_table {
            Some(selected) => selected,
            None => {
                let records = self.load_records(process, player, season)?;
                let retired = self.retired_now(process)?;
                self.select(records.shown(&retired), query, now)
            }
        };
        let season = Some(season.to_owned());
        Ok(DueAnswer { reviews, total, season, source, is_degraded: !is_whole, is_whole })
    }

    /// Answers a query from all of a student's records.
    fn select(&self, mut reviews: Vec<Review>, query: &DueQuery, now: i64) -> Selected {
        let is_wanted =
            |wanted: &Option<String>, actual: &Option<String>| wanted.is_none() || wanted == actual;
        reviews.retain(|review| {
            is_wanted(&query.subject, &review.subject) && is_wanted(&query.topic, &review.topic)
        });
        let due = reviews.iter().filter(|review| review.next_review <= now).count() as u64;
        if query.topic.is_some() {
            let zone = &self.settings.zone;
            let random = |below: usize| fastrand::usize(..below.max(1));
            return (due, focus::pick(reviews, zone, zone.day(now), random));
        }
        reviews.retain(|review| review.next_review <= now);
        reviews.sort_unstable_by(|one, other| one.due_order().cmp(&other.due_order()));
        reviews.truncate(query.limit as usize);
        (due, reviews)
    }
}

impl Engine {
    /// The due questions of a named season, active or not, and where they came from; none if it is
    /// archived.
    ///
    /// # Errors
    /// When a server that is needed is down.
    pub fn due_in_season(
        &self,
        player: &str,
        season: &str,
        limit: u32,
    ) -> Result<(Vec<Review>, Source)> {
        let query = DueQuery::of_all(limit);
        check_player(player)?;
        check_season(season)?;
        query.check()?;
        let process = self.process();
        let found = self.with_cache(&process, process.cache.of(player), |active| {
            self.due_in(&process, active, (player, season), &query)
        });
        match found {
            Err(error) if error.is_without(Server::Cache) => {
                let answer =
                    self.due_from_database(&process, season, player, &query, Source::Database)?;
                Ok((answer.reviews, answer.source))
            }
            Err(Error::SeasonArchived(_)) => Ok((Vec::new(), Source::Nothing)),
            found => found.map(|((_, reviews), source, _)| (reviews, source)),
        }
    }

    /// What a read in Safe Mode shows of a season: at most ten questions, from MariaDB. It is not
    /// counted as one: see [`Engine::may_read_in_safe_mode`].
    ///
    /// # Errors
    /// As [`Engine::due`], except [`Error::RateLimited`].
    pub fn due_as_in_safe_mode(
        &self,
        player: &str,
        season: &str,
        limit: u32,
        subject: Option<String>,
    ) -> Result<DueAnswer> {
        let query = DueQuery { limit, subject, topic: None };
        check_player(player)?;
        check_season(season)?;
        query.check()?;
        let query = DueQuery { limit: limit.min(SAFE_MODE_LIMIT), ..query };
        self.due_from_database(&self.process(), season, player, &query, Source::SafeMode)
    }
}

pub(super) fn confirm_season(shard: &Shard, token: &str) -> Result<Attempt<()>> {
    let actual = shard.with(|cache| notes::active_season(cache, &shard.keys))?;
    Ok(if actual.as_deref() == Some(token) {
        Attempt::Done(())
    } else {
        Attempt::OtherSeason(actual)
    })
}

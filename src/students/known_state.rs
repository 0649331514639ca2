//! What is known of a student before their answers count.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::consistency::cache_access::{Asked, Attempt};
use crate::consistency::documents::unknown;
use crate::consistency::rehydrate::{Records, other_season_if_archived};
use crate::engine::active_season::ActiveSeason;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::clock::now_us;
use crate::rules::head::Head;
use crate::rules::hidden::{Hidden, Retired};
use crate::rules::plan::by_question;
use crate::rules::review::Review;
use crate::rules::scheduler::seed_of;
use crate::rules::scheduling::Scheduling;
use crate::rules::season::Season;
use crate::rules::submission::Submission;
use crate::servers::mariadb::seasons::Link;
use crate::servers::redis::cache::Lookup;

/// What is known of the student before their answers count.
pub(crate) struct Before {
    pub(crate) season: String,
    /// The season as the cache knows it, if it uses the cache and the cache answers.
    pub(crate) cached: Option<Arc<ActiveSeason>>,
    pub(crate) uses_cache: bool,
    /// How the season schedules.
    pub(crate) scheduling: Scheduling,
    pub(crate) head: Head,
    pub(crate) tracked: u64,
    pub(crate) states: HashMap<String, Review>,
    /// How many questions are due besides those that are answered.
    pub(crate) others_due: u64,
    /// Which of the answered questions are hidden.
    pub(crate) hidden: HashSet<String>,
    /// False when answers that wait in the journal may be missing.
    pub(crate) is_whole: bool,
    /// False if it could not be checked whether the cache lacks an answer.
    pub(crate) is_sure: bool,
}

impl Engine {
    /// What the student's answers are computed from: what the cache has, else what MariaDB and the
    /// journal have.
    pub(crate) fn before(
        &self,
        process: &Process,
        player: &str,
        submission: &Submission,
        links: &[(Link, String)],
    ) -> Result<Before> {
        let ids = submission.question_ids();
        let found = self.with_cache(process, process.cache.of(player), |active| {
            self.before_from_cache(process, active, player, &ids, links)
        });
        let (before, known) = match found {
            Err(error) if error.is_without(Server::Cache) => {
                let season = self.season_from_database(process)?;
                let season = season.ok_or_else(no_season)?;
                (self.before_from_database(process, player, season, &ids)?, Vec::new())
            }
            found => found?,
        };
        for (link, known) in links.iter().zip(known.into_iter().chain(std::iter::repeat(false))) {
            if !known {
                let (link, name) = (link.0, link.1.as_str());
                if !self.link_exists(process, player, (link, name))? {
                    return Err(unknown("Nothing was saved: there is", link, name));
                }
            }
        }
        Ok(before)
    }

    fn before_from_cache(
        &self,
        process: &Process,
        active: &Arc<ActiveSeason>,
        player: &str,
        ids: &[String],
        links: &[(Link, String)],
    ) -> Result<Attempt<(Before, Vec<bool>)>> {
        let season = active.name.as_deref().unwrap_or_default();
        let members: Vec<String> = links.iter().map(|(link, name)| link.member(name)).collect();
        self.look_up(process, active, (player, season), ids, &members)?
            .and_then(|asked| {
                let season = active.name.clone().ok_or_else(no_season)?;
                let scheduling = active.scheduling.clone();
                let season = Season { name: season, uses_cache: active.uses_cache, scheduling };
                if !season.uses_cache {
                    let before = self.before_from_database(process, player, season, ids)?;
                    return Ok((before, Vec::new()));
                }
                self.before_from_lookup(process, active, player, season, asked, ids)
            })
            .or_else(other_season_if_archived)
    }

    /// As [`Engine::before`], for a named season, active or not. `ids` are sorted.
    pub(super) fn before_in_season(
        &self,
        process: &Process,
        player: &str,
        season: &Season,
        ids: &[String],
    ) -> Result<Before> {
        let from_database = || self.before_from_database(process, player, season.clone(), ids);
        if !season.uses_cache {
            return from_database();
        }
        let found = self.with_cache(process, process.cache.of(player), |active| {
            self.look_up(process, active, (player, &season.name), ids, &[])?.and_then(|asked| {
                self.before_from_lookup(process, active, player, season.clone(), asked, ids)
            })
        });
        match found {
            Err(error) if error.is_without(Server::Cache) => from_database(),
            found => found.map(|(before, _)| before),
        }
    }

    fn look_up(
        &self,
        process: &Process,
        active: &ActiveSeason,
        (player, season): (&str, &str),
        ids: &[String],
        members: &[String],
    ) -> Result<Attempt<Asked<Lookup>>> {
        let shard = process.cache.of(player);
        let student = active.student(&shard.keys, player, season);
        self.ask_cache(process, shard, active, |cache| {
            self.cache_scripts.lookup(cache, student, now_us() / 1_000_000, members, ids)
        })
    }

    fn before_from_lookup(
        &self,
        process: &Process,
        active: &Arc<ActiveSeason>,
        player: &str,
        season: Season,
        asked: Asked<Lookup>,
        ids: &[String],
    ) -> Result<(Before, Vec<bool>)> {
        let cached = Arc::clone(active);
        Ok(match asked.value {
            Some(lookup) => Before::from_lookup(season, cached, lookup, asked.is_sure),
            None => {
                let records = self.load_and_fill(process, active, player, &season.name)?;
                let season = Season { uses_cache: true, ..season };
                let hidden = (ids, &*active.retired);
                (Before::from_records(season, Some(cached), records, hidden), Vec::new())
            }
        })
    }

    fn before_from_database(
        &self,
        process: &Process,
        player: &str,
        season: Season,
        ids: &[String],
    ) -> Result<Before> {
        let records = self.load_records(process, player, &season.name)?;
        let retired = self.retired_now(process)?;
        Ok(Before::from_records(season, None, records, (ids, &retired)))
    }
}

impl Before {
    /// The submission with the season's scheduling, as far as its questions need it. The entry
    /// keeps it, so that computing it again gives the same result.
    pub(super) fn scheduled(&self, player: &str, submission: &Submission) -> Submission {
        let subject_of =
            |id: &String| self.states.get(id).and_then(|state| state.subject.as_deref());
        let subjects: Option<Vec<&str>> =
            submission.question_ids().iter().map(subject_of).collect();
        // Another submission may give any subject to a question that has none yet.
        let scheduling = match subjects {
            Some(subjects) => self.scheduling.only(subjects),
            None => self.scheduling.clone(),
        };
        let seed = if scheduling.uses_fsrs() { seed_of(player) } else { 0 };
        Submission { scheduling, seed, ..submission.clone() }
    }

    fn from_lookup(
        season: Season,
        cached: Arc<ActiveSeason>,
        lookup: Lookup,
        is_sure: bool,
    ) -> (Before, Vec<bool>) {
        let before = Before {
            season: season.name,
            cached: Some(cached),
            uses_cache: true,
            scheduling: season.scheduling,
            head: lookup.head,
            tracked: lookup.records,
            states: by_question(lookup.reviews),
            others_due: lookup.others_due,
            hidden: lookup.hidden,
            is_whole: true,
            is_sure,
        };
        (before, lookup.links)
    }

    pub(super) fn from_records(
        season: Season,
        cached: Option<Arc<ActiveSeason>>,
        records: Records,
        (ids, retired): (&[String], &Retired),
    ) -> Before {
        let now = now_us() / 1_000_000;
        let hidden = Hidden { retired, suspended: &records.suspended };
        let is_other = |review: &&Review| {
            review.next_review <= now
                && ids.binary_search(&review.question_id).is_err()
                && !hidden.has(&review.question_id)
        };
        let others_due = records.reviews.iter().filter(is_other).count() as u64;
        let of_answered = ids.iter().filter(|id| hidden.has(id)).cloned().collect();
        Before {
            season: season.name,
            cached,
            uses_cache: season.uses_cache,
            scheduling: season.scheduling,
            head: records.head,
            tracked: records.reviews.len() as u64,
            states: by_question(records.reviews),
            others_due,
            hidden: of_answered,
            is_whole: records.is_whole,
            is_sure: true,
        }
    }
}

fn no_season() -> Error {
    Error::SeasonUnavailable("Nothing was saved: no season is active.".to_owned())
}

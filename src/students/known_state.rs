//! What is known of a student before their answers count.

use std::collections::HashMap;
use std::sync::Arc;

use crate::consistency::cache_access::Attempt;
use crate::consistency::rehydrate::{Records, other_season_if_archived};
use crate::engine::active_season::ActiveSeason;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::head::Head;
use crate::rules::plan::by_question;
use crate::rules::review::Review;
use crate::rules::submission::Submission;
use crate::servers::mariadb::seasons::{self, Link};
use crate::servers::redis::cache::{Lookup, Student, Wanted};
use crate::servers::redis::notes;

/// What is known of the student before their answers count.
pub(crate) struct Before {
    pub(crate) season: String,
    /// The season as the cache knows it, where it uses the cache and the cache answers.
    pub(crate) cached: Option<Arc<ActiveSeason>>,
    pub(crate) uses_cache: bool,
    pub(crate) head: Head,
    pub(crate) tracked: u64,
    pub(crate) states: HashMap<String, Review>,
    /// Every state of the student is in `states`.
    pub(crate) all_states: bool,
    /// False when answers that wait in the journal may be missing.
    pub(crate) is_whole: bool,
    /// False when nobody could look whether the cache lacks an answer.
    pub(crate) is_sure: bool,
}

impl Engine {
    /// What the student's answers are computed from: the cache's word, else MariaDB's and the
    /// journal's.
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
                let (season, uses_cache) = season.ok_or_else(no_season)?;
                (self.before_from_database(process, player, season, uses_cache)?, Vec::new())
            }
            found => found?,
        };
        for (link, known) in links.iter().zip(known.into_iter().chain(std::iter::repeat(false))) {
            if !known {
                self.check_link(process, player, link)?;
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
        let shard = process.cache.of(player);
        let student = Student {
            keys: &shard.keys,
            player,
            season,
            season_token: &active.token,
            generation: active.generation,
        };
        let members: Vec<String> = links.iter().map(|(link, name)| link.member(name)).collect();
        self.ask_cache(process, shard, active, |cache| {
            self.cache_scripts.lookup(cache, student, &members, &Wanted::Questions(ids))
        })?
        .and_then(|asked| {
            let season = active.name.clone().ok_or_else(no_season)?;
            if !active.uses_cache {
                return Ok((
                    self.before_from_database(process, player, season, false)?,
                    Vec::new(),
                ));
            }
            let cached = Arc::clone(active);
            Ok(match asked.value {
                Some(lookup) => Before::from_lookup(season, cached, lookup, asked.is_sure),
                None => {
                    let records = self.load_and_fill(process, active, player, &season)?;
                    (Before::from_records(season, Some(cached), true, records), Vec::new())
                }
            })
        })
        .or_else(other_season_if_archived)
    }

    fn before_from_database(
        &self,
        process: &Process,
        player: &str,
        season: String,
        uses_cache: bool,
    ) -> Result<Before> {
        let records = self.load_records(process, player, &season)?;
        Ok(Before::from_records(season, None, uses_cache, records))
    }

    fn check_link(
        &self,
        process: &Process,
        player: &str,
        (link, name): &(Link, String),
    ) -> Result<()> {
        let shard = process.cache.of(player);
        let keys = &shard.keys;
        let check = || {
            if process.database.with(|database| seasons::link_exists(database, *link, name))? {
                return Ok(());
            }
            let shown: String =
                name.chars().filter(|letter| !letter.is_control()).take(60).collect();
            Err(Error::InvalidInput(format!("Nothing was saved: there is no {link} \"{shown}\".")))
        };
        check()?;
        let member = [link.member(name)];
        let remembered = shard.with(|cache| notes::remember_links(cache, keys, &member));
        if let Err(error) = remembered {
            log::debug!("the {link} {name} could not be remembered: {error}");
            return Ok(());
        }
        // Deleted, and forgotten, before it was remembered?
        check().inspect_err(|_| {
            let forgotten = shard.with(|cache| notes::forget_link(cache, keys, &member[0]));
            if let Err(error) = forgotten {
                log::warn!("the {link} {name} could not be forgotten: {error}");
            }
        })
    }
}

impl Before {
    fn from_lookup(
        season: String,
        cached: Arc<ActiveSeason>,
        lookup: Lookup,
        is_sure: bool,
    ) -> (Before, Vec<bool>) {
        let before = Before {
            season,
            cached: Some(cached),
            uses_cache: true,
            head: lookup.head,
            tracked: lookup.records,
            states: by_question(lookup.reviews),
            all_states: false,
            is_whole: true,
            is_sure,
        };
        (before, lookup.links)
    }

    fn from_records(
        season: String,
        cached: Option<Arc<ActiveSeason>>,
        uses_cache: bool,
        records: Records,
    ) -> Before {
        Before {
            season,
            cached,
            uses_cache,
            head: records.head,
            tracked: records.reviews.len() as u64,
            states: by_question(records.reviews),
            all_states: true,
            is_whole: records.is_whole,
            is_sure: true,
        }
    }
}

fn no_season() -> Error {
    Error::SeasonUnavailable("Nothing was saved: no season is active.".to_owned())
}

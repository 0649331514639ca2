//! How many of a student's questions are due on each of the next days.
//!
//! While the cache cannot be used there is no forecast: Safe Mode's few reads are for the questions
//! themselves.

use std::time::Instant;

use super::due::confirm_season;
use crate::consistency::cache_access::Attempt;
use crate::consistency::rehydrate::{Records, other_season_if_archived};
use crate::engine::active_season::ActiveSeason;
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::rules::calendar::{Calendar, Workload};
use crate::rules::clock::now_us;
use crate::rules::hidden::{Hidden, Retired};
use crate::rules::latency::Call;
use crate::rules::names::check_player;

/// The answer to [`Engine::forecast`].
#[derive(Debug)]
pub struct Forecast {
    /// The active season.
    pub season: Option<String>,
    /// The student's questions.
    pub workload: Workload,
    /// Whether acknowledged answers may be missing.
    pub is_degraded: bool,
}

/// The counts before each time of the calendar, whether nothing is missing, and the kind of call.
type Counted = (Vec<u64>, bool, Call);

impl Engine {
    /// How many of a student's questions of the active season are due on each of the next days, the
    /// first of which is today.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidInput`], or the error of a server that is needed.
    pub fn forecast(&self, player: &str, days: u32) -> Result<Forecast> {
        let began = Instant::now();
        check_player(player)?;
        let calendar = Calendar::new(&self.settings.zone, now_us() / 1_000_000, days)?;
        let process = self.process();
        let found = self.with_cache(&process, process.cache.of(player), |active| {
            self.forecast_from_cache(&process, active, player, &calendar)
        });
        let found = match found {
            Err(error) if error.is_without(Server::Cache) => {
                if error.is_failure_of(Server::Cache) {
                    self.notice_outage(&process, Server::Cache, &error);
                }
                match self.season_from_database(&process)? {
                    Some(season) if season.uses_cache && error.is_failure_of(Server::Cache) => {
                        return Err(error);
                    }
                    Some(season) => {
                        Some(self.counted_in_database(&process, season.name, player, &calendar)?)
                    }
                    None => None,
                }
            }
            found => found?,
        };
        self.notice_overdue(&process);
        let Some((season, (before, is_whole, call))) = found else {
            let workload = calendar.workload(&[]);
            return Ok(Forecast { season: None, workload, is_degraded: false });
        };
        self.count_call(&process, call, began);
        let workload = calendar.workload(&before);
        Ok(Forecast { season: Some(season), workload, is_degraded: !is_whole })
    }

    /// The name of the active season, if there is one, and the counts.
    fn forecast_from_cache(
        &self,
        process: &Process,
        active: &ActiveSeason,
        player: &str,
        calendar: &Calendar,
    ) -> Result<Attempt<Option<(String, Counted)>>> {
        let shard = process.cache.of(player);
        let Some(season) = active.name.as_deref().filter(|_| active.uses_cache) else {
            return confirm_season(shard, &active.token)?.and_then(|()| {
                let season = active.name.clone();
                season
                    .map(|season| self.counted_in_database(process, season, player, calendar))
                    .transpose()
            });
        };
        let student = active.student(&shard.keys, player, season);
        let asked = self.ask_cache(process, shard, active, |cache| {
            self.cache_scripts.forecast(cache, student, calendar.ends())
        })?;
        let counted = asked.and_then(|asked| match asked.value {
            Some(before) => Ok((before, asked.is_sure, Call::WarmRead)),
            None => {
                let records = self.load_and_fill(process, active, player, season)?;
                Ok(counted(&records, &active.retired, calendar, Call::ColdRead))
            }
        });
        counted
            .or_else(other_season_if_archived)?
            .and_then(|counted| Ok(Some((season.to_owned(), counted))))
    }

    fn counted_in_database(
        &self,
        process: &Process,
        season: String,
        player: &str,
        calendar: &Calendar,
    ) -> Result<(String, Counted)> {
        let records = self.load_records(process, player, &season)?;
        let retired = self.retired_now(process)?;
        Ok((season, counted(&records, &retired, calendar, Call::DatabaseRead)))
    }
}

fn counted(records: &Records, retired: &Retired, calendar: &Calendar, call: Call) -> Counted {
    let hidden = Hidden { retired, suspended: &records.suspended };
    let shown = records.reviews.iter().filter(|review| !hidden.has(&review.question_id));
    let dates = shown.map(|review| review.next_review);
    (calendar.count(dates), records.is_whole, call)
}

//! A student's log of answers, read from the audit records.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::rules::answer_log::{self, LoggedAnswer};
use crate::rules::counted_on::Before;
use crate::rules::names::{check_player, check_season};
use crate::rules::submission::MOST_ANSWERS;
use crate::servers::mariadb::audits::{self, Logged};

/// The highest limit of a page.
const MOST: usize = 10_000;
/// Submissions that are read at a time.
const AT_ONCE: usize = 100;
/// How many seconds an answer may be later than its submission.
const EARLY: i64 = 3_600;

/// Which answers of a student are read.
#[derive(Clone, Copy, Debug)]
pub struct AnswersQuery<'a> {
    /// Only of this season; `None`: of all.
    pub season: Option<&'a str>,
    /// Only those given at this Unix time or later.
    pub since: Option<i64>,
    /// Only those given before this Unix time.
    pub until: Option<i64>,
    /// Most answers of a page: from the most of one submission to 10,000.
    pub limit: usize,
    /// Only of submissions after this one.
    pub after: Option<&'a str>,
}

/// Answers of a submission.
#[derive(Clone, Debug)]
pub struct SubmissionAnswers {
    /// Its job id.
    pub job_id: String,
    /// Its season.
    pub season: String,
    /// In the order in which they were given.
    pub answers: Vec<LoggedAnswer>,
}

impl Engine {
    /// A page of a student's answers, by submission, in the order in which the submissions were
    /// taken. None is split between pages. Empty: there are no more.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a query that cannot be used, [`Error::Fault`] for a log that
    /// cannot be read, and when MariaDB is down.
    pub fn answers(&self, player: &str, query: AnswersQuery<'_>) -> Result<Vec<SubmissionAnswers>> {
        check_player(player)?;
        query.season.map_or(Ok(()), check_season)?;
        if !(MOST_ANSWERS..=MOST).contains(&query.limit) {
            let limit = query.limit;
            return Err(Error::InvalidInput(format!(
                "limit must be from {MOST_ANSWERS} to {MOST}, not {limit}"
            )));
        }
        let from = query.since.map(|since| since.saturating_sub(EARLY).max(0));
        let from = from.map(|from| from.saturating_mul(1_000_000));
        let process = self.process();
        let (mut found, mut count) = (Vec::new(), 0);
        let mut after = match query.after {
            Some(job_id) => {
                let place = process
                    .background
                    .with(|database| audits::place_of(database, player, job_id))?;
                let gone = || Error::InvalidInput(format!("there is no submission {job_id}"));
                Some(place.ok_or_else(gone)?)
            }
            None => None,
        };
        loop {
            let logs = process.background.with(|database| {
                let (zone, bounds) = (&self.settings.zone, (after.as_ref(), from));
                audits::logs(database, zone, (player, query.season), bounds, AT_ONCE)
            })?;
            let Some(last) = logs.last() else { return Ok(found) };
            after = Some(last.place.clone());
            for Logged { place: (_, job_id), season, log, is_undone } in logs {
                let mut answers = answer_log::unpack(&log).map_err(|reason| {
                    Error::Fault(format!(
                        "the log of answers of submission {job_id} cannot be read: {reason}. If a \
                         newer memora has run on this site, install it again; otherwise set \
                         _answer_log of this Memory Review Audit to NULL"
                    ))
                })?;
                answers.retain(|answer| {
                    query.since.is_none_or(|since| answer.answered_at >= since)
                        && query.until.is_none_or(|until| answer.answered_at < until)
                });
                if answers.is_empty() {
                    continue;
                }
                if is_undone {
                    answers.iter_mut().for_each(|answer| answer.before = Before::Overridden);
                }
                count += answers.len();
                if count > query.limit && !found.is_empty() {
                    return Ok(found);
                }
                found.push(SubmissionAnswers { job_id, season, answers });
            }
        }
    }
}

//! Training FSRS on the answers of a season.

use std::collections::HashMap;
use std::time::Instant;

use crate::administrators::job::Job;
use crate::administrators::pace::Pace;
use crate::administrators::season_cache::{CHECK_LOCK_AFTER, patiently};
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::progress::OnProgress;
use crate::rules::answer_log;
use crate::rules::histories::{Histories, History, key};
use crate::rules::names::check_season_name;
use crate::rules::training::{Trained, steps, train};
use crate::servers::mariadb::season_answers::{self, Page, SeasonLog};
use crate::servers::mariadb::seasons;
use crate::servers::pool::Connect;

/// The most answers that are trained on: if there are more, those of a share of the students. More
/// answers do not improve 21 parameters.
const MOST_ANSWERS: usize = 1_000_000;
/// Submissions that a statement looks at.
const SUBMISSIONS: usize = 1_000;
/// Students whose records a statement looks through: each has some thousand at most.
const STUDENTS: usize = 10;
/// How many units of progress one training has.
const STEPS: u64 = 1_000;

/// The progress of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingProgress {
    /// False while it reads submissions, true while it computes.
    pub is_computing: bool,
    /// Submissions that were looked at, or thousandths of what it computes.
    pub done: u64,
    /// About how many there are.
    pub total: u64,
}

/// What was found for the questions of a subject.
#[derive(Clone, Debug)]
pub struct TrainedSubject {
    /// A subject with a row of its own in the season's form; `None`: all others together.
    pub subject: Option<String>,
    /// What was found.
    pub trained: Trained,
}

impl Engine {
    /// Finds parameters of FSRS that predict the answers of a season better than those in use: for
    /// the season, and for each subject with a row of its own. Changes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] without such a season, or while another process trains; otherwise
    /// the error of `on_progress` or a server.
    pub fn train(
        &self,
        season: &str,
        pace: Pace,
        on_progress: OnProgress<'_, TrainingProgress>,
    ) -> Result<Vec<TrainedSubject>> {
        check_season_name(season)?;
        let process = self.process();
        let server = &self.settings.background;
        let mut connection = server.connect(false)?;
        let no_season = || Error::InvalidInput(format!("There is no season {season}."));
        let scheduling = seasons::named(&mut connection, season)?.ok_or_else(no_season)?.scheduling;
        let mut lock = (Job::Training.lock(server, &mut connection, season)?, Instant::now());
        let mut is_ours = || {
            if lock.1.elapsed() >= CHECK_LOCK_AFTER {
                connection.ping().map_err(Error::from_mariadb)?;
                lock.0.check()?;
                lock.1 = Instant::now();
            }
            Ok(())
        };
        let histories = self.histories(&process, season, pace, &mut |progress| {
            is_ours()?;
            on_progress(progress)
        })?;
        let subjects: Vec<&str> = scheduling.subjects().collect();
        let groups = self.by_subject(&process, season, histories, &subjects)?;
        let total = groups.len() as u64 * STEPS;
        let mut found = Vec::new();
        let of = std::iter::once(None).chain(subjects.iter().map(|subject| Some(*subject)));
        for ((place, subject), histories) in (0..).zip(of).zip(groups) {
            let (thresholds, in_use) =
                (scheduling.thresholds(subject), scheduling.parameters(subject));
            let histories = steps(&histories, thresholds, &self.settings.zone);
            let trained = train(&histories, in_use, &mut |share| {
                is_ours()?;
                // Between 0 and 1,000.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let done = place * STEPS + (share * STEPS as f64) as u64;
                on_progress(&TrainingProgress { is_computing: true, done, total })
            })?;
            found.push(TrainedSubject { subject: subject.map(str::to_owned), trained });
        }
        on_progress(&TrainingProgress { is_computing: true, done: total, total })?;
        log::info!("FSRS was trained on the answers of {season}: {found:?}");
        Ok(found)
    }

    /// The answers of a season's students.
    fn histories(
        &self,
        process: &Process,
        season: &str,
        pace: Pace,
        on_progress: OnProgress<'_, TrainingProgress>,
    ) -> Result<Histories> {
        let mut histories = Histories::of_at_most(MOST_ANSWERS);
        let about = process.background.with(season_answers::estimated_submissions)?;
        let (mut done, mut after) = (0, ("1000-01-01".to_owned(), String::new()));
        loop {
            let begun = Instant::now();
            let Page { last, looked_at, logs } = patiently(|| {
                process
                    .background
                    .with(|database| season_answers::next(database, season, &after, SUBMISSIONS))
            })?;
            for SeasonLog { job_id, player, log } in &logs {
                match answer_log::unpack(log) {
                    Ok(answers) => histories.add(player, &answers),
                    // One log of another version must not prevent the training.
                    Err(reason) => log::warn!("submission {job_id} is not trained on: {reason}"),
                }
            }
            done += looked_at as u64;
            let total = about.max(done);
            on_progress(&TrainingProgress { is_computing: false, done, total })?;
            match last {
                Some(last) => after = last,
                None => return Ok(histories),
            }
            pace.rest(begun.elapsed());
        }
    }

    /// The histories of the questions without one of these subjects, then those of each subject.
    fn by_subject(
        &self,
        process: &Process,
        season: &str,
        histories: Histories,
        subjects: &[&str],
    ) -> Result<Vec<Vec<History>>> {
        let mut group_of = HashMap::new();
        if !subjects.is_empty() {
            let students: Vec<&str> = histories.students().collect();
            for students in students.chunks(STUDENTS) {
                let found = patiently(|| {
                    process.background.with(|database| {
                        season_answers::questions_of_subjects(database, season, students, subjects)
                    })
                })?;
                for (player, question_id, subject) in found {
                    let place = subjects.iter().position(|name| *name == subject);
                    group_of.extend(place.map(|place| (key(&player, &question_id), place + 1)));
                }
            }
        }
        Ok(histories.into_groups(&group_of, subjects.len() + 1))
    }
}

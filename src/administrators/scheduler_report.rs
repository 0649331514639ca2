//! What each scheduler would do in a season, for administrators who choose one.
//!
//! It takes at most a second, whatever the size of the site: the newest submissions tell how
//! students answer, and only as many students are simulated as the time allows. So it is computed
//! on request, and not stored.

use std::collections::BTreeSet;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::rules::answer_log;
use crate::rules::answering::Answering;
use crate::rules::names::check_season_name;
use crate::rules::simulation::{Outcome, Plan, Way, simulate};
use crate::servers::mariadb::season_answers::{self, Page, SeasonLog};
use crate::servers::mariadb::seasons;

/// Submissions that a statement looks at.
const SUBMISSIONS: usize = 500;
/// The most statements: submissions of other seasons lie between the season's.
const STATEMENTS: usize = 20;
/// How many answers are enough.
const ANSWERS: u64 = 50_000;
/// Students whose questions are counted.
const STUDENTS: usize = 20;
/// The questions of a student, if no student has any.
const QUESTIONS: usize = 1_000;
/// The most questions that are simulated.
const MOST_QUESTIONS: usize = 5_000;
/// The longest season that is simulated.
const MOST_DAYS: u32 = 730;
/// Questions of all simulated students, times days.
const MOST_QUESTION_DAYS: u64 = 5_400_000;
/// Most simulated students.
const MOST_STUDENTS: u64 = 20;
/// The longest interval that is simulated, in days.
const LONGEST: u32 = 365;
/// The ways that are compared with the ladder.
const RETENTIONS: [f32; 3] = [0.85, 0.90, 0.95];
/// The part of a season in which lessons bring questions in: all but the last ninth.
const LESSONS: (u32, u32) = (8, 9);
/// The report has the mean of this many days.
const WEEK: usize = 7;

/// How students of a season answer, and what each way would do to one.
#[derive(Clone, Debug)]
pub struct SchedulerReport {
    /// How many answers the report is based on, the newest of the season.
    pub answers: u64,
    /// Whether these are too few: then the report is about an ordinary reader.
    pub is_assumed: bool,
    /// The share of right answers.
    pub right: f64,
    /// The share of fast answers among the right ones.
    pub fast: f64,
    /// The share of slow ones.
    pub slow: f64,
    /// How many questions a student has: the median of some; 1,000 if nobody has any.
    pub questions: usize,
    /// The length of the season.
    pub days: u32,
    /// How many students were simulated.
    pub students: u64,
    /// The ladder as it is set, then FSRS.
    pub ways: Vec<ReportedWay>,
}

/// What a way would do to a student.
#[derive(Clone, Debug)]
pub struct ReportedWay {
    /// The desired retention of FSRS; `None`: it is the ladder.
    pub retention: Option<f32>,
    /// The mean reviews a day of each week; the last may be shorter.
    pub weeks: Vec<f64>,
    /// The mean of all days.
    pub reviews_a_day: f64,
    /// The most on one day.
    pub busiest_day: f64,
    /// The share of right answers.
    pub right: f64,
    /// Of all questions, how many are known on the day after the last.
    pub known: f64,
}

impl Engine {
    /// Simulates the ladder and FSRS in a season of `days` days. Answers after `until` are ignored:
    /// the site's date and time, as `YYYY-MM-DD HH:MM:SS`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] without such a season, and when MariaDB is down.
    pub fn scheduler_report(
        &self,
        season: &str,
        days: u32,
        until: &str,
    ) -> Result<SchedulerReport> {
        check_season_name(season)?;
        let process = self.process();
        let (scheduling, answering, questions) = process.background.with(|database| {
            let no_season = || Error::InvalidInput(format!("There is no season {season}."));
            let scheduling = seasons::named(database, season)?.ok_or_else(no_season)?.scheduling;
            let mut answering = Answering::new(scheduling.thresholds(None));
            let mut students = BTreeSet::new();
            let mut before = Some((until.to_owned(), String::new()));
            for _ in 0..STATEMENTS {
                let Some(place) = before.filter(|_| answering.answers() < ANSWERS) else { break };
                let Page { last, logs, .. } =
                    season_answers::newest(database, season, &place, SUBMISSIONS)?;
                before = last;
                for SeasonLog { player, log, .. } in logs {
                    answer_log::unpack(&log).iter().flatten().for_each(|one| answering.add(one));
                    if students.len() < STUDENTS {
                        students.insert(player);
                    }
                }
            }
            let students: Vec<&str> = students.iter().map(String::as_str).collect();
            let mut questions = if students.is_empty() {
                Vec::new()
            } else {
                season_answers::questions_of_each(database, season, &students)?
            };
            questions.sort_unstable();
            let questions = questions.get(questions.len() / 2).copied();
            Ok((scheduling, answering, questions))
        })?;
        let questions = questions.map_or(QUESTIONS, |count| usize::try_from(count).unwrap_or(0));
        let questions = questions.clamp(1, MOST_QUESTIONS);
        let days = days.clamp(1, MOST_DAYS);
        let of_one = questions as u64 * u64::from(days);
        let students = (MOST_QUESTION_DAYS / of_one).clamp(1, MOST_STUDENTS);
        let lesson_days = (days * LESSONS.0 / LESSONS.1).max(1);
        let plan = Plan { questions, days, lesson_days };
        let memory = scheduling.parameters(None).clone();
        let student = answering.student(memory.clone());
        let fsrs = RETENTIONS.map(|retention| {
            let thresholds = scheduling.thresholds(None);
            let parameters = memory.clone();
            let way = Way::Fsrs { parameters, retention, thresholds, longest: LONGEST };
            (Some(retention), way)
        });
        let ladder = (None, Way::Ladder(*scheduling.ladder(None)));
        let ways = std::iter::once(ladder).chain(fsrs).map(|(retention, way)| {
            ReportedWay::new(retention, plan, students, &simulate(plan, &student, &way, students))
        });
        let (fast, slow) = answering.fast_and_slow();
        Ok(SchedulerReport {
            answers: answering.answers(),
            is_assumed: answering.is_unknown(),
            right: answering.right(),
            fast,
            slow,
            questions,
            days,
            students,
            ways: ways.collect(),
        })
    }
}

impl ReportedWay {
    fn new(retention: Option<f32>, plan: Plan, students: u64, outcome: &Outcome) -> ReportedWay {
        let students = students as f64;
        let week = |days: &[u64]| days.iter().sum::<u64>() as f64 / students / days.len() as f64;
        ReportedWay {
            retention,
            weeks: outcome.by_day.chunks(WEEK).map(week).collect(),
            reviews_a_day: outcome.reviews() as f64 / students / f64::from(plan.days),
            busiest_day: outcome.busiest as f64 / students,
            right: outcome.right as f64 / outcome.reviews().max(1) as f64,
            known: outcome.known / students,
        }
    }
}

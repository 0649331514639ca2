//! The cache's scripts: a student's due questions, what a submission must know, and showing a
//! submission.

use std::collections::{BTreeMap, HashMap, HashSet};

use ::redis::{Script, ScriptInvocation, Value};

use super::answer::Answer;
use super::keys::Keys;
use super::notes::{self, generation_text};
use super::student::Student;
use super::{RedisConnection, confirm};
use crate::error::{Error, Result};
use crate::rules::by_subject;
use crate::rules::head::Head;
use crate::rules::review::Review;

/// Redis searches a small hash from end to end, and makes it a real one only when it has hundreds
/// of fields or one value of more than 64 bytes. A head of this width saves a load of a thousand
/// records most of its time.
const HEAD_WIDTH: usize = 65;

/// The field of details that counts the topics' fields, and names the head that they belong to.
pub(super) const TOPICS: &str = "\0";

/// How often to ask for a schedule that is behind the site's retired questions.
const MOST_TRIES: u32 = 3;

/// The separator of ids and details, which contain none.
const SEPARATOR: char = '\0';

/// The kind of answer if the schedule is complete, but not arranged by subject.
const UNARRANGED: &str = "unarranged";

/// The counting function of the forecasts' scripts.
const DUE_BEFORE: &str = include_str!("lua/due_before.lua");

/// The cache's scripts.
pub struct CacheScripts {
    due: Script,
    due_of_subject: Script,
    of_topic: Script,
    lookup: Script,
    apply: Script,
    pub(super) set_dates: Script,
    pub(super) retire: Script,
    generation: Script,
    remember_season: Script,
    confirm: Script,
    pub(super) forecast: Script,
    pub(super) forecast_of_many: Script,
}

impl Default for CacheScripts {
    fn default() -> Self {
        CacheScripts {
            due: asking(include_str!("lua/due.lua")),
            due_of_subject: asking(include_str!("lua/due_of_subject.lua")),
            of_topic: asking(include_str!("lua/of_topic.lua")),
            lookup: asking(include_str!("lua/lookup.lua")),
            apply: Script::new(include_str!("lua/apply.lua")),
            set_dates: Script::new(include_str!("lua/set_dates.lua")),
            retire: Script::new(include_str!("lua/retire.lua")),
            generation: Script::new(include_str!("lua/generation.lua")),
            remember_season: Script::new(include_str!("lua/remember_season.lua")),
            confirm: Script::new(include_str!("lua/confirm.lua")),
            forecast: asking(&[DUE_BEFORE, include_str!("lua/forecast.lua")].concat()),
            forecast_of_many: Script::new(
                &[DUE_BEFORE, include_str!("lua/forecast_of_many.lua")].concat(),
            ),
        }
    }
}

/// What a read of the cache found.
pub enum Found<T> {
    /// Another season is active: the value of `srs-season`, `None` where it is not cached.
    OtherSeason(Option<String>),
    /// The student's schedule is not complete.
    Cold {
        /// As for `Warm`.
        confirmation: String,
    },
    /// The schedule is complete.
    Warm {
        /// The confirmation that the cache may be believed; empty: there is none.
        confirmation: String,
        /// What the schedule says.
        value: T,
    },
}

/// The due questions of a warm cache.
pub struct Due {
    /// All that are due.
    pub total: u64,
    /// The first of them, most overdue first.
    pub reviews: Vec<Review>,
    /// Whether the wanted subject is known to exist; true if every subject is wanted.
    pub knows_subject: bool,
}

/// All questions of a topic in a warm cache.
pub struct OfTopic {
    /// Whether each link asked for is known to exist.
    pub links: Vec<bool>,
    /// The questions, and perhaps some that belonged to the topic before.
    pub reviews: Vec<Review>,
}

/// What a warm cache tells a submission.
pub struct Lookup {
    /// Whether each link asked for is known to exist.
    pub links: Vec<bool>,
    /// What the schedule was computed from.
    pub head: Head,
    /// How many questions the student tracks.
    pub records: u64,
    /// How many questions are due besides those in `reviews`.
    pub others_due: u64,
    /// Those asked for that are hidden.
    pub hidden: HashSet<String>,
    /// The records asked for, as far as there are any.
    pub reviews: Vec<Review>,
}

impl CacheScripts {
    /// The first `limit` due questions and how many are due, of all subjects or of one (its name
    /// and its member of the set of known links). `now` is in Unix seconds. `None`: the questions
    /// are not arranged by subject.
    pub fn due(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        now: i64,
        limit: u32,
        subject: Option<(&str, &str)>,
    ) -> Result<Found<Option<Due>>> {
        let script = if subject.is_some() { &self.due_of_subject } else { &self.due };
        let mut call = student.ask(script);
        match subject {
            None => call.arg(now).arg(limit),
            Some((name, link)) => {
                call.key(student.by_subject()).key(student.keys.links());
                call.arg(limit).arg(by_subject::member(name)).arg(by_subject::place(now)).arg(link)
            }
        };
        self.found(connection, student, &call, |answer| {
            if answer.kind == UNARRANGED {
                return Ok(None);
            }
            let total = answer.number()?;
            let (ids, details) = (answer.text()?, answer.text()?);
            let knows_subject = subject.is_none() || answer.number::<u8>()? == 1;
            let pairs = ids.split(SEPARATOR).zip(details.split(SEPARATOR));
            Ok(Some(Due { total, reviews: reviews(pairs)?, knows_subject }))
        })
    }

    /// All questions of a topic, due or not; `links` are members of the set of known links.
    pub fn of_topic(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        topic: &str,
        links: &[String],
    ) -> Result<Found<OfTopic>> {
        let mut call = student.ask(&self.of_topic);
        call.key(student.keys.links()).arg(by_subject::member(topic)).arg(links);
        self.found(connection, student, &call, |answer| {
            let links = known(answer.list()?);
            Ok(OfTopic { links, reviews: pairs(&answer.text()?)? })
        })
    }

    /// What a submission must know of these questions, or all that is not hidden if none is named;
    /// `links` are members of the set of known links, and `now` is in Unix seconds.
    pub fn lookup(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        now: i64,
        links: &[String],
        ids: &[String],
    ) -> Result<Found<Lookup>> {
        let mut call = student.ask(&self.lookup);
        call.key(student.keys.links()).arg(now).arg(links.len()).arg(links).arg(ids);
        self.found(connection, student, &call, |answer| {
            let links = known(answer.list()?);
            let (head, records) = (answer.head()?, answer.number()?);
            let due: u64 = answer.number()?;
            let hidden: HashSet<String> =
                answer.text()?.split(SEPARATOR).map(str::to_owned).collect();
            let reviews = pairs(&answer.text()?)?;
            let is_due = |review: &&Review| {
                review.next_review <= now && !hidden.contains(&review.question_id)
            };
            let others_due = due.saturating_sub(reviews.iter().filter(is_due).count() as u64);
            Ok(Lookup { links, head, records, others_due, hidden, reviews })
        })
    }

    /// Shows a submission that was kept; `before` has what was known of its questions, and `now` is
    /// in Unix seconds. Returns the confirmation that the cache may be believed; empty: there is
    /// none.
    pub fn apply(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        heads: (Head, Head),
        (before, reviews): (&HashMap<String, Review>, &[Review]),
        now: i64,
        seconds_to_live: u64,
    ) -> Result<String> {
        let mut call = self.apply.key(&[
            student.schedule(),
            student.details(),
            student.fence(),
            student.keys.students(student.season),
            student.keys.confirmation(),
            student.by_subject(),
        ]);
        let mut subjects: Vec<&str> = reviews.iter().map(Review::cached_subject).collect();
        subjects.retain(|subject| !subject.is_empty());
        subjects.sort_unstable();
        subjects.dedup();
        let topics = new_of_topics(before, reviews);
        call.arg(student.believed_in())
            .arg(head_text(heads.0))
            .arg(head_text(heads.1))
            .arg(seconds_to_live)
            .arg(now)
            .arg(student.player)
            .arg(subjects.len())
            .arg(topics.len());
        for subject in &subjects {
            call.arg(by_subject::member(subject));
        }
        for (topic, ids) in &topics {
            call.arg(by_subject::member(topic)).arg(ids);
        }
        for review in reviews {
            let is_retired = student.retired.has(&review.question_id);
            let subject = if is_retired { "" } else { review.cached_subject() };
            call.arg(score_text(review.next_review, is_retired))
                .arg(by_subject::place(review.next_review))
                .arg(subjects.partition_point(|known| *known <= subject))
                .arg(&review.question_id)
                .arg(review.detail());
        }
        connection.script(&call)
    }

    /// Asks for a student's schedule. If it is complete, `read` parses the rest of the answer. A
    /// schedule that is behind the site's retired questions is updated first.
    pub(super) fn found<T>(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        call: &ScriptInvocation<'_>,
        read: impl FnOnce(&mut Answer) -> Result<T>,
    ) -> Result<Found<T>> {
        for _ in 0..MOST_TRIES {
            let mut answer = Answer::of(connection.script(call)?)?;
            let confirmation = match answer.kind.as_str() {
                "season" => return Ok(Found::OtherSeason(answer.optional_text()?)),
                "cold" => return Ok(Found::Cold { confirmation: answer.text()? }),
                "behind" | "warm" | UNARRANGED => answer.text()?,
                _ => return Err(answer.unknown()),
            };
            if answer.kind != "behind" {
                return Ok(Found::Warm { confirmation, value: read(&mut answer)? });
            }
            let version = answer.text()?.parse().map_err(|_| answer.unknown())?;
            if version > student.retired.version {
                // Another process knows a newer version than this one.
                return Ok(Found::Cold { confirmation });
            }
            self.retire(connection, student, version)?;
        }
        // It changes too often; a load does not depend on it.
        Ok(Found::Cold { confirmation: String::new() })
    }

    /// The generation in which schedules cached in this run of the server count; a new one if the
    /// run is new. `unused` is a number that has never been a generation.
    pub fn generation(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        unused: u64,
    ) -> Result<u64> {
        let mut call = self.generation.key(keys.generation());
        call.arg(&connection.run_id).arg(unused);
        connection.script(&call)
    }

    /// Remembers the active season, which was looked up behind a fence. False: something has
    /// changed since.
    pub fn remember_season(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        (generation, run_id): (u64, &str),
        (fence, token): (&str, &str),
        seconds_to_live: u64,
    ) -> Result<bool> {
        let mut call = self.remember_season.key(&[
            keys.generation(),
            keys.active_season(),
            keys.season_fence(),
        ]);
        call.arg(generation_text(generation, run_id)).arg(fence).arg(token).arg(seconds_to_live);
        connection.script(&call)
    }

    /// Notes that a run of the cache may be believed, for as long as the earlier claim lasts.
    /// False: another process has claimed it since, or the look took too long.
    pub fn confirm(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        run: &str,
        token: &str,
    ) -> Result<bool> {
        let note = notes::confirmation(run, token);
        confirm(connection, &self.confirm, &[keys.claim(), keys.confirmation()], &note)
    }
}

/// The ids that a change of states adds to each topic, as details hold them.
fn new_of_topics<'a>(
    before: &HashMap<String, Review>,
    reviews: &'a [Review],
) -> BTreeMap<&'a str, String> {
    let mut topics: BTreeMap<&str, String> = BTreeMap::new();
    for review in reviews {
        let topic = review.cached_topic();
        let known = before.get(&review.question_id).map_or("", Review::cached_topic);
        if !topic.is_empty() && topic != known {
            push_id(topics.entry(topic).or_default(), &review.question_id);
        }
    }
    topics
}

/// Adds a question to those of a topic.
pub(super) fn push_id(ids: &mut String, id: &str) {
    ids.push_str(id);
    ids.push(SEPARATOR);
}

/// A script that asks for a student's schedule.
fn asking(script: &str) -> Script {
    Script::new(&[include_str!("lua/believed.lua"), script].concat())
}

fn known(links: Vec<Value>) -> Vec<bool> {
    links.iter().map(|known| *known == Value::Int(1)).collect()
}

fn pairs(found: &str) -> Result<Vec<Review>> {
    let mut parts = found.split(SEPARATOR);
    reviews(std::iter::from_fn(|| Some((parts.next()?, parts.next()?))))
}

/// The score of a question as Redis expects it.
pub(super) fn score_text(next_review: i64, is_hidden: bool) -> String {
    if is_hidden { "+inf".to_owned() } else { next_review.to_string() }
}

/// A head as details hold it.
pub(super) fn head_text(head: Head) -> String {
    // The width applies to text; `Head`'s own `Display` ignores it.
    format!("{:>HEAD_WIDTH$}", head.to_string())
}

/// Reads ids and details. The field without a name is the head, not a question.
fn reviews<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<Review>> {
    pairs
        .filter(|(id, _)| !id.is_empty())
        .map(|(id, detail)| {
            Review::from_detail(id, detail).ok_or_else(|| {
                Error::Fault(format!(
                    "the cache holds a detail that memora did not write: {detail:?}"
                ))
            })
        })
        .collect()
}

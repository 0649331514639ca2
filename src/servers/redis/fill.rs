//! Caching all records of students at once.

use std::collections::{HashMap, HashSet};

use ::redis::{Pipeline, Value};

use super::RedisConnection;
use super::cache::{TOPICS, head_text, push_id};
use super::dump::{HashDump, SortedSetDump};
use super::keys::Keys;
use super::student::Student;
use crate::error::Result;
use crate::rules::by_subject::{self, MOST_SUBJECTS};
use crate::rules::head::Head;
use crate::rules::hidden::Hidden;
use crate::rules::review::Review;

/// Sets the fences of a load of some students. They expire after `seconds`.
pub fn set_fences<'a>(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    players: impl IntoIterator<Item = &'a str>,
    fence: &str,
    seconds: u64,
) -> Result<()> {
    let mut pipeline = redis::pipe();
    for player in players {
        pipeline
            .cmd("SET")
            .arg(keys.fence(player, season))
            .arg(fence)
            .arg("EX")
            .arg(seconds)
            .ignore();
    }
    connection.pipeline(&pipeline)
}

/// All records of a student, to be cached.
pub struct Loaded<'a> {
    /// The student, the keys, and the generation.
    pub student: Student<'a>,
    /// What it was computed from.
    pub head: Head,
    /// The records.
    pub reviews: &'a [Review],
    /// The questions that the student has suspended.
    pub suspended: &'a HashSet<String>,
}

/// Caches all records of some students for `seconds_to_live`, until Unix time `until`. Returns
/// false for each student for whom an answer, another load or an eviction came since `fence` was
/// set.
///
/// They are written to temporary keys, which a script then renames: Lua would copy and hash large
/// arguments, and checking the fence first would take a round trip.
pub fn fill(
    connection: &mut RedisConnection,
    loaded: &[Loaded<'_>],
    fence: &str,
    until: i64,
    seconds_to_live: u64,
) -> Result<Vec<bool>> {
    if loaded.is_empty() {
        return Ok(Vec::new());
    }
    let milliseconds_to_live = 1_000 * seconds_to_live;
    let mut pipeline = redis::pipe();
    for schedule in loaded {
        let Student { keys, player, season, .. } = schedule.student;
        let new = [keys.new_schedule(player, season), keys.new_details(player, season)];
        pipeline.cmd("MULTI").ignore();
        let reviews = schedule.by_date();
        for (key, dump) in new.iter().zip([schedule.schedule(&reviews), schedule.details(&reviews)])
        {
            restore(&mut pipeline, key, milliseconds_to_live, dump);
        }
        // EVAL, not EVALSHA: if Redis did not know the script, the temporary keys would remain.
        pipeline.cmd("EVAL").arg(include_str!("lua/fill.lua")).arg(7);
        pipeline.arg(schedule.student.fence()).arg(&keys.all_of(player, season)).arg(&new);
        pipeline.arg(keys.students(season)).arg(fence).arg(player).arg(until).ignore();
        pipeline.cmd("EXEC");
    }
    let outcomes: Vec<Vec<Value>> = connection.pipeline(&pipeline)?;
    Ok(outcomes.into_iter().map(|outcome| outcome.last() == Some(&Value::Int(1))).collect())
}

/// Arranges the questions of a cached schedule by subject, for as long as the schedule lives.
/// `fence` was set before they were read. False: it is gone, because the schedule was changed or
/// loaded since; or there are too many subjects.
pub fn arrange(
    connection: &mut RedisConnection,
    loaded: &Loaded<'_>,
    fence: &str,
    seconds_to_live: u64,
) -> Result<bool> {
    let Student { keys, player, season, .. } = loaded.student;
    // With more subjects than numbers, each read takes all questions.
    let Some(dump) = loaded.by_subject(&loaded.by_date()) else { return Ok(false) };
    let new = keys.new_by_subject(player, season);
    let mut pipeline = redis::pipe();
    pipeline.cmd("MULTI").ignore();
    restore(&mut pipeline, &new, 1_000 * seconds_to_live, dump);
    pipeline.cmd("EVAL").arg(include_str!("lua/arrange.lua")).arg(4);
    pipeline.arg(loaded.student.fence()).arg(loaded.student.details());
    pipeline.arg(new).arg(loaded.student.by_subject()).arg(fence).ignore();
    pipeline.cmd("EXEC");
    let (outcome,): (Vec<Value>,) = connection.pipeline(&pipeline)?;
    Ok(outcome.last() == Some(&Value::Int(1)))
}

/// Writes a whole key, and replaces what a failed fill has left there.
fn restore(pipeline: &mut Pipeline, key: &str, milliseconds_to_live: u64, dump: Vec<u8>) {
    pipeline.cmd("RESTORE").arg(key).arg(milliseconds_to_live).arg(dump).arg("REPLACE").ignore();
}

impl Loaded<'_> {
    /// The records whose question has a usable id. An empty id, or one with NUL, would pass for the
    /// marker or a subject; only a script that bypasses memora can write one.
    fn named(&self) -> impl Iterator<Item = &Review> {
        let is_name = |id: &str| !id.is_empty() && !id.contains('\0');
        self.reviews.iter().filter(move |review| is_name(&review.question_id))
    }

    /// What is hidden from the student.
    fn hidden(&self) -> Hidden<'_> {
        Hidden { retired: self.student.retired, suspended: self.suspended }
    }

    /// The records, hidden ones first, then latest first: Redis then adds each at the beginning of
    /// its list, and need not search for its place.
    fn by_date(&self) -> Vec<&Review> {
        let (hidden, is_any) = (self.hidden(), self.hides());
        let date = |review: &Review| {
            if is_any && hidden.has(&review.question_id) { i64::MAX } else { review.next_review }
        };
        let mut dated: Vec<(i64, &Review)> =
            self.named().map(|review| (date(review), review)).collect();
        dated.sort_unstable_by_key(|(next_review, _)| std::cmp::Reverse(*next_review));
        dated.into_iter().map(|(_, review)| review).collect()
    }

    /// Whether anything can be hidden. Usually nothing is, and then nothing is looked up.
    fn hides(&self) -> bool {
        self.student.retired.version > 0 || !self.suspended.is_empty()
    }

    /// The sorted set, as Redis takes a whole key.
    fn schedule(&self, reviews: &[&Review]) -> Vec<u8> {
        let count = reviews.len() + 1;
        let mut dump = SortedSetDump::with_members(count, 32 * count);
        // The marker is part of the key: a reader that sees it sees a complete set.
        dump.push("", self.student.marker());
        let (hidden, is_any) = (self.hidden(), self.hides());
        for review in reviews {
            let score = if is_any { hidden.score(review) } else { review.next_review as f64 };
            dump.push(&review.question_id, score);
        }
        dump.finish()
    }

    /// The details, likewise.
    fn details(&self, reviews: &[&Review]) -> Vec<u8> {
        let mut topics: HashMap<&str, String> = HashMap::new();
        for review in reviews {
            let topic = review.cached_topic();
            if !topic.is_empty() {
                push_id(topics.entry(topic).or_default(), &review.question_id);
            }
        }
        if !self.suspended.is_empty() {
            // Kept like a topic's; no topic has NUL in its name.
            let ids = topics.entry("\0").or_default();
            self.suspended.iter().for_each(|id| push_id(ids, id));
        }
        let count = reviews.len() + topics.len() + 2;
        let mut dump = HashDump::with_fields(count, 112 * count);
        let head = head_text(self.head);
        dump.push("", &head);
        let topics_of_head = match self.student.retired.version {
            0 => format!("{} {head}", topics.len()),
            version => format!("{},{version} {head}", topics.len()),
        };
        dump.push(TOPICS, &topics_of_head);
        for (topic, ids) in &topics {
            dump.push(&by_subject::member(topic), ids);
        }
        let mut detail = String::new();
        for review in reviews {
            detail.clear();
            review.push_detail(&mut detail);
            dump.push(&review.question_id, &detail);
        }
        dump.finish()
    }

    /// The sorted set by subject, likewise; `None`: there are more subjects than numbers for them.
    fn by_subject(&self, reviews: &[&Review]) -> Option<Vec<u8>> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut subjects: Vec<(&str, Vec<&Review>)> = Vec::new();
        for review in reviews {
            let subject = review.cached_subject();
            if subject.is_empty() {
                continue;
            }
            let number = *numbers.entry(subject).or_insert_with(|| {
                subjects.push((subject, Vec::new()));
                subjects.len()
            });
            if let Some((_, of_subject)) = subjects.get_mut(number - 1) {
                of_subject.push(review);
            }
        }
        if subjects.len() > MOST_SUBJECTS {
            return None;
        }
        let placed: usize = subjects.iter().map(|(_, of_subject)| of_subject.len()).sum();
        let count = placed + subjects.len() + 1;
        let mut dump = SortedSetDump::with_members(count, 32 * count);
        for (index, (_, of_subject)) in subjects.iter().enumerate().rev() {
            for review in of_subject {
                dump.push(&review.question_id, by_subject::score(index + 1, review.next_review));
            }
        }
        for (index, (subject, _)) in subjects.iter().enumerate() {
            dump.push(&by_subject::member(subject), -((index + 1) as f64));
        }
        dump.push("", -(self.head.order as f64));
        Some(dump.finish())
    }
}

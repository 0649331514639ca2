//! Caching all records of students at once.

use ::redis::Value;

use super::RedisConnection;
use super::cache::{Student, head_text};
use super::dump::{HashDump, SortedSetDump};
use super::keys::Keys;
use crate::error::Result;
use crate::rules::head::Head;
use crate::rules::review::Review;

/// Sets the fences of a load of some students, which must be done within so many seconds.
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
    /// Who, where, and in which generation it can be believed.
    pub student: Student<'a>,
    /// What it was computed from.
    pub head: Head,
    /// The records.
    pub reviews: &'a [Review],
}

/// Caches all records of some students for so many seconds, until Unix time `until`. False for each
/// of whom, since `fence` was set, an answer, another load or an eviction came in between.
///
/// Each student's go into keys beside their own, which a script then puts in their place: Lua would
/// copy and hash what is handed to it, and to look at the fence first takes a round trip.
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
        let (scores, states) =
            (keys.new_schedule(player, season), keys.new_details(player, season));
        pipeline.cmd("MULTI").ignore();
        for (key, dump) in [(&scores, schedule.scores()), (&states, schedule.states())] {
            // Whatever a fill that failed has left there.
            pipeline
                .cmd("RESTORE")
                .arg(key)
                .arg(milliseconds_to_live)
                .arg(dump)
                .arg("REPLACE")
                .ignore();
        }
        // Not by its hash: a script that Redis does not know would leave the keys where they are.
        pipeline.cmd("EVAL").arg(include_str!("lua/fill.lua")).arg(6);
        pipeline.arg(schedule.student.fence());
        pipeline.arg(&[schedule.student.schedule(), schedule.student.details(), scores, states]);
        pipeline.arg(keys.students(season)).arg(fence).arg(player).arg(until).ignore();
        pipeline.cmd("EXEC");
    }
    let outcomes: Vec<Vec<Value>> = connection.pipeline(&pipeline)?;
    Ok(outcomes.into_iter().map(|outcome| outcome.last() == Some(&Value::Int(1))).collect())
}

impl Loaded<'_> {
    /// The records. One without a question, which only a script past memora can write, would be the
    /// marker.
    fn named(&self) -> impl Iterator<Item = &Review> {
        self.reviews.iter().filter(|review| !review.question_id.is_empty())
    }

    /// The sorted set, as Redis takes a whole key.
    fn scores(&self) -> Vec<u8> {
        let mut scores: Vec<(i64, &str)> =
            self.named().map(|review| (review.next_review, review.question_id.as_str())).collect();
        // Latest first: Redis then adds each at the beginning of its list, and searches no place
        // for it.
        scores.sort_unstable_by_key(|(next_review, _)| std::cmp::Reverse(*next_review));
        let count = scores.len() + 1;
        let mut dump = SortedSetDump::with_members(count, 32 * count);
        // The marker is part of the key: whoever sees it sees a complete set.
        dump.push("", self.student.generation as f64);
        for (next_review, question_id) in scores {
            dump.push(question_id, next_review as f64);
        }
        dump.finish()
    }

    /// The details, as Redis takes a whole key.
    fn states(&self) -> Vec<u8> {
        let count = self.named().count() + 1;
        let mut dump = HashDump::with_fields(count, 96 * count);
        dump.push("", &head_text(self.head));
        let mut detail = String::new();
        for review in self.named() {
            detail.clear();
            review.push_detail(&mut detail);
            dump.push(&review.question_id, &detail);
        }
        dump.finish()
    }
}

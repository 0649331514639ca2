//! What is asked of the cache's Redis: one student's sorted set and details, the active season,
//! known links.

use std::time::Duration;

use ::redis::{FromRedisValue, Value};

use super::dump::{HashDump, SortedSetDump};
use super::keys::Keys;
use super::{
    LuaScript, RedisConnection, RedisServer, ScriptCall, claim, confirm, text, unexpected,
};
use crate::error::{Error, Result};
use crate::rules::head::Head;
use crate::rules::review::{Review, detail_start};
use crate::servers::pool::Pool;

/// The latest moment that a score can mean; the completeness marker lies far behind it.
const END_OF_TIME: i64 = 99_999_999_999;

/// Redis searches a small hash from end to end, and makes it a real one only when it has hundreds
/// of fields or one value of more than 64 bytes. A head of this width spares a load of a thousand
/// records most of its time.
const HEAD_WIDTH: usize = 65;

/// What the scripts put between ids and details; neither has one in it.
const SEPARATOR: char = '\0';

/// The cache's scripts.
pub struct CacheScripts {
    due: LuaScript,
    lookup: LuaScript,
    apply: LuaScript,
    generation: LuaScript,
    remember_season: LuaScript,
    confirm: LuaScript,
}

impl Default for CacheScripts {
    fn default() -> Self {
        CacheScripts {
            due: LuaScript::new(include_str!("lua/due.lua")),
            lookup: LuaScript::new(include_str!("lua/lookup.lua")),
            apply: LuaScript::new(include_str!("lua/apply.lua")),
            generation: LuaScript::new(include_str!("lua/generation.lua")),
            remember_season: LuaScript::new(include_str!("lua/remember_season.lua")),
            confirm: LuaScript::new(include_str!("lua/confirm.lua")),
        }
    }
}

/// One student in one season, as the cache of one generation knows him.
#[derive(Clone, Copy)]
pub struct Student<'a> {
    /// The names of the keys.
    pub keys: &'a Keys,
    /// The student.
    pub player: &'a str,
    /// The season.
    pub season: &'a str,
    /// What `srs-season` holds while the caller's idea of the active season is right.
    pub season_token: &'a str,
    /// The generation in which a cached set can be believed.
    pub generation: u64,
}

impl Student<'_> {
    fn schedule(&self) -> String {
        self.keys.schedule(self.player, self.season)
    }

    fn details(&self) -> String {
        self.keys.details(self.player, self.season)
    }

    fn fence(&self) -> String {
        self.keys.fence(self.player, self.season)
    }
}

/// What a read of the cache found.
pub enum Found<T> {
    /// Another season is active: the value of `srs-season`, `None` where it is not cached.
    OtherSeason(Option<String>),
    /// The student's set is not complete.
    Cold {
        /// As below.
        confirmation: String,
    },
    /// The set is complete.
    Warm {
        /// What confirms that the cache may be believed; empty: nothing does.
        confirmation: String,
        /// What it says.
        value: T,
    },
}

/// The due questions of a warm cache.
pub struct Due {
    /// All that are due.
    pub total: u64,
    /// The first of them, most overdue first.
    pub reviews: Vec<Review>,
}

/// What a warm cache tells a submission.
pub struct Lookup {
    /// Whether each link asked for is known to exist.
    pub links: Vec<bool>,
    /// What the set was computed from.
    pub head: Head,
    /// How many questions the student tracks.
    pub records: u64,
    /// The records asked for, as far as there are any.
    pub reviews: Vec<Review>,
}

/// What a lookup asks for.
pub enum Wanted<'a> {
    /// These questions only.
    Questions(&'a [String]),
    /// Every record.
    All,
}

impl CacheScripts {
    /// The first `limit` due questions and how many there are, of all subjects or of one.
    pub fn due(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        now: i64,
        limit: u32,
        subject: Option<&str>,
    ) -> Result<Found<Due>> {
        let call = self
            .due
            .call(&[
                student.keys.active_season(),
                student.schedule(),
                student.details(),
                student.keys.confirmation(),
            ])
            .arg(student.season_token)
            .arg(student.generation)
            .arg(now)
            .arg(limit)
            .arg(subject.map(|name| detail_start(Some(name))).unwrap_or_default());
        let mut answer = Answer::of(connection.script(&call)?)?;
        match answer.kind.as_str() {
            "season" => Ok(Found::OtherSeason(answer.optional_text()?)),
            "cold" => Ok(Found::Cold { confirmation: answer.text()? }),
            "warm" => {
                let confirmation = answer.text()?;
                let total = answer.number()?;
                let (ids, details) = (answer.text()?, answer.text()?);
                let pairs = ids.split(SEPARATOR).zip(details.split(SEPARATOR));
                Ok(Found::Warm { confirmation, value: Due { total, reviews: reviews(pairs)? } })
            }
            _ => Err(answer.unknown()),
        }
    }

    /// What a submission has to know; `links` are members of the set of known links.
    pub fn lookup(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        links: &[String],
        wanted: &Wanted<'_>,
    ) -> Result<Found<Lookup>> {
        let keys = student.keys;
        let mut call = self
            .lookup
            .call(&[
                keys.active_season(),
                student.schedule(),
                student.details(),
                keys.links(),
                keys.confirmation(),
            ])
            .arg(student.season_token)
            .arg(student.generation)
            .arg(links.len())
            .arg(links);
        if let Wanted::Questions(ids) = wanted {
            call = call.arg(ids);
        }
        let mut answer = Answer::of(connection.script(&call)?)?;
        match answer.kind.as_str() {
            "season" => Ok(Found::OtherSeason(answer.optional_text()?)),
            "cold" => Ok(Found::Cold { confirmation: answer.text()? }),
            "warm" => {
                let confirmation = answer.text()?;
                let links = answer.list()?.iter().map(|known| *known == Value::Int(1)).collect();
                let head = answer.head()?;
                let records = answer.number()?;
                let found = answer.text()?;
                let mut parts = found.split(SEPARATOR);
                let pairs = std::iter::from_fn(|| Some((parts.next()?, parts.next()?)));
                let value = Lookup { links, head, records, reviews: reviews(pairs)? };
                Ok(Found::Warm { confirmation, value })
            }
            _ => Err(answer.unknown()),
        }
    }

    /// Shows an acknowledged submission. Returns how many questions are due then; `None`: the
    /// student's cache was dropped instead.
    pub fn apply(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        heads: (Head, Head),
        reviews: &[Review],
        now: i64,
        seconds_to_live: u64,
    ) -> Result<Option<u64>> {
        let mut call = self
            .apply
            .call(&[
                student.schedule(),
                student.details(),
                student.fence(),
                student.keys.students(student.season),
            ])
            .arg(student.generation)
            .arg(head_text(heads.0))
            .arg(head_text(heads.1))
            .arg(seconds_to_live)
            .arg(now)
            .arg(student.player);
        push_reviews(&mut call, reviews);
        connection.script(&call)
    }

    /// The generation in which schedules count that are cached in this run of the server; a new one
    /// when the run is new. `unused` is a number that was no generation yet.
    pub fn generation(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        unused: u64,
    ) -> Result<u64> {
        let call = self.generation.call(&[keys.generation()]).arg(&connection.run_id).arg(unused);
        connection.script(&call)
    }

    /// Remembers the active season. False: a new generation has begun since.
    pub fn remember_season(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        (generation, run_id): (u64, &str),
        token: &str,
        seconds_to_live: u64,
    ) -> Result<bool> {
        let call = self
            .remember_season
            .call(&[keys.generation(), keys.active_season()])
            .arg(generation_text(generation, run_id))
            .arg(token)
            .arg(seconds_to_live);
        connection.script(&call)
    }

    /// Notes that the cache may be believed, for as long as the claim that was made before lasts.
    /// False: somebody else has claimed it since, or it took too long.
    pub fn confirm(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        token: &str,
    ) -> Result<bool> {
        confirm(connection, &self.confirm, &[keys.claim(), keys.confirmation()], token)
    }
}

fn generation_text(generation: u64, run_id: &str) -> String {
    format!("{generation}|{run_id}")
}

/// Makes it known that somebody looks whether the cache may be believed.
pub fn claim_belief(
    connection: &mut RedisConnection,
    keys: &Keys,
    token: &str,
    lease: Duration,
) -> Result<()> {
    claim(connection, &keys.claim(), token, lease)
}

/// Begins a new generation: all that is cached is void.
pub fn renew_generation(
    connection: &mut RedisConnection,
    keys: &Keys,
    generation: u64,
) -> Result<()> {
    let mut pipeline = redis::pipe();
    let text = generation_text(generation, &connection.run_id);
    pipeline.atomic().cmd("SET").arg(keys.generation()).arg(text).ignore();
    pipeline.cmd("DEL").arg(keys.active_season()).ignore();
    connection.pipeline(&pipeline)
}

/// Drops the schedules of some students, players and seasons, and makes loads that are under way
/// void. True: there was something of one of them.
pub fn drop_students<'a>(
    connection: &mut RedisConnection,
    keys: &Keys,
    students: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<bool> {
    let mut pipeline = redis::pipe();
    for (player, season) in students {
        let names = [
            keys.schedule(player, season),
            keys.details(player, season),
            keys.fence(player, season),
        ];
        pipeline.cmd("UNLINK").arg(&names);
        pipeline.cmd("ZREM").arg(keys.students(season)).arg(player).ignore();
    }
    if pipeline.is_empty() {
        return Ok(false);
    }
    let dropped: Vec<u32> = connection.pipeline(&pipeline)?;
    Ok(dropped.iter().any(|count| *count > 0))
}

/// What the cached schedules of some students were computed from, in their order; nothing of those
/// who have none.
pub fn heads<'a>(
    connection: &mut RedisConnection,
    keys: &Keys,
    students: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Option<Head>>> {
    let mut pipeline = redis::pipe();
    for (player, season) in students {
        pipeline.cmd("HGET").arg(keys.details(player, season)).arg("");
    }
    if pipeline.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<Option<String>> = connection.pipeline(&pipeline)?;
    Ok(found.into_iter().map(|head| head?.parse().ok()).collect())
}

/// Looks through a part of the cache for keys of a season, and perhaps others. Returns where to go
/// on, 0 when all was looked through, and the keys.
pub fn scan_season(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    cursor: u64,
) -> Result<(u64, Vec<String>)> {
    scan(connection, &keys.season_pattern(season), cursor)
}

/// Looks through a whole Redis, a part at a time, each from where the last one left off.
pub fn look_through(
    server: &Pool<RedisServer>,
    look: impl Fn(&mut RedisConnection, u64) -> Result<u64>,
) -> Result<()> {
    let mut cursor = 0;
    loop {
        cursor = server.with(|connection| look(connection, cursor))?;
        if cursor == 0 {
            return Ok(());
        }
    }
}

fn scan(
    connection: &mut RedisConnection,
    pattern: &str,
    cursor: u64,
) -> Result<(u64, Vec<String>)> {
    let mut command = redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1_000);
    let (cursor, found): (u64, Vec<Vec<u8>>) = connection.command(&command)?;
    // A key that is no text is none of ours.
    Ok((cursor, found.into_iter().filter_map(|key| String::from_utf8(key).ok()).collect()))
}

/// Looks through a part of either Redis for keys of memora's on this site, and removes them.
/// Returns where to go on; 0: all was looked through.
pub fn clear_site(connection: &mut RedisConnection, keys: &Keys, cursor: u64) -> Result<u64> {
    let (cursor, found) = scan(connection, &keys.own_pattern(), cursor)?;
    if !found.is_empty() {
        connection.command::<u64>(redis::cmd("UNLINK").arg(found))?;
    }
    Ok(cursor)
}

/// Looks through a part of the cache for keys of a season's students, and removes them. Returns
/// where to go on; 0: all was looked through.
pub fn clear_season(
    connection: &mut RedisConnection,
    keys: &Keys,
    season: &str,
    cursor: u64,
) -> Result<u64> {
    let (cursor, mut found) = scan_season(connection, keys, season, cursor)?;
    found.retain(|key| keys.is_of_season(key, season));
    if !found.is_empty() {
        connection.command::<u64>(redis::cmd("UNLINK").arg(found))?;
    }
    if cursor == 0 {
        connection.command::<u64>(redis::cmd("UNLINK").arg(keys.students(season)))?;
    }
    Ok(cursor)
}

/// Sets the fences of a load of some students, which has to be done within so many seconds.
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
/// Each student's go into keys beside his own, which a script then puts in their place: Lua would
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

/// What `srs-season` holds.
pub fn active_season(connection: &mut RedisConnection, keys: &Keys) -> Result<Option<String>> {
    connection.command(redis::cmd("GET").arg(keys.active_season()))
}

/// Forgets the active season.
pub fn forget_season(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    connection.command(redis::cmd("DEL").arg(keys.active_season()))
}

/// Remembers links that exist.
pub fn remember_links(
    connection: &mut RedisConnection,
    keys: &Keys,
    links: &[String],
) -> Result<()> {
    connection.command(redis::cmd("SADD").arg(keys.links()).arg(links))
}

/// How many checks the database had seen at the last one; nothing where the cache was emptied
/// since.
pub fn known_checks(connection: &mut RedisConnection, keys: &Keys) -> Result<Option<u64>> {
    connection.command(redis::cmd("GET").arg(keys.checks()))
}

/// Remembers how many checks the database has seen.
pub fn remember_checks(connection: &mut RedisConnection, keys: &Keys, checks: u64) -> Result<()> {
    connection.command(redis::cmd("SET").arg(keys.checks()).arg(checks))
}

/// Forgets it: the next check finds nobody's schedule.
pub fn forget_checks(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    connection.command(redis::cmd("DEL").arg(keys.checks()))
}

/// A key of the cache's database that is none of memora's, if there is one among the first that are
/// looked at.
pub fn stranger(connection: &mut RedisConnection) -> Result<Option<String>> {
    let (_, found) = scan(connection, "*", 0)?;
    Ok(found.into_iter().find(|key| !Keys::is_own(key)))
}

/// Forgets that a link exists.
pub fn forget_link(connection: &mut RedisConnection, keys: &Keys, link: &str) -> Result<()> {
    connection.command(redis::cmd("SREM").arg(keys.links()).arg(link))
}

/// Forgets which links exist.
pub fn forget_links(connection: &mut RedisConnection, keys: &Keys) -> Result<()> {
    // Unlinked: there may be a million students among them.
    connection.command(redis::cmd("UNLINK").arg(keys.links()))
}

/// Cached dates of a student, by question, up to a moment, most overdue first. The cache alone is
/// asked, complete or not.
pub fn scores(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
    until: Option<i64>,
    limit: Option<u32>,
) -> Result<Vec<(String, f64)>> {
    let mut command = redis::cmd("ZRANGEBYSCORE");
    command
        .arg(keys.schedule(player, season))
        .arg("-inf")
        .arg(until.unwrap_or(END_OF_TIME))
        .arg("WITHSCORES");
    if let Some(limit) = limit {
        command.arg("LIMIT").arg(0).arg(limit);
    }
    connection.command(&command)
}

/// How many cached dates of a student lie at or before a moment.
pub fn count(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
    until: Option<i64>,
) -> Result<u64> {
    let key = keys.schedule(player, season);
    connection.command(redis::cmd("ZCOUNT").arg(key).arg("-inf").arg(until.unwrap_or(END_OF_TIME)))
}

/// Sets dates in the cache only, for so many seconds, until a Unix time. What else is cached of a
/// question stays.
pub fn put(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
    dates: &[(String, i64)],
    (seconds_to_live, until): (u64, i64),
) -> Result<()> {
    let (schedule, details) = (keys.schedule(player, season), keys.details(player, season));
    let ids: Vec<&str> = dates.iter().map(|(id, _)| id.as_str()).collect();
    let known: Vec<Option<String>> =
        connection.command(redis::cmd("HMGET").arg(&details).arg(&ids))?;
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    for ((id, date), detail) in dates.iter().zip(known) {
        let detail = detail.and_then(|detail| Review::from_detail(id, &detail));
        let mut review = detail.unwrap_or_else(|| Review::new(id));
        review.next_review = *date;
        pipeline.cmd("ZADD").arg(&schedule).arg(date).arg(id).ignore();
        pipeline.cmd("HSET").arg(&details).arg(id).arg(review.detail()).ignore();
    }
    pipeline.cmd("EXPIRE").arg(&schedule).arg(seconds_to_live).ignore();
    pipeline.cmd("EXPIRE").arg(&details).arg(seconds_to_live).ignore();
    pipeline.cmd("ZADD").arg(keys.students(season)).arg(until).arg(player).ignore();
    connection.pipeline(&pipeline)
}

/// Takes one question out of the cache only. True: it was there.
pub fn remove(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
    question_id: &str,
) -> Result<bool> {
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    pipeline.cmd("ZREM").arg(keys.schedule(player, season)).arg(question_id);
    pipeline.cmd("HDEL").arg(keys.details(player, season)).arg(question_id).ignore();
    let (removed,): (u32,) = connection.pipeline(&pipeline)?;
    Ok(removed > 0)
}

/// A student's cache in numbers: generation of its marker, bytes of memory.
pub fn weigh(
    connection: &mut RedisConnection,
    keys: &Keys,
    (player, season): (&str, &str),
) -> Result<(Option<u64>, u64)> {
    let (schedule, details) = (keys.schedule(player, season), keys.details(player, season));
    let mut pipeline = redis::pipe();
    pipeline.cmd("ZSCORE").arg(&schedule).arg("");
    pipeline.cmd("MEMORY").arg("USAGE").arg(&schedule);
    pipeline.cmd("MEMORY").arg("USAGE").arg(&details);
    let (marker, schedule, details): (Option<u64>, Option<u64>, Option<u64>) =
        connection.pipeline(&pipeline)?;
    Ok((marker, schedule.unwrap_or(0) + details.unwrap_or(0)))
}

fn push_reviews(call: &mut ScriptCall, reviews: &[Review]) {
    for review in reviews {
        call.push(review.next_review);
        call.push(&review.question_id);
        call.push(review.detail());
    }
}

/// A head as details hold it.
fn head_text(head: Head) -> String {
    // Display of a struct ignores the width: it is text first.
    format!("{:>HEAD_WIDTH$}", head.to_string())
}

/// Reads ids and details; the nameless field is the head and no question.
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

/// A script's answer: what kind it is, then its parts in order.
struct Answer {
    kind: String,
    parts: std::vec::IntoIter<Value>,
}

impl Answer {
    fn of(value: Value) -> Result<Answer> {
        let Value::Array(parts) = value else {
            return Err(unexpected(&value));
        };
        let mut parts = parts.into_iter();
        let kind = text(parts.next().unwrap_or(Value::Nil))?;
        Ok(Answer { kind, parts })
    }

    fn next(&mut self) -> Value {
        self.parts.next().unwrap_or(Value::Nil)
    }

    fn list(&mut self) -> Result<Vec<Value>> {
        match self.next() {
            Value::Array(values) => Ok(values),
            other => Err(unexpected(&other)),
        }
    }

    fn head(&mut self) -> Result<Head> {
        let head = self.text()?;
        head.parse().map_err(|_| {
            Error::Fault(format!("the cache holds a head that memora did not write: {head:?}"))
        })
    }

    fn number<T: FromRedisValue>(&mut self) -> Result<T> {
        T::from_redis_value(self.next()).map_err(|error| Error::Fault(error.to_string()))
    }

    fn text(&mut self) -> Result<String> {
        text(self.next())
    }

    fn optional_text(&mut self) -> Result<Option<String>> {
        match self.next() {
            Value::Nil => Ok(None),
            value => text(value).map(Some),
        }
    }

    fn unknown(&self) -> Error {
        Error::Fault(format!("a script of memora answered {:?}", self.kind))
    }
}

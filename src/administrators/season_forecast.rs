//! How many questions of a season are due on each of the next days: an estimate from some of its
//! cached students, in milliseconds however large the season is.

use crate::administrators::cached_students;
use crate::administrators::season_size::COUNTED_STUDENTS;
use crate::engine::Engine;
use crate::engine::active_season::ActiveSeason;
use crate::error::Result;
use crate::rules::calendar::{Calendar, Workload};
use crate::rules::clock::now_us;
use crate::rules::names::check_season;
use crate::servers::redis::RedisConnection;
use crate::servers::redis::keys::Keys;

/// Students who are counted, at most. The more, the better the estimate and the longer it takes.
const SAMPLED: usize = 400;
/// Students who are counted at a time, so that others do not wait long for Redis.
const AT_A_TIME: usize = 10;
/// Changes of retired questions that are made in the schedules of those who are counted, at most:
/// half a second's work. Their next reads need not make them any more.
const MOST_CHANGES: usize = 400_000;

/// The answer to [`Engine::season_forecast`].
#[derive(Debug)]
pub struct SeasonForecast {
    /// Of all students of the season if their number is known, otherwise of those who are cached.
    pub workload: Workload,
    /// Students who were counted.
    pub sampled_students: u64,
    /// Students who are cached, estimated.
    pub cached_students: u64,
    /// Students of the season; `None`: they are too many to be counted. An estimate from records
    /// could be wrong by half.
    pub students: Option<u64>,
}

impl Engine {
    /// The workload of a season's students, from a sample of those whose schedules are cached. If
    /// the number of students is known, the others are assumed to have as much to do.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidInput`], or the error of a server that is needed.
    pub fn season_forecast(&self, season: &str, days: u32) -> Result<SeasonForecast> {
        check_season(season)?;
        let calendar = Calendar::new(&self.settings.zone, now_us() / 1_000_000, days)?;
        let process = self.process();
        let drawn = cached_students::at_random(&process, season, SAMPLED)?;
        let retired = self.retired_now(&process)?;
        let mut room = MOST_CHANGES;
        let (mut asked, mut sampled) = (drawn.len(), 0);
        let mut sums = vec![0; calendar.ends().len()];
        let players = drawn.iter().map(String::as_str);
        for (shard, players) in process.cache.by_shard(players, |player| player) {
            let active = self.active_season(&process, shard)?;
            let active = ActiveSeason { retired: retired.clone(), ..(*active).clone() };
            for players in players.chunks(AT_A_TIME) {
                let (left, complete, before) = shard.with(|cache| {
                    let (players, left) = self.up_to_date(
                        cache,
                        (&shard.keys, &active),
                        (players, season),
                        &mut room,
                    )?;
                    let (complete, before) = self.cache_scripts.forecast_of_many(
                        cache,
                        &shard.keys,
                        (&players, season),
                        active.generation,
                        calendar.ends(),
                    )?;
                    Ok((left, complete, before))
                })?;
                asked -= left;
                sampled += complete;
                sums.iter_mut().zip(before).for_each(|(sum, count)| *sum += count);
            }
        }
        let listed = cached_students::count(&process, season)?;
        let cached_students = listed * sampled / (asked as u64).max(1);
        // With more of them in the list, the season has more than are counted.
        let is_small = listed <= COUNTED_STUDENTS as u64;
        let size = if is_small { self.season_size(season)? } else { None };
        let students = size.filter(|size| !size.are_students_estimated).map(|size| size.students);
        let all = students.unwrap_or(cached_students);
        let factor = if sampled == 0 { 0.0 } else { all as f64 / sampled as f64 };
        Ok(SeasonForecast {
            workload: calendar.workload(&sums).scaled(factor),
            sampled_students: sampled,
            cached_students,
            students,
        })
    }

    /// The students whose schedules have the retired questions as they are now. Older schedules are
    /// changed, as their next reads would do, while there is room for it. Also returns how many
    /// students were left out for lack of room: it is unknown whether they are cached.
    fn up_to_date<'p>(
        &self,
        cache: &mut RedisConnection,
        (keys, active): (&Keys, &ActiveSeason),
        (players, season): (&[&'p str], &str),
        room: &mut usize,
    ) -> Result<(Vec<&'p str>, usize)> {
        let retired = &active.retired;
        if retired.version == 0 {
            return Ok((players.to_vec(), 0));
        }
        let scripts = &self.cache_scripts;
        let versions = scripts.retired_versions(cache, keys, (players, season))?;
        let (mut current, mut left) = (Vec::new(), 0);
        for (player, version) in players.iter().zip(versions) {
            let Some(version) = version else { continue };
            if version < retired.version {
                let changes = retired.since(version).len();
                let student = active.student(keys, player, season);
                if changes > *room {
                    left += 1;
                    continue;
                }
                if !scripts.retire(cache, student, version)? {
                    continue;
                }
                *room -= changes;
            }
            current.push(*player);
        }
        Ok((current, left))
    }
}

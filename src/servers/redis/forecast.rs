//! How many questions are due before each of some moments, from sorted sets.

use ::redis::Script;

use super::RedisConnection;
use super::cache::{CacheScripts, Found, Student, asking};
use super::keys::Keys;
use crate::error::Result;

const DUE_BEFORE: &str = include_str!("lua/due_before.lua");

/// The scripts of forecasts.
pub struct ForecastScripts {
    of_student: Script,
    of_many: Script,
}

impl Default for ForecastScripts {
    fn default() -> Self {
        let of_student = [DUE_BEFORE, include_str!("lua/forecast.lua")].concat();
        let of_many = [DUE_BEFORE, include_str!("lua/forecast_of_many.lua")].concat();
        ForecastScripts { of_student: asking(&of_student), of_many: Script::new(&of_many) }
    }
}

impl ForecastScripts {
    /// How many of a student's questions are due before each of these moments, in Unix seconds and
    /// ascending. Where the counts stop, the last one holds.
    pub fn of_student(
        &self,
        connection: &mut RedisConnection,
        cache_scripts: &CacheScripts,
        student: Student<'_>,
        moments: &[i64],
    ) -> Result<Found<Vec<u64>>> {
        let mut call = student.ask(&self.of_student);
        call.arg(moments);
        cache_scripts.found(connection, student, &call, super::answer::Answer::number)
    }

    /// The same of some students together, and how many of them have a complete schedule: only
    /// theirs count.
    pub fn of_many(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        (players, season): (&[&str], &str),
        generation: u64,
        moments: &[i64],
    ) -> Result<(u64, Vec<u64>)> {
        let mut call = self.of_many.prepare_invoke();
        for player in players {
            call.key(keys.schedule(player, season));
        }
        call.arg(generation).arg(moments);
        connection.script(&call)
    }
}

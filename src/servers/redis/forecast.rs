//! How many questions are due before each of some times, from sorted sets.

use super::RedisConnection;
use super::answer::Answer;
use super::cache::{CacheScripts, Found};
use super::keys::Keys;
use super::student::Student;
use crate::error::Result;

impl CacheScripts {
    /// How many of a student's questions are due before each of these moments, in Unix seconds and
    /// ascending. If there are fewer counts than moments, the last one holds for the rest.
    pub fn forecast(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        moments: &[i64],
    ) -> Result<Found<Vec<u64>>> {
        let mut call = student.ask(&self.forecast);
        call.arg(moments);
        self.found(connection, student, &call, Answer::number)
    }

    /// How many of these students have complete schedules, and the sums of their counts.
    pub fn forecast_of_many(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        (players, season): (&[&str], &str),
        generation: u64,
        moments: &[i64],
    ) -> Result<(u64, Vec<u64>)> {
        let mut call = self.forecast_of_many.prepare_invoke();
        for player in players {
            call.key(keys.schedule(player, season));
        }
        call.arg(generation).arg(moments);
        connection.script(&call)
    }
}

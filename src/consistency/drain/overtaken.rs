//! Cached schedules that what is drained overtakes. They are dropped before it is committed: a
//! drain that dies after that could tell nobody. The next read loads them, with what waits laid
//! over them.

use std::thread::sleep;
use std::time::Duration;

use super::waiting::Waiting;
use crate::engine::{Engine, Process};
use crate::error::Error;
use crate::servers::mariadb::unshown;
use crate::servers::redis::schedules;

/// Longer than a process takes from the journal to the cache.
const A_MOMENT: Duration = Duration::from_millis(10);

impl Engine {
    /// Drops the cached schedules that lack an answer which is about to be written: its process
    /// died between the journal and the cache. Once it has left the journal, nobody could tell.
    pub(super) fn drop_lacking(&self, process: &Process, waiting: &[Waiting]) {
        let (mut older, cold) = self.lacking(process, waiting.iter().collect());
        if !older.is_empty() {
            // As a rule it lives, and shows its answer now.
            sleep(A_MOMENT);
            older = self.lacking(process, older).0;
        }
        let names: Vec<_> = older.into_iter().chain(cold).map(Waiting::name).collect();
        self.drop_schedules(process, &names);
    }

    /// Those whose cached schedules are older than their newest answer, and those who have none: a
    /// load that is under way may have read everything before that answer, and goes into the cache
    /// no more.
    fn lacking<'a>(
        &self,
        process: &Process,
        waiting: Vec<&'a Waiting>,
    ) -> (Vec<&'a Waiting>, Vec<&'a Waiting>) {
        let (mut older, mut cold) = (Vec::new(), Vec::new());
        for (shard, waiting) in process.cache.by_shard(waiting, |student| &student.player) {
            if let Ok(false) = self.counts(process, shard) {
                log::debug!("this process does not reach the cache that counts");
                continue;
            }
            let names = || waiting.iter().map(|student| student.name());
            let heads = shard.with(|cache| schedules::heads(cache, &shard.keys, names()));
            let heads = heads.unwrap_or_else(|error| {
                leave_to_reconciliation(waiting.len(), &error);
                Vec::new()
            });
            for (student, head) in waiting.into_iter().zip(heads) {
                match head {
                    None => cold.push(student),
                    Some(head) if Some(head.order) < student.newest() => older.push(student),
                    Some(_) => {}
                }
            }
        }
        (older, cold)
    }

    /// Drops students' cached schedules: the next read loads them, with what waits laid over them.
    /// Where another cache is the one that counts, those who reach it do so.
    pub(super) fn drop_schedules(&self, process: &Process, students: &[(&str, &str)]) {
        if students.is_empty() {
            // As a rule: the cache is not asked, least of all in a transaction that holds locks.
            return;
        }
        for (shard, students) in process.cache.by_shard(students.iter().copied(), |one| one.0) {
            let names = || students.iter().copied();
            let dropped = shard.with(|cache| schedules::drop_students(cache, &shard.keys, names()));
            let told = dropped.and_then(|_| self.counts(process, shard)).and_then(|counts| {
                let mut unreached = names().filter(|_| !counts);
                unreached.try_for_each(|(player, season)| {
                    let mark =
                        |database: &mut _| unshown::mark(database, shard.place, player, season);
                    process.database.with(mark).map(drop)
                })
            });
            if let Err(error) = told {
                leave_to_reconciliation(students.len(), &error);
            }
        }
    }
}

fn leave_to_reconciliation(students: usize, error: &Error) {
    log::debug!("the schedules of {students} students are left to reconciliation: {error}");
}

//! Drops cached schedules that lack entries being drained. This happens before the commit, because
//! a drain that dies after it could tell no process. The next read loads them, and applies the
//! waiting entries. A drain that cannot reach the registered cache marks their students instead,
//! for processes that reach it. If it can do neither, it writes nothing.

use std::thread::sleep;
use std::time::Duration;

use super::waiting::Waiting;
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::servers::mariadb::unshown;
use crate::servers::redis::schedules;

/// Longer than a process needs from the journal to the cache.
const A_MOMENT: Duration = Duration::from_millis(10);

/// What is known of students' cached schedules.
#[derive(Default)]
struct Known<'a> {
    /// Those whose schedule lacks an answer.
    older: Vec<&'a Waiting>,
    /// Those without a cached schedule. A load that is under way may have read everything before
    /// that answer, and is kept out of the cache.
    cold: Vec<&'a Waiting>,
    /// Those whose registered cache did not answer.
    unseen: Vec<&'a Waiting>,
}

impl Engine {
    /// Drops the cached schedules that lack an answer which is about to be written: its process
    /// died between the journal and the cache, or did not learn that the journal had it. Once the
    /// answer has left the journal, this is unknown.
    ///
    /// # Errors
    /// When neither the cache nor MariaDB can be told.
    pub(super) fn drop_lacking(&self, process: &Process, waiting: &[Waiting]) -> Result<()> {
        let Known { mut older, mut cold, mut unseen } =
            self.lacking(process, waiting.iter().collect())?;
        if !older.is_empty() {
            // Usually the process is alive, and about to show its answer.
            sleep(A_MOMENT);
            let now = self.lacking(process, older)?;
            older = now.older;
            cold.extend(now.cold);
            unseen.extend(now.unseen);
        }
        for (shard, unseen) in process.cache.by_shard(unseen, |student| &student.player) {
            log::debug!("the schedules of {} students are marked, unseen", unseen.len());
            // Most schedules have all answers; processes that reach the cache drop the others.
            let marks: Vec<_> = unseen
                .iter()
                .filter(|student| !student.entries.is_empty())
                .map(|student| (student.player.as_str(), student.season.as_str(), student.newest()))
                .collect();
            process
                .database
                .with(|database| unshown::mark_several(database, shard.place, &marks))?;
        }
        let names: Vec<_> = older.into_iter().chain(cold).map(Waiting::name).collect();
        self.drop_schedules(process, &names)
    }

    /// The students whose cached schedules may lack their newest answer.
    fn lacking<'a>(&self, process: &Process, waiting: Vec<&'a Waiting>) -> Result<Known<'a>> {
        let mut known = Known::default();
        for (shard, waiting) in process.cache.by_shard(waiting, |student| &student.player) {
            let names = || waiting.iter().map(|student| student.name());
            let heads = self.counts(process, shard).and_then(|counts| {
                let look = || shard.with(|cache| schedules::heads(cache, &shard.keys, names()));
                counts.then(look).transpose()
            });
            let heads = match heads {
                Ok(Some(heads)) => heads,
                Err(error) if error.is_failure_of(Server::Database) => return Err(error),
                Ok(None) | Err(_) => {
                    known.unseen.extend(waiting);
                    continue;
                }
            };
            for (student, head) in waiting.into_iter().zip(heads) {
                match head {
                    None => known.cold.push(student),
                    Some(head) if student.is_known_to(head) => {}
                    Some(_) => known.older.push(student),
                }
            }
        }
        Ok(known)
    }

    /// Drops students' cached schedules: the next read loads them, and applies the waiting entries.
    /// If this process does not reach the registered cache, others that reach it do so.
    ///
    /// # Errors
    /// When neither the cache nor MariaDB can be told.
    pub(super) fn drop_schedules(
        &self,
        process: &Process,
        students: &[(&str, &str)],
    ) -> Result<()> {
        if students.is_empty() {
            // The usual case. The cache is not asked, because the caller's transaction may hold
            // locks.
            return Ok(());
        }
        for (shard, students) in process.cache.by_shard(students.iter().copied(), |one| one.0) {
            let names = || students.iter().copied();
            let dropped = shard.with(|cache| schedules::drop_students(cache, &shard.keys, names()));
            match dropped.and_then(|_| self.counts(process, shard)) {
                Ok(true) => continue,
                Err(error) if error.is_failure_of(Server::Database) => return Err(error),
                Ok(false) | Err(_) => {}
            }
            let marks: Vec<_> = names().map(|(player, season)| (player, season, None)).collect();
            process
                .database
                .with(|database| unshown::mark_several(database, shard.place, &marks))?;
        }
        Ok(())
    }
}

//! Changes dates in a cached schedule without answers: by hand, and when the site retires
//! questions.

use super::RedisConnection;
use super::cache::{CacheScripts, score_text};
use super::keys::Keys;
use super::student::Student;
use crate::error::Result;
use crate::rules::by_subject;
use crate::rules::hidden::Retired;
use crate::rules::review::Review;

/// Dates that are set at a time.
const DATES: usize = 500;

/// Questions that are hidden or shown again at a time.
const RETIRED: usize = 500;

impl CacheScripts {
    /// Hides questions of a schedule that were retired since an earlier version, and shows those
    /// again that were restored. False: it was not done, because the schedule is no longer
    /// complete, or has another version by now.
    pub fn retire(
        &self,
        connection: &mut RedisConnection,
        student: Student<'_>,
        from: u64,
    ) -> Result<bool> {
        let changes = student.retired.since(from);
        let (most, mut first) = (changes.len().max(1), 0);
        while first < most {
            let next = (first + RETIRED).min(most);
            // The schedule has the new version once all of it is done.
            let to = if next == most { student.retired.version } else { from };
            let mut call = self.retire.key(&[
                student.schedule(),
                student.details(),
                student.by_subject(),
                student.fence(),
            ]);
            call.arg(student.generation).arg(from).arg(to);
            for (id, is_retired) in changes.get(first..next).unwrap_or_default() {
                call.arg(*id).arg(u8::from(*is_retired));
            }
            if !connection.script::<bool>(&call)? {
                return Ok(false);
            }
            first = next;
        }
        Ok(true)
    }

    /// The version of the retired questions that each of some students' schedules has; `None`
    /// where it has none.
    pub fn retired_versions(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        (players, season): (&[&str], &str),
    ) -> Result<Vec<Option<u64>>> {
        let mut pipeline = redis::pipe();
        for player in players {
            pipeline.cmd("HGET").arg(keys.details(player, season)).arg("\0");
        }
        let found: Vec<Option<String>> = connection.pipeline(&pipeline)?;
        // How many lists follow, then the version if it is not 0, then the head.
        let version = |text: String| match text.split_once(' ')?.0.split_once(',') {
            Some((_, version)) => version.parse().ok(),
            None => Some(0),
        };
        Ok(found.into_iter().map(|text| text.and_then(version)).collect())
    }

    /// Sets dates, in Unix seconds, in the cache only; the schedule then lives for
    /// `seconds_to_live`, which is until the Unix time `until`. Everything else that is cached of a
    /// question stays, and a hidden one stays hidden.
    pub fn set_dates(
        &self,
        connection: &mut RedisConnection,
        keys: &Keys,
        (player, season): (&str, &str),
        (dates, retired): (&[(String, i64)], &Retired),
        (seconds_to_live, until): (u64, i64),
    ) -> Result<()> {
        // In small parts, so that other calls do not wait long for Redis.
        for dates in dates.chunks(DATES) {
            let mut call = self.set_dates.key(&[
                keys.schedule(player, season),
                keys.details(player, season),
                keys.students(season),
                keys.by_subject(player, season),
                keys.fence(player, season),
            ]);
            call.arg(seconds_to_live).arg(until).arg(player);
            for (id, date) in dates {
                let new = Review { next_review: *date, ..Review::new(id) };
                call.arg(date).arg(score_text(*date, retired.has(id)));
                call.arg(by_subject::place(*date)).arg(id).arg(new.detail());
            }
            connection.script::<()>(&call)?;
        }
        Ok(())
    }
}

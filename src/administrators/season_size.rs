//! The size of a season, in a few milliseconds however large it is.

use crate::engine::Engine;
use crate::error::Result;
use crate::rules::names::check_season_name;
use crate::servers::mariadb::season_size;

/// Up to this many records are counted exactly.
const COUNTED_RECORDS: u64 = 10_000;
/// Up to this many students are counted exactly.
pub(super) const COUNTED_STUDENTS: usize = 1_000;
/// If there are more, the records of this many students give an estimate.
const SAMPLED_STUDENTS: usize = 32;

/// A season's records in the live table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeasonSize {
    /// How many there are.
    pub records: u64,
    /// Whether MariaDB estimates that.
    pub are_records_estimated: bool,
    /// How many students they belong to.
    pub students: u64,
    /// Whether that is an estimate from some of them.
    pub are_students_estimated: bool,
    /// Of the partition, as MariaDB estimates.
    pub bytes: u64,
}

impl Engine {
    /// How large a season is; `None`: it has no partition of its own.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn season_size(&self, season: &str) -> Result<Option<SeasonSize>> {
        // MariaDB would also find the partition of a season in lower case.
        if check_season_name(season).is_err() {
            return Ok(None);
        }
        self.process().background.with(|database| {
            let Some((estimate, bytes)) = season_size::partition(database, season)? else {
                return Ok(None);
            };
            let (counted, students) = if estimate <= 2 * COUNTED_RECORDS {
                season_size::first_records(database, season, COUNTED_RECORDS + 1)?
            } else {
                // The estimate is never so wrong that the count could not finish.
                (COUNTED_RECORDS + 1, 0)
            };
            if counted <= COUNTED_RECORDS {
                return Ok(Some(SeasonSize {
                    records: counted,
                    are_records_estimated: false,
                    students,
                    are_students_estimated: false,
                    bytes,
                }));
            }
            let records = estimate.max(counted);
            let first = season_size::first_students(database, season, COUNTED_STUDENTS + 1)?;
            let are_students_estimated = first.len() > COUNTED_STUDENTS;
            let students = if are_students_estimated {
                let step = first.len() / SAMPLED_STUDENTS;
                let sample: Vec<&str> = first.iter().step_by(step).map(String::as_str).collect();
                let theirs = season_size::records_of(database, season, &sample)?;
                let all = records * sample.len() as u64 / theirs.max(1);
                all.max(first.len() as u64)
            } else {
                first.len() as u64
            };
            let are_records_estimated = true;
            Ok(Some(SeasonSize {
                records,
                are_records_estimated,
                students,
                are_students_estimated,
                bytes,
            }))
        })
    }
}

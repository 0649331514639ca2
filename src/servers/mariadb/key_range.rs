//! Walks the records of one season in the order of their key, some thousands at a time.

use mysql::{Conn, Value};

use super::shape::{ARCHIVE, LIVE, Shape};
use super::statements::row;
use crate::error::Result;

/// Where records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the season's partition of the live table.
    Live,
    /// In the archive.
    Archive,
}

impl Place {
    /// The table.
    pub fn shape(self) -> &'static Shape {
        match self {
            Place::Live => &LIVE,
            Place::Archive => &ARCHIVE,
        }
    }

    /// The table that a statement about a season reads, under the name `r`. The season's name has
    /// been checked.
    ///
    /// The index is forced: for MariaDB's optimizer a range of the key is as good as any other way
    /// to the season, and it would sort the season again for each step.
    pub fn records_of(self, season: &str) -> String {
        match self {
            Place::Live => {
                format!("`{}` PARTITION (`{season}`) AS r FORCE INDEX (PRIMARY)", LIVE.table)
            }
            Place::Archive => format!("`{}` AS r FORCE INDEX (PRIMARY)", ARCHIVE.table),
        }
    }
}

/// A record's place in its season: player and question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The student; an empty name comes before all others.
    pub player: String,
    /// The question.
    pub question_id: String,
}

/// The records of a season after one key, up to another.
pub struct KeyRange {
    /// The season.
    pub season: String,
    /// The last key before the range.
    pub after: Key,
    /// The last key of the range; `None`: to the end.
    pub until: Option<Key>,
}

impl KeyRange {
    /// The next range, of `rows` records, or of all that are left if there are fewer.
    pub fn next(
        connection: &mut Conn,
        place: Place,
        season: &str,
        after: &Key,
        rows: usize,
    ) -> Result<KeyRange> {
        let rest = KeyRange { season: season.to_owned(), after: after.clone(), until: None };
        let sql = format!(
            "SELECT r.player, r.question_id FROM {} WHERE {} ORDER BY r.player, r.question_id \
             LIMIT 1 OFFSET {}",
            place.records_of(season),
            rest.condition(),
            rows - 1
        );
        let until: Option<(String, String)> = row(connection, &sql, rest.params())?;
        Ok(KeyRange {
            until: until.map(|(player, question_id)| Key { player, question_id }),
            ..rest
        })
    }

    /// The range in SQL, for records under the name `r`.
    pub fn condition(&self) -> &'static str {
        match self.until {
            Some(_) => {
                "r.season = ? AND (r.player > ? OR r.player = ? AND r.question_id > ?) \
                 AND (r.player < ? OR r.player = ? AND r.question_id <= ?)"
            }
            None => "r.season = ? AND (r.player > ? OR r.player = ? AND r.question_id > ?)",
        }
    }

    /// The parameters of [`KeyRange::condition`].
    pub fn params(&self) -> Vec<Value> {
        let Key { player, question_id } = &self.after;
        let mut params: Vec<Value> =
            vec![self.season.as_str().into(), player.into(), player.into(), question_id.into()];
        if let Some(Key { player, question_id }) = &self.until {
            params.extend([player.into(), player.into(), Value::from(question_id)]);
        }
        params
    }
}

//! The live table: reads students' records, and writes new states.

use mysql::prelude::Queryable;
use mysql::{Binary, Conn, QueryResult, Value};

use super::bulk::{Insert, Writing};
use super::dates::{date_value, date_value_us};
use super::journal::Begun;
use super::key_range::Place;
use super::record_row::{COLUMNS, IS_EDITED, apart, record, review};
use super::retired::IS_NOT_RETIRED;
use super::row_names::Names;
use super::shape::LIVE;
use super::statements::{placeholders, row, rows};
use super::suspended::IS_NOT_SUSPENDED;
use crate::error::{Error, Result};
use crate::rules::clock::{SiteZone, now_us};
use crate::rules::lineage::Record;
use crate::rules::review::Review;

/// All records of some students in a season, in the order of `players`. Each student's are one
/// range of the primary key. Empty if the season is archived or being archived.
pub fn of_students(
    connection: &mut Conn,
    zone: &SiteZone,
    players: &[&str],
    season: &str,
) -> Result<Vec<Vec<Review>>> {
    // One statement for each student: with several, MariaDB compares each row with all of them.
    let sql = format!(
        "SELECT {COLUMNS} FROM `tabPlayer Memory Tracker` WHERE player = ? AND season = ? \
         AND NOT EXISTS (SELECT 1 FROM memora_archive WHERE season = ?)"
    );
    let mut records = Vec::with_capacity(players.len());
    for player in players {
        let rows =
            connection.exec_iter(&sql, (player, season, season)).map_err(Error::from_mariadb)?;
        let mut reviews = Vec::new();
        for row in rows {
            let row = mysql::from_row_opt(row.map_err(Error::from_mariadb)?);
            let row = row.map_err(|error| {
                Error::Fault(format!("a record of {player} cannot be read: {error}"))
            })?;
            reviews.push(review(zone, row));
        }
        records.push(reviews);
    }
    Ok(records)
}

/// All records of a season, student by student, from one snapshot.
///
/// It is one statement without a condition, because finding where a student's records end costs
/// MariaDB as much as reading them. So the season needs its own partition.
pub struct Scan<'c> {
    rows: QueryResult<'c, 'c, 'c, Binary>,
    zone: &'c SiteZone,
    next: Option<(String, Review)>,
}

impl<'c> Scan<'c> {
    /// Begins the scan. The caller has checked the season's name.
    pub fn begin(connection: &'c mut Conn, zone: &'c SiteZone, season: &str) -> Result<Scan<'c>> {
        let sql = format!(
            "SELECT {COLUMNS}, player FROM `{}` PARTITION (`{season}`) FORCE INDEX (PRIMARY) ORDER \
             BY player",
            LIVE.table
        );
        let rows = connection.exec_iter(sql, ()).map_err(Error::from_mariadb)?;
        let mut scan = Scan { rows, zone, next: None };
        scan.next = scan.read()?;
        Ok(scan)
    }

    /// The next student with all their records; `None`: there are no more.
    pub fn next_student(&mut self) -> Result<Option<(String, Vec<Review>)>> {
        let Some((player, first)) = self.next.take() else { return Ok(None) };
        let mut reviews = vec![first];
        while let Some((next, review)) = self.read()? {
            if next != player {
                self.next = Some((next, review));
                break;
            }
            reviews.push(review);
        }
        Ok(Some((player, reviews)))
    }

    fn read(&mut self) -> Result<Option<(String, Review)>> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        let row = mysql::from_row_opt(row.map_err(Error::from_mariadb)?);
        let row = row.map_err(|error| Error::Fault(format!("a record cannot be read: {error}")))?;
        let (row, player) = apart(row);
        Ok(Some((player, review(self.zone, row))))
    }
}

/// The next students who have records in a season, in the order of the primary key.
///
/// It takes one step of the key for each student. `SELECT DISTINCT player ... LIMIT` would be one
/// statement, but MariaDB 10.11 reads every record for it if it has no statistics yet, or runs a
/// prepared statement again.
pub fn students(
    connection: &mut Conn,
    season: &str,
    after: &str,
    most: usize,
) -> Result<Vec<String>> {
    let sql = "SELECT player FROM `tabPlayer Memory Tracker` FORCE INDEX (PRIMARY) \
               WHERE season = ? AND player > ? ORDER BY player LIMIT 1";
    let mut found: Vec<String> = Vec::with_capacity(most);
    while found.len() < most {
        let last = found.last().map_or(after, String::as_str);
        let Some(player) = row(connection, sql, (season, last))? else { break };
        found.push(player);
    }
    Ok(found)
}

/// Some records of a student, in the table that `place` names, locked until the transaction ends.
pub fn lock(
    connection: &mut Conn,
    zone: &SiteZone,
    place: Place,
    (player, season): (&str, &str),
    question_ids: &[&str],
) -> Result<Vec<Record>> {
    let list = placeholders(question_ids.len());
    let sql = format!(
        "SELECT {COLUMNS}, {IS_EDITED} FROM `{}` \
         WHERE player = ? AND season = ? AND question_id IN ({list}) FOR UPDATE",
        place.shape().table
    );
    let mut params: Vec<Value> = vec![player.into(), season.into()];
    params.extend(question_ids.iter().map(Value::from));
    Ok(rows(connection, &sql, params)?.into_iter().map(|row| record(zone, row)).collect())
}

/// All records of a student in a season, with what is needed to apply answers to them. Empty if the
/// season is archived or being archived.
pub fn standing(
    connection: &mut Conn,
    zone: &SiteZone,
    player: &str,
    season: &str,
) -> Result<Vec<Record>> {
    let sql = format!(
        "SELECT {COLUMNS}, {IS_EDITED} FROM `tabPlayer Memory Tracker` WHERE player = ? AND season \
         = ? \
         AND NOT EXISTS (SELECT 1 FROM memora_archive WHERE season = ?)"
    );
    let found = rows(connection, &sql, (player, season, season))?;
    Ok(found.into_iter().map(|row| record(zone, row)).collect())
}

/// A record whose order is ahead of the clock.
pub struct Ahead {
    /// The student.
    pub player: String,
    /// The season.
    pub season: String,
    /// The question.
    pub question_id: String,
    /// The order.
    pub order: i64,
}

/// At most `most` records with an order after this one. Reads the whole table without locks.
pub fn ahead(connection: &mut Conn, order: i64, most: usize) -> Result<Vec<Ahead>> {
    let sql = format!(
        "SELECT player, season, question_id, answered_at_us FROM `{}` WHERE answered_at_us > ? \
         LIMIT {most}",
        LIVE.table
    );
    let found: Vec<(String, String, String, i64)> = rows(connection, &sql, (order,))?;
    let ahead = |(player, season, question_id, order)| Ahead { player, season, question_id, order };
    Ok(found.into_iter().map(ahead).collect())
}

/// Gives records this order, if they still have their own. Returns how many were changed.
pub fn put_back(connection: &mut Conn, records: &[Ahead], order: i64) -> Result<u64> {
    let sql = format!(
        "UPDATE `{}` SET answered_at_us = ? \
         WHERE player = ? AND season = ? AND question_id = ? AND answered_at_us = ?",
        LIVE.table
    );
    let mut changed = 0;
    for record in records {
        let params = (order, &record.player, &record.season, &record.question_id, record.order);
        let result = connection.exec_iter(&sql, params).map_err(Error::from_mariadb)?;
        changed += result.affected_rows();
    }
    Ok(changed)
}

/// The number of due records of a student and the first `limit` of them, through the composite
/// index. `now` is in Unix seconds. Hidden questions are not due.
pub fn due(
    connection: &mut Conn,
    zone: &SiteZone,
    (player, season): (&str, &str),
    (subject, now, limit): (Option<&str>, i64, u32),
    Begun { suspends, retires, .. }: Begun,
) -> Result<(u64, Vec<Review>)> {
    let mut filter = if subject.is_some() { " AND subject = ?" } else { "" }.to_owned();
    for (is_any, condition) in [(retires, IS_NOT_RETIRED), (suspends, IS_NOT_SUSPENDED)] {
        if is_any {
            filter = format!("{filter} AND {condition}");
        }
    }
    let condition = format!("player = ? AND season = ? AND next_review_date <= ?{filter}");
    let table = "`tabPlayer Memory Tracker` FORCE INDEX (player_season_next_review_date)";
    let mut params: Vec<Value> = vec![player.into(), season.into(), date_value(zone, now)];
    params.extend(subject.map(Value::from));
    let total = row(
        connection,
        &format!("SELECT COUNT(*) FROM {table} WHERE {condition}"),
        params.clone(),
    )?;
    // Records due at the same time are sorted by id, because InnoDB's indexes end with the primary
    // key. Asking for that order would make MariaDB sort.
    let sql = format!(
        "SELECT {COLUMNS} FROM {table} WHERE {condition} ORDER BY next_review_date LIMIT {limit}"
    );
    let reviews =
        rows(connection, &sql, params)?.into_iter().map(|row| review(zone, row)).collect();
    Ok((total.unwrap_or(0), reviews))
}

/// A new state on its way to the table.
#[derive(Clone, Copy)]
pub struct NewState<'a> {
    /// The student.
    pub player: &'a str,
    /// The season.
    pub season: &'a str,
    /// The state.
    pub review: &'a Review,
}

impl NewState<'_> {
    /// The order of the primary key.
    pub fn key(&self) -> (&str, &str, &str) {
        (self.player, self.season, &self.review.question_id)
    }
}

/// In place of an order, for [`upsert_expecting`]: the state was computed without a record.
pub const NO_RECORD: i64 = -1;

const STATE_COLUMNS: &str = "name, creation, modified, player, modified_by, owner, season, \
question_id, stability, next_review_date, last_review_date, subject, topic, answered_at_us, \
memory_stability, memory_difficulty, lapses";

/// Their values: the student is the owner, and the time of the answer is the creation.
const STATE_VALUES: &str = "?, ?, creation, ?, player, player, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
?";

/// The columns that a state changes in an existing record, except the stability.
const CHANGED: &str = "modified = VALUES(modified), modified_by = VALUES(modified_by), \
    next_review_date = VALUES(next_review_date), last_review_date = VALUES(last_review_date), \
    subject = VALUES(subject), topic = VALUES(topic), answered_at_us = VALUES(answered_at_us), \
    memory_stability = VALUES(memory_stability), memory_difficulty = VALUES(memory_difficulty), \
    lapses = VALUES(lapses)";

/// Inserts states, or overwrites existing records, which the caller has locked. Sort them by their
/// key first, so that the table is written in its own order.
pub fn upsert(
    connection: &mut Conn,
    writing: Writing<'_>,
    place: Place,
    states: &[NewState<'_>],
) -> Result<()> {
    if states.is_empty() {
        return Ok(());
    }
    let update = format!("ON DUPLICATE KEY UPDATE stability = VALUES(stability), {CHANGED}");
    let (more, value) = match place {
        Place::Live => ("", ""),
        // A late answer is archived as of the time at which it was given.
        Place::Archive => (", archived_at", ", creation"),
    };
    let into = format!("INSERT INTO `{}` ({STATE_COLUMNS}{more})", place.shape().table);
    let values = format!("({STATE_VALUES}{value})");
    let (names, now_us) = (Names::new(), now_us());
    let rows = states.iter().map(|state| state_values(writing.zone, &names, now_us, state));
    Insert { into: &into, values: &values, update: &update }.run(connection, writing, rows)
}

/// Writes states, each with the order of the record that it was computed from, or [`NO_RECORD`].
/// They must be sorted as for [`upsert`].
///
/// # Errors
/// [`Error::Refused`] with the code [`super::errors::NOT_NULL`]: a record has another state. The
/// caller must roll back the transaction.
pub fn upsert_expecting(
    connection: &mut Conn,
    writing: Writing<'_>,
    states: &[(NewState<'_>, i64)],
) -> Result<()> {
    if states.is_empty() {
        return Ok(());
    }
    // The bulk protocol does not report which rows were changed, but NULL in a NOT NULL column
    // fails.
    let update = format!(
        "ON DUPLICATE KEY UPDATE \
         stability = IF(COALESCE(answered_at_us, 0) = ?, VALUES(stability), NULL), {CHANGED}"
    );
    let into = format!("INSERT INTO `{}` ({STATE_COLUMNS})", LIVE.table);
    let values = format!("({STATE_VALUES})");
    let (names, now_us) = (Names::new(), now_us());
    let rows = states.iter().map(|(state, from)| {
        let mut row = state_values(writing.zone, &names, now_us, state);
        row.push((*from).into());
        row
    });
    Insert { into: &into, values: &values, update: &update }.run(connection, writing, rows)
}

/// The values of [`STATE_VALUES`], with room for one more.
fn state_values(zone: &SiteZone, names: &Names, now_us: i64, state: &NewState<'_>) -> Vec<Value> {
    let review = state.review;
    // An order can be ahead of the clock.
    let (seconds, microseconds) = split(review.answered_at_us.min(now_us));
    // As text, because MariaDB converts a `DOUBLE` to a `DECIMAL` by printing it first.
    let (stability, difficulty) = review.memory.wholes_as_text();
    let mut values = Vec::with_capacity(15);
    values.extend([
        Value::Bytes(names.next()),
        date_value_us(zone, seconds, microseconds),
        state.player.into(),
        state.season.into(),
        review.question_id.as_str().into(),
        review.stability.into(),
        date_value(zone, review.next_review),
        last_review_value(zone, review),
        review.subject.as_deref().into(),
        review.topic.as_deref().into(),
        review.answered_at_us.into(),
        stability.into(),
        difficulty.into(),
        review.memory.lapses.into(),
    ]);
    values
}

/// The date of the last review. It has the microseconds of the student's own answer; Frappe's other
/// dates have none.
pub fn last_review_value(zone: &SiteZone, review: &Review) -> Value {
    let (seconds, microseconds) = split(review.answered_at_us);
    match review.last_review {
        Some(last) if last == seconds => date_value_us(zone, last, microseconds),
        Some(last) => date_value(zone, last),
        None => Value::NULL,
    }
}

/// Microseconds as seconds and the rest.
pub fn split(microseconds: i64) -> (i64, u32) {
    let rest = u32::try_from(microseconds.rem_euclid(1_000_000)).unwrap_or(0);
    (microseconds.div_euclid(1_000_000), rest)
}

/// Cuts a text to the 140 characters of a column of Frappe's, so that no record fails because of
/// it.
pub fn cut(text: &str) -> String {
    text.chars().take(140).collect()
}

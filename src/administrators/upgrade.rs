//! Takes over answers that version 0.1 took while both Redis servers were down
//! (`memora_blind_answer`).
//!
//! It wrote them to the table of records at once, and kept them for a replay once the journal
//! showed what came before them. This module restores the records' earlier states, and turns the
//! answers into entries of `memora_journal`.

use std::collections::HashMap;

use mysql::Conn;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::rules::entry::{Entry, fingerprint};
use crate::rules::head::Head;
use crate::rules::plan::{by_question, plan};
use crate::rules::review::Review;
use crate::rules::submission::Submission;
use crate::servers::mariadb::bulk::Writing;
use crate::servers::mariadb::key_range::Place;
use crate::servers::mariadb::records::{self, NewState};
use crate::servers::mariadb::transaction::in_transaction;
use crate::servers::mariadb::{journal, old_blind_answers};

#[derive(Deserialize)]
struct Blind {
    base: Vec<Review>,
    submissions: Vec<BlindSubmission>,
}

#[derive(Deserialize)]
struct BlindSubmission {
    answered_at_us: i64,
    submission: Submission,
}

/// Takes over all of it, and removes the table. Returns how many submissions there were; `None`:
/// there is no such table.
///
/// # Errors
/// When MariaDB is down, or a row cannot be read. Running it again continues.
pub fn take_over_blind_answers(database: &mut Conn, writing: Writing<'_>) -> Result<Option<usize>> {
    if !old_blind_answers::exists(database)? {
        return Ok(None);
    }
    let mut taken = 0;
    for (player, season, text) in old_blind_answers::all(database)? {
        let blind: Blind = serde_json::from_str(&text).map_err(|error| {
            Error::Fault(format!("a row of memora_blind_answer cannot be read: {error}"))
        })?;
        in_transaction(database, |database| {
            put_back(database, writing, (&player, &season), &blind)?;
            let mut states = by_question(blind.base.clone());
            for (place, one) in blind.submissions.iter().enumerate() {
                let (at_us, submission) = (one.answered_at_us, &one.submission);
                let plan = plan(writing.zone, submission, &states, at_us, at_us / 1_000_000);
                let token = format!("blind-{at_us:x}-{place}-{}", fingerprint(&player, &season));
                let entry = Entry::new(
                    token,
                    (at_us, at_us),
                    Head::default(),
                    submission,
                    &states,
                    plan.reviews,
                );
                let text = entry
                    .to_text()
                    .map_err(|error| Error::Fault(format!("answers cannot be written: {error}")))?;
                journal::append(database, &entry.token, (&player, &season), &text)?;
                states.extend(by_question(entry.states));
            }
            old_blind_answers::remove(database, &player, &season)
        })?;
        taken += blind.submissions.len();
    }
    old_blind_answers::drop_table(database)?;
    Ok(Some(taken))
}

/// Restores records that blind answers have changed to their states before.
fn put_back(
    database: &mut Conn,
    writing: Writing<'_>,
    (player, season): (&str, &str),
    blind: &Blind,
) -> Result<()> {
    let ids: Vec<String> =
        blind.submissions.iter().flat_map(|one| one.submission.question_ids()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let base: HashMap<&str, &Review> =
        blind.base.iter().map(|state| (state.question_id.as_str(), state)).collect();
    let is_blind = |order: i64| blind.submissions.iter().any(|one| one.answered_at_us == order);
    let standing = records::lock(database, writing.zone, Place::Live, (player, season), &ids)?;
    let changed = standing.iter().filter(|record| is_blind(record.review.answered_at_us));
    let (known, new): (Vec<_>, Vec<_>) = changed
        .map(|record| record.review.question_id.as_str())
        .partition(|id| base.contains_key(id));
    let states: Vec<NewState<'_>> =
        known.into_iter().map(|id| NewState { player, season, review: base[id] }).collect();
    records::upsert(database, writing, Place::Live, &states)?;
    old_blind_answers::remove_records(database, player, season, &new)
}

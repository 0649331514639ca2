//! The drain's transaction: applies students' entries to the records of the table, and writes their
//! audit records.

use std::collections::HashSet;
use std::time::Duration;

use backon::{BlockingRetryable, ConstantBuilder};
use mysql::Conn;

use super::counted::Counted;
use super::waiting::{Part, Waiting, Written};
use crate::engine::Engine;
use crate::error::{Error, Result, Server};
use crate::rules::acknowledgement::has_key;
use crate::rules::counted_on::counts_on;
use crate::rules::entry::{Entry, From};
use crate::rules::in_order::left_of;
use crate::rules::lineage::{States, apply, counts, holds, is_early};
use crate::rules::review::Review;
use crate::rules::undo;
use crate::servers::mariadb::errors::{DUPLICATE, NOT_NULL, is_contention};
use crate::servers::mariadb::key_range::Place;
use crate::servers::mariadb::records::{self, NO_RECORD, NewState};
use crate::servers::mariadb::transaction::in_transaction;
use crate::servers::mariadb::{archive, audits, journal};

/// States to write, sorted by question, each with the order of the state that it was computed from.
type Chain<'a> = Vec<(i64, &'a Review)>;

/// The result of applying some entries of a student.
pub(super) struct Settled {
    /// Where the season's records are.
    pub place: Place,
    /// The states that changed.
    pub changed: Vec<Review>,
    /// The outcome of each entry that counts. If there are fewer than entries, the next one came
    /// early.
    pub counted: Vec<Counted>,
    /// Whether an answer was computed again: the cache may show its earlier result.
    pub is_replayed: bool,
}

/// The pauses before a batch is tried again after another drain interfered.
const PAUSES: ConstantBuilder =
    ConstantBuilder::new().with_delay(Duration::from_millis(5)).with_max_times(20).with_jitter();

impl Engine {
    /// Writes entries in one transaction, and tries again if another drain interferes.
    pub(super) fn write_together(
        &self,
        database: &mut Conn,
        parts: &[Part<'_>],
        lost: &HashSet<String>,
    ) -> Result<Written> {
        let mut is_expected = true;
        let write = || match self.write_in_transaction(database, parts, lost, is_expected) {
            // A record is not what the states were computed from: the records are read.
            Err(Error::Refused { server: Server::Database, code: NOT_NULL, .. }) if is_expected => {
                is_expected = false;
                self.write_in_transaction(database, parts, lost, is_expected)
            }
            written => written,
        };
        write.retry(PAUSES).when(came_in_the_way).call()
    }

    /// Writes the students' entries that have no audit record yet, in one transaction. With
    /// `is_expected`, entries that form a chain are written without reading the records. MariaDB
    /// refuses them if a record is not what they were computed from.
    pub(super) fn write_in_transaction(
        &self,
        database: &mut Conn,
        parts: &[Part<'_>],
        lost: &HashSet<String>,
        is_expected: bool,
    ) -> Result<Written> {
        let mut written = Written::default();
        if parts.is_empty() {
            return Ok(written);
        }
        let writing = self.settings.writing();
        in_transaction(database, |database| {
            let archived = archived_of(database, parts)?;
            let tokens: Vec<&str> = parts
                .iter()
                .flat_map(|part| part.entries.iter().map(|entry| entry.token.as_str()))
                .collect();
            let before = audits::audited(database, &tokens)?;
            let mut expected: Vec<(NewState<'_>, i64)> = Vec::new();
            let mut settled: Vec<(&Waiting, Settled)> = Vec::new();
            let (mut of_entries, mut undone) = (Vec::new(), Vec::new());
            for &Part { student, entries } in parts {
                let new: Vec<&Entry> =
                    entries.iter().filter(|entry| !before.contains(&entry.token)).collect();
                // A submission that counted before, as an entry of another order, only leaves its
                // order.
                let is_again = entries
                    .iter()
                    .any(|entry| before.contains(&entry.token) && has_key(&entry.token));
                let is_archived = archived.contains(&student.season);
                let chain = (is_expected && !is_archived && !is_again && student.is_chain())
                    .then(|| chain(&new))
                    .flatten();
                match chain {
                    Some(states) => {
                        expected.extend(states.into_iter().map(|(from, review)| {
                            (
                                NewState {
                                    player: &student.player,
                                    season: &student.season,
                                    review,
                                },
                                from,
                            )
                        }));
                        let audits = new.iter();
                        of_entries.extend(
                            audits.map(|entry| student.audit(entry, Counted::as_computed(entry))),
                        );
                    }
                    None => {
                        // Each entry, with the part of it that must still count.
                        let left: Vec<(&Entry, Option<Entry>)> = if is_again {
                            let left = |entry| Some((entry, Some(left_of(entry, &before)?)));
                            entries.iter().filter_map(left).collect()
                        } else {
                            new.iter().map(|entry| (*entry, None)).collect()
                        };
                        let count: Vec<&Entry> = left
                            .iter()
                            .map(|(entry, left)| left.as_ref().unwrap_or(entry))
                            .collect();
                        let mut found =
                            self.settle(database, student.name(), &count, is_archived, lost)?;
                        let early = count.get(found.counted.len());
                        written.early.extend(early.map(|entry| entry.token.clone()));
                        let is_whole: Vec<bool> =
                            count.iter().map(|entry| !entry.has_counted()).collect();
                        let counted = std::mem::take(&mut found.counted);
                        for (((entry, _), is_whole), counted) in
                            left.iter().zip(is_whole).zip(counted)
                        {
                            if is_whole {
                                undone
                                    .extend(entry.undoes.as_deref().filter(|_| counted.has_undone));
                                of_entries.push(student.audit(entry, counted));
                            }
                        }
                        settled.push((student, found));
                    }
                }
            }
            // Before the commit: a drain that dies after it could tell no process.
            let replayed = settled.iter().filter(|(_, settled)| settled.is_replayed);
            let replayed: Vec<_> = replayed.map(|(student, _)| student.name()).collect();
            self.drop_schedules(&self.process(), &replayed)?;
            expected.sort_unstable_by(|one, other| one.0.key().cmp(&other.0.key()));
            records::upsert_expecting(database, writing, &expected)?;
            for place in [Place::Live, Place::Archive] {
                let mut states: Vec<NewState<'_>> = settled
                    .iter()
                    .filter(|(_, settled)| settled.place == place)
                    .flat_map(|(student, settled)| new_states(student.name(), &settled.changed))
                    .collect();
                states.sort_unstable_by(|one, other| one.key().cmp(&other.key()));
                records::upsert(database, writing, place, &states)?;
            }
            audits::audit(database, writing, &of_entries)?;
            audits::mark_undone(database, &undone)?;
            written.answers = of_entries.iter().map(|audit| audit.answers).sum();
            written.done = before;
            written.done.extend(of_entries.iter().map(|audit| audit.job_id.to_owned()));
            let ids: Vec<i64> =
                parts.iter().flat_map(|part| part.student.ids_of(&written.done)).collect();
            journal::remove(database, &ids)
        })?;
        Ok(written)
    }

    /// Reads the records and applies entries to them in order, up to the first entry that was
    /// computed from something that has not arrived yet.
    pub(super) fn settle(
        &self,
        database: &mut Conn,
        student: (&str, &str),
        entries: &[&Entry],
        is_archived: bool,
        lost: &HashSet<String>,
    ) -> Result<Settled> {
        let mut ids: Vec<&str> = entries
            .iter()
            .flat_map(|entry| {
                let states = entry.states.iter().map(|state| state.question_id.as_str());
                states.chain(entry.from.iter().map(|(id, _)| id.as_str()))
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let mut states = self.standing(database, student, &ids, is_archived)?;
        let mut ids: HashSet<String> = HashSet::new();
        let (mut counted, mut is_replayed) = (Vec::with_capacity(entries.len()), false);
        for entry in entries {
            if is_early(&states, entry) && !lost.contains(&entry.token) {
                break;
            }
            let holds = holds(&states, entry);
            is_replayed |= entry.has_counted() || !holds;
            let on = counts_on(&states, entry);
            let has_undone = entry.undoes.is_some() && counts(&states, entry);
            let before = (!holds).then(|| states.clone());
            let changed = apply(&self.settings.zone, &mut states, entry);
            let order = changed.first().and_then(|id| states.state(id)).map_or(0, |(_, rank)| rank);
            let replaced = match before {
                None => undo::as_computed(entry, order),
                Some(before) => undo::computed_again(entry, &on, &before, (&changed, order)),
            };
            counted.push(Counted { on, replaced, has_undone });
            ids.extend(changed);
        }
        let place = if is_archived { Place::Archive } else { Place::Live };
        Ok(Settled { place, changed: states.to_write(&ids), counted, is_replayed })
    }

    /// The records of some questions, locked until the transaction ends.
    fn standing(
        &self,
        database: &mut Conn,
        student: (&str, &str),
        ids: &[&str],
        is_archived: bool,
    ) -> Result<States> {
        let zone = &self.settings.zone;
        let mut states = States::default();
        if ids.is_empty() {
            return Ok(states);
        }
        let mut missing = ids.to_vec();
        if is_archived {
            // A record that has been copied counts as it is in the archive.
            let found = records::lock(database, zone, Place::Archive, student, ids)?;
            missing.retain(|id| !found.iter().any(|record| record.review.question_id == *id));
            states.extend(found);
        }
        if !missing.is_empty() {
            states.extend(records::lock(database, zone, Place::Live, student, &missing)?);
        }
        Ok(states)
    }

    /// Applies one entry to the present records, whatever it was computed from.
    pub(crate) fn count_alone(
        &self,
        database: &mut Conn,
        student: (&str, &str),
        entry: &Entry,
    ) -> Result<()> {
        let is_archived = !archive::lock_archived(database, &[student.1])?.is_empty();
        let lost = HashSet::from([entry.token.clone()]);
        let settled = self.settle(database, student, &[entry], is_archived, &lost)?;
        records::upsert(
            database,
            self.settings.writing(),
            settled.place,
            &new_states(student, &settled.changed),
        )
    }
}

/// Whether a write failed because another drain wrote at the same time.
fn came_in_the_way(error: &Error) -> bool {
    is_contention(error)
        || matches!(error, Error::Refused { server: Server::Database, code: DUPLICATE, .. })
}

/// Which of the students' seasons are archived or being archived. A lock keeps the other seasons
/// unarchived until the transaction ends.
pub(super) fn archived_of(database: &mut Conn, parts: &[Part<'_>]) -> Result<HashSet<String>> {
    let mut seasons: Vec<&str> = parts.iter().map(|part| part.student.season.as_str()).collect();
    seasons.sort_unstable();
    seasons.dedup();
    let archived = archive::lock_archived(database, &seasons)?;
    for season in &archived {
        log::warn!("answers to {season} came after it was archived, and were archived, too");
    }
    Ok(archived)
}

/// The last state of each question, with the order of what its first state was computed from.
/// `None` unless each entry was computed from the one before.
fn chain<'a>(entries: &[&'a Entry]) -> Option<Chain<'a>> {
    let mut steps: Vec<(&str, Option<From>, Option<&Review>)> = Vec::new();
    for entry in entries {
        // The entry has no memories; the record's memory must stay.
        if !entry.remembers {
            return None;
        }
        // Both are in the order of the questions, and each state is of one of them.
        let mut states = entry.states.iter().peekable();
        for (id, from) in &entry.from {
            steps.push((id, *from, states.next_if(|state| state.question_id == *id)));
        }
        if states.next().is_some() {
            return None;
        }
    }
    // A stable sort: the steps of each question stay in order.
    steps.sort_by_key(|(id, ..)| *id);
    let mut last_states = Chain::with_capacity(steps.len());
    for of_question in steps.chunk_by(|one, other| one.0 == other.0) {
        let mut known: Option<(i64, &Review)> = None;
        for (_, from, state) in of_question {
            if let Some((_, state)) = known
                && !from.is_some_and(|from| from.is(From::of(state)))
            {
                return None;
            }
            if let Some(state) = state {
                let first = known
                    .map_or_else(|| from.map_or(NO_RECORD, |from| from.order), |(first, _)| first);
                known = Some((first, state));
            }
        }
        last_states.extend(known);
    }
    Some(last_states)
}

pub(super) fn new_states<'a>(
    (player, season): (&'a str, &'a str),
    changed: &'a [Review],
) -> Vec<NewState<'a>> {
    changed.iter().map(|review| NewState { player, season, review }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::clock::SiteZone;
    use crate::rules::head::Head;
    use crate::rules::plan::{by_question, plan};
    use crate::rules::submission::Submission;
    use proptest::prelude::*;

    /// Entries, each computed from all before it, and the records once they are written.
    fn entries(given: &[Vec<(usize, u8)>]) -> (Vec<Entry>, Vec<Review>) {
        let zone = SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"));
        let mut known = by_question(vec![Review { answered_at_us: 7, ..Review::new("s") }]);
        let answer = |(id, quality): &(usize, u8)| {
            let id = ["s", "s:1", "q", "r"][*id];
            format!(r#"{{"question_id": "{id}", "quality": {quality}}}"#)
        };
        let entries = given.iter().zip(10..).map(|(answers, order)| {
            let answers: Vec<String> = answers.iter().map(answer).collect();
            let submission = Submission::from_responses(&format!("[{}]", answers.join(",")));
            let submission = submission.unwrap_or_default();
            let states = plan(&zone, &submission, &known, order, order).reviews;
            let (token, base) = (order.to_string(), Head::default());
            let entry =
                Entry::new(token, (order, order), base, &submission, &known, states.clone());
            known.extend(by_question(states));
            entry
        });
        let entries: Vec<Entry> = entries.collect();
        let mut states: Vec<Review> = known.into_values().collect();
        states.retain(|state| state.answered_at_us > 7);
        states.sort_unstable_by(|one, other| one.question_id.cmp(&other.question_id));
        (entries, states)
    }

    proptest! {
        /// A chain has the last state of each question, sorted by question, with the order of what
        /// the first one was computed from.
        #[test]
        fn a_chain_leads_to_its_last_states(
            given in proptest::collection::vec(
                proptest::collection::vec((0usize..4, 0u8..6), 1..4), 1..5,
            ),
        ) {
            let (entries, states) = entries(&given);
            let found = chain(&entries.iter().collect::<Vec<_>>()).unwrap_or_default();
            let last: Vec<&Review> = found.iter().map(|(_, state)| *state).collect();
            prop_assert_eq!(last, states.iter().collect::<Vec<_>>());
            for (from, state) in found {
                prop_assert_eq!(from, if state.question_id == "s" { 7 } else { NO_RECORD });
            }
        }
    }

    #[test]
    fn what_was_computed_from_something_else_is_no_chain() {
        let (entries, _) = entries(&[vec![(2, 5)], vec![(2, 5)], vec![(2, 5), (3, 5)]]);
        assert!(chain(&[&entries[0], &entries[2]]).is_none());
        let later = [&entries[1], &entries[2]];
        let orders = |states: Chain<'_>| states.iter().map(|(from, _)| *from).collect::<Vec<_>>();
        assert_eq!(chain(&later).map(orders), Some(vec![10, NO_RECORD]));
    }
}

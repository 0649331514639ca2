//! Bringing a student's entries together: in which order they count, and which of their states still hold. Pure.
//!
//! No clock decides. An entry says what it was computed from. One that was computed from what stands there is
//! taken as it is; any other is computed again, from its answers, on what stands there.

use std::collections::{HashMap, HashSet};

use crate::clock::SiteZone;
use crate::entry::{Entry, From, from_of};
use crate::plan::plan;
use crate::review::Review;

/// What stands there of a student: states by question.
#[derive(Clone, Debug, Default)]
pub struct States {
    of: HashMap<String, Review>,
    edited: HashSet<String>,
}

impl States {
    /// Adds what the table has.
    pub fn extend(&mut self, records: Vec<Record>) {
        for Record { review, is_edited } in records {
            if is_edited {
                self.edited.insert(review.question_id.clone());
            }
            self.of.insert(review.question_id.clone(), review);
        }
    }

    /// The states, in no order.
    pub fn into_reviews(self) -> Vec<Review> {
        self.of.into_values().collect()
    }

    fn known(&self, id: &str) -> Option<From> {
        self.of.get(id).map(from_of)
    }
}

/// A record as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its state.
    pub review: Review,
    /// Somebody else than the student was the last to change it: an edit settles what answers from before it say.
    pub is_edited: bool,
}

/// Puts the entries that wait in both places in the order in which they count: those of the journal's stream in
/// its order, those of `memora_journal` by their ids.
///
/// A process writes to the table only what it could not give the stream. So an entry of the stream that does not
/// know one of the table came before it, or at the same time. A submission that is in both places, since the
/// stream took it too late to say so, counts once.
pub fn in_order(stream: Vec<Entry>, table: Vec<(i64, Entry)>) -> Vec<Entry> {
    let tokens: HashSet<String> = stream.iter().map(|entry| entry.token.clone()).collect();
    let mut table: Vec<(i64, Entry)> =
        table.into_iter().filter(|(_, entry)| !tokens.contains(&entry.token)).collect();
    table.sort_by_key(|(id, _)| *id);
    let mut table = table.into_iter().peekable();
    let mut ordered = Vec::new();
    for entry in stream {
        while let Some((_, known)) = table.next_if(|(id, other)| comes_before(*id, other, &entry)) {
            ordered.push(known);
        }
        ordered.push(entry);
    }
    ordered.extend(table.map(|(_, entry)| entry));
    ordered
}

/// Whether an entry of the table counts before one of the stream: that one knows it. Only where nobody could look,
/// and neither knows the other, is there nothing but the clocks of the two servers to go by.
fn comes_before(id: i64, of_table: &Entry, of_stream: &Entry) -> bool {
    let knows_it = of_table.base.journal >= of_stream.order;
    id <= of_stream.base.table
        || (!of_stream.is_sure && !knows_it && of_table.kept_at_us < of_stream.kept_at_us)
}

/// How what stands there relates to what an entry was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is the same.
    Same,
    /// Something came in between.
    Newer,
    /// What the entry was computed from has not arrived yet, or is gone.
    Missing,
}

fn standing(present: Option<From>, from: Option<From>) -> Standing {
    match (present, from) {
        (present, from) if present == from => Standing::Same,
        (None, Some(_)) => Standing::Missing,
        (Some(present), Some(from)) if present.0 < from.0 => Standing::Missing,
        _ => Standing::Newer,
    }
}

/// Whether an entry was computed from something that is neither in the states nor came before it: it has to wait
/// for that, as long as there is hope of it.
pub fn is_early(states: &States, entry: &Entry) -> bool {
    entry.from.iter().any(|(id, from)| standing(states.known(id), *from) == Standing::Missing)
}

/// Whether an entry's states can be taken as they are.
pub fn holds(states: &States, entry: &Entry) -> bool {
    entry.from.iter().all(|(id, from)| standing(states.known(id), *from) != Standing::Newer)
}

/// The states of some questions, after all, in the order of the questions.
pub fn changed(states: States, ids: &HashSet<String>) -> Vec<Review> {
    let mut changed: Vec<Review> =
        states.of.into_values().filter(|state| ids.contains(&state.question_id)).collect();
    changed.sort_unstable_by(|one, other| one.question_id.cmp(&other.question_id));
    changed
}

/// Lets an entry count on these states. Returns the questions that it changed.
pub fn apply(zone: &SiteZone, states: &mut States, entry: &Entry) -> Vec<String> {
    let changed: Vec<Review> = if entry.submission.answers.is_empty() {
        let is_newer = |state: &&Review| {
            states.of.get(&state.question_id).is_none_or(|known| known.answered_at_us < state.answered_at_us)
        };
        entry.states.iter().filter(is_newer).cloned().collect()
    } else if holds(states, entry) {
        entry.states.clone()
    } else {
        replay(zone, states, entry)
    };
    let ids: Vec<String> = changed.iter().map(|state| state.question_id.clone()).collect();
    for state in changed {
        states.edited.remove(&state.question_id);
        states.of.insert(state.question_id.clone(), state);
    }
    ids
}

/// Computes an entry again, from its answers, on the states that stand there.
fn replay(zone: &SiteZone, states: &States, entry: &Entry) -> Vec<Review> {
    let mut base: HashMap<String, Review> = HashMap::new();
    let mut settled = HashSet::new();
    let mut newest = entry.order;
    for (id, from) in &entry.from {
        let Some(present) = states.of.get(id) else { continue };
        if states.edited.contains(id) && present.answered_at_us > entry.order {
            settled.insert(id.as_str());
            continue;
        }
        newest = newest.max(present.answered_at_us);
        let state = match (standing(Some(from_of(present)), *from), from) {
            (Standing::Missing, Some(from)) => before(entry, id, *from).unwrap_or_else(|| present.clone()),
            _ => present.clone(),
        };
        base.insert(id.clone(), state);
    }
    for (id, from) in &entry.from {
        if let (false, Some(from)) = (states.of.contains_key(id), from) {
            base.extend(before(entry, id, *from).map(|state| (id.clone(), state)));
        }
    }
    let mut submission = entry.submission.clone();
    submission.answers.retain(|answer| !settled.contains(answer.question_id.as_str()));
    // Unlike the order of the states that were not computed again.
    let order = newest.saturating_add(1);
    plan(zone, &submission, &base, order, entry.at_us / 1_000_000).reviews
}

/// A state that an entry was computed from and that is gone, as far as the entry tells.
fn before(entry: &Entry, id: &str, (order, stability): From) -> Option<Review> {
    let after = entry.states.iter().find(|state| state.question_id == id)?;
    Some(Review { answered_at_us: order, stability, ..after.clone() })
}

/// A student's records with what waits laid over them. The entries are in their order, and none of them is among
/// the records yet.
pub fn lay_over(zone: &SiteZone, records: Vec<Record>, entries: &[Entry]) -> Vec<Review> {
    let mut states = States::default();
    states.extend(records);
    for entry in entries {
        apply(zone, &mut states, entry);
    }
    states.into_reviews()
}

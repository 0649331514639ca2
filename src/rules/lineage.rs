//! Merging a student's entries: which of their states are still valid. Pure.
//!
//! No clock decides. An entry says what it was computed from. If that is the present states, its
//! states are taken unchanged. Otherwise they are computed again from its answers and the present
//! states.

use std::collections::{HashMap, HashSet};

use crate::rules::clock::SiteZone;
use crate::rules::entry::{Entry, From};
use crate::rules::plan::plan;
use crate::rules::review::Review;

/// A student's present states, by question.
#[derive(Clone, Debug, Default)]
pub struct States {
    of: HashMap<String, State>,
}

/// One state.
#[derive(Clone, Debug)]
struct State {
    /// Its order is that of the entry that made it, even if that was computed again.
    review: Review,
    /// At least the order of every entry that has counted. It tells a missing state from one that
    /// came in between.
    rank: i64,
    is_edited: bool,
    /// What it has replaced, if a submission that can be undone made it.
    replaced: Option<Option<Review>>,
}

impl State {
    /// Whether it was computed again, from the entry that had made this one.
    fn is_replay_of(&self, From { order, .. }: From) -> bool {
        self.review.answered_at_us == order && self.rank > order
    }
}

impl States {
    /// Adds the table's records.
    pub fn extend(&mut self, records: Vec<Record>) {
        for Record { review, is_edited } in records {
            let rank = review.answered_at_us;
            self.of.insert(
                review.question_id.clone(),
                State { review, rank, is_edited, replaced: None },
            );
        }
    }

    /// The states, in no order.
    pub fn into_reviews(self) -> Vec<Review> {
        self.of.into_values().map(|state| state.review).collect()
    }

    /// The states of some questions as they are written, in the order of the questions: each with
    /// its rank, so that no record in the table ever has a lower order than an entry that has
    /// counted.
    pub fn to_write(self, ids: &HashSet<String>) -> Vec<Review> {
        let chosen = self.of.into_values().filter(|state| ids.contains(&state.review.question_id));
        let mut states: Vec<Review> =
            chosen.map(|state| Review { answered_at_us: state.rank, ..state.review }).collect();
        states.sort_unstable_by(|one, other| one.question_id.cmp(&other.question_id));
        states
    }

    /// The state of a question, and its rank.
    pub fn state(&self, id: &str) -> Option<(&Review, i64)> {
        self.of.get(id).map(|state| (&state.review, state.rank))
    }

    /// The highest rank.
    pub fn newest(&self) -> i64 {
        self.of.values().map(|state| state.rank).max().unwrap_or(0)
    }

    fn standing(&self, id: &str, from: Option<From>) -> Standing {
        let Some(state) = self.of.get(id) else {
            return if from.is_none() { Standing::Same } else { Standing::Missing };
        };
        match from {
            Some(from) if from.is(From::of(&state.review)) && !state.is_replay_of(from) => {
                Standing::Same
            }
            Some(from) if state.rank < from.order => Standing::Missing,
            _ => Standing::Newer,
        }
    }
}

/// A record of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its state.
    pub review: Review,
    /// Whether an edit changed it last: an edit overrides earlier answers.
    pub is_edited: bool,
}

/// How the present states relate to what an entry was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is the same.
    Same,
    /// Something came in between.
    Newer,
    /// What the entry was computed from has not arrived yet, or is lost.
    Missing,
}

/// Whether an entry was computed from a state that has not arrived. It must wait for that state, as
/// long as it can still arrive.
pub fn is_early(states: &States, entry: &Entry) -> bool {
    !entry.has_counted()
        && entry.from.iter().any(|(id, from)| states.standing(id, *from) == Standing::Missing)
}

/// Whether an entry's states can be taken unchanged.
pub fn holds(states: &States, entry: &Entry) -> bool {
    entry.from.iter().all(|(id, from)| states.standing(id, *from) != Standing::Newer)
}

/// Applies an entry to these states. Returns the questions that it changed.
pub fn apply(zone: &SiteZone, states: &mut States, entry: &Entry) -> Vec<String> {
    if entry.has_counted() || !counts(states, entry) {
        return leave_order(states, entry);
    }
    let (changed, bump) = if entry.undoes.is_some() {
        (restored(states, entry).unwrap_or_default(), 0)
    } else if entry.speaks_alone() {
        let is_newer = |state: &&Review| {
            states.of.get(&state.question_id).is_none_or(|known| known.rank < state.answered_at_us)
        };
        (entry.states.iter().filter(is_newer).cloned().collect(), 0)
    } else if holds(states, entry) {
        (entry.states.clone(), 0)
    } else if entry.submission.answers.is_empty() {
        // States that were set do not depend on earlier ones.
        let stands = |state: &&Review| !is_settled(states, &state.question_id, entry.order);
        (entry.states.iter().filter(stands).cloned().collect(), 1)
    } else {
        (replay(zone, states, entry), 1)
    };
    let touched = entry.from.iter().filter_map(|(id, _)| states.of.get(id)).map(|state| state.rank);
    let rank = touched.max().unwrap_or(0).max(entry.order).saturating_add(bump);
    let mut ids = Vec::with_capacity(changed.len());
    // Answers that an older memora took, and states that were set without knowing others, leave the
    // memory as it is.
    let are_set = entry.submission.answers.is_empty() && entry.undoes.is_none();
    let leaves_memory = !entry.remembers || bump > 0 && are_set;
    for mut review in changed {
        if leaves_memory && let Some(known) = states.of.get(&review.question_id) {
            review.memory = known.review.memory;
        }
        ids.push(review.question_id.clone());
        let rank = if entry.speaks_alone() { review.answered_at_us } else { rank };
        let id = review.question_id.clone();
        let before = |id| states.of.get(id).map(|state: &State| state.review.clone());
        let replaced = entry.keyed.as_ref().map(|_| before(&id));
        states.of.insert(id, State { review, rank, is_edited: false, replaced });
    }
    ids
}

/// Whether an entry counts on these states. An undo does not count if its questions were answered
/// again since.
pub fn counts(states: &States, entry: &Entry) -> bool {
    entry.undoes.is_none() || restored(states, entry).is_some()
}

/// The states that an undo sets; `None`: it does not count. If the undone entry was computed again,
/// these are the states that it then replaced. An edit of a question overrides the undo, as it
/// overrides answers.
fn restored(states: &States, entry: &Entry) -> Option<Vec<Review>> {
    let mut restored = Vec::with_capacity(entry.states.len());
    for (review, (id, from)) in entry.states.iter().zip(&entry.from) {
        if is_settled(states, id, entry.order) {
            continue;
        }
        let replay = states.of.get(id).zip(*from).filter(|(state, from)| state.is_replay_of(*from));
        restored.push(match replay {
            Some((state, _)) => match state.replaced.clone()? {
                Some(before) => Review { answered_at_us: entry.order, ..before },
                None => Review::never_asked(id, entry.order),
            },
            None if states.standing(id, *from) == Standing::Newer => return None,
            None => review.clone(),
        });
    }
    Some(restored)
}

/// Raises the ranks of an entry's questions to its order, if it does not count or has counted as
/// another entry. Then what was computed from it is computed again.
fn leave_order(states: &mut States, entry: &Entry) -> Vec<String> {
    let mut ids = Vec::new();
    for (id, _) in &entry.from {
        if let Some(state) = states.of.get_mut(id).filter(|state| state.rank < entry.order) {
            state.rank = entry.order;
            ids.push(id.clone());
        }
    }
    ids
}

/// Whether an edit overrides answers of this order.
fn is_settled(states: &States, id: &str, order: i64) -> bool {
    states.of.get(id).is_some_and(|state| state.is_edited && state.rank > order)
}

/// Computes an entry again, from its answers, on the present states.
fn replay(zone: &SiteZone, states: &States, entry: &Entry) -> Vec<Review> {
    let mut base: HashMap<String, Review> = HashMap::new();
    let mut settled = HashSet::new();
    for (id, from) in &entry.from {
        match base_of(states, entry, id, *from) {
            Some(state) => base.extend(state.map(|state| (id.clone(), state))),
            None => drop(settled.insert(id.as_str())),
        }
    }
    let mut submission = entry.submission.clone();
    submission.answers.retain(|answer| !settled.contains(answer.question_id.as_str()));
    plan(zone, &submission, &base, entry.order, entry.at_us / 1_000_000).reviews
}

/// The state from which an entry's answers to a question are computed again; `None`: an edit
/// overrides them.
pub(super) fn base_of(
    states: &States,
    entry: &Entry,
    id: &str,
    from: Option<From>,
) -> Option<Option<Review>> {
    if is_settled(states, id, entry.order) {
        return None;
    }
    let gone = from.filter(|_| states.standing(id, from) == Standing::Missing);
    let gone = gone.and_then(|from| before(entry, id, from));
    Some(gone.or_else(|| states.of.get(id).map(|state| state.review.clone())))
}

/// A lost state that an entry was computed from, as far as the entry has it.
fn before(entry: &Entry, id: &str, From { order, stability, memory }: From) -> Option<Review> {
    let after = entry.states.iter().find(|state| state.question_id == id)?;
    Some(Review { answered_at_us: order, stability, memory, ..after.clone() })
}

/// A student's records with the waiting entries applied, and the highest rank. The entries are in
/// their order, and none of them is in the records yet.
pub fn lay_over(zone: &SiteZone, records: Vec<Record>, entries: &[Entry]) -> (Vec<Review>, i64) {
    let mut states = States::default();
    states.extend(records);
    for entry in entries {
        apply(zone, &mut states, entry);
    }
    let newest = states.newest();
    (states.into_reviews(), newest)
}

#[cfg(test)]
mod tests;

//! An entry: one submission on its way to the table. Pure.
//!
//! It has the answers as they were given, the states that they led to, and what those states were
//! computed from. So code that merges entries knows which states are still valid, and can recompute
//! the others (see [`crate::rules::lineage`]).

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::rules::acknowledgement::Keyed;
use crate::rules::head::Head;
use crate::rules::ladder::Ladder;
use crate::rules::memory::MemoryState;
use crate::rules::review::Review;
use crate::rules::submission::Submission;

/// Identifies a state of a question. The order alone does not: answers of one entry that were
/// computed again lead to another state with the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    /// Its order.
    pub order: i64,
    /// Its stability.
    pub stability: u8,
    /// Its memory.
    pub memory: MemoryState,
}

impl From {
    /// The identity of this state.
    pub fn of(review: &Review) -> From {
        let Review { answered_at_us: order, stability, memory, .. } = *review;
        From { order, stability, memory }
    }

    /// Whether this is the same state. An unknown memory, from an older memora, matches any.
    pub fn is(self, other: From) -> bool {
        (self.order, self.stability) == (other.order, other.stability)
            && (self.memory == other.memory || !self.memory.is_known() || !other.memory.is_known())
    }
}

/// One submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Unique: the job id, and the name of the audit record.
    pub token: String,
    /// When the answers were given, Unix microseconds by the clock of the process that took them.
    pub at_us: i64,
    /// When it was kept, Unix microseconds by the clock of the server that keeps it. Not part of
    /// the text.
    pub kept_at_us: i64,
    /// The order of the new states.
    pub order: i64,
    /// The head of the student's schedule that the answers were computed on.
    pub base: Head,
    /// False if the process could not look for answers that the cache lacks.
    pub is_sure: bool,
    /// The answers. Empty in an entry of the first version, which has only states, and for states
    /// that were set.
    pub submission: Submission,
    /// Their results.
    pub states: Vec<Review>,
    /// Each question that the answers may change, with its state before; `None`: it had none.
    pub from: Vec<(String, Option<From>)>,
    /// False in an entry of an older memora, whose states have no memories.
    pub remembers: bool,
    /// What the student was told, if the submission has a key.
    pub keyed: Option<Keyed>,
    /// The previous states of the questions that it changes, sorted by question, if it can be
    /// undone.
    pub before: Vec<Review>,
    /// The token of the submission that it undoes. Its states are then those before that
    /// submission.
    pub undoes: Option<String>,
}

impl Entry {
    /// An entry of answers that led from `known` to `states`, which are sorted by question. `at_us`
    /// is the time of the answers in Unix microseconds.
    pub fn new(
        token: String,
        (at_us, order): (i64, i64),
        base: Head,
        submission: &Submission,
        known: &HashMap<String, Review>,
        states: Vec<Review>,
    ) -> Entry {
        let from = submission.question_ids().into_iter().map(|id| {
            let from = known.get(&id).map(From::of);
            (id, from)
        });
        let from = from.collect();
        let submission = submission.clone();
        Entry {
            token,
            at_us,
            kept_at_us: at_us,
            order,
            base,
            is_sure: true,
            submission,
            states,
            from,
            remembers: true,
            keyed: None,
            before: Vec::new(),
            undoes: None,
        }
    }

    /// States without the answers that led to them.
    pub fn of_states(token: String, states: Vec<Review>) -> Entry {
        let order = states.iter().map(|state| state.answered_at_us).max().unwrap_or(0);
        let (submission, base) = (Submission::default(), Head::default());
        Entry {
            token,
            at_us: order,
            kept_at_us: order,
            order,
            base,
            is_sure: true,
            submission,
            states,
            from: Vec::new(),
            remembers: true,
            keyed: None,
            before: Vec::new(),
            undoes: None,
        }
    }

    /// The same entry with the previous states of what it changes, so that it can be undone.
    pub fn that_can_be_undone(mut self, known: &HashMap<String, Review>) -> Entry {
        let before = self.states.iter().filter_map(|state| known.get(&state.question_id).cloned());
        self.before = before.collect();
        self
    }

    /// Whether it has only states, without what they were computed from: each counts if the table
    /// has nothing newer.
    pub fn speaks_alone(&self) -> bool {
        self.submission.answers.is_empty() && self.from.is_empty()
    }

    /// The ladder of one of its questions.
    pub fn ladder(&self, question_id: &str) -> &Ladder {
        let Submission { scheduling, subject, .. } = &self.submission;
        let is_it = |state: &&Review| state.question_id == question_id;
        let known = self.states.iter().find(is_it).and_then(|state| state.subject.as_deref());
        scheduling.ladder(known.or(subject.as_deref()))
    }

    /// The same entry, kept at this time in Unix microseconds.
    pub fn kept_at(mut self, kept_at_us: i64) -> Entry {
        self.kept_at_us = kept_at_us;
        self
    }

    /// What is left of a submission that has already counted as an entry of another order. Later
    /// entries may have been computed from its states, and must be recomputed.
    pub fn counted(mut self) -> Entry {
        self.submission.answers.clear();
        self.states.clear();
        self
    }

    /// Whether its submission has already counted as another entry.
    pub fn has_counted(&self) -> bool {
        self.submission.answers.is_empty() && self.states.is_empty() && !self.from.is_empty()
    }

    /// The same entry with only the answers to one question, and without the question's stage.
    pub fn only(&self, question_id: &str) -> Entry {
        let mut part = self.clone();
        part.submission.answers.retain(|answer| answer.question_id == question_id);
        part.states.retain(|state| state.question_id == question_id);
        let kept = part.submission.question_ids();
        part.from.retain(|(id, _)| id == question_id || kept.contains(id));
        part
    }
}

/// Identifies a student and season in tokens: 16 hexadecimal digits.
pub fn fingerprint(player: &str, season: &str) -> String {
    format!("{:.16x}", Sha256::digest(format!("{player}\0{season}").as_bytes()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rules::clock::SiteZone;
    use crate::rules::plan::{by_question, plan};

    pub(in crate::rules) fn entry(answers: &[(u8, u8)], known: &[Review]) -> Entry {
        let list: Vec<String> = answers
            .iter()
            .map(|(id, quality)| {
                format!(
                    r#"{{"question_id": "{}", "quality": {quality}}}"#,
                    ["s", "s:1", "q"][usize::from(*id)]
                )
            })
            .collect();
        let submission =
            Submission::from_responses(&format!("[{}]", list.join(","))).unwrap_or_default();
        let zone = SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"));
        let known = by_question(known.to_vec());
        let plan = plan(&zone, &submission, &known, 8_000_000, 7);
        let (token, base) = ("token".to_owned(), Head::default());
        Entry::new(token, (7_000_000, 8_000_000), base, &submission, &known, plan.reviews)
    }

    #[test]
    fn a_part_has_one_question_and_what_it_came_from() {
        let stage = Review { answered_at_us: 3, stability: 2, ..Review::new("s") };
        let part = entry(&[(1, 5), (2, 5)], &[stage]).only("s:1");
        assert_eq!((part.states.len(), part.submission.answers.len()), (1, 1));
        let known = From { order: 3, stability: 2, memory: MemoryState::default() };
        assert_eq!(part.from, [("s".to_owned(), Some(known)), ("s:1".to_owned(), None)]);
    }
}

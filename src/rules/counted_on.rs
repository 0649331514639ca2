//! Which state each answer counted on. Pure.

use crate::rules::entry::{Entry, From};
use crate::rules::lineage::{States, base_of, holds};
use crate::rules::memory::MemoryState;
use crate::rules::review::Review;

/// What an answer counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// The student had no record of the question.
    NoRecord,
    /// A record.
    Record {
        /// Its stability.
        rung: u8,
        /// Its memory, if known. It is unknown after another answer of the submission to the same
        /// question.
        memory: MemoryState,
    },
    /// Nothing: an edit that came after the answer overrides it.
    Overridden,
}

/// What each answer of an entry counts on when the entry is applied to these states.
pub fn counts_on(states: &States, entry: &Entry) -> Vec<Before> {
    if holds(states, entry) {
        return as_computed(entry);
    }
    let standing = entry.from.iter().map(|(id, from)| match base_of(states, entry, id, *from) {
        None => Before::Overridden,
        Some(None) => Before::NoRecord,
        Some(Some(state)) => Before::Record { rung: state.stability, memory: state.memory },
    });
    before_each(entry, standing.collect())
}

/// What each answer of an entry counts on, if its first answers to the questions count on
/// `standing`, which is in the order of the entry's questions.
fn before_each(entry: &Entry, mut standing: Vec<Before>) -> Vec<Before> {
    let answers = entry.submission.answers.iter().map(|answer| {
        let id = answer.question_id.as_str();
        let place = entry.from.binary_search_by(|(other, _)| other.as_str().cmp(id));
        let Some(standing) = place.ok().and_then(|place| standing.get_mut(place)) else {
            return Before::NoRecord;
        };
        let before = *standing;
        let rung = match before {
            Before::Overridden => return before,
            Before::Record { rung, .. } => rung,
            Before::NoRecord => Review::new(id).stability,
        };
        let (rung, _) = answer.observed.rate(rung, entry.ladder(id));
        *standing = Before::Record { rung, memory: MemoryState::default() };
        before
    });
    answers.collect()
}

/// What each answer of an entry was computed from.
pub fn as_computed(entry: &Entry) -> Vec<Before> {
    let from = entry.from.iter().map(|(_, from)| match from {
        Some(From { stability: rung, memory, .. }) => {
            Before::Record { rung: *rung, memory: *memory }
        }
        None => Before::NoRecord,
    });
    before_each(entry, from.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::rules::answer::{Answer, Observed};
    use crate::rules::clock::SiteZone;
    use crate::rules::plan::{by_question, plan};
    use crate::rules::submission::Submission;

    /// For tests: a record whose memory is not known.
    pub fn rung(rung: u8) -> Before {
        Before::Record { rung, memory: MemoryState::default() }
    }

    /// What the answers of all submissions count on, each on all before it, if they are given at
    /// these times.
    pub fn in_turn(zone: &SiteZone, submissions: &[(Submission, i64)]) -> Vec<Before> {
        let mut states: HashMap<String, Review> = HashMap::new();
        let mut found = Vec::new();
        for (submission, at) in submissions {
            let mut rungs: HashMap<&str, u8> = HashMap::new();
            let ladder = submission.scheduling.ladder(None);
            for answer in &submission.answers {
                let id = answer.question_id.as_str();
                let known = states.get(id);
                let before = match (rungs.get(id), known) {
                    (Some(of_answer), _) => rung(*of_answer),
                    (None, Some(Review { stability, memory, .. })) => {
                        Before::Record { rung: *stability, memory: *memory }
                    }
                    (None, None) => Before::NoRecord,
                };
                let known = rungs.get(id).copied().or(known.map(|known| known.stability));
                rungs.insert(id, answer.observed.rate(known.unwrap_or(0), ladder).0);
                found.push(before);
            }
            states.extend(by_question(plan(zone, submission, &states, 1, *at).reviews));
        }
        found
    }

    #[test]
    fn several_answers_to_a_question_follow_each_other() {
        let right = |id: &str| {
            let observed = Observed::Review { is_correct: true, quality: None, duration_ms: 3_000 };
            Answer { question_id: id.to_owned(), observed, given_at: None }
        };
        let answers = vec![right("r"), right("q"), right("r"), right("r")];
        let submission = Submission { answers, ..Submission::default() };
        let memory = MemoryState { stability: 23_065, difficulty: 21_181, lapses: 1 };
        let known = Review { answered_at_us: 5, stability: 1, memory, ..Review::new("r") };
        let from = vec![("q".to_owned(), None), ("r".to_owned(), Some(From::of(&known)))];
        let entry = Entry { submission, from, ..Entry::of_states("token".to_owned(), Vec::new()) };
        let counted = [Before::Record { rung: 1, memory }, Before::NoRecord, rung(2), rung(3)];
        assert_eq!(as_computed(&entry), counted);
        let standing = vec![rung(4), Before::Overridden];
        let all = [Before::Overridden, rung(4), Before::Overridden, Before::Overridden];
        assert_eq!(before_each(&entry, standing), all);
    }
}

//! Which state each answer counted on. Pure.

use crate::rules::entry::Entry;
use crate::rules::lineage::{States, base_of, holds};
use crate::rules::review::Review;

/// What an answer counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// The student had no record of the question.
    NoRecord,
    /// The record's stability.
    Rung(u8),
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
        Some(Some(state)) => Before::Rung(state.stability),
    });
    before_each(entry, standing.collect())
}

/// What each answer of an entry counts on, one after the other, if this is what stands of the
/// entry's questions, in their order.
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
            Before::Rung(rung) => rung,
            Before::NoRecord => Review::new(id).stability,
        };
        *standing = Before::Rung(answer.observed.rate(rung, entry.ladder(id)).0);
        before
    });
    answers.collect()
}

/// What each answer of an entry was computed from.
pub fn as_computed(entry: &Entry) -> Vec<Before> {
    let from = entry.from.iter().map(|(_, from)| match from {
        Some(from) => Before::Rung(from.stability),
        None => Before::NoRecord,
    });
    before_each(entry, from.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::rules::answer::{Answer, Observed};
    use crate::rules::entry::From;
    use crate::rules::submission::Submission;

    /// What the answers of all submissions count on, each on all before it.
    pub fn in_turn(submissions: &[Submission]) -> Vec<Before> {
        let mut rungs: HashMap<&str, u8> = HashMap::new();
        let answers = submissions.iter().flat_map(|submission| {
            let ladder = submission.scheduling.ladder(None);
            submission.answers.iter().map(move |answer| (answer, ladder))
        });
        let before = answers.map(|(answer, ladder)| {
            let before = rungs.get(answer.question_id.as_str()).copied();
            let after = answer.observed.rate(before.unwrap_or(0), ladder).0;
            rungs.insert(&answer.question_id, after);
            before.map_or(Before::NoRecord, Before::Rung)
        });
        before.collect()
    }

    #[test]
    fn several_answers_to_a_question_follow_each_other() {
        let right = |id: &str| {
            let observed = Observed::Review { is_correct: true, quality: None, duration_ms: 3_000 };
            Answer { question_id: id.to_owned(), observed, given_at: None }
        };
        let answers = vec![right("r"), right("q"), right("r"), right("r")];
        let submission = Submission { answers, ..Submission::default() };
        let known = Review { answered_at_us: 5, stability: 1, ..Review::new("r") };
        let from = vec![("q".to_owned(), None), ("r".to_owned(), Some(From::of(&known)))];
        let entry = Entry { submission, from, ..Entry::of_states("token".to_owned(), Vec::new()) };
        let rungs = [Before::Rung(1), Before::NoRecord, Before::Rung(2), Before::Rung(3)];
        assert_eq!(as_computed(&entry), rungs);
        let standing = vec![Before::Rung(4), Before::Overridden];
        let all = [Before::Overridden, Before::Rung(4), Before::Overridden, Before::Overridden];
        assert_eq!(before_each(&entry, standing), all);
    }
}

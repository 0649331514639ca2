//! Answers that were written to MariaDB while nobody could know what waited in the journal.
//!
//! With cache and journal both out of reach, a student's states are computed from the table alone, and may
//! lack answers that were acknowledged before. So the table also keeps the answers themselves, with the
//! states that they were computed from. Once the journal is back, whoever reads or drains it learns the
//! states that were missing and replays the answers on them: they count in the order they were given. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::clock::SiteZone;
use crate::plan::{by_question, plan};
use crate::review::Review;
use crate::submission::Submission;

/// One submission that was taken blindly.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct BlindSubmission {
    answered_at_us: i64,
    /// The time it bears in the journal, should a journal that hung have taken it after all.
    attempted_at_us: i64,
    submission: Submission,
}

/// All blind submissions of a student in a season, and the newest known states from before them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Blind {
    base: Vec<Review>,
    submissions: Vec<BlindSubmission>,
}

impl Blind {
    /// Adds a submission. `before` are the states that it was computed from; times are Unix microseconds.
    pub fn add(
        &mut self,
        before: &[Review],
        submission: &Submission,
        answered_at_us: i64,
        attempted_at_us: i64,
    ) {
        self.take_newer(before);
        let submission = submission.clone();
        self.submissions.push(BlindSubmission { answered_at_us, attempted_at_us, submission });
    }

    /// Takes over states that the journal had, as far as they are newer than what was known. False: there
    /// was nothing to learn.
    pub fn learn<'a>(&mut self, states: impl IntoIterator<Item = &'a Review>) -> bool {
        let ids: Vec<String> =
            self.submissions.iter().flat_map(|taken| taken.submission.question_ids()).collect();
        self.take_newer(states.into_iter().filter(|state| ids.contains(&state.question_id)))
    }

    fn take_newer<'a>(&mut self, states: impl IntoIterator<Item = &'a Review>) -> bool {
        let mut has_taken = false;
        for state in states {
            if self.is_own(state) {
                continue;
            }
            match self.base.iter_mut().find(|known| known.question_id == state.question_id) {
                Some(known) if known.answered_at_us >= state.answered_at_us => continue,
                Some(known) => *known = state.clone(),
                None => self.base.push(state.clone()),
            }
            has_taken = true;
        }
        has_taken
    }

    /// The states after these answers, each with the time of its last one.
    pub fn replay(&self, zone: &SiteZone) -> Vec<Review> {
        let mut states = by_question(self.base.clone());
        for taken in &self.submissions {
            let changed = plan(zone, &taken.submission, &states, taken.answered_at_us).reviews;
            for state in changed {
                // A state that is newer than the submission was computed from it already.
                let is_newer = |known: &Review| known.answered_at_us > taken.answered_at_us;
                if !states.get(&state.question_id).is_some_and(is_newer) {
                    states.insert(state.question_id.clone(), state);
                }
            }
        }
        states.into_values().filter(|state| self.is_own(state)).collect()
    }

    /// Whether one of these submissions made the state.
    fn is_own(&self, state: &Review) -> bool {
        self.submissions
            .iter()
            .any(|taken| [taken.answered_at_us, taken.attempted_at_us].contains(&state.answered_at_us))
    }
}

/// Puts what a replay found in the place of the states that it corrects.
pub fn correct(reviews: &mut [Review], replayed: Vec<Review>) {
    let mut replayed: HashMap<String, Review> = by_question(replayed);
    for review in reviews {
        if let Some(state) = replayed.remove(&review.question_id)
            && review.answered_at_us <= state.answered_at_us
        {
            *review = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zone() -> SiteZone {
        SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"))
    }

    fn submission(answers: &[(u8, u8)]) -> Submission {
        let list: Vec<String> = answers
            .iter()
            .map(|(id, quality)| {
                format!(r#"{{"question_id": "{}", "quality": {quality}}}"#, ["s", "s:1", "q"][*id as usize])
            })
            .collect();
        Submission::from_responses(&format!("[{}]", list.join(","))).unwrap_or_default()
    }

    /// What the states are when every submission is computed from all before it.
    fn in_order(submissions: &[Submission]) -> HashMap<String, Review> {
        let mut states = HashMap::new();
        for (submission, time) in submissions.iter().zip(1..) {
            for review in plan(&zone(), submission, &states, time * 1_000_000).reviews {
                states.insert(review.question_id.clone(), review);
            }
        }
        states
    }

    /// What befalls a student.
    #[derive(Clone, Debug)]
    enum Event {
        /// Answers that are computed from all there is, and go to the journal.
        Journal(Submission),
        /// Answers that are computed from all there is, as a warm cache has it, and go to the table.
        Table(Submission),
        /// Answers that are computed from the table alone, and go there.
        Blind(Submission),
        /// The entry at this place in the journal is drained; again if it was drained before and `false`.
        Drain(usize, bool),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let given = || proptest::collection::vec((0u8..3, 0u8..6), 1..4).prop_map(|list| submission(&list));
        let event = prop_oneof![
            given().prop_map(Event::Journal),
            given().prop_map(Event::Table),
            given().prop_map(Event::Blind),
            (0usize..4, any::<bool>()).prop_map(|(place, is_removed)| Event::Drain(place, is_removed)),
        ];
        proptest::collection::vec(event, 1..14)
    }

    #[derive(Default)]
    struct World {
        table: HashMap<String, Review>,
        journal: Vec<Vec<Review>>,
        blind: Blind,
    }

    impl World {
        /// As `load_records` reads them.
        fn known(&self) -> HashMap<String, Review> {
            let mut states: Vec<Review> = self.table.values().cloned().collect();
            let pending: Vec<Review> = self.journal.iter().flatten().cloned().collect();
            let mut blind = self.blind.clone();
            blind.learn(&pending);
            crate::rehydrate::overlay(&mut states, pending);
            correct(&mut states, blind.replay(&zone()));
            by_question(states)
        }

        fn write(&mut self, states: Vec<Review>) {
            let mut rows: Vec<Review> = self.table.values().cloned().collect();
            crate::rehydrate::overlay(&mut rows, states);
            self.table = by_question(rows);
        }

        /// As the drain does.
        fn drain(&mut self, place: usize, is_removed: bool) {
            let Some(entry) = self.journal.get(place).cloned() else { return };
            self.write(entry.clone());
            if self.blind.learn(&entry) {
                let mut rows: Vec<Review> = self.table.values().cloned().collect();
                correct(&mut rows, self.blind.replay(&zone()));
                self.table = by_question(rows);
            }
            if is_removed {
                self.journal.remove(place);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whoever took them, and in whatever order the journal is drained: answers count in their order.
        #[test]
        fn answers_count_in_order(events in events()) {
            let mut world = World::default();
            let mut given = Vec::new();
            for event in events {
                let time = (given.len() as i64 + 1) * 1_000_000;
                match event {
                    Event::Journal(submission) => {
                        let states = plan(&zone(), &submission, &world.known(), time).reviews;
                        world.journal.push(states);
                        given.push(submission);
                    }
                    Event::Table(submission) => {
                        let states = plan(&zone(), &submission, &world.known(), time).reviews;
                        world.write(states);
                        given.push(submission);
                    }
                    Event::Blind(submission) => {
                        let ids = submission.question_ids();
                        let before: Vec<Review> =
                            ids.iter().filter_map(|id| world.table.get(id)).cloned().collect();
                        let states = plan(&zone(), &submission, &world.table, time).reviews;
                        world.blind.add(&before, &submission, time, 0);
                        world.write(states);
                        given.push(submission);
                    }
                    Event::Drain(place, is_removed) => world.drain(place, is_removed),
                }
            }
            prop_assert_eq!(world.known(), in_order(&given));
            while !world.journal.is_empty() {
                world.drain(world.journal.len() - 1, true);
            }
            prop_assert_eq!(world.table, in_order(&given));
        }
    }

    #[test]
    fn what_a_hung_journal_took_after_all_counts_once() {
        let right = submission(&[(2, 5)]);
        let mut blind = Blind::default();
        blind.add(&[], &right, 2_000_000, 1_000_000);
        let attempted = plan(&zone(), &right, &HashMap::new(), 1_000_000).reviews;
        assert!(!blind.learn(&attempted));
        assert_eq!(blind.replay(&zone())[0].stability, 1);
    }
}

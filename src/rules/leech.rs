//! Leeches: questions that a student has answered wrongly so often that more reviews will not
//! help. Pure.

use std::collections::HashMap;

use crate::rules::review::Review;
use crate::rules::submission::Submission;

/// The questions whose wrong answers (`lapses`) reach `threshold` with a submission, in the order
/// of `after`: the place of each in the submission. None if the threshold is 0.
///
/// A submission that is sent again is the same, so places are enough to name them again.
pub fn leeches(
    submission: &Submission,
    before: &HashMap<String, Review>,
    after: &[Review],
    threshold: u16,
) -> Vec<u8> {
    let is_reached = |state: &&Review| {
        let lapses = before.get(&state.question_id).map_or(0, |known| known.memory.lapses);
        lapses < threshold && threshold <= state.memory.lapses
    };
    let place = |state: &Review| {
        let mut answers = submission.answers.iter();
        u8::try_from(answers.position(|answer| answer.question_id == state.question_id)?).ok()
    };
    after.iter().filter(is_reached).filter_map(place).collect()
}

/// The ids of the questions at these places of a submission.
pub fn at_places(places: &[u8], submission: &Submission) -> Vec<String> {
    let answer = |place: &u8| submission.answers.get(usize::from(*place));
    places.iter().filter_map(answer).map(|answer| answer.question_id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::memory::MemoryState;
    use crate::rules::plan::by_question;

    fn with_lapses(lapses: [(&str, u16); 2]) -> Vec<Review> {
        let state = |(id, lapses)| {
            let memory = MemoryState { lapses, ..MemoryState::default() };
            Review { memory, ..Review::new(id) }
        };
        lapses.map(state).into()
    }

    #[test]
    fn a_question_is_told_by_the_submission_that_reaches_the_threshold() {
        let json = r#"[{"question_id": "r", "quality": 0}, {"question_id": "q", "quality": 0},
                       {"question_id": "r", "quality": 0}]"#;
        let submission = Submission::from_responses(json).unwrap_or_default();
        let told = |before, after, threshold| {
            let (before, after) = (by_question(with_lapses(before)), with_lapses(after));
            at_places(&leeches(&submission, &before, &after, threshold), &submission)
        };
        assert_eq!(told([("q", 7), ("r", 5)], [("q", 8), ("r", 7)], 8), ["q"]);
        assert_eq!(told([("q", 7), ("r", 6)], [("q", 8), ("r", 9)], 8), ["q", "r"]);
        // One without a record.
        assert_eq!(told([("q", 8), ("", 0)], [("q", 9), ("r", 2)], 2), ["r"]);
        for (before, after, threshold) in [(8, 9, 8), (7, 7, 8), (0, 1, 0), (6, 7, 8)] {
            let (before, after) = ([("q", before), ("r", 0)], [("q", after), ("r", 0)]);
            assert_eq!(told(before, after, threshold), [""; 0]);
        }
    }
}

//! Computes what a submission changes: the schedule of each answered question, and of the stages
//! they are in. Pure.

use std::collections::{HashMap, HashSet};

use crate::rules::clock::SiteZone;
use crate::rules::ladder::HIGHEST_STABILITY;
use crate::rules::memory::Met;
use crate::rules::review::Review;
use crate::rules::scheduler::seed_of_question;
use crate::rules::submission::{Submission, stage_of};

/// What a submission changes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The final state of each changed question, sorted by question.
    pub reviews: Vec<Review>,
    /// How many questions are new to the student.
    pub added: u64,
    /// How many questions were answered right, each once.
    pub correct: usize,
    /// How many answers led to stability 1, 2 and so on.
    pub stability_counts: [u32; HIGHEST_STABILITY as usize],
}

/// States by question.
pub fn by_question(reviews: Vec<Review>) -> HashMap<String, Review> {
    reviews.into_iter().map(|review| (review.question_id.clone(), review)).collect()
}

/// Computes what the answers change, given the states before them. `seconds` is when they
/// arrived, Unix time: the dates come from it, or from when an answer was given. Every new state
/// has `order`.
pub fn plan(
    zone: &SiteZone,
    submission: &Submission,
    states: &HashMap<String, Review>,
    order: i64,
    seconds: i64,
) -> Plan {
    let mut changed: HashMap<String, Review> = HashMap::new();
    let mut right: HashSet<&str> = HashSet::new();
    let mut plan = Plan { reviews: Vec::new(), added: 0, correct: 0, stability_counts: [0; 6] };
    for answer in &submission.answers {
        let id = answer.question_id.as_str();
        let known = changed.get(id).or_else(|| states.get(id));
        plan.added += u64::from(known.is_none());
        let mut review = known.cloned().unwrap_or_else(|| Review::new(id));
        let subject = review.subject.as_deref().or(submission.subject.as_deref());
        let scheduler = submission.scheduling.scheduler(subject);
        let parameters = submission.scheduling.parameters(subject);
        let ladder = &scheduler.ladder;
        let (stability, days_of_rung) = answer.observed.rate(review.stability, ladder);
        let rung_days = (review.stability > 0)
            .then(|| u16::try_from(ladder.days_after_answer(review.stability)).unwrap_or(0));
        review.stability = stability;
        // An answer that arrives after a later one does not move dates back.
        let last_review = review.last_review.unwrap_or(i64::MIN).min(seconds);
        let given_at = answer.given_at.map_or(seconds, |given_at| given_at.max(last_review));
        let days_since = review.last_review.map(|last| zone.days_between(last, given_at));
        review.memory = review.memory.after(
            parameters,
            Met { days: days_since, rung_days },
            answer.observed.grade(ladder),
            answer.observed.is_correct(),
        );
        let days = scheduler.fsrs.map_or(days_of_rung, |fsrs| {
            fsrs.days(parameters, review.memory, seed_of_question(submission.seed, id))
        });
        review.next_review = zone.add_days(given_at, days);
        review.last_review = Some(given_at);
        review.answered_at_us = order;
        review.subject = review.subject.or_else(|| submission.subject.clone());
        review.topic = review.topic.or_else(|| submission.topic.clone());
        if answer.observed.is_correct() {
            right.insert(id);
        }
        plan.stability_counts[usize::from(stability.clamp(1, HIGHEST_STABILITY)) - 1] += 1;
        let stage = stage_of(id)
            .and_then(|stage| changed.get(stage).or_else(|| states.get(stage)).cloned());
        if let Some(mut stage) = stage {
            stage.next_review = review.next_review;
            stage.answered_at_us = order;
            changed.insert(stage.question_id.clone(), stage);
        }
        changed.insert(review.question_id.clone(), review);
    }
    plan.correct = right.len();
    plan.reviews = changed.into_values().collect();
    plan.reviews.sort_unstable_by(|one, other| one.question_id.cmp(&other.question_id));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::scheduling::Scheduling;

    fn zone() -> SiteZone {
        SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"))
    }

    fn planned(json: &str, states: &[Review]) -> Plan {
        let submission = Submission::from_responses(json).unwrap_or_default();
        plan(&zone(), &submission, &by_question(states.to_vec()), 1, 1)
    }

    #[test]
    fn a_question_answered_twice_climbs_twice() {
        let twice = r#"[{"question_id": "q", "quality": 5}, {"question_id": "q", "quality": 5}]"#;
        let plan = planned(twice, &[]);
        assert_eq!((plan.reviews.len(), plan.reviews[0].stability, plan.added), (1, 2, 1));
        assert_eq!((plan.correct, plan.stability_counts), (1, [1, 1, 0, 0, 0, 0]));
    }

    #[test]
    fn a_question_climbs_the_ladder_of_its_subject() {
        let scheduling = r#"{"subjects": {"Art":
            {"fast_ms": 0, "slow_ms": 9000, "days": [2, 4, 8, 16, 32]}}}"#;
        let scheduling = Scheduling::read(scheduling).unwrap_or_default();
        let right = |subject: Option<&str>, known: Option<&str>| {
            let json = r#"[{"question_id": "q", "quality": 5, "response_time_ms": 8000}]"#;
            let mut submission = Submission::from_responses(json).unwrap_or_default();
            submission.scheduling = scheduling.clone();
            submission.subject = subject.map(str::to_owned);
            let subject = known.map(str::to_owned);
            let known = Review { stability: 4, subject, ..Review::new("q") };
            let plan = plan(&zone(), &submission, &by_question(vec![known]), 1, 0);
            (plan.reviews[0].stability, plan.reviews[0].next_review / 86_400)
        };
        assert_eq!(right(None, None), (4, 14));
        assert_eq!(right(Some("Art"), None), (5, 32));
        assert_eq!(right(Some("Math"), Some("Art")), (5, 32));
        assert_eq!(right(Some("Art"), Some("Math")), (4, 14));
    }

    #[test]
    fn dates_come_from_when_an_answer_was_given() {
        let day = 86_400;
        let given = |at: i64| {
            format!(r#"[{{"question_id": "q", "quality": 5, "answered_at": {}}}]"#, at * day)
        };
        let dates = |json: &str, last_review| {
            let states = [Review { stability: 1, last_review, ..Review::new("q") }];
            let submission = Submission::from_responses(json).unwrap_or_default();
            let plan = plan(&zone(), &submission, &by_question(states.to_vec()), 1, 20 * day);
            let state = &plan.reviews[0];
            (state.last_review.map(|at| at / day), state.next_review / day)
        };
        assert_eq!(dates(&given(12), Some(10 * day)), (Some(12), 15));
        // Later answers, and those of a clock that was ahead, have already counted.
        assert_eq!(dates(&given(12), Some(14 * day)), (Some(14), 17));
        assert_eq!(dates(&given(12), Some(400 * day)), (Some(20), 23));
        let now = r#"[{"question_id": "q", "quality": 5}]"#;
        assert_eq!(dates(now, Some(400 * day)), (Some(20), 23));
    }

    #[test]
    fn answers_count_in_the_order_in_which_they_were_given() {
        let planned = |first: u32, second: u32| {
            let answer = |quality: u32, at: u32| {
                format!(r#"{{"question_id": "q", "quality": {quality}, "answered_at": {at}}}"#)
            };
            planned(&format!("[{},{}]", answer(5, first), answer(0, second)), &[])
        };
        assert_eq!(planned(1, 2).reviews[0].stability, 1);
        assert_eq!(planned(2, 1).reviews[0].stability, 2);
    }

    #[test]
    fn an_atom_moves_its_stage() {
        let stage = Review { stability: 3, last_review: Some(5), ..Review::new("s") };
        let plan = planned(r#"[{"question_id": "s:1", "quality": 5}]"#, &[stage]);
        let (stage, atom) = (&plan.reviews[0], &plan.reviews[1]);
        assert_eq!(stage.next_review, atom.next_review);
        assert_eq!((stage.stability, stage.last_review), (3, Some(5)));
        assert_eq!(planned(r#"[{"question_id": "s:1", "quality": 5}]"#, &[]).reviews.len(), 1);
    }
}

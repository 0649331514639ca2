//! The answers of a season's students by question, for training. If all answers are too many, those
//! of a random share of the students. Pure.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::answer::Observed;
use super::answer_log::LoggedAnswer;
use super::counted_on::Before;
use super::fsrs::Grade;
use super::ladder::stability_after_lesson;

/// The part of an answer that does not depend on a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// When, Unix time in seconds.
    pub at: i64,
    /// Milliseconds it took.
    duration_ms: u32,
    /// `None`: it was right, and its duration tells how well it was known.
    grade: Option<Grade>,
}

impl Answered {
    fn new(logged: &LoggedAnswer) -> Answered {
        let duration_ms = u32::try_from(logged.answer.observed.duration_ms()).unwrap_or(u32::MAX);
        let grade = match logged.answer.observed {
            Observed::Review { is_correct: true, quality: None, .. } => None,
            Observed::Review { is_correct, quality, .. } => {
                Some(Grade::of_answer(is_correct, quality, 0, (0, 0)))
            }
            Observed::Lesson { attempts, duration_ms } => {
                Some(Grade::of_lesson(stability_after_lesson(attempts, duration_ms)))
            }
        };
        Answered { at: logged.answered_at, duration_ms, grade }
    }

    /// How well it was known, by these thresholds of a ladder.
    pub fn grade(&self, thresholds: (u64, u64)) -> Grade {
        let by_duration = || Grade::of_answer(true, None, self.duration_ms.into(), thresholds);
        self.grade.unwrap_or_else(by_duration)
    }
}

/// The answers of one student to one question from the first one on, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    student: u64,
    /// At least one.
    pub answers: Vec<Answered>,
}

/// The histories of the students of a season, or of a share of the students: as many as fit.
#[derive(Debug)]
pub struct Histories {
    most: usize,
    /// How often the students were halved: one in 2 to this power is taken.
    halvings: u32,
    answers: usize,
    students: HashSet<String>,
    histories: HashMap<u64, History>,
}

impl Histories {
    /// No histories yet. At most about this many answers will be kept.
    pub fn of_at_most(answers: usize) -> Histories {
        Histories {
            most: answers,
            halvings: 0,
            answers: 0,
            students: HashSet::new(),
            histories: HashMap::new(),
        }
    }

    /// Adds the answers of a submission, if its student is among those who are taken. The
    /// submissions of a student must be added in their order.
    pub fn add(&mut self, student: &str, logged: &[LoggedAnswer]) {
        let of = hash(&student);
        if !is_taken(of, self.halvings) {
            return;
        }
        for logged in logged {
            let key = hash(&(student, logged.answer.question_id.as_str()));
            let answer = Answered::new(logged);
            match logged.before {
                Before::Overridden => {}
                // A first answer; if there were others, the record was removed since.
                Before::NoRecord | Before::Record { rung: 0, .. } => {
                    let history = History { student: of, answers: vec![answer] };
                    let replaced = self.histories.insert(key, history);
                    self.answers += 1;
                    self.answers -= replaced.map_or(0, |replaced| replaced.answers.len());
                    if !self.students.contains(student) {
                        self.students.insert(student.to_owned());
                    }
                }
                // Without its first answers in the log, it is unknown how well the question was
                // known.
                Before::Record { .. } => {
                    if let Some(history) = self.histories.get_mut(&key) {
                        history.answers.push(answer);
                        self.answers += 1;
                    }
                }
            }
        }
        while self.answers > self.most && self.halvings < 48 {
            self.take_half();
        }
    }

    fn take_half(&mut self) {
        self.halvings += 1;
        let halvings = self.halvings;
        self.students.retain(|student| is_taken(hash(&student.as_str()), halvings));
        self.histories.retain(|_, history| is_taken(history.student, halvings));
        self.answers = self.histories.values().map(|history| history.answers.len()).sum();
    }

    /// How many answers it has.
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// The students whose answers it has.
    pub fn students(&self) -> impl Iterator<Item = &str> {
        self.students.iter().map(String::as_str)
    }

    /// The histories in `groups` groups, always in the same order. `group_of` has the group of each
    /// question that is not in the first one, by [`key`].
    pub fn into_groups(self, group_of: &HashMap<u64, usize>, groups: usize) -> Vec<Vec<History>> {
        let mut all: Vec<(u64, History)> = self.histories.into_iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        let mut found = vec![Vec::new(); groups.max(1)];
        for (key, mut history) in all {
            // Offline answers come with a later submission.
            history.answers.sort_by_key(|answer| answer.at);
            let group = group_of.get(&key).copied().unwrap_or(0).min(found.len() - 1);
            found[group].push(history);
        }
        found
    }
}

/// Identifies a question of a student.
pub fn key(student: &str, question_id: &str) -> u64 {
    hash(&(student, question_id))
}

/// The same in each process. Two of a million questions share a hash with a probability of 1 in 30
/// million, which would mix their histories.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn is_taken(student: u64, halvings: u32) -> bool {
    student.leading_zeros() >= halvings
}

#[cfg(test)]
pub(in crate::rules) mod tests {
    use super::*;
    use crate::rules::answer::Answer;
    use crate::rules::counted_on::tests::rung;
    use proptest::prelude::*;

    /// For tests: an answer of the log.
    pub(in crate::rules) fn logged(
        question_id: &str,
        at: i64,
        is_correct: bool,
        before: Before,
    ) -> LoggedAnswer {
        let observed = Observed::Review { is_correct, quality: None, duration_ms: 3_000 };
        let answer = Answer { question_id: question_id.to_owned(), observed, given_at: None };
        LoggedAnswer { answer, answered_at: at, before }
    }

    fn times(histories: Histories) -> Vec<Vec<i64>> {
        let groups = histories.into_groups(&HashMap::new(), 1);
        let of = |history: &History| history.answers.iter().map(|answer| answer.at).collect();
        let mut found: Vec<Vec<i64>> = groups.iter().flatten().map(of).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_history_begins_with_a_first_answer() {
        let mut histories = Histories::of_at_most(100);
        histories.add(
            "amal",
            &[
                logged("new", 1, true, Before::NoRecord),
                logged("old", 2, true, rung(3)),
                logged("edited", 3, true, Before::NoRecord),
                logged("edited", 4, true, Before::Overridden),
                logged("brought in", 5, true, rung(0)),
            ],
        );
        histories.add("amal", &[logged("new", 9, false, rung(1))]);
        histories.add("amal", &[logged("new", 8, false, rung(1))]);
        histories.add("omar", &[logged("new", 10, false, Before::NoRecord)]);
        assert_eq!(histories.answers(), 6);
        assert_eq!(histories.students().count(), 2);
        assert_eq!(times(histories), [vec![1, 8, 9], vec![3], vec![5], vec![10]]);
    }

    #[test]
    fn a_record_that_was_removed_begins_again() {
        let mut histories = Histories::of_at_most(100);
        histories.add("amal", &[logged("q", 1, true, Before::NoRecord)]);
        histories.add("amal", &[logged("q", 2, true, rung(1))]);
        histories.add("amal", &[logged("q", 3, true, Before::NoRecord)]);
        assert_eq!((histories.answers(), times(histories)), (1, vec![vec![3]]));
    }

    #[test]
    fn what_was_seen_says_the_grade() {
        let graded = |observed: Observed| {
            let mut one = logged("q", 0, true, Before::NoRecord);
            one.answer.observed = observed;
            Answered::new(&one).grade((2_000, 6_000))
        };
        let review = |is_correct, quality, duration_ms| {
            graded(Observed::Review { is_correct, quality, duration_ms })
        };
        let by_duration = [1_999, 2_000, 6_001].map(|duration_ms| review(true, None, duration_ms));
        assert_eq!(by_duration, [Grade::Easy, Grade::Good, Grade::Hard]);
        let by_quality = [3, 4, 5].map(|quality| review(true, Some(quality), 1));
        assert_eq!(by_quality, [Grade::Hard, Grade::Good, Grade::Easy]);
        assert_eq!([review(false, None, 1), review(false, Some(2), 1)], [Grade::Again; 2]);
        let lesson = |attempts| graded(Observed::Lesson { attempts, duration_ms: 1_000 });
        assert_eq!([lesson(1), lesson(2)], [Grade::Easy, Grade::Again]);
    }

    proptest! {
        #[test]
        fn there_are_never_too_many_and_students_are_whole(
            given in proptest::collection::vec((0u8..40, 0u8..5), 1..400), most in 20usize..100,
        ) {
            let mut histories = Histories::of_at_most(most);
            let mut all: HashMap<u8, usize> = HashMap::new();
            for (place, (student, question)) in given.iter().enumerate() {
                let is_first = !given[..place].contains(&(*student, *question));
                let before = if is_first { Before::NoRecord } else { rung(1) };
                histories.add(
                    &format!("student {student}"),
                    &[logged(&question.to_string(), place as i64, true, before)],
                );
                *all.entry(*student).or_default() += 1;
                let one = all.values().copied().max().unwrap_or(0);
                prop_assert!(histories.answers() <= most.max(one));
            }
            let kept: usize = histories
                .students()
                .filter_map(|student| all.get(&student["student ".len()..].parse().ok()?))
                .sum();
            prop_assert_eq!(kept, histories.answers());
        }
    }
}

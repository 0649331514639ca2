//! How the questions of a season are scheduled, as the season or one of its subjects chooses. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fsrs::Parameters;
use super::ladder::Ladder;
use super::scheduler::Scheduler;

/// What a season chooses. By default, spec section 3.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scheduling {
    /// For all questions whose subject has no choice of its own.
    #[serde(default)]
    ladder: Scheduler,
    /// By subject.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    subjects: BTreeMap<String, Scheduler>,
}

impl Scheduling {
    /// Parses what a season's record or an entry has; empty is the default.
    ///
    /// # Errors
    /// The reason, if it is something else.
    pub fn read(text: &str) -> Result<Scheduling, String> {
        if text.is_empty() {
            return Ok(Scheduling::default());
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The text that [`Scheduling::read`] parses: JSON without `|`, empty for the default.
    pub fn text(&self) -> String {
        if self.is_default() {
            return String::new();
        }
        // Only names can have a `|`, and JSON allows it to be escaped.
        serde_json::to_string(self).unwrap_or_default().replace('|', "\\u007c")
    }

    /// Whether everything is as in spec section 3.
    pub fn is_default(&self) -> bool {
        *self == Scheduling::default()
    }

    /// How a question with this subject is scheduled.
    pub fn scheduler(&self, subject: Option<&str>) -> &Scheduler {
        subject.and_then(|subject| self.subjects.get(subject)).unwrap_or(&self.ladder)
    }

    /// The ladder of a question with this subject.
    pub fn ladder(&self, subject: Option<&str>) -> &Ladder {
        &self.scheduler(subject).ladder
    }

    /// The parameters by which the memory of a question with this subject changes: the subject's,
    /// else the season's, else the default ones.
    pub fn parameters(&self, subject: Option<&str>) -> &Parameters {
        let trained = self.scheduler(subject).parameters.as_deref();
        let trained = trained.or(self.ladder.parameters.as_deref());
        trained.unwrap_or(Scheduler::default_parameters())
    }

    /// Whether any date comes from FSRS.
    pub fn uses_fsrs(&self) -> bool {
        self.ladder.fsrs.is_some() || self.subjects.values().any(|of| of.fsrs.is_some())
    }

    /// The subjects that choose for themselves, in order.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.subjects.keys().map(String::as_str)
    }

    /// The thresholds for questions with this subject, in milliseconds: a right answer below the
    /// first is fast, one above the second is slow.
    pub fn thresholds(&self, subject: Option<&str>) -> (u64, u64) {
        self.ladder(subject).thresholds()
    }

    /// How many rungs the longest of its ladders has.
    pub fn most_rungs(&self) -> u8 {
        let of_subjects = self.subjects.values().map(|of| of.ladder.rungs());
        of_subjects.fold(self.ladder.ladder.rungs(), u8::max)
    }

    /// The same without the choices of other subjects.
    pub fn only<'a>(&self, subjects: impl IntoIterator<Item = &'a str>) -> Scheduling {
        let of = |name: &'a str| Some((name.to_owned(), self.subjects.get(name)?.clone()));
        let subjects = subjects.into_iter().filter_map(of).collect();
        Scheduling { ladder: self.ladder.clone(), subjects }
    }
}

#[cfg(test)]
impl Scheduling {
    /// For tests: FSRS, with parameters of its own in one subject.
    pub fn of_fsrs() -> Scheduling {
        let ladder = r#""fast_ms":2000,"slow_ms":6000,"days":[1,3,7,14]"#;
        let own = "[0.4,1.3,2.3,8.3,6.4,0.8,3.0,0.01,1.8,0.2,0.8,1.5,0.06,0.26,1.6,0.6,1.9,0.5,0.1,0.07,0.2]";
        let of_season = format!(r#"{{{ladder},"fsrs":{{"retention":0.9,"longest_days":365}}}}"#);
        let of_subject = format!(
            r#"{{{ladder},"fsrs":{{"retention":0.8,"longest_days":90}},"parameters":{own}}}"#
        );
        let text = format!(r#"{{"ladder":{of_season},"subjects":{{"Math":{of_subject}}}}}"#);
        Scheduling::read(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// For tests: six rungs, of which each right answer without a duration climbs two.
    pub fn of_six_rungs() -> Scheduling {
        let ladder = r#"{"fast_ms": 9000, "slow_ms": 9000, "days": [2, 4, 8, 16, 32, 64]}"#;
        let read = Scheduling::read(&format!(r#"{{"ladder": {ladder}}}"#));
        read.unwrap_or_else(|error| panic!("{error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"ladder":{"fast_ms":1000,"slow_ms":9000,"days":[1,3,7,14,30]},"subjects":{"A\u007cB":{"fast_ms":2000,"slow_ms":6000,"days":[2,4,8,16]},"Math":{"fast_ms":2000,"slow_ms":30000,"days":[1,3,7,14]}}}"#;

    #[test]
    fn a_subject_may_have_a_ladder_of_its_own() {
        let read = Scheduling::read(TEXT).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.text(), TEXT);
        let top = |subject| read.ladder(subject).days_after_answer(6);
        assert_eq!([top(None), top(Some("Art")), top(Some("A|B"))], [30, 30, 16]);
        assert_eq!((read.most_rungs(), Scheduling::default().most_rungs()), (5, 4));
        let only = read.only(["Math", "Art"]);
        assert_eq!(
            (only.ladder(Some("Math")), only.subjects.len()),
            (read.ladder(Some("Math")), 1)
        );
    }

    #[test]
    fn a_subject_may_be_scheduled_by_fsrs() {
        let read = Scheduling::of_fsrs();
        assert_eq!(Scheduling::read(&read.text()), Ok(read.clone()));
        assert!(read.uses_fsrs() && !Scheduling::of_six_rungs().uses_fsrs());
        // To the last bit.
        let of_math = read.only(["Math"]);
        assert_eq!(of_math.parameters(Some("Math")), read.parameters(Some("Math")));
        assert_ne!(read.parameters(Some("Math")), read.parameters(None));
        assert_eq!(read.parameters(Some("Art")), Scheduler::default_parameters());
    }

    #[test]
    fn nothing_is_the_spec() {
        let spec = Scheduling::default();
        assert_eq!((spec.text(), Scheduling::read("")), (String::new(), Ok(spec.clone())));
        assert_eq!(Scheduling::read("{}"), Ok(spec.clone()));
        assert_eq!(spec.only(["Math"]), spec);
        assert!(Scheduling::read(r#"{"ladder": 1}"#).is_err());
    }
}

//! Which ladder the answers of a season count on: the season's own, or that of a subject. Pure.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::fsrs::Parameters;
use super::ladder::Ladder;

/// FSRS's parameters where none were trained.
static PARAMETERS: LazyLock<Parameters> = LazyLock::new(Parameters::default);

/// What a season chooses. By default all is as spec section 3 has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduling {
    /// Of all questions without one of their own.
    #[serde(default)]
    ladder: Ladder,
    /// By subject.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    subjects: BTreeMap<String, Ladder>,
}

impl Scheduling {
    /// Reads what a season's record or an entry has; empty is the default.
    ///
    /// # Errors
    /// The reason, if it is something else.
    pub fn read(text: &str) -> Result<Scheduling, String> {
        if text.is_empty() {
            return Ok(Scheduling::default());
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// What [`Scheduling::read`] reads: JSON without `|`, empty for the default.
    pub fn text(&self) -> String {
        if self.is_default() {
            return String::new();
        }
        // Only names have a `|`, and in the text of JSON it may be written as a number.
        serde_json::to_string(self).unwrap_or_default().replace('|', "\\u007c")
    }

    /// Whether all is as spec section 3 has it.
    pub fn is_default(&self) -> bool {
        *self == Scheduling::default()
    }

    /// The ladder of a question with this subject.
    pub fn ladder(&self, subject: Option<&str>) -> &Ladder {
        subject.and_then(|subject| self.subjects.get(subject)).unwrap_or(&self.ladder)
    }

    /// The subjects with a ladder of their own, in order.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.subjects.keys().map(String::as_str)
    }

    /// Below the first a right answer is fast, above the second slow, in milliseconds; of questions
    /// with this subject.
    pub fn thresholds(&self, subject: Option<&str>) -> (u64, u64) {
        self.ladder(subject).thresholds()
    }

    /// By which parameters the memory of a question with this subject changes.
    pub fn parameters(&self, _subject: Option<&str>) -> &Parameters {
        &PARAMETERS
    }

    /// How many rungs the longest of its ladders has.
    pub fn most_rungs(&self) -> u8 {
        self.subjects.values().map(Ladder::rungs).fold(self.ladder.rungs(), u8::max)
    }

    /// The same without the ladders of other subjects.
    pub fn only<'a>(&self, subjects: impl IntoIterator<Item = &'a str>) -> Scheduling {
        let of = |name: &'a str| Some((name.to_owned(), *self.subjects.get(name)?));
        Scheduling { ladder: self.ladder, subjects: subjects.into_iter().filter_map(of).collect() }
    }
}

#[cfg(test)]
impl Scheduling {
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
    fn nothing_is_the_spec() {
        let spec = Scheduling::default();
        assert_eq!((spec.text(), Scheduling::read("")), (String::new(), Ok(spec.clone())));
        assert_eq!(Scheduling::read("{}"), Ok(spec.clone()));
        assert_eq!(spec.only(["Math"]), spec);
        assert!(Scheduling::read(r#"{"ladder": 1}"#).is_err());
    }
}

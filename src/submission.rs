//! What comes in: the two forms of a review session and a lesson's interactions (spec section 3), read and
//! checked. Pure: no server.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ladder;

/// Most answers in one submission.
pub const MOST_ANSWERS: usize = 50;
/// Most characters in a question id; the column holds no more.
pub const LONGEST_QUESTION_ID: usize = 140;
/// Most bytes of JSON that are looked at: 50 answers of the longest ids are a tenth of it.
const MOST_BYTES: usize = 1 << 20;
/// Most characters of a parser's reason that are shown.
const LONGEST_REASON: usize = 200;
/// The quality of an answer from which on it counts as right.
const RIGHT_QUALITY: u64 = 3;
/// The highest quality of an answer.
const BEST_QUALITY: f64 = 5.0;
/// The largest number of milliseconds or of attempts.
const LARGEST_NUMBER: f64 = 1e12;

/// One answer, whatever form it came in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The question.
    pub question_id: String,
    /// What was seen of the student.
    pub observed: Observed,
}

/// What was seen of the student, and by which rule it counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Observed {
    /// In a review session.
    Review {
        /// The answer was right.
        is_correct: bool,
        /// Milliseconds it took.
        duration_ms: u64,
    },
    /// In a lesson.
    Lesson {
        /// How many attempts it took.
        attempts: u64,
        /// Milliseconds it took.
        duration_ms: u64,
    },
}

impl Observed {
    /// The stability after this, and the days until the next review.
    pub fn rate(self, stability: u8) -> (u8, i32) {
        match self {
            Observed::Review { is_correct, duration_ms } => {
                let after = ladder::stability_after_answer(stability, is_correct, duration_ms);
                (after, ladder::days_after_answer(after))
            }
            Observed::Lesson { attempts, duration_ms } => {
                let after = ladder::stability_after_lesson(attempts, duration_ms);
                (after, ladder::days_after_lesson(after))
            }
        }
    }

    /// Whether it counts as a right answer.
    pub fn is_correct(self) -> bool {
        match self {
            Observed::Review { is_correct, .. } => is_correct,
            Observed::Lesson { attempts, .. } => attempts <= 1,
        }
    }
}

/// Everything of one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// In the order they were given.
    pub answers: Vec<Answer>,
    /// Given to questions that have none yet.
    pub subject: Option<String>,
    /// Given to questions that have none yet.
    pub topic: Option<String>,
}

#[derive(Deserialize)]
struct SessionData {
    answers: Vec<Object<SessionAnswer>>,
    #[serde(default)]
    session_meta: Option<Object<SessionMeta>>,
}

#[derive(Default, Deserialize)]
struct SessionMeta {
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    topic: Option<String>,
}

#[derive(Deserialize)]
struct SessionAnswer {
    question_id: String,
    is_correct: Truth,
    #[serde(default)]
    time_spent_ms: Option<f64>,
    #[serde(default)]
    duration_ms: Option<f64>,
}

#[derive(Deserialize)]
struct Response {
    question_id: String,
    quality: f64,
    #[serde(default)]
    response_time_ms: Option<f64>,
}

#[derive(Deserialize)]
struct Interaction {
    question_id: String,
    #[serde(default)]
    duration_ms: Option<f64>,
    #[serde(default)]
    time_spent_ms: Option<f64>,
    #[serde(default)]
    attempts_count: Option<f64>,
}

/// JavaScript and Python clients send true and false, forms send 1 and 0.
#[derive(Deserialize)]
#[serde(untagged)]
enum Truth {
    Bool(bool),
    Number(f64),
}

impl Truth {
    fn get(&self) -> Result<bool> {
        match *self {
            Truth::Bool(is_correct) => Ok(is_correct),
            Truth::Number(number) => match whole(number, 1.0) {
                Some(number) => Ok(number == 1),
                None => Err(invalid("is_correct is true or false")),
            },
        }
    }
}

/// A JSON object. A struct by itself would also be read from a list of its fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

impl Submission {
    /// Reads the session form: `{answers: [...], session_meta: {...}, ...}`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] says what is wrong; nothing of it is used then.
    pub fn from_session_data(json: &str) -> Result<Submission> {
        let Object::<SessionData>(data) = read("session_data", json)?;
        check_count(data.answers.len())?;
        let answers = data.answers.into_iter().map(|Object(answer)| {
            let is_correct = answer.is_correct.get()?;
            let duration_ms = duration([answer.time_spent_ms, answer.duration_ms])?;
            new_answer(answer.question_id, Observed::Review { is_correct, duration_ms })
        });
        let answers = answers.collect::<Result<_>>()?;
        let meta = data.session_meta.map(|Object(meta)| meta).unwrap_or_default();
        Ok(Submission { answers, subject: named(meta.subject), topic: named(meta.topic) })
    }

    /// Reads the list form: `[{question_id, quality, response_time_ms}]`.
    ///
    /// # Errors
    /// As [`Submission::from_session_data`].
    pub fn from_responses(json: &str) -> Result<Submission> {
        let responses: Vec<Object<Response>> = read("responses", json)?;
        check_count(responses.len())?;
        let answers = responses.into_iter().map(|Object(response)| {
            let Some(quality) = whole(response.quality, BEST_QUALITY) else {
                return Err(invalid("quality is a whole number from 0 to 5"));
            };
            let is_correct = quality >= RIGHT_QUALITY;
            let duration_ms = duration([response.response_time_ms])?;
            new_answer(response.question_id, Observed::Review { is_correct, duration_ms })
        });
        Ok(Submission { answers: answers.collect::<Result<_>>()?, ..Submission::default() })
    }

    /// Reads a lesson's interactions: `[{question_id, duration_ms | time_spent_ms, attempts_count}]`.
    ///
    /// # Errors
    /// As [`Submission::from_session_data`].
    pub fn from_interactions(
        json: &str,
        subject: Option<String>,
        topic: Option<String>,
    ) -> Result<Submission> {
        let interactions: Vec<Object<Interaction>> = read("interactions", json)?;
        check_count(interactions.len())?;
        let answers = interactions.into_iter().map(|Object(interaction)| {
            let duration_ms = duration([interaction.duration_ms, interaction.time_spent_ms])?;
            let Some(attempts) = whole(interaction.attempts_count.unwrap_or(1.0), LARGEST_NUMBER) else {
                return Err(invalid("attempts_count is a whole number, not negative"));
            };
            new_answer(interaction.question_id, Observed::Lesson { attempts, duration_ms })
        });
        Ok(Submission {
            answers: answers.collect::<Result<_>>()?,
            subject: named(subject),
            topic: named(topic),
        })
    }

    /// Every question that the submission may change, each once: those answered, and the stages they are in.
    pub fn question_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .answers
            .iter()
            .flat_map(|answer| {
                let stage = stage_of(&answer.question_id).map(str::to_owned);
                std::iter::once(answer.question_id.clone()).chain(stage)
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// The stage that a question `stage:atom` is part of.
pub fn stage_of(question_id: &str) -> Option<&str> {
    question_id.split_once(':').map(|(stage, _)| stage).filter(|stage| !stage.is_empty())
}

/// Refuses an id that cache and table would not give back as it came.
///
/// # Errors
/// [`Error::InvalidInput`].
pub fn check_question_id(question_id: &str) -> Result<()> {
    let length = question_id.chars().count();
    if length == 0 || length > LONGEST_QUESTION_ID {
        return Err(invalid(&format!("question_id has 1 to {LONGEST_QUESTION_ID} characters, not {length}")));
    }
    if question_id.chars().any(char::is_control) || question_id.trim() != question_id {
        return Err(invalid("question_id has no control characters and no space at its ends"));
    }
    Ok(())
}

/// Refuses a player whom the table could not name.
///
/// # Errors
/// [`Error::InvalidInput`].
pub fn check_player(player: &str) -> Result<()> {
    let length = player.chars().count();
    if (1..=LONGEST_QUESTION_ID).contains(&length) {
        return Ok(());
    }
    Err(Error::InvalidInput(format!(
        "a player is the name of a User, 1 to {LONGEST_QUESTION_ID} characters, not {length}"
    )))
}

/// Refuses a season whose name could lead to the keys of another student: keys are `player:season`.
///
/// # Errors
/// [`Error::InvalidInput`].
pub fn check_season(season: &str) -> Result<()> {
    if season.contains(':') {
        return Err(Error::InvalidInput("the name of a season has no colon".to_owned()));
    }
    Ok(())
}

fn new_answer(question_id: String, observed: Observed) -> Result<Answer> {
    check_question_id(&question_id)?;
    Ok(Answer { question_id, observed })
}

fn read<'a, T: Deserialize<'a>>(what: &str, json: &'a str) -> Result<T> {
    if json.len() > MOST_BYTES {
        return Err(invalid(&format!("{what} is larger than {MOST_BYTES} bytes")));
    }
    serde_json::from_str(json).map_err(|error| {
        // The parser quotes what it stumbled over, which can be all of it.
        let shown: String = error.to_string().chars().take(LONGEST_REASON).collect();
        invalid(&format!("{what} cannot be read: {shown}"))
    })
}

fn check_count(count: usize) -> Result<()> {
    match count {
        0 => Err(invalid("there are no answers")),
        1..=MOST_ANSWERS => Ok(()),
        _ => Err(invalid(&format!("at most {MOST_ANSWERS} answers at a time, not {count}"))),
    }
}

/// The first duration that is given; every one that is has to be right.
fn duration<const FORMS: usize>(milliseconds: [Option<f64>; FORMS]) -> Result<u64> {
    let mut first = None;
    for given in milliseconds.into_iter().flatten() {
        if !(0.0..=LARGEST_NUMBER).contains(&given) {
            return Err(invalid("a duration is a number of milliseconds, not negative"));
        }
        // In range and not negative: only the fraction is dropped.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        first.get_or_insert(given as u64);
    }
    Ok(first.unwrap_or(ladder::DEFAULT_DURATION_MS))
}

/// A whole number from 0 to `most`. In JSON 4.0 is one, too.
fn whole(number: f64, most: f64) -> Option<u64> {
    // In range, not negative, and no fraction: nothing is lost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (number.fract() == 0.0 && (0.0..=most).contains(&number)).then_some(number as u64)
}

fn named(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty())
}

fn invalid(what: &str) -> Error {
    Error::InvalidInput(format!("Nothing was saved: {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_both_forms_alike() {
        let session = r#"{"answers": [{"question_id": "q", "is_correct": true, "time_spent_ms": 1500.7},
            {"question_id": "r", "is_correct": 0}], "session_meta": {"subject": "Math"}, "total_combo": 3}"#;
        let responses = r#"[{"question_id": "q", "quality": 3, "response_time_ms": 1500},
            {"question_id": "r", "quality": 2}]"#;
        let session = Submission::from_session_data(session).unwrap_or_default();
        let responses = Submission::from_responses(responses).unwrap_or_default();
        assert_eq!(session.answers.len(), 2);
        assert_eq!(session.answers, responses.answers);
        assert_eq!(session.subject.as_deref(), Some("Math"));
    }

    #[test]
    fn refuses_what_is_out_of_range() {
        let one = |fields: &str| format!(r#"[{{"question_id": "q", {fields}}}]"#);
        for bad in [
            one(r#""quality": 9"#),
            one(r#""quality": -1"#),
            one(r#""quality": NaN"#),
            one(r#""quality": 3.5"#),
            one(r#""quality": 3, "response_time_ms": -1"#),
            one(r#""quality": 3, "response_time_ms": -0.5"#),
            one(r#""quality": 3, "response_time_ms": 1e999"#),
            r#"[["q", 3, 1000]]"#.to_owned(),
            "[]".to_owned(),
            "{".to_owned(),
            "[".repeat(100_000),
            format!("[{}]", vec![r#"{"question_id": "q", "quality": 3}"#; 51].join(",")),
            r#"[{"question_id": "", "quality": 3}]"#.to_owned(),
            r#"[{"question_id": " q", "quality": 3}]"#.to_owned(),
            r#"[{"question_id": "q\u0000", "quality": 3}]"#.to_owned(),
            format!(r#"[{{"question_id": "{}", "quality": 3}}]"#, "q".repeat(141)),
        ] {
            assert!(matches!(Submission::from_responses(&bad), Err(Error::InvalidInput(_))), "{bad:.80}");
        }
    }

    #[test]
    fn refuses_lists_for_objects_and_every_bad_duration() {
        for bad in [
            r#"[[["q", true]]]"#,
            r#"{"answers": [["q", true]]}"#,
            r#"{"answers": [{"question_id": "q", "is_correct": true}], "session_meta": []}"#,
            r#"{"answers": [{"question_id": "q", "is_correct": 2}]}"#,
            r#"{"answers": [{"question_id": "q", "is_correct": true, "time_spent_ms": 1, "duration_ms": -1}]}"#,
        ] {
            assert!(matches!(Submission::from_session_data(bad), Err(Error::InvalidInput(_))), "{bad}");
        }
        for bad in [
            r#"[["q", 1000]]"#,
            r#"[{"question_id": "q", "duration_ms": 1, "time_spent_ms": 2e12}]"#,
            r#"[{"question_id": "q", "attempts_count": 1.5}]"#,
        ] {
            let read = Submission::from_interactions(bad, None, None);
            assert!(matches!(read, Err(Error::InvalidInput(_))), "{bad}");
        }
    }

    #[test]
    fn a_whole_number_may_have_a_point() {
        let with_points = r#"[{"question_id": "q", "quality": 4.0, "response_time_ms": 1500.0}]"#;
        let without = r#"[{"question_id": "q", "quality": 4, "response_time_ms": 1500}]"#;
        let read = |json| Submission::from_responses(json).unwrap_or_default();
        assert_eq!(read(with_points), read(without));
        assert_eq!(read(without).answers.len(), 1);
    }

    #[test]
    fn names_every_question_and_stage_once() {
        let json = r#"[{"question_id": "s:1", "quality": 3}, {"question_id": "s:2", "quality": 3},
            {"question_id": "q", "quality": 3}]"#;
        let submission = Submission::from_responses(json).unwrap_or_default();
        assert_eq!(submission.question_ids(), ["q", "s", "s:1", "s:2"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(json in "\\PC{0,200}") {
            let _ = Submission::from_session_data(&json);
            let _ = Submission::from_responses(&json);
            let _ = Submission::from_interactions(&json, None, None);
        }

        #[test]
        fn any_id_passes_or_is_refused(id: String) {
            if check_question_id(&id).is_ok() {
                prop_assert!((1..=LONGEST_QUESTION_ID).contains(&id.chars().count()));
                prop_assert!(!id.contains('\0'));
            }
        }
    }
}

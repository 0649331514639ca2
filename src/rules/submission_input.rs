//! Reads and checks input: the two forms of a review session, and a lesson's interactions (spec
//! section 3). Pure.

use serde_json::{Map, Value};

use super::answer::{Answer, Observed};
use super::names::fault_of_question_id;
use super::submission::{MOST_ANSWERS, Submission, invalid};
use super::{answered_at, ladder};
use crate::error::Result;

/// The most bytes of JSON that are read: ten times 50 answers with the longest ids.
const MOST_BYTES: usize = 1 << 20;
/// The lowest quality that counts as right.
const RIGHT_QUALITY: u64 = 3;
/// The highest quality of an answer.
const BEST_QUALITY: f64 = 5.0;
/// Most digits of a number given as text.
const MOST_DIGITS: usize = 12;
/// The largest number of milliseconds or of attempts.
const LARGEST_NUMBER: f64 = 1e12;
/// Up to this, a JSON number with a point represents every whole number.
const LARGEST_EXACT: f64 = 9_007_199_254_740_991.0;

/// The fields of a JSON object.
type Fields = Map<String, Value>;

/// What is wrong with an answer, in terms of JSON: the caller may be a student.
type Reason = String;

impl Submission {
    /// Reads the session form: `{answers: [...], session_meta: {...}, ...}`.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidInput`] says what is wrong; nothing is used then.
    pub fn from_session_data(json: &str) -> Result<Submission> {
        let data = read("session_data", json)?;
        let Some(data) = data.as_object() else {
            return Err(invalid("session_data must be an object with a list of answers"));
        };
        let answers = each("answers", data.get("answers"), |answer| {
            let is_correct = truth(answer, "is_correct")?;
            let duration_ms = duration(answer, &["time_spent_ms", "duration_ms"])?;
            new_answer(answer, Observed::Review { is_correct, quality: None, duration_ms })
        })?;
        let nothing = Fields::new();
        let meta = match data.get("session_meta").unwrap_or(&Value::Null) {
            Value::Null => &nothing,
            Value::Object(meta) => meta,
            _ => return Err(invalid("session_meta must be an object with a subject and a topic")),
        };
        Ok(Submission {
            answers,
            subject: name_in(meta, "subject")?,
            topic: name_in(meta, "topic")?,
            total_combo: data.get("total_combo").map_or(0, combo),
            ..Submission::default()
        })
    }

    /// Reads the list form: `[{question_id, quality, response_time_ms}]`.
    ///
    /// # Errors
    /// As [`Submission::from_session_data`].
    pub fn from_responses(json: &str) -> Result<Submission> {
        let answers = each("responses", Some(&read("responses", json)?), |response| {
            let quality = given(response, "quality").and_then(number_of);
            let Some(quality) = quality.and_then(|quality| whole(quality, BEST_QUALITY)) else {
                return Err("quality must be a whole number from 0 to 5".to_owned());
            };
            let is_correct = quality >= RIGHT_QUALITY;
            let quality = u8::try_from(quality).ok();
            let duration_ms = duration(response, &["response_time_ms"])?;
            new_answer(response, Observed::Review { is_correct, quality, duration_ms })
        })?;
        Ok(Submission { answers, ..Submission::default() })
    }

    /// Reads a lesson's interactions: `[{question_id, duration_ms | time_spent_ms,
    /// attempts_count}]`.
    ///
    /// # Errors
    /// As [`Submission::from_session_data`].
    pub fn from_interactions(
        json: &str,
        subject: Option<String>,
        topic: Option<String>,
    ) -> Result<Submission> {
        let answers = each("interactions", Some(&read("interactions", json)?), |interaction| {
            let duration_ms = duration(interaction, &["duration_ms", "time_spent_ms"])?;
            let attempts = match given(interaction, "attempts_count") {
                None => Some(1),
                Some(number) => number_of(number).and_then(|number| whole(number, LARGEST_NUMBER)),
            };
            let attempts = attempts.ok_or("attempts_count must be a whole number of at least 0")?;
            new_answer(interaction, Observed::Lesson { attempts, duration_ms })
        })?;
        Ok(Submission {
            answers,
            subject: named(subject),
            topic: named(topic),
            ..Submission::default()
        })
    }
}

fn read(what: &str, json: &str) -> Result<Value> {
    if json.len() > MOST_BYTES {
        return Err(invalid(&format!("{what} is larger than {MOST_BYTES} bytes")));
    }
    serde_json::from_str(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        invalid(&format!("{what} is not JSON from line {line}, column {column} on"))
    })
}

/// Reads each answer of a list.
fn each(
    what: &str,
    list: Option<&Value>,
    read_one: impl Fn(&Fields) -> std::result::Result<Answer, Reason>,
) -> Result<Vec<Answer>> {
    let Some(list) = list.and_then(Value::as_array) else {
        return Err(invalid(&format!("{what} must be a list of answers")));
    };
    check_count(list.len())?;
    let answers = list.iter().zip(1..).map(|(answer, place)| {
        let read = answer
            .as_object()
            .ok_or_else(|| "an answer must be an object".to_owned())
            .and_then(&read_one);
        read.map_err(|reason| invalid(&format!("answer {place}: {reason}")))
    });
    let mut answers: Vec<Answer> = answers.collect::<Result<_>>()?;
    // Answers without a time have just been given.
    answers.sort_by_key(|answer| answer.given_at.unwrap_or(i64::MAX));
    for answer in &mut answers {
        answer.given_at = answer.given_at.map(|us| us.div_euclid(1_000_000));
    }
    Ok(answers)
}

fn check_count(count: usize) -> Result<()> {
    match count {
        0 => Err(invalid("there are no answers")),
        1..=MOST_ANSWERS => Ok(()),
        _ => Err(invalid(&format!("at most {MOST_ANSWERS} answers at a time, not {count}"))),
    }
}

fn new_answer(answer: &Fields, observed: Observed) -> std::result::Result<Answer, Reason> {
    let question_id = match given(answer, "question_id") {
        Some(Value::String(text)) => text.clone(),
        // Like Frappe's autoincrement names.
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(Value::Number(number)) => {
            match number.as_f64().and_then(|number| whole(number, LARGEST_EXACT)) {
                Some(number) => number.to_string(),
                None => return Err("question_id must be text or a whole number".to_owned()),
            }
        }
        None => return Err("question_id is missing".to_owned()),
        Some(_) => return Err("question_id must be text or a whole number".to_owned()),
    };
    let given_at = match given(answer, "answered_at") {
        None => None,
        Some(time) => Some(answered_at::read(time).ok_or(
            "answered_at must be a time in UTC, such as 2026-11-26T08:00:00Z, or Unix seconds",
        )?),
    };
    match fault_of_question_id(&question_id) {
        None => Ok(Answer { question_id, observed, given_at }),
        Some(reason) => Err(reason),
    }
}

/// A field that exists and is not null.
fn given<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// A number, perhaps as text of digits, as forms send it.
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::String(text)
            if text.len() <= MOST_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            text.parse().ok()
        }
        value => value.as_f64(),
    }
}

/// JavaScript and Python clients send true and false, forms send 1 and 0.
fn truth(fields: &Fields, name: &str) -> std::result::Result<bool, Reason> {
    let truth = match given(fields, name) {
        Some(Value::Bool(truth)) => Some(*truth),
        Some(number) => {
            number_of(number).and_then(|number| whole(number, 1.0)).map(|number| number == 1)
        }
        None => None,
    };
    truth.ok_or_else(|| format!("{name} must be true or false"))
}

/// A number of right answers in a row; anything but a positive whole number counts as 0.
fn combo(value: &Value) -> u64 {
    // A whole number that is too large for 64 bits is read as one with a point.
    let is_huge = value.is_f64() && value.as_f64().is_some_and(|number| number >= u64::MAX as f64);
    value.as_u64().unwrap_or(if is_huge { u64::MAX } else { 0 })
}

/// The first given duration; every given one must be valid.
fn duration(fields: &Fields, names: &[&str]) -> std::result::Result<u64, Reason> {
    let mut first = None;
    for name in names {
        let Some(value) = given(fields, name) else { continue };
        let milliseconds =
            number_of(value).filter(|number| (0.0..=LARGEST_NUMBER).contains(number));
        let milliseconds = milliseconds.ok_or_else(|| {
            format!("{name} must be a number of milliseconds from 0 to {LARGEST_NUMBER}")
        })?;
        // In range and not negative: only the fraction is dropped.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        first.get_or_insert(milliseconds as u64);
    }
    Ok(first.unwrap_or(ladder::DEFAULT_DURATION_MS))
}

/// A whole number from 0 to `most`. In JSON 4.0 is one, too.
fn whole(number: f64, most: f64) -> Option<u64> {
    // In range, not negative, and no fraction: nothing is lost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (number.fract() == 0.0 && (0.0..=most).contains(&number)).then_some(number as u64)
}

/// A name in an object, if given.
fn name_in(fields: &Fields, field: &str) -> Result<Option<String>> {
    match given(fields, field) {
        None => Ok(None),
        Some(Value::String(name)) => Ok(named(Some(name.clone()))),
        Some(_) => Err(invalid(&format!("{field} must be text"))),
    }
}

fn named(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use proptest::prelude::*;

    #[test]
    fn reads_both_forms_alike() {
        let session = r#"{"answers": [
            {"question_id": "q", "is_correct": true, "time_spent_ms": 1500.7},
            {"question_id": "r", "is_correct": 0}],
            "session_meta": {"subject": "Math"}, "total_combo": 3}"#;
        let responses = r#"[{"question_id": "q", "quality": 3, "response_time_ms": 1500},
            {"question_id": "r", "quality": 2}]"#;
        let mut session = Submission::from_session_data(session).unwrap_or_default();
        let responses = Submission::from_responses(responses).unwrap_or_default();
        assert_eq!(session.answers.len(), 2);
        // Only the list form has qualities.
        for (answer, given) in session.answers.iter_mut().zip([3, 2]) {
            if let Observed::Review { quality: quality @ None, .. } = &mut answer.observed {
                *quality = Some(given);
            }
        }
        assert_eq!(session.answers, responses.answers);
        assert_eq!(session.subject.as_deref(), Some("Math"));
        assert_eq!((session.total_combo, responses.total_combo), (3, 0));
    }

    #[test]
    fn reads_numbers_that_forms_send_as_text() {
        let numbers = r#"[{"question_id": "q", "quality": 4, "response_time_ms": 1500}]"#;
        let texts = r#"[{"question_id": "q", "quality": "4", "response_time_ms": "1500"}]"#;
        let read = |json| Submission::from_responses(json).unwrap_or_default();
        assert_eq!(read(texts), read(numbers));
        assert_eq!(read(texts).answers.len(), 1);
        for bad in ["", " 4", "4 ", "-4", "+4", "4.0", "0x4", "four", "6", "00000000000000004"] {
            let one = format!(r#"[{{"question_id": "q", "quality": "{bad}"}}]"#);
            assert!(Submission::from_responses(&one).is_err(), "{bad:?}");
        }
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
            assert!(
                matches!(Submission::from_responses(&bad), Err(Error::InvalidInput(_))),
                "{bad:.80}"
            );
        }
    }

    #[test]
    fn refuses_lists_for_objects_and_every_bad_duration() {
        for bad in [
            r#"[[["q", true]]]"#,
            r#"{"answers": [["q", true]]}"#,
            r#"{"answers": [{"question_id": "q", "is_correct": true}], "session_meta": []}"#,
            r#"{"answers": [{"question_id": "q", "is_correct": 2}]}"#,
            r#"{"answers": [{"question_id": "q", "is_correct": true,
                "time_spent_ms": 1, "duration_ms": -1}]}"#,
        ] {
            assert!(
                matches!(Submission::from_session_data(bad), Err(Error::InvalidInput(_))),
                "{bad}"
            );
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
    fn a_question_may_be_named_by_a_whole_number() {
        let ids = |ids: &str| {
            let listed: Vec<String> = ids
                .split(' ')
                .map(|id| format!(r#"{{"question_id": {id}, "quality": 4}}"#))
                .collect();
            let read = Submission::from_responses(&format!("[{}]", listed.join(",")))?;
            Ok::<_, Error>(read.question_ids())
        };
        let named = ids(r#"17 -3 "18" 19.0 18446744073709551615"#).unwrap_or_default();
        assert_eq!(named, ["-3", "17", "18", "18446744073709551615", "19"]);
        for bad in ["17.5", "1e16", "18446744073709551616", "true", "null", "[17]", "{}"] {
            assert!(ids(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_json() {
        let refusal = |json: &str| match Submission::from_session_data(json) {
            Err(Error::InvalidInput(message)) => message,
            read => panic!("{read:?}"),
        };
        let one = |answer: &str| {
            format!(r#"{{"answers": [{{"question_id": "q", "is_correct": 1}}, {answer}]}}"#)
        };
        for (json, reason) in [
            ("[]", "session_data must be an object with a list of answers"),
            ("{}", "answers must be a list of answers"),
            ("{\n\"answers\": x}", "session_data is not JSON from line 2, column 12 on"),
            (&one("17"), "answer 2: an answer must be an object"),
            (&one("{}"), "answer 2: is_correct must be true or false"),
            (&one(r#"{"is_correct": "yes"}"#), "answer 2: is_correct must be true or false"),
            (&one(r#"{"is_correct": true}"#), "answer 2: question_id is missing"),
            (
                &one(r#"{"is_correct": true, "question_id": [1]}"#),
                "answer 2: question_id must be text or a whole number",
            ),
            (
                &one(r#"{"is_correct": true, "duration_ms": "3 s"}"#),
                "answer 2: duration_ms must be a number of milliseconds from 0 to 1000000000000",
            ),
            (
                r#"{"answers": [{"question_id": "q", "is_correct": 1}],
                    "session_meta": {"topic": 5}}"#,
                "topic must be text",
            ),
        ] {
            assert_eq!(refusal(json), format!("Nothing was saved: {reason}."), "{json}");
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
    }
}

//! What a student is told of a submission, and the key that identifies it when it is sent again.
//! Pure.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rules::answer::Observed;
use crate::rules::submission::Submission;

/// What a student is told of answers that were kept. The stored names are short, because they are
/// kept for 30 days for each submission with a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// How many answers were taken.
    #[serde(rename = "p")]
    pub processed: usize,
    /// How many questions were answered right, each once.
    #[serde(rename = "c")]
    pub correct: usize,
    /// The XP that the review session earns.
    #[serde(rename = "x")]
    pub xp_earned: u64,
    /// How many questions were due after it.
    #[serde(rename = "r")]
    pub remaining: u64,
    /// How many answers led to stability 1, 2 and so on, up to the highest rung of the season.
    #[serde(rename = "n")]
    pub stability_counts: Vec<u32>,
    /// The questions that became leeches, by their places in the submission, because the whole text
    /// must fit a column of 255 characters.
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub leeches: Vec<u8>,
}

/// The acknowledgement of a submission that has a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keyed {
    /// Distinguishes these answers from others with the same key: see [`fingerprint`].
    #[serde(rename = "f")]
    pub fingerprint: String,
    /// What the student was told.
    #[serde(flatten)]
    pub told: Acknowledgement,
}

/// The token of a student's submission with a key. It is always the same, so a submission that is
/// sent again has the same token.
pub fn token_of(player: &str, key: &str) -> String {
    format!("key-{:.32x}", Sha256::digest(format!("{player}\0{key}").as_bytes()))
}

/// The token of the undo of the submission with this token. It is always the same, too.
pub fn undo_token_of(token: &str) -> String {
    format!("key-{:.32x}", Sha256::digest(format!("undo\0{token}").as_bytes()))
}

/// Whether a token belongs to a submission with a key, or to the undo of one.
pub fn has_key(token: &str) -> bool {
    token.starts_with("key-")
}

/// Distinguishes a submission from others with the same key: 16 hexadecimal digits. It depends on
/// nothing that may change between versions.
pub fn fingerprint(submission: &Submission) -> String {
    let mut text = String::new();
    for answer in &submission.answers {
        let (kind, number) = match answer.observed {
            Observed::Review { quality, .. } => ("review", quality.map_or(-1, i64::from)),
            Observed::Lesson { attempts, .. } => ("lesson", attempts.cast_signed()),
        };
        let (is_correct, duration_ms) =
            (answer.observed.is_correct(), answer.observed.duration_ms());
        let (id, given_at) = (&answer.question_id, answer.given_at.unwrap_or(0));
        text.push_str(&format!(
            "{id}\0{kind}\0{number}\0{is_correct}\0{duration_ms}\0{given_at}\0"
        ));
    }
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let (subject, topic) = (name(&submission.subject), name(&submission.topic));
    text.push_str(&format!("{subject}\0{topic}\0{}", submission.total_combo));
    format!("{:.16x}", Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_students_own() {
        let token = token_of("a@school.example", "1");
        assert_eq!((token.len(), has_key(&token)), (36, true));
        assert_eq!(token, token_of("a@school.example", "1"));
        for (player, key) in [("b@school.example", "1"), ("a@school.example", "2"), ("a", "1")] {
            assert_ne!(token, token_of(player, key));
        }
        let undo = undo_token_of(&token);
        assert_eq!((undo.len(), has_key(&undo), undo == token), (36, true, false));
        assert!(!has_key("0199f3c1-2a40-7a6b-8a0e-4a1d1b0c9d11"));
    }

    #[test]
    fn the_longest_fits_its_column() {
        let stability_counts = vec![10, 10, 10, 10, 10, 0];
        let told = Acknowledgement {
            processed: 50,
            correct: 50,
            xp_earned: 600,
            remaining: 1_000_000,
            stability_counts,
            leeches: (0..50).collect(),
        };
        let keyed = Keyed { fingerprint: fingerprint(&Submission::default()), told };
        let text = serde_json::to_string(&keyed).unwrap_or_default();
        assert!((1..=255).contains(&text.len()), "{text}");
        assert_eq!(serde_json::from_str::<Keyed>(&text).ok(), Some(keyed));
    }

    #[test]
    fn what_was_told_before_there_were_leeches_is_read() {
        let text = r#"{"f":"0","p":1,"c":0,"x":0,"r":3,"n":[1,0,0,0]}"#;
        let told = serde_json::from_str::<Keyed>(text).ok();
        assert_eq!(told.as_ref().map(|keyed| keyed.told.leeches.len()), Some(0));
        assert_eq!(serde_json::to_string(&told).unwrap_or_default(), text);
    }

    #[test]
    fn other_answers_have_another_fingerprint() {
        let read = |json: &str| Submission::from_responses(json).unwrap_or_default();
        let one = read(r#"[{"question_id": "q", "quality": 5}]"#);
        assert_eq!(fingerprint(&one), fingerprint(&one.clone()));
        for other in [
            r#"[{"question_id": "r", "quality": 5}]"#,
            r#"[{"question_id": "q", "quality": 1}]"#,
            r#"[{"question_id": "q", "quality": 4}]"#,
            r#"[{"question_id": "q", "quality": 5, "response_time_ms": 1}]"#,
            r#"[{"question_id": "q", "quality": 5}, {"question_id": "q", "quality": 5}]"#,
            r#"[{"question_id": "q", "quality": 5, "answered_at": "2026-11-26T08:00:00Z"}]"#,
        ] {
            assert_ne!(fingerprint(&one), fingerprint(&read(other)), "{other}");
        }
    }
}

//! A review: the state of one question of one student in one season. The same type is used from the
//! API to the table.

use serde::{Deserialize, Serialize};

use super::memory::MemoryState;

/// The next review of a question that is never due, Unix time in seconds: the year 2200.
pub const NEVER: i64 = 7_258_118_400;

/// The state of a question after its last answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Review {
    /// The question, 1 to 140 characters.
    pub question_id: String,
    /// The rung of the ladder, 1 to 6 (to 4 in a season without a ladder of its own). 0: never
    /// answered.
    pub stability: u8,
    /// Unix time in seconds (UTC) of the next review.
    pub next_review: i64,
    /// Unix time in seconds (UTC) of the student's last answer to this question.
    pub last_review: Option<i64>,
    /// The order of the answer that last changed this state: the Unix time of the answer in
    /// microseconds, but always later than every state that was known then (see
    /// [`crate::rules::head`]).
    pub answered_at_us: i64,
    /// Name of a Game Subject.
    pub subject: Option<String>,
    /// Name of a Game Topic.
    pub topic: Option<String>,
    /// How well it is remembered.
    pub memory: MemoryState,
}

/// What entries of the first version carry: fields of [`Review`] in their order, without their
/// names, and without a memory.
type Wire = (String, u8, i64, Option<i64>, i64, Option<String>, Option<String>);

impl From<Wire> for Review {
    fn from(wire: Wire) -> Self {
        let (question_id, stability, next_review, last_review, answered_at_us, subject, topic) =
            wire;
        Review {
            question_id,
            stability,
            next_review,
            last_review,
            answered_at_us,
            subject,
            topic,
            memory: MemoryState::default(),
        }
    }
}

impl From<Review> for Wire {
    fn from(review: Review) -> Self {
        (
            review.question_id,
            review.stability,
            review.next_review,
            review.last_review,
            review.answered_at_us,
            review.subject,
            review.topic,
        )
    }
}

impl Review {
    /// A question without a record yet.
    pub fn new(question_id: &str) -> Review {
        Review {
            question_id: question_id.to_owned(),
            stability: 0,
            next_review: 0,
            last_review: None,
            answered_at_us: 0,
            subject: None,
            topic: None,
            memory: MemoryState::default(),
        }
    }

    /// The state of a question as if the student had never been asked, although there is a record.
    pub fn never_asked(question_id: &str, order: i64) -> Review {
        Review { next_review: NEVER, answered_at_us: order, ..Review::new(question_id) }
    }

    /// What the cache keeps besides the date: the subject's length in bytes, the subject, numbers,
    /// and the topic, separated by commas. An empty name means none. A memory, if any, follows the
    /// last number after a colon.
    pub fn detail(&self) -> String {
        let mut text = String::new();
        self.push_detail(&mut text);
        text
    }

    /// Appends [`Review::detail`] to a text.
    pub fn push_detail(&self, text: &mut String) {
        let push_number = |text: &mut String, number: i64| {
            text.push_str(itoa::Buffer::new().format(number));
            text.push(',');
        };
        let subject = self.cached_subject();
        text.push_str(itoa::Buffer::new().format(subject.len()));
        text.push(',');
        text.push_str(subject);
        push_number(text, i64::from(self.stability));
        push_number(text, self.next_review);
        match self.last_review {
            Some(seconds) => push_number(text, seconds),
            None => text.push(','),
        }
        text.push_str(itoa::Buffer::new().format(self.answered_at_us));
        if self.memory != MemoryState::default() {
            text.push(':');
            self.memory.push_text(text);
        }
        text.push(',');
        text.push_str(self.cached_topic());
    }

    /// The subject as the cache holds it; empty: none.
    pub fn cached_subject(&self) -> &str {
        storable(self.subject.as_deref())
    }

    /// The topic as the cache holds it; empty: none.
    pub fn cached_topic(&self) -> &str {
        storable(self.topic.as_deref())
    }

    /// Parses what [`Review::detail`] wrote; `None` if it is something else.
    pub fn from_detail(question_id: &str, detail: &str) -> Option<Review> {
        let (length, rest) = detail.split_once(',')?;
        let length: usize = length.parse().ok()?;
        let (subject, rest) = (rest.get(..length)?, rest.get(length..)?);
        let mut parts = rest.splitn(5, ',');
        let stability = parts.next()?.parse().ok()?;
        let next_review = parts.next()?.parse().ok()?;
        let last_review = match parts.next()? {
            "" => None,
            seconds => Some(seconds.parse().ok()?),
        };
        let order = parts.next()?;
        let (order, memory) = match order.split_once(':') {
            Some((order, memory)) => (order, MemoryState::read_text(memory)?),
            None => (order, MemoryState::default()),
        };
        let answered_at_us = order.parse().ok()?;
        let name = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (subject, topic) = (name(subject), name(parts.next()?));
        let question_id = question_id.to_owned();
        Some(Review {
            question_id,
            stability,
            next_review,
            last_review,
            answered_at_us,
            subject,
            topic,
            memory,
        })
    }

    /// Orders as the cache does: most overdue first, then by the bytes of the id.
    pub fn due_order(&self) -> (i64, &[u8]) {
        (self.next_review, self.question_id.as_bytes())
    }
}

/// A name as details hold it, without NULs, which separate names in the cache. No name that Frappe
/// accepts has one.
fn storable(name: Option<&str>) -> &str {
    name.filter(|name| !name.contains('\0')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::memory::tests::memories;
    use proptest::prelude::*;

    fn reviews() -> impl Strategy<Value = Review> {
        let name = proptest::option::of("[^\\x00]{1,20}");
        (
            "[^\\x00]{1,20}",
            0u8..=4,
            any::<i64>(),
            any::<Option<i64>>(),
            any::<i64>(),
            name.clone(),
            name,
        )
            .prop_map(Review::from)
    }

    proptest! {
        #[test]
        fn detail_round_trips(review in reviews(), memory in memories()) {
            let review = Review { memory, ..review };
            let read = Review::from_detail(&review.question_id, &review.detail());
            prop_assert_eq!(read, Some(review));
        }

        #[test]
        fn the_first_form_of_entries_round_trips(review in reviews()) {
            let fail = |error: serde_json::Error| TestCaseError::fail(error.to_string());
            let text = serde_json::to_string(&review).map_err(fail)?;
            let read: Review = serde_json::from_str(&text).map_err(fail)?;
            prop_assert_eq!(read, review);
        }

        #[test]
        fn any_other_detail_is_refused_without_a_panic(text in "\\PC*") {
            let _ = Review::from_detail("q", &text);
        }
    }
}

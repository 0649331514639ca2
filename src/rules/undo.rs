//! Undoing a submission: how long that is possible, and what its audit record keeps for it. Pure.
//!
//! docs/how-it-works.md describes the format.

use crate::rules::counted_on::Before;
use crate::rules::entry::Entry;
use crate::rules::lineage::States;
use crate::rules::memory::MemoryState;
use crate::rules::packed::{Reader, push_number, push_signed};
use crate::rules::review::Review;

/// How long a submission can be undone, in microseconds.
pub const LONGEST_US: i64 = 10 * 60 * 1_000_000;

/// The version of the format that is written.
const VERSION: u8 = 1;

// The lower half of a byte: the state of a question before. Any other number is the stability.
const NO_RECORD: u8 = 14;
const UNCHANGED: u8 = 15;
// The upper half.
const HAS_SUBJECT: u8 = 1 << 4;
const HAS_TOPIC: u8 = 1 << 5;
const HAS_LAST_REVIEW: u8 = 1 << 6;
const HAS_MEMORY: u8 = 1 << 7;

/// What a submission replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// When the submission was taken, Unix microseconds.
    pub at_us: i64,
    /// The order of the states that it led to.
    pub order: i64,
    /// The questions that it changed, with their states before; `None`: there was no record.
    pub states: Vec<(String, Option<Review>)>,
}

impl Replaced {
    /// The previous states, to be set again with this order. `standing` gives the present state of
    /// a question. A question that had no record becomes as if it had never been asked: its record
    /// stays, and is never due.
    pub fn restored<'a>(
        &'a self,
        order: i64,
        standing: impl Fn(&str) -> Option<&'a Review>,
    ) -> Vec<Review> {
        let restored = self.states.iter().map(|(id, before)| match before {
            None => Review::never_asked(id, order),
            Some(before) => {
                let now = standing(id);
                let same = |name: fn(&Review) -> &Option<String>| {
                    name(before).as_ref().and_then(|_| now.and_then(|now| name(now).clone()))
                };
                Review {
                    subject: same(|state| &state.subject),
                    topic: same(|state| &state.topic),
                    answered_at_us: order,
                    ..before.clone()
                }
            }
        });
        restored.collect()
    }
}

/// What an entry replaces, packed, if it counts on what it was computed from. `None`: it has no
/// key, or lacks the states before. `order` is that of its new states.
pub fn as_computed(entry: &Entry, order: i64) -> Option<Vec<u8>> {
    entry.keyed.as_ref()?;
    let (mut states, mut before) = (entry.states.iter().peekable(), entry.before.iter().peekable());
    // All are in the order of the questions.
    let before = entry.from.iter().map(|(id, from)| {
        let is_changed = states.next_if(|state| state.question_id == *id).is_some();
        let known = before.next_if(|state| state.question_id == *id);
        match (is_changed, from) {
            (false, _) => Some(None),
            (true, None) => Some(Some(None)),
            (true, Some(_)) => known.map(|known| Some(Some(known))),
        }
    });
    let before: Vec<_> = before.collect::<Option<_>>()?;
    Some(pack(entry.at_us, order, before))
}

/// As [`as_computed`], for an entry that was computed again from `states`.
pub fn computed_again(
    entry: &Entry,
    on: &[Before],
    states: &States,
    (changed, order): (&[String], i64),
) -> Option<Vec<u8>> {
    entry.keyed.as_ref()?;
    if on.contains(&Before::Overridden) {
        // An edit overrides some of it. No state has this order, so it cannot be undone.
        return Some(pack(entry.at_us, i64::MIN, entry.from.iter().map(|_| Some(None))));
    }
    let before = entry
        .from
        .iter()
        .map(|(id, _)| changed.contains(id).then(|| states.state(id).map(|(state, _)| state)));
    Some(pack(entry.at_us, order, before))
}

/// Packs what a submission replaced, for each of its questions in order: nothing (`None`), no
/// record, or a state. `order` is that of its new states.
pub fn pack<'a>(
    at_us: i64,
    order: i64,
    before: impl IntoIterator<Item = Option<Option<&'a Review>>>,
) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    push_signed(&mut bytes, at_us);
    push_signed(&mut bytes, order.wrapping_sub(at_us));
    let seconds = at_us.div_euclid(1_000_000);
    for before in before {
        let Some(Some(state)) = before else {
            bytes.push(if before.is_some() { NO_RECORD } else { UNCHANGED });
            continue;
        };
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        bytes.push(
            state.stability
                | flag(state.subject.is_some(), HAS_SUBJECT)
                | flag(state.topic.is_some(), HAS_TOPIC)
                | flag(state.last_review.is_some(), HAS_LAST_REVIEW)
                | flag(state.memory != MemoryState::default(), HAS_MEMORY),
        );
        push_signed(&mut bytes, state.next_review.wrapping_sub(seconds));
        if let Some(last) = state.last_review {
            push_signed(&mut bytes, seconds.wrapping_sub(last));
        }
        if state.memory != MemoryState::default() {
            push_number(&mut bytes, state.memory.packed());
        }
    }
    bytes
}

/// Unpacks what [`pack`] wrote for a submission with these questions. Of subjects and topics, only
/// their presence is kept, as empty texts.
///
/// # Errors
/// The reason why it cannot be read.
pub fn unpack(bytes: &[u8], questions: Vec<String>) -> Result<Replaced, String> {
    let mut reader = Reader { bytes };
    if reader.byte()? != VERSION {
        return Err("it is of a version that this memora does not know".to_owned());
    }
    let at_us = reader.signed()?;
    let order = at_us.wrapping_add(reader.signed()?);
    let seconds = at_us.div_euclid(1_000_000);
    let mut states = Vec::new();
    for id in questions {
        let byte = reader.byte()?;
        let has = |flag: u8| byte & flag != 0;
        let before = match byte & 0xf {
            UNCHANGED => continue,
            NO_RECORD => None,
            stability => {
                let next_review = seconds.wrapping_add(reader.signed()?);
                let last_review = if has(HAS_LAST_REVIEW) {
                    Some(seconds.wrapping_sub(reader.signed()?))
                } else {
                    None
                };
                let memory = if has(HAS_MEMORY) {
                    MemoryState::of_packed(reader.number()?)
                } else {
                    MemoryState::default()
                };
                let subject = has(HAS_SUBJECT).then(String::new);
                let topic = has(HAS_TOPIC).then(String::new);
                Some(Review {
                    stability,
                    next_review,
                    last_review,
                    subject,
                    topic,
                    memory,
                    ..Review::new(&id)
                })
            }
        };
        states.push((id, before));
    }
    if reader.bytes.is_empty() {
        Ok(Replaced { at_us, order, states })
    } else {
        Err("it is longer than its submission".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::acknowledgement::{Acknowledgement, Keyed};
    use crate::rules::entry::tests::entry;
    use crate::rules::memory::tests::memories;
    use crate::rules::plan::by_question;
    use crate::rules::review::NEVER;
    use proptest::prelude::*;

    fn before() -> impl Strategy<Value = Option<Option<Review>>> {
        let any = (any::<(u8, i64, Option<i64>, bool, bool)>(), memories());
        let state =
            any.prop_map(|((stability, next_review, last_review, subject, topic), memory)| {
                Review {
                    stability: stability % 13,
                    next_review,
                    last_review,
                    subject: subject.then(String::new),
                    topic: topic.then(String::new),
                    memory,
                    ..Review::new("")
                }
            });
        proptest::option::of(proptest::option::of(state))
    }

    proptest! {
        #[test]
        fn what_was_replaced_round_trips(
            at_us: i64, order: i64, before in proptest::collection::vec(before(), 0..50),
        ) {
            let ids: Vec<String> = (0..before.len()).map(|place| format!("q{place}")).collect();
            let packed = pack(at_us, order, before.iter().map(|one| one.as_ref().map(Option::as_ref)));
            let states = ids.iter().zip(&before).filter_map(|(id, one)| {
                let named = |state: &Review| Review { question_id: id.clone(), ..state.clone() };
                Some((id.clone(), one.as_ref()?.as_ref().map(named)))
            });
            let replaced = Replaced { at_us, order, states: states.collect() };
            prop_assert_eq!(unpack(&packed, ids.clone()), Ok(replaced));
            prop_assert!(unpack(&packed[..packed.len() - 1], ids.clone()).is_err());
            prop_assert!(unpack(&[&packed[..], &[0]].concat(), ids).is_err());
        }

        #[test]
        fn whatever_else_is_refused_with_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = unpack(&bytes, vec!["q".to_owned()]);
        }
    }

    #[test]
    fn an_entry_says_what_it_replaces() {
        let subject = Some("Maths".to_owned());
        let known = [Review { answered_at_us: 3, stability: 2, subject, ..Review::new("s") }];
        let mut entry = entry(&[(1, 5), (2, 5)], &known);
        assert_eq!(as_computed(&entry, entry.order), None);
        let told = Acknowledgement {
            processed: 2,
            correct: 2,
            xp_earned: 20,
            remaining: 0,
            stability_counts: vec![2, 0, 0, 0],
            leeches: Vec::new(),
        };
        entry.keyed = Some(Keyed { fingerprint: String::new(), told });
        // As an older process wrote it.
        assert_eq!(as_computed(&entry, entry.order), None);
        let entry = entry.that_can_be_undone(&by_question(known.to_vec()));
        let packed = as_computed(&entry, entry.order).unwrap_or_default();
        let ids = entry.submission.question_ids();
        let replaced = unpack(&packed, ids).unwrap_or_else(|error| panic!("{error}"));
        let ids: Vec<&str> = replaced.states.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!((replaced.order, ids), (entry.order, vec!["q", "s", "s:1"]));
        let restored =
            replaced.restored(9, |id| known.iter().find(|state| state.question_id == id));
        assert_eq!(restored[1], Review { answered_at_us: 9, ..known[0].clone() });
        for new in [&restored[0], &restored[2]] {
            assert_eq!((new.stability, new.next_review, new.last_review), (0, NEVER, None));
        }
    }

    /// The figure of docs/sizing.md.
    #[test]
    fn a_question_takes_some_bytes() {
        let at = 1_795_000_000;
        let states: Vec<Review> = (0..20)
            .map(|place| Review {
                stability: 3,
                next_review: at - 3_600 * place,
                last_review: Some(at - 604_800 - 3_600 * place),
                memory: MemoryState::of_wholes(12.5, 5.0, 1),
                ..Review::new("q")
            })
            .collect();
        let packed = pack(at * 1_000_000, at * 1_000_000, states.iter().map(|one| Some(Some(one))));
        assert_eq!(packed.len(), 286);
    }
}

//! An entry as text, in the form that both journals use. Pure.

use serde::{Deserialize, Serialize};

use crate::rules::acknowledgement::Keyed;
use crate::rules::answer::{Answer, Observed};
use crate::rules::entry::{Entry, From};
use crate::rules::head::Head;
use crate::rules::memory::MemoryState;
use crate::rules::review::Review;
use crate::rules::scheduling::Scheduling;
use crate::rules::submission::Submission;

/// The version of the form that is written.
const VERSION: u8 = 2;

impl Entry {
    /// The entry as text.
    ///
    /// # Errors
    /// Never, as far as serde_json can tell.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Written::of(self))
    }

    /// Reads an entry, in the present form or an older one. `id` is the name for one without its
    /// own.
    ///
    /// # Errors
    /// The reason, for the administrator, if memora did not write the text.
    pub fn read(text: &str, id: &str) -> Result<Entry, String> {
        let refuse = |error: serde_json::Error| format!("the entry cannot be read: {error}");
        match text.trim_start().as_bytes().first() {
            // The first version: a list of states.
            Some(b'[') => {
                let states: Vec<Review> = serde_json::from_str(text).map_err(refuse)?;
                Ok(Entry { remembers: false, ..Entry::of_states(id.to_owned(), states) })
            }
            _ => serde_json::from_str::<Wire>(text).map_err(refuse)?.entry(),
        }
    }
}

/// The stored form: each question's name once, everything else by its number. The names are short,
/// because there are millions of entries.
#[derive(Deserialize)]
struct Wire {
    v: u8,
    /// Token.
    t: String,
    /// Time and order.
    o: (i64, i64),
    /// Base.
    b: Head,
    /// Not sure.
    #[serde(default)]
    u: bool,
    /// Subject and topic of the submission.
    #[serde(default)]
    m: (Option<String>, Option<String>),
    /// Questions.
    i: Vec<String>,
    /// Answers: question, kind, attempts, milliseconds.
    a: Vec<WireAnswer>,
    /// The ladders, or FSRS, that they count on.
    #[serde(default)]
    l: Scheduling,
    /// What FSRS's dates are spread by.
    #[serde(default)]
    p: u32,
    /// Their qualities, where clients gave any. Older processes ignore them.
    #[serde(default)]
    q: Vec<Option<u8>>,
    /// When each answer was given, if any client said so: seconds before the entry's time.
    #[serde(default)]
    w: Vec<i64>,
    /// The key's part.
    #[serde(default)]
    k: Option<Keyed>,
    /// The states before, where it can be undone. Older processes ignore them.
    #[serde(default)]
    r: Vec<WireState>,
    /// The token of what it undoes. An older process takes it for states that were set.
    #[serde(default)]
    x: Option<String>,
    /// Names of subjects and topics.
    #[serde(default)]
    n: Vec<String>,
    /// States.
    s: Vec<WireState>,
    /// Their memories. Older processes have none, and ignore them.
    #[serde(default)]
    d: Option<Vec<u64>>,
    /// States before, in the order of the questions: by how much the order is below the base's,
    /// and the stability.
    f: Vec<Option<WireFrom>>,
    /// Their memories.
    #[serde(default)]
    e: Vec<u64>,
}

/// [`Wire`] on its way out: it copies no text.
#[derive(Serialize)]
struct Written<'a> {
    v: u8,
    t: &'a str,
    o: (i64, i64),
    b: Head,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    u: bool,
    #[serde(skip_serializing_if = "is_nothing")]
    m: (Option<&'a str>, Option<&'a str>),
    i: Vec<&'a str>,
    a: Vec<WireAnswer>,
    #[serde(skip_serializing_if = "is_spec")]
    l: &'a Scheduling,
    #[serde(skip_serializing_if = "is_zero")]
    p: u32,
    #[serde(skip_serializing_if = "is_none_given")]
    q: Vec<Option<u8>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    w: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<&'a Keyed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    r: Vec<WireState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    n: Vec<&'a str>,
    s: Vec<WireState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<Vec<u64>>,
    f: Vec<Option<WireFrom>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    e: Vec<u64>,
}

type WireAnswer = (usize, u8, u64, u64);
/// Question, stability, seconds from the answers to the next review, seconds from the last review
/// to the answers, subject and topic as numbers of names from 1, 0 for none.
type WireState = (usize, u8, i64, Option<i64>, usize, usize);

type WireFrom = (i64, u8);

const WRONG: u8 = 0;
const RIGHT: u8 = 1;
const LESSON: u8 = 2;

fn is_none_given(qualities: &[Option<u8>]) -> bool {
    qualities.iter().all(Option::is_none)
}

fn is_spec(scheduling: &&Scheduling) -> bool {
    scheduling.is_default()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(seed: &u32) -> bool {
    *seed == 0
}

fn is_nothing(names: &(Option<&str>, Option<&str>)) -> bool {
    names.0.is_none() && names.1.is_none()
}

impl<'a> Written<'a> {
    fn of(entry: &'a Entry) -> Written<'a> {
        let mut questions: Vec<&str> = entry.from.iter().map(|(id, _)| id.as_str()).collect();
        if questions.is_empty() {
            questions.extend(entry.states.iter().map(|state| state.question_id.as_str()));
            questions.sort_unstable();
        }
        // They are in order.
        let place = |id: &str| questions.binary_search(&id).unwrap_or(0);
        let a = entry.submission.answers.iter().map(|answer| {
            let (kind, attempts, duration_ms) = match answer.observed {
                Observed::Review { is_correct, duration_ms, .. } => {
                    (if is_correct { RIGHT } else { WRONG }, 0, duration_ms)
                }
                Observed::Lesson { attempts, duration_ms } => (LESSON, attempts, duration_ms),
            };
            (place(&answer.question_id), kind, attempts, duration_ms)
        });
        let seconds = entry.at_us.div_euclid(1_000_000);
        let before = |answer: &Answer| answer.given_at.map_or(0, |at| seconds.wrapping_sub(at));
        let mut w: Vec<i64> = entry.submission.answers.iter().map(before).collect();
        if w.iter().all(|before| *before == 0) {
            w.clear();
        }
        let mut names: Vec<&str> = Vec::new();
        let mut number = |name: &'a Option<String>| {
            let Some(name) = name.as_deref() else { return 0 };
            match names.iter().position(|known| *known == name) {
                Some(place) => place + 1,
                None => {
                    names.push(name);
                    names.len()
                }
            }
        };
        let mut written = |state: &'a Review| {
            (
                place(&state.question_id),
                state.stability,
                state.next_review.wrapping_sub(seconds),
                state.last_review.map(|last| seconds.wrapping_sub(last)),
                number(&state.subject),
                number(&state.topic),
            )
        };
        let states: Vec<WireState> = entry.states.iter().map(&mut written).collect();
        let before: Vec<WireState> = entry.before.iter().map(&mut written).collect();
        let below = |from: From| (entry.base.order.wrapping_sub(from.order), from.stability);
        let memory = |from: &Option<From>| from.map_or(0, |from| from.memory.packed());
        let mut e: Vec<u64> = entry.from.iter().map(|(_, from)| memory(from)).collect();
        if e.iter().all(|memory| *memory == 0) {
            e.clear();
        }
        Written {
            v: VERSION,
            t: &entry.token,
            o: (entry.at_us, entry.order),
            b: entry.base,
            u: !entry.is_sure,
            m: (entry.submission.subject.as_deref(), entry.submission.topic.as_deref()),
            a: a.collect(),
            l: &entry.submission.scheduling,
            p: entry.submission.seed,
            q: entry.submission.answers.iter().map(|answer| answer.observed.quality()).collect(),
            w,
            k: entry.keyed.as_ref(),
            r: before,
            x: entry.undoes.as_deref(),
            n: names,
            s: states,
            d: entry
                .remembers
                .then(|| entry.states.iter().map(|state| state.memory.packed()).collect()),
            f: entry.from.iter().map(|(_, from)| from.map(below)).collect(),
            e,
            i: questions,
        }
    }
}

impl Wire {
    fn entry(self) -> Result<Entry, String> {
        let Wire {
            v,
            t: token,
            o: (at_us, order),
            b: base,
            u,
            m: (subject, topic),
            i: ids,
            a,
            l: scheduling,
            p: seed,
            q,
            w,
            k,
            r,
            x,
            n,
            s,
            d,
            f,
            e,
        } = self;
        if v != VERSION {
            return Err(format!("the entry is of version {v}, which this memora does not know"));
        }
        let name = |place: usize| {
            ids.get(place)
                .cloned()
                .ok_or_else(|| "the entry names a question by a wrong number".to_owned())
        };
        let seconds = at_us.div_euclid(1_000_000);
        let mut before = w.into_iter();
        let qualities = q.into_iter().chain(std::iter::repeat(None));
        let answers = a.into_iter().zip(qualities).map(|(answer, quality)| {
            let (place, kind, attempts, duration_ms) = answer;
            let observed = match kind {
                LESSON => Observed::Lesson { attempts, duration_ms },
                kind => Observed::Review { is_correct: kind == RIGHT, quality, duration_ms },
            };
            let before = before.next().filter(|before| *before != 0);
            let given_at = before.map(|before| seconds.wrapping_sub(before));
            Ok(Answer { question_id: name(place)?, observed, given_at })
        });
        let answers = answers.collect::<Result<Vec<_>, String>>()?;
        let named = |number: usize| number.checked_sub(1).and_then(|place| n.get(place)).cloned();
        if !answers.is_empty() && ids.len() != f.len() {
            return Err("the entry does not say what each answer was computed from".to_owned());
        }
        let memories = e.into_iter().chain(std::iter::repeat(0)).map(MemoryState::of_packed);
        let from: Vec<Option<From>> = f
            .into_iter()
            .zip(memories)
            .map(|(from, memory)| {
                let (below, stability) = from?;
                Some(From { order: base.order.wrapping_sub(below), stability, memory })
            })
            .collect();
        let read = |(place, stability, next, last, subject, topic): WireState, order, memory| {
            Ok(Review {
                question_id: name(place)?,
                stability,
                next_review: next.wrapping_add(seconds),
                last_review: last.map(|last| seconds.wrapping_sub(last)),
                answered_at_us: order,
                subject: named(subject),
                topic: named(topic),
                memory,
            })
        };
        let remembers = d.is_some();
        let memories = d.into_iter().flatten().chain(std::iter::repeat(0));
        let memories = memories.map(MemoryState::of_packed);
        let states = s.into_iter().zip(memories).map(|(state, memory)| read(state, order, memory));
        let states = states.collect::<Result<Vec<_>, String>>()?;
        let before = r.into_iter().map(|state| {
            let from = from.get(state.0).copied().flatten();
            let (order, memory) =
                from.map_or_else(Default::default, |from| (from.order, from.memory));
            read(state, order, memory)
        });
        let before = before.collect::<Result<Vec<_>, String>>()?;
        Ok(Entry {
            token,
            at_us,
            kept_at_us: at_us,
            order,
            base,
            is_sure: !u,
            submission: Submission {
                answers,
                subject,
                topic,
                scheduling,
                seed,
                ..Submission::default()
            },
            states,
            from: ids.into_iter().zip(from).collect(),
            remembers,
            keyed: k,
            before,
            undoes: x,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::acknowledgement::Acknowledgement;
    use crate::rules::entry::tests::entry;
    use crate::rules::memory::tests::memories;
    use crate::rules::plan::by_question;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_round_trip(
            answers in proptest::collection::vec((0u8..3, 0u8..6), 1..8), has_stage: bool,
            ago in proptest::collection::vec(any::<Option<u16>>(), 8), is_keyed: bool,
        ) {
            let subject = Some("Math".to_owned());
            let stage = has_stage.then(|| Review { subject, ..Review::new("s") });
            let stage: Vec<Review> = stage.into_iter().collect();
            let mut entry = entry(&answers, &stage).that_can_be_undone(&by_question(stage));
            entry.undoes = is_keyed.then(|| "other".to_owned());
            for (answer, ago) in entry.submission.answers.iter_mut().zip(&ago) {
                answer.given_at = ago.map(|ago| 7 - 1 - i64::from(ago));
            }
            entry.keyed = is_keyed.then(|| Keyed {
                fingerprint: "f".to_owned(),
                told: Acknowledgement {
                    processed: 1, correct: 2, xp_earned: 3, remaining: 4, stability_counts: vec![5; 4],
                },
            });
            let text = entry.to_text().map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(Entry::read(&text, "x"), Ok(entry));
        }

        #[test]
        fn states_that_were_given_round_trip(
            known in any::<Option<(u32, u8)>>(), stability in 0u8..5, memory in memories(),
            memory_before in memories(), remembers: bool,
        ) {
            let memory = if remembers { memory } else { MemoryState::default() };
            let state = Review { stability, memory, answered_at_us: 9_000_000, ..Review::new("q") };
            let from = known.map(|(order, stability)| {
                From { order: order.into(), stability, memory: memory_before }
            });
            let base = Head { order: i64::from(u32::MAX), ..Head::default() };
            let entry = Entry {
                base,
                from: vec![("q".to_owned(), from)],
                remembers,
                ..Entry::of_states("token".to_owned(), vec![state])
            };
            let text = entry.to_text().map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(Entry::read(&text, "x"), Ok(entry));
        }

        #[test]
        fn whatever_else_is_refused_with_a_reason(text in "\\PC*") {
            let _ = Entry::read(&text, "x");
        }
    }

    #[test]
    fn qualities_are_kept_and_need_not_be_there() {
        let one = entry(&[(1, 5), (2, 0)], &[]);
        let text = one.to_text().unwrap_or_default();
        assert!(text.contains(r#""q":[5,0]"#), "{text}");
        let mut without = one;
        for answer in &mut without.submission.answers {
            if let Observed::Review { quality, .. } = &mut answer.observed {
                *quality = None;
            }
        }
        // As an older process wrote it, and as an answer without a quality is written.
        let older = text.replace(r#","q":[5,0]"#, "");
        assert_eq!(without.to_text().ok(), Some(older.clone()));
        assert_eq!(Entry::read(&older, "x"), Ok(without));
    }

    #[test]
    fn an_entry_has_the_ladders_that_its_answers_count_on() {
        let ladder = r#"{"fast_ms":0,"slow_ms":9000,"days":[1,3,7,14,30]}"#;
        let scheduling = format!(r#"{{"ladder":{ladder},"subjects":{{"Art":{ladder}}}}}"#);
        let scheduling = Scheduling::read(&scheduling).unwrap_or_default();
        let mut entry = entry(&[(2, 5)], &[]);
        let spec = entry.to_text().unwrap_or_default();
        entry.submission.scheduling = scheduling;
        entry.submission.seed = 7;
        let own = entry.to_text().unwrap_or_default();
        // As an older memora writes and reads it, where a season changes nothing.
        assert!(!spec.contains(r#""l""#) && own.contains(r#""l""#), "{spec} {own}");
        assert_eq!(Entry::read(&own, "x"), Ok(entry.clone()));
        entry.submission.scheduling = Scheduling::of_fsrs();
        let own = entry.to_text().unwrap_or_default();
        assert_eq!(Entry::read(&own, "x"), Ok(entry));
    }

    #[test]
    fn an_entry_of_the_first_version_is_read() {
        let states = vec![Review { answered_at_us: 5, ..Review::new("q") }];
        let text = serde_json::to_string(&states).unwrap_or_default();
        let old = Entry { remembers: false, ..Entry::of_states("1-0".to_owned(), states) };
        assert_eq!(Entry::read(&text, "1-0"), Ok(old));
        assert!(Entry::read(r#"{"v": 3}"#, "1-0").is_err());
    }
}

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

/// The version of the format that is written.
const VERSION: u8 = 2;

impl Entry {
    /// The entry as text.
    ///
    /// # Errors
    /// That of serde_json, which these types do not cause.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Written::of(self))
    }

    /// Reads an entry in the present format or an older one. `id` is the token for an entry without
    /// its own.
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

/// The stored format: each question's name once, then referred to by number. The field names are
/// short, because there are millions of entries.
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
    /// How the season schedules them.
    #[serde(default)]
    l: Scheduling,
    /// The seed by which FSRS's dates are spread.
    #[serde(default)]
    p: u32,
    /// Their qualities, if clients gave any. Older processes ignore them.
    #[serde(default)]
    q: Vec<Option<u8>>,
    /// When each answer was given, if any client said so: seconds before the entry's time.
    #[serde(default)]
    w: Vec<i64>,
    /// What the student was told, if the submission has a key.
    #[serde(default)]
    k: Option<Keyed>,
    /// The states before, if it can be undone. Older processes ignore them.
    #[serde(default)]
    r: Vec<WireState>,
    /// The token of what it undoes. An older process treats the entry as states that were set.
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
    /// States before, sorted by question: by how much the order is below the base's, and the
    /// stability.
    f: Vec<Option<WireFrom>>,
    /// Their memories.
    #[serde(default)]
    e: Vec<u64>,
}

/// [`Wire`] for writing: it borrows its texts.
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
            return Err(format!("the entry has version {v}, which this memora does not know"));
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
mod tests;

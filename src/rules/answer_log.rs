//! The log of answers: a submission's answers as its audit record keeps them, packed. Pure.
//!
//! docs/how-it-works.md describes the format. A reader refuses what it does not know, so a new part
//! needs a flag, and a new meaning needs a version.

use crate::rules::answer::{Answer, Observed};
use crate::rules::counted_on::Before;
use crate::rules::entry::Entry;
use crate::rules::memory::MemoryState;
use crate::rules::packed::{Reader, push_number, push_signed};

/// The version of the format that is written.
const VERSION: u8 = 1;
/// A flag: each answer has a time of its own.
const HAS_TIMES: u8 = 1;
/// A flag: each record that an answer counted on has its memory.
const HAS_MEMORIES: u8 = 2;
const KNOWN_FLAGS: u8 = HAS_TIMES | HAS_MEMORIES;

// Flags of an answer's id: how it is packed relative to the id before it.
const IS_HEXADECIMAL: u64 = 1;
const IS_AS_LONG: u64 = 2;
const ID_BITS: u32 = 2;
/// Most bytes of an id: 140 characters.
const MOST_ID_BYTES: usize = 560;

// The upper half of a byte: what was observed of the student.
const WRONG: u8 = 0;
const RIGHT: u8 = 1;
const QUALITY_0: u8 = 2;
const QUALITY_5: u8 = 7;
const OTHER_QUALITY: u8 = 8;
const LESSON: u8 = 9;
const LESSON_AT_ONCE: u8 = 10;
/// The lowest quality that counts as right in [`QUALITY_0`] to [`QUALITY_5`].
const RIGHT_QUALITY: u8 = 3;

// The lower half: what the answer counted on.
const NO_RECORD: u8 = 0;
const RUNG_0: u8 = 1;
const RUNG_12: u8 = 13;
const OVERRIDDEN: u8 = 14;
const OTHER_RUNG: u8 = 15;

/// An answer of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedAnswer {
    /// The question, and what was observed of the student.
    pub answer: Answer,
    /// When it was given, Unix time in seconds.
    pub answered_at: i64,
    /// What it counted on.
    pub before: Before,
}

/// When an answer of an entry was given, Unix time in seconds.
fn answered_at(entry: &Entry, answer: &Answer) -> i64 {
    answer.given_at.unwrap_or_else(|| entry.at_us.div_euclid(1_000_000))
}

/// Packs an entry's answers, with what each counted on (`before`, in the same order). `None` if the
/// entry has only states.
pub fn pack(entry: &Entry, before: &[Before]) -> Option<Vec<u8>> {
    let answers = &entry.submission.answers;
    let first = answers.first().map(|answer| answered_at(entry, answer))?;
    let has_times = answers.iter().any(|answer| answered_at(entry, answer) != first);
    let has_memories = before.iter().any(|before| {
        matches!(before, Before::Record { memory, .. } if *memory != MemoryState::default())
    });
    let mut bytes = Vec::with_capacity(16 * answers.len());
    bytes.extend([
        VERSION,
        if has_times { HAS_TIMES } else { 0 } | if has_memories { HAS_MEMORIES } else { 0 },
    ]);
    push_number(&mut bytes, answers.len() as u64);
    push_signed(&mut bytes, first);
    let (mut last_id, mut last_time) = ("", first);
    for (answer, before) in answers.iter().zip(before) {
        push_id(&mut bytes, last_id, &answer.question_id);
        last_id = &answer.question_id;
        push_observed(&mut bytes, answer.observed, *before);
        if has_times {
            let time = answered_at(entry, answer);
            push_signed(&mut bytes, time.wrapping_sub(last_time));
            last_time = time;
        }
        if let (true, Before::Record { memory, .. }) = (has_memories, before) {
            let [stability, rest] = memory.numbers();
            push_number(&mut bytes, stability);
            push_number(&mut bytes, rest);
        }
    }
    Some(bytes)
}

/// Appends what differs from the id before it.
fn push_id(bytes: &mut Vec<u8>, last: &str, id: &str) {
    let mut shared = last.bytes().zip(id.bytes()).take_while(|(one, other)| one == other).count();
    while !id.is_char_boundary(shared) {
        shared -= 1;
    }
    let rest = &id.as_bytes()[shared..];
    let is_hexadecimal = rest.len() > 1 && rest.iter().all(|byte| digit_of(*byte).is_some());
    let is_as_long = id.len() == last.len();
    let kind =
        if is_hexadecimal { IS_HEXADECIMAL } else { 0 } | if is_as_long { IS_AS_LONG } else { 0 };
    push_number(bytes, (rest.len() as u64) << ID_BITS | kind);
    if !is_as_long {
        push_number(bytes, shared as u64);
    }
    if is_hexadecimal {
        let digit = |place: usize| rest.get(place).and_then(|byte| digit_of(*byte)).unwrap_or(0);
        let pairs = (0..rest.len()).step_by(2);
        bytes.extend(pairs.map(|place| digit(place) << 4 | digit(place + 1)));
    } else {
        bytes.extend(rest);
    }
}

/// The value of a lower-case hexadecimal digit.
fn digit_of(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn push_observed(bytes: &mut Vec<u8>, observed: Observed, before: Before) {
    let what = match observed {
        Observed::Review { is_correct, quality: None, .. } => {
            if is_correct {
                RIGHT
            } else {
                WRONG
            }
        }
        Observed::Review { is_correct, quality: Some(quality), .. } => {
            let is_usual = quality <= QUALITY_5 - QUALITY_0;
            if is_usual && is_correct == (quality >= RIGHT_QUALITY) {
                QUALITY_0 + quality
            } else {
                OTHER_QUALITY
            }
        }
        Observed::Lesson { attempts: 1, .. } => LESSON_AT_ONCE,
        Observed::Lesson { .. } => LESSON,
    };
    let on = match before {
        Before::NoRecord => NO_RECORD,
        Before::Record { rung, .. } if rung <= RUNG_12 - RUNG_0 => RUNG_0 + rung,
        Before::Record { .. } => OTHER_RUNG,
        Before::Overridden => OVERRIDDEN,
    };
    bytes.push(what << 4 | on);
    if let (OTHER_RUNG, Before::Record { rung, .. }) = (on, before) {
        bytes.push(rung);
    }
    match observed {
        Observed::Review { is_correct, quality: Some(quality), .. } if what == OTHER_QUALITY => {
            bytes.extend([u8::from(is_correct), quality]);
        }
        Observed::Lesson { attempts, .. } if what == LESSON => push_number(bytes, attempts),
        _ => {}
    }
    let (Observed::Review { duration_ms, .. } | Observed::Lesson { duration_ms, .. }) = observed;
    push_number(bytes, duration_ms);
}

/// Unpacks a submission's answers, in the order in which they were given.
///
/// # Errors
/// The reason, for the administrator, if this version of memora cannot have written it.
pub fn unpack(bytes: &[u8]) -> Result<Vec<LoggedAnswer>, String> {
    let mut reader = Reader { bytes };
    let version = reader.byte()?;
    if version != VERSION {
        return Err(format!("it has version {version}, which this memora does not know"));
    }
    let flags = reader.byte()?;
    if flags & !KNOWN_FLAGS != 0 {
        return Err(format!("it has parts that this memora does not know (flags {flags:#04x})"));
    }
    let count = reader.number()?;
    let mut time = reader.signed()?;
    let mut answers = Vec::new();
    let mut last_id = String::new();
    for _ in 0..count {
        last_id = reader.id(&last_id)?;
        let (observed, mut before) = reader.observed()?;
        if flags & HAS_TIMES != 0 {
            time = time.wrapping_add(reader.signed()?);
        }
        if let (true, Before::Record { memory, .. }) = (flags & HAS_MEMORIES != 0, &mut before) {
            *memory = MemoryState::of_numbers([reader.number()?, reader.number()?]);
        }
        let answer = Answer { question_id: last_id.clone(), observed, given_at: None };
        answers.push(LoggedAnswer { answer, answered_at: time, before });
    }
    if !reader.bytes.is_empty() {
        return Err(format!("it continues for {} bytes after its last answer", reader.bytes.len()));
    }
    Ok(answers)
}

impl Reader<'_> {
    fn id(&mut self, last: &str) -> Result<String, String> {
        let head = self.number()?;
        let length = usize::try_from(head >> ID_BITS).unwrap_or(usize::MAX);
        let shared = match head & IS_AS_LONG {
            0 => usize::try_from(self.number()?).ok(),
            _ => last.len().checked_sub(length),
        };
        let shared = shared.and_then(|shared| last.get(..shared));
        let shared = shared.ok_or("an id shares more than the length of the one before it")?;
        if shared.len().saturating_add(length) > MOST_ID_BYTES {
            return Err("an id is too long".to_owned());
        }
        let mut id = shared.to_owned();
        if head & IS_HEXADECIMAL == 0 {
            let rest = std::str::from_utf8(self.take(length)?);
            id.push_str(rest.map_err(|_| "an id is not UTF-8")?);
        } else {
            let pairs = self.take(length.div_ceil(2))?;
            let digits = pairs.iter().flat_map(|pair| [pair >> 4, pair & 0xf]).take(length);
            id.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
        }
        Ok(id)
    }

    fn observed(&mut self) -> Result<(Observed, Before), String> {
        let byte = self.byte()?;
        let on = |rung| Before::Record { rung, memory: MemoryState::default() };
        let before = match byte & 0xf {
            NO_RECORD => Before::NoRecord,
            OVERRIDDEN => Before::Overridden,
            OTHER_RUNG => on(self.byte()?),
            rung => on(rung - RUNG_0),
        };
        let what = byte >> 4;
        let review = |is_correct, quality| Observed::Review { is_correct, quality, duration_ms: 0 };
        let lesson = |attempts| Observed::Lesson { attempts, duration_ms: 0 };
        let mut observed = match what {
            WRONG | RIGHT => review(what == RIGHT, None),
            QUALITY_0..=QUALITY_5 => {
                let quality = what - QUALITY_0;
                review(quality >= RIGHT_QUALITY, Some(quality))
            }
            OTHER_QUALITY => review(self.byte()? == 1, Some(self.byte()?)),
            LESSON => lesson(self.number()?),
            LESSON_AT_ONCE => lesson(1),
            _ => return Err(format!("it has an unknown kind of answer, {what}")),
        };
        let (Observed::Review { duration_ms, .. } | Observed::Lesson { duration_ms, .. }) =
            &mut observed;
        *duration_ms = self.number()?;
        Ok((observed, before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::memory::tests::memories;
    use crate::rules::names::fault_of_question_id;
    use crate::rules::submission::{MOST_ANSWERS, Submission};
    use proptest::prelude::*;

    fn entry(answers: Vec<Answer>, at_us: i64) -> Entry {
        let submission = Submission { answers, ..Submission::default() };
        let from = submission.question_ids().into_iter().map(|id| (id, None)).collect();
        Entry { submission, from, at_us, ..Entry::of_states("token".to_owned(), Vec::new()) }
    }

    fn observed() -> impl Strategy<Value = Observed> {
        prop_oneof![
            any::<(bool, Option<u8>, u64)>().prop_map(|(is_correct, quality, duration_ms)| {
                Observed::Review { is_correct, quality, duration_ms }
            }),
            (0u8..6, 0u64..20_000).prop_map(|(quality, duration_ms)| {
                let is_correct = quality >= RIGHT_QUALITY;
                Observed::Review { is_correct, quality: Some(quality), duration_ms }
            }),
            any::<(u64, u64)>().prop_map(|(attempts, duration_ms)| {
                Observed::Lesson { attempts: attempts >> (duration_ms % 64), duration_ms }
            }),
        ]
    }

    fn answers() -> impl Strategy<Value = Vec<(Answer, Before)>> {
        let id =
            prop_oneof!["[ab:]{1,5}", "q-[0-9]{6}", "[0-9a-f]{20}", "\\PC{1,140}", "[äöé]{1,4}"];
        let before = prop_oneof![
            Just(Before::NoRecord),
            (any::<u8>(), prop_oneof![Just(MemoryState::default()), memories()])
                .prop_map(|(rung, memory)| Before::Record { rung, memory }),
            Just(Before::Overridden),
        ];
        let one = (id, observed(), any::<Option<u32>>(), before).prop_map(
            |(question_id, observed, given_at, before)| {
                let given_at = given_at.map(i64::from);
                (Answer { question_id, observed, given_at }, before)
            },
        );
        proptest::collection::vec(one, 1..=MOST_ANSWERS)
    }

    proptest! {
        #[test]
        fn answers_round_trip(
            given in answers(), seconds: i32, cut in any::<proptest::sample::Index>(),
        ) {
            let (answers, before): (Vec<_>, Vec<_>) = given.into_iter().unzip();
            let entry = entry(answers.clone(), i64::from(seconds) * 1_000_000 + 7);
            let packed = pack(&entry, &before).unwrap_or_default();
            let logged = answers.into_iter().zip(before).map(|(answer, before)| {
                let answered_at = answer.given_at.unwrap_or(i64::from(seconds));
                LoggedAnswer { answer: Answer { given_at: None, ..answer }, answered_at, before }
            });
            prop_assert_eq!(unpack(&packed), Ok(logged.collect()));
            // A text that is cut off or too long is refused.
            prop_assert!(unpack(&packed[..cut.index(packed.len())]).is_err());
            prop_assert!(unpack(&[&packed[..], &[0]].concat()).is_err());
        }

        #[test]
        fn whatever_else_is_refused_with_a_reason(
            head in prop_oneof![Just(vec![]), (0u8..4).prop_map(|flags| vec![VERSION, flags])],
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = unpack(&[head, rest].concat());
        }
    }

    #[test]
    fn another_version_and_unknown_parts_are_refused() {
        let refused = |bytes: &[u8]| unpack(bytes).err().unwrap_or_default();
        assert!(refused(&[2, 0, 0, 0]).contains("version 2"));
        assert!(refused(&[1, 4, 0, 0]).contains("flags 0x04"));
        assert_eq!(refused(&[]), "it is cut off");
        assert!(refused(&[1, 0, 1, 0, 4, 0, b'q', 0xf0, 0]).contains("kind of answer, 15"));
    }

    #[test]
    fn each_answer_may_have_its_time() {
        let bytes = [1, HAS_TIMES, 2, 20, 4, 0, b'q', 0x10, 5, 0, 2, 0x02, 6, 3];
        let times: Vec<_> =
            unpack(&bytes).unwrap_or_default().iter().map(|one| one.answered_at).collect();
        assert_eq!(times, [10, 8]);
    }

    #[test]
    fn states_have_no_log_and_the_longest_one_fits() {
        assert_eq!(pack(&entry(Vec::new(), 0), &[]), None);
        let observed =
            Observed::Review { is_correct: false, quality: Some(5), duration_ms: u64::MAX };
        let answers: Vec<Answer> = (0..MOST_ANSWERS)
            .map(|number| {
                let first = char::from_u32(0x1f600 + number as u32).unwrap_or('q');
                let question_id = format!("{first}{}", "😀".repeat(139));
                assert_eq!(fault_of_question_id(&question_id), None);
                Answer { question_id, observed, given_at: None }
            })
            .collect();
        let memory = MemoryState { stability: 365_000_000, difficulty: 100_000, lapses: u16::MAX };
        let before = vec![Before::Record { rung: u8::MAX, memory }; MOST_ANSWERS];
        let packed = pack(&entry(answers, i64::MAX), &before).unwrap_or_default();
        assert_eq!(unpack(&packed).map(|answers| answers.len()), Ok(MOST_ANSWERS));
        // A BLOB's limit.
        assert!(packed.len() < 1 << 16, "{}", packed.len());
    }

    /// The figures of docs/sizing.md: hundredths of a byte per answer, for 10, 20 and 50 answers.
    #[test]
    fn an_answer_takes_some_bytes() {
        let bytes = |count: u64, id: &dyn Fn(u64) -> String, before: Before| {
            // Any order, and durations between one and thirteen seconds.
            let answers = (0..count).map(|place| {
                let any = (place + 7) * 7_919;
                let duration_ms = 1_000 + any * 131 % 12_000;
                let observed = Observed::Review { is_correct: true, quality: None, duration_ms };
                Answer { question_id: id(any), observed, given_at: None }
            });
            let entry = entry(answers.collect(), 1_795_000_000_000_000);
            let packed = pack(&entry, &vec![before; entry.submission.answers.len()]);
            let packed = packed.unwrap_or_default();
            (packed.len() as u64 * 100).div_ceil(count)
        };
        let topic = |any: u64| format!("algebra:{:03}", any % 1_000);
        let number = |any: u64| format!("q-{:06}", any % 1_000);
        let hash = |any: u64| format!("{:032x}", u128::from(any).wrapping_pow(9))[12..].to_owned();
        let found = |before: Before| {
            [topic as fn(u64) -> String, number, hash]
                .map(|id| [10, 20, 50].map(|count| bytes(count, &id, before)))
        };
        let first = found(Before::NoRecord);
        assert_eq!(first, [[760, 675, 618], [730, 660, 612], [1490, 1445, 1418]]);
        // A memory of months, with some lapses, takes six bytes.
        let memory = MemoryState { stability: 1_500_000, difficulty: 52_345, lapses: 7 };
        let later = found(Before::Record { rung: 4, memory });
        assert_eq!(later, first.map(|counts| counts.map(|bytes| bytes + 600)));
    }
}

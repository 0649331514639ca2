use super::*;
use crate::rules::acknowledgement::{Acknowledgement, Keyed};
use crate::rules::counted_on::tests::in_turn;
use crate::rules::counted_on::{Before, counts_on};
use crate::rules::head::Head;
use crate::rules::in_order::tests::entry;
use crate::rules::in_order::{in_order, left_of};
use crate::rules::memory::MemoryState;
use crate::rules::plan::by_question;
use crate::rules::scheduling::Scheduling;
use crate::rules::submission::Submission;
use crate::rules::undo::{self, Replaced};
use proptest::prelude::*;

fn zone() -> SiteZone {
    SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"))
}

fn submission(answers: &[(u8, u8)]) -> Submission {
    let answer = |(id, quality): &(u8, u8)| {
        format!(
            r#"{{"question_id": "{}", "quality": {quality}}}"#,
            ["s", "s:1", "q"][usize::from(*id)]
        )
    };
    let list: Vec<String> = answers.iter().map(answer).collect();
    Submission::from_responses(&format!("[{}]", list.join(","))).unwrap_or_default()
}

/// An event of a student.
#[derive(Clone, Debug)]
enum Event {
    /// Answers that are computed from everything, and kept in the stream, by a clock that is wrong
    /// by this many seconds.
    Stream(Submission, i64),
    /// Answers that are computed from everything, and are kept in the table: the journal fails
    /// after the look-up.
    Table(Submission, i64),
    /// Answers that are computed without the stream, and are kept in the table.
    Blind(Submission, i64),
    /// One submission with a key is sent to two processes at the same moment: one keeps it in
    /// the stream, the other in the table, perhaps without having seen the stream.
    Twice(Submission, bool),
    /// The last submission with a key is sent again to a process that sees only the table's
    /// records.
    Again,
    /// The last submission is undone, if it has not been computed again since.
    Undo,
    /// This many of the waiting entries, in order, are written; the rest still waits.
    Drain(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let given = || {
        let answers = proptest::collection::vec((0u8..3, 0u8..6), 1..4);
        let own = [Scheduling::default(), Scheduling::of_six_rungs(), Scheduling::of_fsrs()];
        let given = (answers, proptest::sample::select(own.to_vec()));
        let given =
            given.prop_map(|(list, own)| Submission { scheduling: own, ..submission(&list) });
        // A clock may be wrong by weeks: memories differ with the days between answers.
        (given, prop_oneof![-300i64..300, -2_000_000i64..2_000_000])
    };
    let event = prop_oneof![
        given().prop_map(|(given, clock)| Event::Stream(given, clock)),
        given().prop_map(|(given, clock)| Event::Table(given, clock)),
        given().prop_map(|(given, clock)| Event::Blind(given, clock)),
        (given(), any::<bool>()).prop_map(|((given, _), sees)| Event::Twice(given, sees)),
        Just(Event::Again),
        Just(Event::Undo),
        (0usize..4).prop_map(Event::Drain),
    ];
    proptest::collection::vec(event, 1..14)
}

fn keyed() -> Keyed {
    let stability_counts = Vec::new();
    let told = Acknowledgement {
        processed: 1,
        correct: 1,
        xp_earned: 10,
        remaining: 0,
        stability_counts,
        leeches: Vec::new(),
    };
    Keyed { fingerprint: String::new(), told }
}

/// Both journals and the table.
#[derive(Default)]
struct World {
    rows: Vec<Review>,
    stream: Vec<Entry>,
    table: Vec<(i64, Entry)>,
    ids: i64,
    newest: i64,
    written: HashSet<String>,
    /// The last submission with a key.
    keyed: Option<(String, Submission)>,
    before: Vec<Before>,
    /// The token of the last submission.
    last: String,
    /// What the written submissions have replaced.
    replaced: HashMap<String, Replaced>,
    undone: usize,
}

impl World {
    fn records(&self) -> Vec<Record> {
        let record = |review: &Review| Record { review: review.clone(), is_edited: false };
        self.rows.iter().map(record).collect()
    }

    fn known(&self, with_stream: bool) -> (HashMap<String, Review>, Head) {
        let stream = if with_stream { self.stream.clone() } else { Vec::new() };
        let entries = self.left(stream);
        let (states, order) = lay_over(&zone(), self.records(), &entries);
        let newest = if with_stream { self.newest } else { 0 };
        let of_rows = self.rows.iter().map(|state| state.answered_at_us).max().unwrap_or(0);
        let table = self.table.last().map_or(0, |(id, _)| *id);
        (
            by_question(states),
            Head { order: order.max(newest), journal: newest.max(of_rows), table },
        )
    }

    /// What must still count, in order.
    fn left(&self, stream: Vec<Entry>) -> Vec<Entry> {
        let left = |entry: &Entry| left_of(entry, &self.written);
        let table = self.table.iter().filter_map(|(id, entry)| Some((*id, left(entry)?)));
        in_order(stream.iter().filter_map(left).collect(), table.collect())
    }

    fn entry(&mut self, given: &Submission, with_stream: bool, at: i64) -> Entry {
        let (states, head) = self.known(with_stream);
        self.ids += 1;
        // An order names a state: two processes have other microseconds, and other random numbers.
        let at_us = at * 1_000_000 + self.ids;
        let order = head.next_order(at_us, self.ids.unsigned_abs());
        let planned = plan(&zone(), given, &states, order, at);
        let (token, times) = (format!("{}", self.ids), (at_us, order));
        self.last.clone_from(&token);
        let entry = Entry::new(token, times, head, given, &states, planned.reviews);
        Entry { keyed: Some(keyed()), ..entry.that_can_be_undone(&states) }
    }

    /// As `Engine::undo`. False: it is refused, or not certain.
    fn undo(&mut self, at: i64) -> bool {
        let entries = self.left(self.stream.clone());
        let mut states = States::default();
        states.extend(self.records());
        let is_it = |entry: &Entry| entry.token == self.last && !entry.has_counted();
        let replaced = match entries.iter().position(is_it) {
            Some(place) => {
                for entry in &entries[..place] {
                    apply(&zone(), &mut states, entry);
                }
                if !holds(&states, &entries[place]) {
                    return false;
                }
                let packed = undo::as_computed(&entries[place], entries[place].order);
                let ids = entries[place].submission.question_ids();
                packed.and_then(|packed| undo::unpack(&packed, ids).ok())
            }
            None => self.replaced.get(&self.last).cloned(),
        };
        let Some(replaced) = replaced else { return false };
        let (known, head) = self.known(true);
        let ids = replaced.states.iter().map(|(id, _)| id);
        let from = ids.map(|id| (id.clone(), known.get(id).map(From::of)));
        let from: Vec<(String, Option<From>)> = from.collect();
        if from.iter().any(|(_, from)| from.is_none_or(|from| from.order != replaced.order)) {
            return false;
        }
        let order = head.next_order(at * 1_000_000, 7);
        let restored = replaced.restored(order, |id| known.get(id));
        let (base, undoes) = (head, Some(self.last.clone()));
        let token = format!("undo-{}", self.last);
        let entry = Entry { base, from, undoes, ..Entry::of_states(token, restored) };
        let mut states = States::default();
        states.extend(self.records());
        let mut is_settled = true;
        for entry in &entries {
            is_settled &= holds(&states, entry) && !entry.has_counted();
            apply(&zone(), &mut states, entry);
        }
        if !is_settled {
            return false;
        }
        assert!(counts(&states, &entry));
        self.newest = order;
        self.stream.push(entry);
        self.last.clear();
        self.undone += 1;
        true
    }

    fn drain(&mut self, most: usize) {
        let entries = self.left(self.stream.clone());
        let mut states = States::default();
        states.extend(self.records());
        for entry in entries.iter().take(most) {
            assert!(!is_early(&states, entry), "{entry:?}");
            let (on, holds, before) =
                (counts_on(&states, entry), holds(&states, entry), states.clone());
            assert!(counts(&states, entry), "{entry:?} is lost");
            let changed = apply(&zone(), &mut states, entry);
            let order = changed.first().and_then(|id| states.state(id)).map_or(0, |state| state.1);
            let packed = match holds {
                true => undo::as_computed(entry, order),
                false => undo::computed_again(entry, &on, &before, (&changed, order)),
            };
            if let Some(packed) = packed.filter(|_| !entry.has_counted()) {
                let ids = entry.submission.question_ids();
                let replaced = undo::unpack(&packed, ids).unwrap_or_else(|error| panic!("{error}"));
                self.replaced.insert(entry.token.clone(), replaced);
            }
            self.before.extend(on);
            let is_it = |other: &Entry| (&other.token, other.order) == (&entry.token, entry.order);
            self.stream.retain(|other| !is_it(other));
            self.table.retain(|(_, other)| !is_it(other));
            self.written.insert(entry.token.clone());
        }
        let all = states.of.keys().cloned().collect();
        self.rows = states.to_write(&all);
    }
}

/// What is known of each question: its rung, its date, its memory.
type Known = HashMap<String, (u8, i64, MemoryState)>;

fn known(states: impl IntoIterator<Item = Review>) -> Known {
    // A question whose first answer was undone has a record.
    let states = states.into_iter().filter(|state| state.stability > 0);
    let known = |state: Review| (state.stability, state.next_review, state.memory);
    states.map(|state| (state.question_id.clone(), known(state))).collect()
}

/// What is known after all submissions, each computed from all before it by its own clock.
fn after(submissions: &[(Submission, i64)]) -> Known {
    let mut states: HashMap<String, Review> = HashMap::new();
    for ((given, at), order) in submissions.iter().zip(1..) {
        states.extend(by_question(plan(&zone(), given, &states, order, *at).reviews));
    }
    known(states.into_values())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Answers count once, in the order in which they were given, in reads and in writes, and lead
    /// to the same rungs, dates and memories. Where they are kept, what they were computed from,
    /// and what the clocks say makes no difference.
    #[test]
    fn answers_count_in_order(events in events()) {
        let mut world = World::default();
        let mut given = Vec::new();
        for event in events {
            let at = |clock| 10_000_000 + given.len() as i64 + clock;
            match event {
                Event::Stream(answers, clock) => {
                    let entry = world.entry(&answers, true, at(clock));
                    world.newest = entry.order;
                    world.stream.push(entry);
                    given.push((answers, at(clock)));
                }
                Event::Table(answers, clock) => {
                    let entry = world.entry(&answers, true, at(clock));
                    world.table.push((world.ids, entry));
                    given.push((answers, at(clock)));
                }
                Event::Blind(answers, clock) => {
                    let entry = world.entry(&answers, false, at(clock));
                    world.table.push((world.ids, entry));
                    given.push((answers, at(clock)));
                }
                Event::Twice(answers, sees_stream) => {
                    let token = format!("key-{}", world.ids);
                    let mut entry = |sees| {
                        let entry = world.entry(&answers, sees, at(0));
                        Entry { token: token.clone(), ..entry }
                    };
                    let (one, other) = (entry(true), entry(sees_stream));
                    world.newest = one.order;
                    world.stream.push(one);
                    world.table.push((world.ids, other));
                    world.last.clone_from(&token);
                    world.keyed = Some((token, answers.clone()));
                    given.push((answers, at(0)));
                }
                Event::Again => {
                    let Some((token, answers)) = world.keyed.clone() else { continue };
                    let last = world.last.clone();
                    let entry = world.entry(&answers, false, at(0));
                    world.last = last;
                    world.table.push((world.ids, Entry { token, ..entry }));
                }
                Event::Undo => {
                    if world.undo(at(0)) {
                        given.pop();
                    }
                }
                Event::Drain(most) => world.drain(most),
            }
            prop_assert_eq!(known(world.known(true).0.into_values()), after(&given));
        }
        world.drain(usize::MAX);
        prop_assert_eq!(known(world.rows), after(&given));
        if world.undone == 0 {
            prop_assert_eq!(world.before, in_turn(&zone(), &given));
        }
    }
}

#[test]
fn what_was_computed_from_something_that_is_not_there_waits_for_it() {
    let first = entry("a", "q", &[], 5_000_000);
    let second = entry("b", "q", &first.states, 6_000_000);
    let mut states = States::default();
    assert!(is_early(&states, &second) && !is_early(&states, &first));
    // If it is lost, its result is in the later one.
    apply(&zone(), &mut states, &second);
    assert_eq!(states.into_reviews()[0].stability, 2);
}

#[test]
fn an_edit_stands_against_answers_from_before_it() {
    let review = Review { stability: 4, answered_at_us: 9_000_000, ..Review::new("q") };
    let answer = entry("a", "q", &[], 5_000_000);
    for (is_edited, stability) in [(true, 4), (false, 4)] {
        let mut states = States::default();
        states.extend(vec![Record { review: review.clone(), is_edited }]);
        let changed = apply(&zone(), &mut states, &answer);
        assert_eq!(changed.is_empty(), is_edited);
        assert_eq!(states.into_reviews()[0].stability, stability);
    }
}

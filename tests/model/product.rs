//! The model's calls of memora's own rules: ladder, plan, entry, head, lineage and belief.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use memora_engine::rules::answer::{Answer, Observed};
use memora_engine::rules::belief::{Look, Repair, Unshown};
use memora_engine::rules::clock::SiteZone;
use memora_engine::rules::entry::{self, Entry};
use memora_engine::rules::head::Head;
use memora_engine::rules::in_order::in_order;
use memora_engine::rules::ladder::Ladder;
use memora_engine::rules::lineage::{self, Record, States};
use memora_engine::rules::plan::plan;
use memora_engine::rules::registration::{Registration, Standing, challenge_of};
use memora_engine::rules::review::Review;
use memora_engine::rules::submission::Submission;

use crate::rules::Rules;
use crate::state::{Base, Database, Run, Set, Taken, Token, has, only};
use crate::step::Before;

/// The only question.
const QUESTION: &str = "q";

/// How the student answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Stability 1.
    Wrong,
    /// One step up.
    Right,
    /// Two steps up.
    Fast,
}

impl Given {
    fn observed(self) -> Observed {
        Observed::Review {
            is_correct: self != Given::Wrong,
            quality: None,
            duration_ms: if self == Given::Fast { 1_000 } else { 3_000 },
        }
    }

    /// The stability after it.
    pub fn rate(self, stability: u8) -> u8 {
        self.observed().rate(stability, &Ladder::default()).0
    }

    fn submission(self) -> Submission {
        let answer =
            Answer { question_id: QUESTION.to_owned(), observed: self.observed(), given_at: None };
        Submission { answers: vec![answer], ..Submission::default() }
    }
}

/// memora's rules, with what they need to know of the case.
#[derive(Clone)]
pub struct Product {
    zone: SiteZone,
    answers: Vec<Given>,
    rules: Rules,
}

/// A state: its order and its stability.
pub type From = (i64, u8);

fn review((order, stability): From) -> Review {
    Review { stability, answered_at_us: order, ..Review::new(QUESTION) }
}

fn states(row: Option<From>) -> Vec<Record> {
    row.map(|from| Record { review: review(from), is_edited: false }).into_iter().collect()
}

/// The state as it is written.
fn written(standing: States) -> Option<From> {
    state(&standing.to_write(&HashSet::from([QUESTION.to_owned()])))
}

fn state(reviews: &[Review]) -> Option<From> {
    reviews.first().map(|review| (review.answered_at_us, review.stability))
}

impl Product {
    /// For a case in which these answers are given.
    pub fn new(answers: &[Given], rules: &Rules) -> Product {
        let zone = SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"));
        Product { zone, answers: answers.to_vec(), rules: rules.clone() }
    }

    /// What a submission leads to from a state, under an order.
    pub fn rate(&self, submission: u8, known: Option<From>, order: i64) -> Option<From> {
        let known = known.map(|known| (QUESTION.to_owned(), review(known))).into_iter().collect();
        state(
            &plan(
                &self.zone,
                &self.answers[usize::from(submission)].submission(),
                &known,
                order,
                0,
            )
            .reviews,
        )
    }

    /// Makes the entry of a submission.
    pub fn take(&self, submission: u8, token: Token, at: i64, before: &Before) -> Taken {
        let head = Head::from(before.head);
        let order = head.next_order(at, u64::from(token));
        let known: HashMap<String, Review> =
            before.known.map(|known| (QUESTION.to_owned(), review(known))).into_iter().collect();
        let given = self.answers[usize::from(submission)].submission();
        let plan = plan(&self.zone, &given, &known, order, at / 1_000_000);
        let entry = Entry::new(token.to_string(), (at, order), head, &given, &known, plan.reviews);
        Taken {
            submission,
            at,
            kept_at: (0, 0),
            order,
            base: entry.base.into(),
            is_sure: before.is_sure,
            stability: state(&entry.states).map_or(0, |(_, stability)| stability),
            from: entry
                .from
                .first()
                .and_then(|(_, from)| from.map(|from| (from.order, from.stability))),
        }
    }

    fn entry(&self, token: Token, taken: &Taken, kept_at: i64) -> Entry {
        let mut base = Head::from(taken.base);
        if self.rules.ignores_known_table || self.rules.goes_by_clocks {
            base.table = 0;
        }
        if self.rules.goes_by_clocks {
            base.journal = 0;
        }
        Entry {
            token: token.to_string(),
            at_us: taken.at,
            kept_at_us: if self.rules.goes_by_clocks { taken.at } else { kept_at },
            order: taken.order,
            base,
            is_sure: taken.is_sure && !self.rules.goes_by_clocks,
            submission: self.answers[usize::from(taken.submission)].submission(),
            states: vec![review((taken.order, taken.stability))],
            from: vec![(
                QUESTION.to_owned(),
                taken.from.map(|from| entry::From::of(&review(from))),
            )],
            remembers: true,
            keyed: None,
        }
    }

    /// Puts entries of both places in their order.
    fn in_order(&self, entries: &[Taken], stream: &[Token], table: &[(i64, Token)]) -> Vec<Entry> {
        let taken = |token: Token| &entries[usize::from(token)];
        let of_stream = |token: &Token| self.entry(*token, taken(*token), taken(*token).kept_at.0);
        let of_table = |(id, token): &(i64, Token)| {
            (*id, self.entry(*token, taken(*token), taken(*token).kept_at.1))
        };
        let (stream, table) =
            (stream.iter().map(of_stream).collect(), table.iter().map(of_table).collect());
        in_order(stream, table)
    }

    /// The record with the waiting entries applied, and the highest order of anything that counts.
    pub fn lay_over(
        &self,
        row: Option<From>,
        entries: &[Taken],
        stream: &[Token],
        table: &[(i64, Token)],
    ) -> (Option<From>, i64) {
        let entries = self.in_order(entries, stream, table);
        let (reviews, newest) = lineage::lay_over(&self.zone, states(row), &entries);
        (state(&reviews), newest)
    }

    /// Applies the entries of a batch as a drain does, except those with an audit record. Returns
    /// the final state, those that count, the early one, and whether one was computed again.
    pub fn settle(
        &self,
        row: Option<From>,
        entries: &[Taken],
        (stream, table): (&[Token], &[(i64, Token)]),
        (audited, lost): (Set, Set),
    ) -> (Option<From>, Set, Set, bool) {
        let mut standing = States::default();
        standing.extend(states(row));
        let (mut counted, mut is_replayed) = (0, false);
        for entry in self.in_order(entries, stream, table) {
            let token = number(&entry);
            if has(audited, token) {
                continue;
            }
            let waits = !has(lost, token) && !self.rules.ignores_early;
            if waits && lineage::is_early(&standing, &entry) {
                return (written(standing), counted, only(token), is_replayed);
            }
            is_replayed |= !lineage::holds(&standing, &entry);
            lineage::apply(&self.zone, &mut standing, &entry);
            counted |= only(token);
        }
        (written(standing), counted, 0, is_replayed)
    }

    /// What a look must repair.
    pub fn repair(database: &Database) -> Repair {
        let marks = (0..database.marks.count_ones()).map(|_| unshown(None));
        let doubts = (0..database.doubts.count_ones()).map(|_| unshown(Some(0)));
        let unshown = marks.chain(doubts).collect();
        Look { is_believed: database.is_believed, unshown }.repair()
    }

    /// Whether a schedule with a head of this order is dropped, if it may lack the newest answer.
    pub fn is_dropped(newest: i64, order: Option<i64>) -> bool {
        unshown(Some(newest)).is_dropped(order)
    }

    /// What a process must do that reaches a run of the cache: depends on whether it has waited
    /// since it knows the challenge, which run is registered, and whether that is believed.
    pub fn standing(
        (registered, is_believed): (Run, bool),
        challenge: Option<Run>,
        run: Run,
        has_waited: bool,
    ) -> Standing {
        let registration = Registration {
            run: registered.to_string(),
            challenge: challenge.map(|run| challenge_of(&run.to_string(), "")).unwrap_or_default(),
            ..Registration::default()
        };
        let longest = Duration::from_secs(1);
        let known_for = if has_waited { longest } else { Duration::ZERO };
        registration.standing(&run.to_string(), is_believed, known_for, longest)
    }

    /// The head after an entry was kept.
    pub fn head_after(before: Base, order: i64, id: Option<i64>) -> Base {
        let (_, journal, table) = before;
        match id {
            Some(id) => (order, journal, id),
            None => (order, order, table),
        }
    }
}

fn unshown(newest: Option<i64>) -> Unshown {
    Unshown { player: "a".to_owned(), season: "s".to_owned(), newest }
}

fn number(entry: &Entry) -> Token {
    entry.token.parse().unwrap_or_default()
}

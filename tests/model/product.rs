//! The model's calls of memora's own rules: ladder, plan, entry, head, lineage and belief.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use memora_engine::rules::acknowledgement::{Acknowledgement, Keyed};
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
    /// No answer: this submission is undone.
    Undo(u8),
}

impl Given {
    fn observed(self) -> Observed {
        Observed::Review {
            is_correct: self != Given::Wrong,
            quality: None,
            duration_ms: if self == Given::Fast { 1_000 } else { 3_000 },
        }
    }

    /// The submission that it undoes.
    pub fn undoes(self) -> Option<u8> {
        match self {
            Given::Undo(submission) => Some(submission),
            _ => None,
        }
    }

    /// The stability after it.
    pub fn rate(self, stability: u8) -> u8 {
        self.observed().rate(stability, &Ladder::default()).0
    }

    fn submission(self) -> Submission {
        if self.undoes().is_some() {
            return Submission::default();
        }
        let answer =
            Answer { question_id: QUESTION.to_owned(), observed: self.observed(), given_at: None };
        Submission { answers: vec![answer], ..Submission::default() }
    }
}

/// The result of a drain.
#[derive(Default)]
pub struct Settled {
    /// The final state.
    pub state: Option<From>,
    /// The entries that count.
    pub counted: Set,
    /// The one that came early.
    pub early: Set,
    /// Whether an entry was computed again.
    pub is_replayed: bool,
    /// What those that count have replaced.
    pub replaced: Vec<(Token, From)>,
    /// The entries that they undo.
    pub undone: Set,
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

fn from_of(review: &Review) -> From {
    (review.answered_at_us, review.stability)
}

fn state(reviews: &[Review]) -> Option<From> {
    reviews.first().map(from_of)
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
        let computed = state(&entry.states).map_or(0, |(_, stability)| stability);
        Taken {
            submission,
            at,
            kept_at: (0, 0),
            order,
            base: entry.base.into(),
            is_sure: before.is_sure,
            stability: before.undoes.map_or(computed, |(_, restored)| restored),
            from: before.known,
            undoes: before.undoes.map(|(undone, _)| undone),
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
            keyed: Some(keyed()),
            before: Vec::new(),
            undoes: taken
                .undoes
                .filter(|_| !self.rules.undoes_in_any_case)
                .map(|undone| undone.to_string()),
        }
    }

    /// What undoing a submission leads from and to: its entry, the state that stands, and the
    /// stability that it is set to. `None`: it cannot be undone, or not now. The entries of both
    /// places wait; the others that were written have replaced something.
    pub fn undoing(
        &self,
        row: Option<From>,
        entries: &[Taken],
        (stream, table): (&[Token], &[(i64, Token)]),
        (submission, replaced): (u8, &[(Token, From)]),
    ) -> Option<(Token, Option<From>, u8)> {
        let mut standing = States::default();
        standing.extend(states(row));
        let is_it = |token: Token| entries[usize::from(token)].submission == submission;
        let mut found = None;
        for entry in self.in_order(entries, stream, table) {
            let token = number(&entry);
            if is_it(token) {
                let holds = lineage::holds(&standing, &entry);
                if !holds {
                    return None;
                }
                found = Some((token, (entry.order, rung(entries[usize::from(token)].from))));
            }
            lineage::apply(&self.zone, &mut standing, &entry);
        }
        let written = || replaced.iter().copied().find(|(token, _)| is_it(*token));
        let (token, (order, before)) = found.or_else(written)?;
        let now = standing.state(QUESTION).map(|(review, _)| from_of(review));
        let is_newest = now.is_some_and(|(newest, _)| newest == order);
        (is_newest || self.rules.undoes_what_was_answered_since).then_some((token, now, before))
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

    /// Whether a waiting entry counts that undoes another one.
    pub fn counts(
        &self,
        row: Option<From>,
        entries: &[Taken],
        (stream, table): (&[Token], &[(i64, Token)]),
        token: Token,
    ) -> bool {
        let mut standing = States::default();
        standing.extend(states(row));
        let mut is_settled = true;
        for entry in self.in_order(entries, stream, table) {
            if number(&entry) == token {
                return is_settled && lineage::counts(&standing, &entry);
            }
            is_settled &= lineage::holds(&standing, &entry);
            lineage::apply(&self.zone, &mut standing, &entry);
        }
        false
    }

    /// Applies the entries of a batch as a drain does, except those with an audit record.
    pub fn settle(
        &self,
        row: Option<From>,
        entries: &[Taken],
        (stream, table): (&[Token], &[(i64, Token)]),
        (audited, lost): (Set, Set),
    ) -> Settled {
        let mut standing = States::default();
        standing.extend(states(row));
        let mut settled = Settled::default();
        let has_undo = self.answers.iter().any(|given| given.undoes().is_some());
        for entry in self.in_order(entries, stream, table) {
            let token = number(&entry);
            if has(audited, token) {
                continue;
            }
            let waits = !has(lost, token) && !self.rules.ignores_early;
            if waits && lineage::is_early(&standing, &entry) {
                settled.early = only(token);
                break;
            }
            let holds = lineage::holds(&standing, &entry);
            settled.is_replayed |= !holds;
            let Taken { from: known, undoes, .. } = entries[usize::from(token)];
            let has_undone = lineage::counts(&standing, &entry);
            settled.undone |= undoes.filter(|_| has_undone).map_or(0, only);
            let before = standing.state(QUESTION).map(|(review, _)| from_of(review));
            let before = if holds || self.rules.undoes_to_what_it_knew { known } else { before };
            lineage::apply(&self.zone, &mut standing, &entry);
            settled.counted |= only(token);
            if let Some((_, rank)) = standing.state(QUESTION).filter(|_| has_undo) {
                settled.replaced.push((token, (rank, rung(before))));
            }
        }
        Settled { state: written(standing), ..settled }
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

fn rung(known: Option<From>) -> u8 {
    known.map_or(0, |(_, stability)| stability)
}

/// Each submission can be undone.
fn keyed() -> Keyed {
    let told = Acknowledgement {
        processed: 1,
        correct: 0,
        xp_earned: 0,
        remaining: 0,
        stability_counts: Vec::new(),
        leeches: Vec::new(),
    };
    Keyed { fingerprint: String::new(), told }
}

fn unshown(newest: Option<i64>) -> Unshown {
    Unshown { player: "a".to_owned(), season: "s".to_owned(), newest }
}

fn number(entry: &Entry) -> Token {
    entry.token.parse().unwrap_or_default()
}

//! The rules of the commit before (0c0f89c), as far as a model needs them: an answer that the
//! journal does not take is written to the table of records at once, and the newer of two states
//! wins. Answers taken without the journal are kept apart from it, for a drain to replay.

use crate::product::From;

use crate::case::{Job, Protocol};
use crate::state::{Base, Blind, D, J, Place, State};
use crate::step::{Batch, Before, Load, Step};

fn newer(one: Option<From>, other: Option<From>) -> Option<From> {
    match (one, other) {
        (Some(one), Some(other)) if other.0 > one.0 => Some(other),
        (None, other) => other,
        (one, _) => one,
    }
}

fn order_of(state: Option<From>) -> i64 {
    state.map_or(0, |(order, _)| order)
}

impl Protocol {
    /// The table's state with the newest of the journal's over it.
    pub fn loaded_today(&self, state: &State, load: &Load) -> (Option<From>, Base) {
        let mut blind = state.database.blind.clone();
        let mut known = state.database.row;
        for token in &load.stream {
            let taken = &state.entries[usize::from(*token)];
            let pending = Some((taken.order, taken.stability));
            blind.learn(pending);
            known = newer(known, pending);
        }
        let known = self.corrected(known, &blind);
        let head = order_of(known).max(load.head);
        (known, (head, head, 0))
    }

    fn corrected(&self, known: Option<From>, blind: &Blind) -> Option<From> {
        if blind.answers.is_empty() {
            return known;
        }
        let mut replayed = blind.base;
        for (order, submission) in &blind.answers {
            if order_of(replayed) <= *order {
                replayed = self.product.rate(*submission, replayed, *order);
            }
        }
        let is_own = blind.answers.iter().any(|(order, _)| *order == order_of(replayed));
        if is_own && order_of(known) <= order_of(replayed) { replayed } else { known }
    }

    /// Writes the answers into the table.
    pub fn write_at_once(&self, state: &mut State, place: Place, before: &Before) {
        let Some(Job::Submit(submission)) = self.job(state, place) else { return };
        let known = newer(before.known, state.database.row);
        let head = before.head.0.max(order_of(known));
        let found = Before { known, head: (head, head, 0), ..*before };
        let token = self.make_entry(state, place, &found);
        let taken = state.entries[usize::from(token)].clone();
        let written = Some((taken.order, taken.stability));
        let database = &mut state.database;
        database.row = written;
        if !before.is_whole {
            database.blind.learn(known);
            database.blind.answers.push((taken.order, submission));
        }
        let after = (taken.order, taken.order, 0);
        let cached = before.cached;
        state.process(place).step = Step::Show { token, before: before.head, after, cached };
    }

    /// Does a step of a drain.
    pub fn drain_step_today(&self, state: &mut State, place: Place) -> bool {
        let (journal, database) = (state.reaches(place, J), state.reaches(place, D));
        let next = match state.process(place).step.clone() {
            Step::DrainTake if journal && !state.journal.stream.is_empty() => {
                Step::DrainBegin(Batch { stream: state.journal.stream.clone(), ..Batch::default() })
            }
            // `before` keeps how many blind answers the transaction's snapshot has.
            Step::DrainBegin(batch) if database => {
                let before = u8::try_from(state.database.blind.answers.len()).unwrap_or(0);
                Step::DrainLock(Batch { before, ..batch })
            }
            Step::DrainLock(batch) if database => {
                let seen = usize::from(batch.before);
                let mut blind = state.database.blind.clone();
                if self.case.rules.reads_old_snapshot {
                    blind.answers.truncate(seen);
                }
                for token in &batch.stream {
                    let taken = &state.entries[usize::from(*token)];
                    let written = Some((taken.order, taken.stability));
                    state.database.row = newer(state.database.row, written);
                    if !blind.answers.is_empty() {
                        blind.learn(written);
                    }
                }
                if !blind.answers.is_empty() {
                    state.database.row = self.corrected(state.database.row, &blind);
                    state.database.blind.base = blind.base;
                }
                let done =
                    batch.stream.iter().fold(0, |set, token| set | crate::state::only(*token));
                Step::DrainAcknowledge { done, early: 0 }
            }
            Step::DrainAcknowledge { done, .. } if journal => {
                state.journal.stream.retain(|token| !crate::state::has(done, *token));
                self.end_job(state, place);
                return true;
            }
            _ => {
                self.end_job(state, place);
                return true;
            }
        };
        state.process(place).step = next;
        true
    }
}

impl Blind {
    /// Takes over a state from before these answers, if it is newer than the known one.
    fn learn(&mut self, state: Option<From>) {
        if !self.answers.iter().any(|(order, _)| *order == order_of(state)) {
            self.base = newer(self.base, state);
        }
    }
}

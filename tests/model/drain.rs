//! A drain.

use crate::case::Protocol;
use crate::product::Settled;
use crate::state::{C, D, J, Journal, Place, Set, State, Token, has, only, waiter};
use crate::step::{Batch, Step};

impl Protocol {
    /// Does a step of a drain. A drain that lacks a server ends; its entries stay.
    pub fn drain_step(&self, state: &mut State, place: Place) -> bool {
        let reaches = |server| state.reaches(place, server);
        let (journal, database) = (reaches(J), reaches(D));
        let rules = &self.case.rules;
        let drops_before = !rules.drain_leaves_schedules && !rules.drops_after_commit;
        let drops = reaches(C) && drops_before;
        let counts = reaches(C) && state.run(place) == state.database.registered;
        let marks = !counts && drops_before && !rules.drain_leaves_unseen;
        if rules.writes_at_once {
            return self.drain_step_today(state, place);
        }
        let next = match state.process(place).step.clone() {
            Step::DrainTake
            | Step::DrainStream(_)
            | Step::DrainAcknowledge { .. }
            | Step::DrainForget(_)
                if !journal =>
            {
                self.end_job(state, place);
                return true;
            }
            Step::DrainLook(_)
            | Step::DrainTakeTable
            | Step::DrainTable(_)
            | Step::DrainCheck(_)
            | Step::DrainKeep(_)
            | Step::DrainMark(_)
            | Step::DrainBegin(_)
            | Step::DrainLock(_)
            | Step::DrainCommit { .. }
                if !database =>
            {
                self.end_job(state, place);
                return true;
            }
            Step::DrainTake if !state.journal_of(place).written.is_empty() => {
                Step::DrainLook(state.journal_of(place).written.clone())
            }
            Step::DrainLook(mut written) => {
                written.retain(|token| !has(state.database.audits, *token));
                match self.complete(0) {
                    _ if written.is_empty() => self.take(state, place),
                    Step::DrainTable(batch) => Step::DrainTable(Batch { again: written, ..batch }),
                    other => other,
                }
            }
            Step::DrainTake => self.take(state, place),
            Step::DrainTakeTable if state.database.table.is_empty() => {
                self.end_job(state, place);
                return true;
            }
            Step::DrainTakeTable => self.complete(0),
            Step::DrainTable(batch) => {
                let batch = Batch { table: state.database.table.clone(), ..batch };
                if rules.drains_stream_first {
                    self.gathered(batch)
                } else {
                    Step::DrainStream(batch)
                }
            }
            Step::DrainStream(batch) => {
                let Journal { mut stream, written, .. } = state.journal_of(place).clone();
                stream.extend(&batch.again);
                if batch.lost != 0 && !rules.takes_written_for_lost {
                    stream.extend(&written);
                }
                if stream != state.journal.stream {
                    // Orders grow in the stream.
                    stream.sort_unstable_by_key(|token| state.order_of(*token));
                    stream.dedup();
                }
                let batch = Batch { stream, ..batch };
                match (rules.drains_stream_first, rules.drains_table_first) {
                    (true, _) => Step::DrainTable(batch),
                    (_, true) => self.gathered(batch),
                    _ => Step::DrainCheck(batch),
                }
            }
            Step::DrainCheck(batch) if batch.table == state.database.table => self.gathered(batch),
            Step::DrainCheck(batch) => {
                Step::DrainStream(Batch { table: state.database.table.clone(), ..batch })
            }
            Step::DrainKeep(mut batch) => {
                // What the journal still has, and now its replica too.
                let confirmed = if state.follower.is_some() {
                    state.replicate();
                    state.journal_of(place).stream.clone()
                } else {
                    Vec::new()
                };
                let is_there = |token: &Token| confirmed.contains(token) || is_in(&batch, *token);
                let lacking: Vec<Token> =
                    batch.stream.iter().copied().filter(|token| !is_there(token)).collect();
                for token in lacking {
                    batch.table.push((state.database.keep(token), token));
                }
                Step::DrainDrop(batch)
            }
            Step::DrainDrop(batch) => {
                let newest = batch.all().map(|token| state.entries[usize::from(token)].order).max();
                let is_cold = state.cache(place).schedule.is_none();
                // A load that is under way may lack it too, so its fence is removed.
                let lacks = state.cache(place).schedule.is_none_or(|it| Some(it.head.0) < newest);
                if lacks && drops && !(rules.drain_leaves_loads && is_cold) {
                    state.cache(place).drop_student(rules.drop_keeps_fence);
                }
                if marks { Step::DrainMark(batch) } else { Step::DrainBegin(batch) }
            }
            Step::DrainMark(batch) => {
                if state.database.belief_lock.is_some() {
                    return false;
                }
                let newest = batch.all().max_by_key(|token| state.order_of(*token));
                state.database.doubts |= newest.map_or(0, only);
                Step::DrainBegin(batch)
            }
            Step::DrainForget(batch) => {
                state.journal_of(place).stream.retain(|token| !batch.stream.contains(token));
                Step::DrainDrop(batch)
            }
            Step::DrainBegin(batch) => {
                let before = if rules.ignores_audits { 0 } else { state.database.audits };
                Step::DrainLock(Batch { before, ..batch })
            }
            Step::DrainLock(batch) => {
                let row = state.database.row;
                if state.database.row_lock.is_some() {
                    return false;
                }
                let places = (batch.stream.as_slice(), batch.table.as_slice());
                let Settled { state: result, counted, early, is_replayed, replaced, undone } =
                    self.product.settle(row, &state.entries, places, (batch.before, batch.lost));
                // Before it is committed, because it is unknown afterwards.
                if is_replayed && marks {
                    if state.database.belief_lock.is_some() {
                        return false;
                    }
                    state.database.marks |= only(waiter(place));
                }
                if is_replayed && drops {
                    state.cache(place).drop_student(rules.drop_keeps_fence);
                }
                if row.is_some() {
                    state.database.row_lock = Some(place);
                }
                Step::DrainCommit { batch, state: result, counted, early, replaced, undone }
            }
            Step::DrainCommit { batch, state: result, counted, early, replaced, undone } => {
                let database = &mut state.database;
                if database.row_lock.is_some_and(|holder| holder != place) {
                    return false;
                }
                database.row_lock = None;
                if database.audits & counted != 0 && !rules.ignores_audits {
                    // The second audit record of the same name is refused: all of it is done again.
                    Step::DrainBegin(Batch { before: 0, ..batch })
                } else {
                    if counted != 0 {
                        database.row = result;
                    }
                    database.audits |= counted;
                    database.replaced.extend(replaced);
                    database.undone |= undone;
                    let done = counted | batch.before;
                    database
                        .table
                        .retain(|(_, token)| !(has(done, *token) && is_in(&batch, *token)));
                    Step::DrainAcknowledge { done: done & in_stream(&batch), early }
                }
            }
            Step::DrainAcknowledge { done, early } => {
                let row = state.database.row;
                let cached = state.cache(place).schedule;
                let differs = cached.is_some_and(|schedule| schedule.known != row);
                if rules.drops_after_commit && differs && state.reaches(place, C) {
                    state.cache(place).drop_student(rules.drop_keeps_fence);
                }
                let journal = state.journal_of(place);
                journal.stream.retain(|token| !has(done, *token));
                // In a database that never falls back, an entry counts as found again once it is
                // written.
                if self.case.may_fall_back && !rules.forgets_what_is_written {
                    let written = (0..8).filter(|token| has(done, *token));
                    journal.written.retain(|token| !has(done, *token));
                    journal.written.extend(written);
                }
                // The head is removed with the student's last waiting entry.
                if journal.stream.is_empty() {
                    journal.head = 0;
                }
                if early == 0 {
                    self.end_job(state, place);
                    return true;
                }
                self.complete(early)
            }
            _ => return false,
        };
        state.process(place).step = next;
        true
    }

    /// Looks whether something waits.
    fn take(&self, state: &mut State, place: Place) -> Step {
        if state.journal_of(place).stream.is_empty() {
            Step::DrainTakeTable
        } else {
            self.complete(0)
        }
    }

    /// Reads all that waits of the student.
    fn complete(&self, lost: Set) -> Step {
        let batch = Batch { lost, ..Batch::default() };
        if self.case.rules.drains_stream_first {
            Step::DrainStream(batch)
        } else {
            Step::DrainTable(batch)
        }
    }

    fn gathered(&self, batch: Batch) -> Step {
        if self.case.rules.acknowledges_first {
            Step::DrainForget(batch)
        } else if self.case.fails_over && !self.case.rules.drains_what_lacks {
            Step::DrainKeep(batch)
        } else {
            Step::DrainDrop(batch)
        }
    }
}

fn is_in(batch: &Batch, token: u8) -> bool {
    batch.table.iter().any(|(_, other)| *other == token)
}

fn in_stream(batch: &Batch) -> Set {
    batch.stream.iter().fold(0, |set, token| set | only(*token))
}

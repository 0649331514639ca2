//! Keeping a submission, showing it, and making sure that no process believes a schedule that lacks
//! it.

use crate::case::{Job, Protocol};
use crate::look::begin_wait;
use crate::product::Product;
use crate::state::{Base, C, D, J, Place, Schedule, State, Token, has, only};
use crate::step::{Asked, Before, Step, Why};

/// After this many conflicts, a submission drops the student's schedule, and then gives up.
const MOST_CONFLICTS: u8 = 2;

impl Protocol {
    /// Does a step of a submission.
    pub fn submit_step(&self, state: &mut State, place: Place) -> bool {
        let reaches = |server| state.reaches(place, server);
        let (cache, database) = (reaches(C), reaches(D));
        match state.process(place).step.clone() {
            Step::Keep(before) => self.keep(state, place, &before),
            Step::KeepToo { token, before } => {
                self.keep_in_table(state, place, &before, Some((token, true)));
            }
            Step::VerifyJournal { .. } | Step::VerifyTable { .. } => self.verify(state, place),
            Step::Show { token, before, after, cached } => {
                if !cache {
                    state.process(place).step = Step::Mark;
                    return true;
                }
                let taken = &state.entries[usize::from(token)];
                let known = Some((taken.order, taken.stability));
                let run = state.run(place);
                let generation = cached.filter(|era| era.run == run).map(|era| era.generation);
                let is_current = |schedule: &Schedule| {
                    let is_head = [before, after].contains(&schedule.head);
                    let is_known = is_head || self.case.rules.ignores_cached_head;
                    Some(schedule.generation) == generation && is_known
                };
                let cache = &mut state.caches[usize::from(run)];
                if let Some(shown) = cache.schedule.filter(is_current) {
                    cache.schedule = Some(Schedule { known, head: after, ..shown });
                    cache.fence = None;
                } else {
                    cache.drop_student(self.case.rules.drop_keeps_fence);
                }
                if self.is_confirmed(state, run) || self.case.rules.shows_without_looking {
                    self.acknowledge(state, place);
                } else {
                    let era = state.era(place);
                    state.process(place).step = Step::Claim(Asked { why: Why::Shown(run), era });
                }
            }
            // Neither can be done: the student is told that the outcome is unknown.
            Step::Mark | Step::Unmark(..) | Step::GiveUp if !database => self.end_job(state, place),
            Step::Mark => {
                if state.database.belief_lock.is_some() {
                    return false;
                }
                state.database.marks |= only(place);
                if !state.database.is_believed || self.case.rules.does_not_wait {
                    self.acknowledge(state, place);
                } else {
                    state.process(place).step = Step::Revoke;
                }
            }
            Step::Revoke => self.revoke(state, place),
            Step::Wait(is_journal) if cache => {
                state.cache(place).drop_student(self.case.rules.drop_keeps_fence);
                let run = state.run(place);
                state.process(place).step = Step::Unmark(run, is_journal);
            }
            Step::Wait(_) if !database => self.end_job(state, place),
            Step::Wait(_) => return false,
            Step::Unmark(run, is_journal) => {
                if state.database.belief_lock.is_some() {
                    return false;
                }
                if run == state.database.registered || self.case.rules.unmarks_for_any_run {
                    state.database.marks &= !only(place);
                    self.acknowledge(state, place);
                } else {
                    state.process(place).step = Step::Wait(is_journal);
                }
            }
            Step::GiveUp => {
                if state.database.belief_lock.is_some() {
                    return false;
                }
                if has(state.database.marks, place) {
                    state.database.is_believed = false;
                }
                self.acknowledge(state, place);
            }
            _ => return false,
        }
        true
    }

    fn keep(&self, state: &mut State, place: Place, before: &Before) {
        let is_asked = before.is_whole || self.case.rules.appends_blindly;
        if !is_asked || !state.reaches(place, J) {
            if self.may_undo_without_journal(state, place) {
                self.keep_in_table(state, place, before, None);
            } else {
                self.end_job(state, place);
            }
            return;
        }
        if self.is_in_conflict(state, place, before.head) {
            self.settle_conflict(state, place, before);
            return;
        }
        let token = self.append(state, place, before);
        if self.case.fails_over && !self.case.rules.asks_no_replica {
            if state.follower.is_none() {
                state.process(place).step = Step::KeepToo { token, before: *before };
                return;
            }
            state.replicate();
        }
        let order = state.entries[usize::from(token)].order;
        let after = Product::head_after(before.head, order, None);
        state.process(place).step = self.kept(before, token, after);
    }

    /// As a step that keeps an entry, but the replica is late.
    pub fn keep_alone(&self, state: &mut State, place: Place) -> bool {
        let Step::Keep(before) = state.process(place).step else { return false };
        let is_asked = before.is_whole && state.reaches(place, J);
        if !is_asked || self.is_in_conflict(state, place, before.head) {
            return false;
        }
        let token = self.append(state, place, &before);
        state.process(place).step = Step::KeepToo { token, before };
        true
    }

    fn append(&self, state: &mut State, place: Place, before: &Before) -> Token {
        let token = self.make_entry(state, place, before);
        let order = state.entries[usize::from(token)].order;
        let journal = state.journal_of(place);
        journal.stream.push(token);
        journal.head = order;
        token
    }

    fn settle_conflict(&self, state: &mut State, place: Place, before: &Before) {
        let conflicts = state.process(place).conflicts;
        if conflicts == MOST_CONFLICTS {
            self.end_job(state, place);
            return;
        }
        if conflicts > 0 && before.cached.is_some() && state.reaches(place, C) {
            state.cache(place).drop_student(self.case.rules.drop_keeps_fence);
        }
        let step = self.first_step(state, place);
        let process = state.process(place);
        process.conflicts += 1;
        process.step = step;
    }

    /// The journal does not answer, and takes the entry later.
    pub fn stall(&self, state: &mut State, place: Place) -> bool {
        let Step::Keep(before) = state.process(place).step else { return false };
        if !before.is_whole || self.is_in_conflict(state, place, before.head) {
            return false;
        }
        let token = self.make_entry(state, place, &before);
        state.journal.stalled = Some(token);
        if before.undoes.is_some() {
            // The student is told that the outcome is unknown.
            self.end_job(state, place);
            return true;
        }
        self.keep_in_table(state, place, &before, Some((token, false)));
        true
    }

    /// The journal takes the entry, but its reply was lost.
    pub fn take_late(&self, state: &mut State) {
        let Some(token) = state.journal.stalled.take() else { return };
        let (base, order) =
            (state.entries[usize::from(token)].base, state.entries[usize::from(token)].order);
        let refuses = state.journal.head > base.1 && !self.case.rules.has_no_conflicts;
        if !refuses {
            state.entries[usize::from(token)].kept_at.0 =
                self.time(state) + self.case.journal_ahead;
            state.journal.stream.push(token);
            state.journal.head = order;
        }
    }

    /// Whether the journal refuses an entry computed from this head.
    fn is_in_conflict(&self, state: &mut State, place: Place, (_, journal, _): Base) -> bool {
        state.journal_of(place).head > journal && !self.case.rules.has_no_conflicts
    }

    fn keep_in_table(
        &self,
        state: &mut State,
        place: Place,
        before: &Before,
        sent: Option<(Token, bool)>,
    ) {
        if !state.reaches(place, D) {
            self.end_job(state, place);
            return;
        }
        if self.case.rules.writes_at_once {
            self.write_at_once(state, place, before);
            return;
        }
        let (token, is_in_stream) =
            sent.unwrap_or_else(|| (self.make_entry(state, place, before), false));
        let order = state.entries[usize::from(token)].order;
        let id = state.database.keep(token);
        let mut after = Product::head_after(before.head, order, Some(id));
        if is_in_stream {
            after.1 = order;
        }
        state.process(place).step = self.kept(before, token, after);
    }

    /// Makes the entry of the submission at which a process works.
    pub fn make_entry(&self, state: &mut State, place: Place, before: &Before) -> Token {
        let token = Token::try_from(state.entries.len()).unwrap_or(Token::MAX);
        let Some(Job::Submit(submission)) = self.job(state, place) else { return token };
        let mut taken = self.product.take(submission, token, self.clock(state, place), before);
        let now = self.time(state);
        taken.kept_at = (now + self.case.journal_ahead, now);
        state.entries.push(taken);
        token
    }

    fn revoke(&self, state: &mut State, place: Place) {
        let rules = &self.case.rules;
        let mut is_told = state.reaches(place, J);
        if is_told && !rules.does_not_revoke {
            state.journal_of(place).looks = Default::default();
        }
        // Another server may consider itself the primary.
        let may_be_split = self.case.fails_over && state.follower.is_none();
        is_told &= !may_be_split || rules.tells_one_journal;
        let is_journal = !is_told && !rules.waits_for_a_lease_only;
        begin_wait(state, place, is_journal);
        state.process(place).step = Step::Wait(is_journal);
    }
}

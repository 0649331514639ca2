//! States that need not be distinguished. Each rule here omits an order of events if another order,
//! which is kept, leads to the same state. Faults of a server happen just before a process asks
//! that server, and facts that no process will ask for are forgotten. So every broken promise is
//! still found, in half to a quarter of the states. `nothing_is_left_out` checks that.
//!
//! Only the cases themselves bound the rest: this many processes and answers, one student, one
//! question, and each fault as often as the case says.

use std::collections::HashSet;

use crate::product::From;
use stateright::Model;

use crate::case::{ALL, Case, Job, Protocol};
use crate::cases::{
    apart_and_reads, one_after_the_other, one_and_a_load, one_and_two_reads, there_and_back,
    two_and_a_drain, two_and_a_read,
};
use crate::state::{
    C, Cache, D, Given, J, Journal, Looks, N, Place, Process, Run, Set, State, has, waiter,
};
use crate::step::{Load, Step};

impl Protocol {
    /// Whether it matters that a run of the cache's note of a look expires now, and not later: a
    /// process asks for the note next, or waits for its end. It may expire before each of these;
    /// everything else is the same before and after.
    pub fn cache_note_matters(&self, state: &State, run: Run) -> bool {
        let asks = |place: Place| {
            let process = &state.processes[usize::from(place)];
            let is_asking = match process.step {
                Step::Ask(_) | Step::Show { .. } => true,
                Step::Idle => matches!(self.job(state, place), Some(Job::Submit(_) | Job::Read)),
                _ => false,
            };
            is_asking && process.run == run && process.reaches(C)
        };
        self.note_matters(&state.caches[usize::from(run)].looks, state, asks)
    }

    /// As [`Protocol::cache_note_matters`], for the journal, or the promoted one.
    pub fn journal_note_matters(&self, state: &State, is_promoted: bool) -> bool {
        let Some(journal) =
            (if is_promoted { state.promoted.as_ref() } else { Some(&state.journal) })
        else {
            return false;
        };
        let asks = |place: Place| {
            let process = &state.processes[usize::from(place)];
            let uses_promoted = state.promoted.is_some() && process.reaches(N);
            matches!(process.step, Step::AskJournal(_))
                && process.reaches(J)
                && uses_promoted == is_promoted
        };
        self.note_matters(&journal.looks, state, asks)
    }

    /// Whether the end of a claim matters now: a process waits for it, or an earlier note stays
    /// then. Otherwise a late look is the same as one whose note expires at once.
    pub fn claim_matters(&self, looks: &Looks) -> bool {
        let is_whole = self.case.is_whole;
        looks.claim.is_some_and(|(_, waiting)| is_whole || waiting != 0 || looks.note.is_some())
    }

    fn note_matters(&self, looks: &Looks, state: &State, asks: impl Fn(Place) -> bool) -> bool {
        let mut places = (0u8..).take(state.processes.len());
        let is_whole = self.case.is_whole;
        looks.note.is_some_and(|waiting| is_whole || waiting != 0 || places.any(asks))
    }

    /// Whether it makes a difference that something happens to these servers now: a process asks
    /// one of them next. It may happen before each such step; every other step is the same before
    /// it and after it.
    pub fn is_next(&self, state: &State, servers: Set) -> bool {
        let mut processes = (0u8..).zip(&state.processes);
        self.case.is_whole
            || processes.any(|(place, process)| self.asks(state, place, process) & servers != 0)
    }

    /// As [`Protocol::is_next`], for events that also matter to the outcome: they may happen before
    /// the last process ends.
    pub fn is_next_or_last(&self, state: &State, servers: Set) -> bool {
        let places = (0u8..).take(state.processes.len());
        let at_work = places.filter(|place| !self.is_done(state, *place)).count();
        at_work < 2 || self.is_next(state, servers)
    }

    /// As [`Protocol::is_next`], for the next fault, or one of those that come after it.
    pub fn fault_matters(&self, state: &State) -> bool {
        let mut reached: Vec<(Set, Run)> =
            state.processes.iter().map(|process| (process.reach, process.run)).collect();
        self.case.faults.iter().skip(usize::from(state.faults)).any(|fault| {
            let mut is_next = self.case.is_whole;
            for (place, (reach, run)) in (0u8..).zip(&mut reached) {
                if !has(fault.places, place) {
                    continue;
                }
                let other_run = fault.run.is_some_and(|to| to != *run);
                let changed = *reach ^ fault.reach | if other_run { C | D } else { 0 };
                let process = &state.processes[usize::from(place)];
                is_next |= self.asks(state, place, process) & changed != 0;
                (*reach, *run) = (fault.reach, fault.run.unwrap_or(*run));
            }
            is_next
        })
    }

    /// The servers that a process asks in its next step.
    fn asks(&self, state: &State, place: Place, process: &Process) -> Set {
        match &process.step {
            Step::Idle => match self.job(state, place) {
                Some(Job::Submit(_) | Job::Read) => C,
                Some(Job::Drain) => J,
                None => 0,
            },
            Step::Ask(_)
            | Step::Claim(_)
            | Step::Confirm(..)
            | Step::Fence(_)
            | Step::Fill(_)
            | Step::Show { .. }
            | Step::DrainDrop(_) => C,
            Step::AskJournal(_)
            | Step::ClaimJournal(_)
            | Step::ConfirmJournal(..)
            | Step::LoadJournal(_)
            | Step::Revoke
            | Step::VerifyJournal { .. }
            | Step::DrainTake
            | Step::DrainStream(_)
            | Step::DrainForget(_) => J,
            Step::Look(..)
            | Step::Settle(..)
            | Step::LoadKeep(_)
            | Step::LoadTable(_)
            | Step::LoadRow(..)
            | Step::KeepToo { .. }
            | Step::VerifyTable { .. }
            | Step::Mark
            | Step::Unmark(..)
            | Step::GiveUp
            | Step::DrainLook(_)
            | Step::DrainTakeTable
            | Step::DrainTable(_)
            | Step::DrainCheck(_)
            | Step::DrainBegin(_)
            | Step::DrainMark(_)
            | Step::DrainCommit { .. } => D,
            Step::Sight(_) | Step::Keep(_) | Step::DrainKeep(_) => J | D,
            Step::Repair(..) | Step::DrainLock(_) => C | D,
            Step::DrainAcknowledge { .. } => C | J,
            Step::Wait(_) => C | J | D,
        }
    }

    /// A process whose next step neither changes anything for the others nor depends on what they
    /// may change. It takes this step first, because the order makes no difference.
    pub fn alone(&self, state: &State) -> Option<Place> {
        let mut places = (0u8..).take(state.processes.len());
        places.find(|place| !self.case.is_whole && self.is_alone(state, *place))
    }

    fn is_alone(&self, state: &State, place: Place) -> bool {
        let process = &state.processes[usize::from(place)];
        let is_fault_left = usize::from(state.faults) < self.case.faults.len();
        match process.step {
            // Only drains, and a fall-back to an older database, change the record and the audits.
            Step::DrainBegin(_) | Step::DrainLock(_) => {
                let may_change = self.case.rules.writes_at_once
                    || self.case.may_fall_back
                    || (0u8..).take(state.processes.len()).any(|other| {
                        other != place && self.has_left(state, other, |job| job == Job::Drain)
                    });
                if may_change || !process.reaches(D) {
                    return false;
                }
                let mut after = state.clone();
                let is_done = self.step(&mut after, place);
                is_done && after.caches == state.caches && is_as_marked(&after, state)
            }
            Step::AskJournal(_) | Step::LoadJournal(_) => !is_fault_left && !process.reaches(J),
            Step::Fence(_) => !is_fault_left && !process.reaches(C),
            _ => false,
        }
    }

    /// Forgets what no process will ask for any more.
    pub fn tidy(&self, state: &mut State) {
        if self.case.is_whole {
            return;
        }
        for place in (0u8..).take(state.processes.len()) {
            // Only drains are left, which ask for neither.
            if !self.has_left(state, place, |job| job != Job::Drain) {
                let process = state.process(place);
                process.known = None;
                state.journal.looks.end_wait(waiter(place));
                for cache in &mut state.caches {
                    cache.looks.end_wait(waiter(place));
                }
            }
        }
        let State { caches, journal, promoted, processes, .. } = state;
        // A claim of a process that has stopped looking no longer matters, nor does the fence of
        // one that has stopped loading.
        for (run, cache) in (0u8..).zip(caches) {
            let Cache { fence, looks, .. } = cache;
            looks.claim.take_if(|(owner, _)| {
                claimed_in_cache(&processes[usize::from(*owner)].step) != Some(run)
            });
            fence.take_if(|owner| loads_for(&processes[usize::from(*owner)].step) != Some(run));
        }
        for Journal { looks, .. } in std::iter::once(journal).chain(promoted) {
            looks.claim.take_if(|(owner, _)| {
                !has_claimed_in_journal(&processes[usize::from(*owner)].step)
            });
            if looks.note.is_none() {
                looks.run = 0;
            }
        }
    }

    /// Whether a process does such a job now or later.
    fn has_left(&self, state: &State, place: Place, is_meant: impl Fn(Job) -> bool) -> bool {
        let at = usize::from(place);
        let left = self.case.processes[at].2.iter().skip(usize::from(state.processes[at].done));
        left.into_iter().any(|job| is_meant(*job))
    }
}

/// Whether the same students are marked as before.
fn is_as_marked(after: &State, before: &State) -> bool {
    after.database.marks == before.database.marks && after.database.doubts == before.database.doubts
}

/// The run of the cache in which a process at this step has claimed a look.
fn claimed_in_cache(step: &Step) -> Option<Run> {
    match step {
        Step::AskJournal(asked)
        | Step::ClaimJournal(asked)
        | Step::Look(asked, _)
        | Step::Repair(asked, _)
        | Step::Settle(asked, _)
        | Step::ConfirmJournal(asked, _)
        | Step::Confirm(asked, _) => Some(asked.era.run),
        _ => None,
    }
}

/// Whether a process at this step may have claimed a look in the journal.
fn has_claimed_in_journal(step: &Step) -> bool {
    matches!(
        step,
        Step::Look(_, true)
            | Step::Repair(_, true)
            | Step::Settle(_, true)
            | Step::ConfirmJournal(..)
    )
}

/// The run of the cache that a process at this step loads for.
fn loads_for(step: &Step) -> Option<Run> {
    match step {
        Step::LoadJournal(load)
        | Step::LoadKeep(load)
        | Step::LoadTable(load)
        | Step::LoadRow(load, _) => {
            let Load { cached, is_fenced, .. } = load;
            cached.filter(|_| *is_fenced).map(|era| era.run)
        }
        Step::Fill(before) => before.cached.map(|era| era.run),
        _ => None,
    }
}

/// How a case may end: what the table has, what it knows of each entry, which cache is registered
/// and what it has, and what students were told.
type End = (Option<From>, Set, usize, Run, Option<Option<From>>, Vec<Given>);

fn ends(case: Case) -> HashSet<End> {
    let protocol = Protocol::new(case);
    let mut next = protocol.init_states();
    let (mut seen, mut ends) = (HashSet::new(), HashSet::new());
    while let Some(state) = next.pop() {
        let mut places = (0u8..).take(state.processes.len());
        if places.all(|place| protocol.is_done(&state, place)) {
            let State { database, caches, given, .. } = &state;
            let cached = &caches[usize::from(database.registered)].schedule;
            let known = cached.as_ref().map(|schedule| schedule.known);
            let waiting = database.table.len() + state.journal.stream.len();
            ends.insert((
                database.row,
                database.audits,
                waiting,
                database.registered,
                known,
                given.clone(),
            ));
        }
        let mut actions = Vec::new();
        protocol.actions(&state, &mut actions);
        for action in actions {
            let after = protocol.next_state(&state, action);
            next.extend(after.filter(|after| seen.insert(after.clone())));
        }
    }
    ends
}

#[test]
fn nothing_is_left_out() {
    let failing_over = one_and_two_reads(ALL, ALL | N);
    for case in [
        one_and_two_reads(D, ALL),
        one_and_two_reads(J | D, C | D).fault(0b001, ALL),
        two_and_a_read(J | D, ALL),
        Case { may_stall: true, looks_last: true, ..two_and_a_drain(ALL, C | J) },
        two_and_a_drain(C | J, D).fault(0b001, C | D),
        Case { deaths: 1, ..one_and_a_load(C | D) },
        Case { deaths: 1, ..one_after_the_other() },
        Case { fails_over: true, looks_last: true, ..failing_over },
        apart_and_reads(C | D, C | D),
        there_and_back(),
    ] {
        let whole = ends(Case { is_whole: true, ..case.clone() });
        assert_eq!(ends(case.clone()), whole, "{}", case.name());
        assert!(whole.len() > 1);
    }
}

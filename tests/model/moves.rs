//! What a process does at each step.

use crate::case::{Job, Protocol};
use crate::outcome;
use crate::state::{C, Place, State, waiter};
use crate::step::{Load, Step};

impl Protocol {
    /// Does a process's next step. False: it must wait for another process.
    pub fn step(&self, state: &mut State, place: Place) -> bool {
        match state.process(place).step.clone() {
            Step::Idle => self.begin(state, place),
            Step::Ask(_)
            | Step::Claim(_)
            | Step::AskJournal(_)
            | Step::ClaimJournal(_)
            | Step::Look(..)
            | Step::Repair(..)
            | Step::Sight(_)
            | Step::Settle(..)
            | Step::ConfirmJournal(..)
            | Step::Confirm(..) => self.look_step(state, place),
            Step::Fence(_)
            | Step::LoadJournal(_)
            | Step::LoadKeep(_)
            | Step::LoadTable(_)
            | Step::LoadRow(..)
            | Step::Fill(_) => self.load_step(state, place),
            Step::Keep(_)
            | Step::KeepToo { .. }
            | Step::VerifyJournal { .. }
            | Step::VerifyTable { .. }
            | Step::Show { .. }
            | Step::Mark
            | Step::Revoke
            | Step::Wait(_)
            | Step::Unmark(..)
            | Step::GiveUp => self.submit_step(state, place),
            Step::DrainTake
            | Step::DrainLook(_)
            | Step::DrainTakeTable
            | Step::DrainStream(_)
            | Step::DrainTable(_)
            | Step::DrainCheck(_)
            | Step::DrainKeep(_)
            | Step::DrainBegin(_)
            | Step::DrainLock(_)
            | Step::DrainCommit { .. }
            | Step::DrainAcknowledge { .. }
            | Step::DrainDrop(_)
            | Step::DrainMark(_)
            | Step::DrainForget(_) => self.drain_step(state, place),
        }
    }

    /// Begins the next job, and does its first step.
    fn begin(&self, state: &mut State, place: Place) -> bool {
        let Some(job) = self.job(state, place) else { return false };
        let acknowledged = state.acknowledged();
        match job {
            Job::Submit(submission) => {
                let given = &mut state.given[usize::from(submission)];
                given.has_begun = true;
                given.after = acknowledged;
                state.process(place).step = self.first_step(state, place);
            }
            Job::Read => {
                state.process(place).must_show = acknowledged;
                state.process(place).step = Step::Ask(None);
            }
            Job::Drain => state.process(place).step = Step::DrainTake,
        }
        self.step(state, place)
    }

    /// The current job ends, whether it succeeded or not.
    pub fn end_job(&self, state: &mut State, place: Place) {
        let database = &mut state.database;
        database.row_lock = database.row_lock.filter(|holder| *holder != place);
        database.belief_lock = database.belief_lock.filter(|holder| *holder != place);
        for cache in &mut state.caches {
            cache.looks.end_wait(place);
        }
        state.journal.looks.end_wait(place);
        if let Some(promoted) = &mut state.promoted {
            promoted.looks.end_wait(place);
        }
        let process = state.process(place);
        process.step = Step::Idle;
        process.done += 1;
        process.conflicts = 0;
        process.must_show = 0;
    }

    /// A read ends with this stability.
    pub fn end_read(&self, state: &mut State, place: Place, stability: u8, is_degraded: bool) {
        if !is_degraded {
            let must = state.process(place).must_show;
            state.broken = outcome::of_read(self, state, must, stability);
        }
        self.end_job(state, place);
    }

    /// A process's submission is safe and shown. The student is told so, unless it is an undoing,
    /// which must be seen to count.
    pub fn acknowledge(&self, state: &mut State, place: Place) {
        if let Some(token) = self.must_verify(state, place) {
            state.process(place).step = Step::VerifyJournal { token };
            return;
        }
        self.tell(state, place);
    }

    /// The student is told.
    pub fn tell(&self, state: &mut State, place: Place) {
        if let Some(Job::Submit(submission)) = self.job(state, place) {
            state.given[usize::from(submission)].is_acknowledged = true;
        }
        self.end_job(state, place);
    }

    /// A process dies, and loses what it knows.
    pub fn die(&self, state: &mut State, place: Place) {
        self.end_job(state, place);
        state.process(place).known = None;
        state.journal.looks.end_wait(waiter(place));
        for cache in &mut state.caches {
            cache.looks.end_wait(waiter(place));
        }
    }

    /// The cache does not answer.
    pub fn without_cache(&self, state: &mut State, place: Place) {
        debug_assert!(!state.reaches(place, C));
        match self.job(state, place) {
            Some(Job::Submit(_)) => state.process(place).step = Step::LoadJournal(Load::default()),
            // Safe Mode says that it is degraded.
            _ => self.end_job(state, place),
        }
    }
}

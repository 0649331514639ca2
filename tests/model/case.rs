//! A case: what each process does, what it reaches, what fails.

use stateright::{Model, Property};

use crate::outcome;
use crate::product::{Given, Product};
use crate::rules::Rules;
use crate::state::{
    Broken, C, Cache, D, Database, J, Journal, Known, Looks, N, Place, Process, Run, Schedule, Set,
    State, has,
};
use crate::step::Step;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Takes a submission: an index of [`Case::answers`].
    Submit(u8),
    /// Shows the student what is due.
    Read,
    /// Drains both places.
    Drain,
}

/// From some time on, processes reach other servers.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The affected processes.
    pub places: Set,
    /// What they reach then.
    pub reach: Set,
    /// The run of the cache that they then reach, if it is another one.
    pub run: Option<Run>,
}

/// A small case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The stability that the student begins with.
    pub begins_with: u8,
    /// What is answered.
    pub answers: Vec<Given>,
    /// For each process: what it reaches, by how much its clock is ahead, and what it does.
    pub processes: Vec<(Set, i64, Vec<Job>)>,
    /// By how much the journal's clock is ahead of MariaDB's.
    pub journal_ahead: i64,
    /// What happens to the processes, in this order, each at any time.
    pub faults: Vec<Fault>,
    /// How many processes may die.
    pub deaths: u8,
    /// A journal that cannot be reached may still take an entry.
    pub may_stall: bool,
    /// A replica of MariaDB that is behind may take over.
    pub may_fall_back: bool,
    /// The journal has a replica, which may be promoted while the journal continues.
    pub fails_over: bool,
    /// The cache has the student's schedule.
    pub is_warm: bool,
    /// The cache is believed, and a process has looked lately.
    pub is_believed: bool,
    /// Processes that reach another run of the cache than the registered one.
    pub apart: Set,
    /// The other run of the cache begins with the content of the first one at some time.
    pub copies: bool,
    /// The notes of looks outlive the case: no process looks again.
    pub looks_last: bool,
    /// Also distinguishes orders of events that lead to the same state (see `reduce`).
    pub is_whole: bool,
    /// The rules.
    pub rules: Rules,
}

impl Case {
    /// A student with this stability gives these answers. Nothing fails, and the cache is warm.
    pub fn new(begins_with: u8, answers: &[Given]) -> Case {
        Case {
            begins_with,
            answers: answers.to_vec(),
            processes: Vec::new(),
            journal_ahead: 0,
            faults: Vec::new(),
            deaths: 0,
            may_stall: false,
            may_fall_back: false,
            fails_over: false,
            is_warm: true,
            is_believed: true,
            apart: 0,
            copies: false,
            looks_last: false,
            is_whole: false,
            rules: Rules::default(),
        }
    }

    /// Adds a process, which reaches some servers and does some jobs.
    pub fn process(mut self, reach: Set, jobs: &[Job]) -> Case {
        self.processes.push((reach, 0, jobs.to_vec()));
        self
    }

    /// From some time on, some processes reach other servers.
    pub fn fault(mut self, places: Set, reach: Set) -> Case {
        self.faults.push(Fault { places, reach, run: None });
        self
    }

    /// From some time on, some processes reach another run of the cache.
    pub fn switch(mut self, places: Set, run: Run) -> Case {
        self.faults.push(Fault { places, reach: ALL, run: Some(run) });
        self
    }

    /// Some processes reach another run of the cache than the registered one.
    pub fn apart(mut self, places: Set) -> Case {
        self.apart = places;
        self
    }

    /// A process's clock is ahead by this many microseconds.
    pub fn ahead(mut self, place: Place, microseconds: i64) -> Case {
        self.processes[usize::from(place)].1 = microseconds;
        self
    }

    /// Other rules hold.
    pub fn with(mut self, rules: Rules) -> Case {
        self.rules = rules;
        self
    }

    /// A name that distinguishes it from other cases.
    pub fn name(&self) -> String {
        let name_of = |reach: Set| {
            let servers = [(C, 'C'), (J, 'J'), (D, 'D'), (N, 'N')].into_iter();
            servers
                .filter(|(server, _)| reach & server != 0)
                .map(|(_, name)| name)
                .collect::<String>()
        };
        let processes =
            self.processes.iter().map(|(reach, _, jobs)| format!("{} {jobs:?}", name_of(*reach)));
        let faults = self.faults.iter().map(|fault| {
            let run = fault.run.map(|run| format!(" {run}")).unwrap_or_default();
            format!("{:b} to {}{run}", fault.places, name_of(fault.reach))
        });
        let apart = (self.apart != 0).then(|| format!("{:b} apart", self.apart));
        processes.chain(faults).chain(apart).collect::<Vec<_>>().join(", ")
    }
}

/// All that can be reached.
pub const ALL: Set = C | J | D;

/// The time by the clocks when the first answer is given.
const NOW: i64 = 10_000_000;

/// When the student's initial record was answered.
const LONG_AGO: i64 = 1_000;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process does its next step.
    Step(Place),
    /// As `Step`, but the journal does not answer, and takes the entry later.
    Stall(Place),
    /// The journal takes it.
    TakeLate,
    /// As `Step`, but the replica does not have it yet.
    KeepAlone(Place),
    /// The replica is promoted.
    Promote,
    /// The old journal becomes its replica.
    Demote,
    /// A process has waited long enough.
    WaitOver(Place),
    /// A process sees that its mark is gone.
    MarkGone(Place),
    /// A process has known a challenge for long enough.
    ChallengeOld(Place),
    /// A run of the cache's note of a look expires.
    CacheNoteEnds(Run),
    /// A claim in a run of the cache is over.
    CacheClaimEnds(Run),
    /// The journal's note of a look expires; true: of the promoted journal.
    JournalNoteEnds(bool),
    /// A claim in the journal expires; true: in the promoted journal.
    JournalClaimEnds(bool),
    /// The next fault.
    Fault,
    /// The other run of the cache begins with the content of the first one.
    Copy,
    /// A replica of MariaDB falls behind.
    FallBehind,
    /// It takes over.
    TakeOver,
    /// A process dies; it continues with its next job.
    Die(Place),
}

/// A case with memora's rules.
#[derive(Clone)]
pub struct Protocol {
    /// The case.
    pub case: Case,
    /// The rules.
    pub product: Product,
}

impl Protocol {
    /// A model of a case.
    pub fn new(case: Case) -> Protocol {
        let product = Product::new(&case.answers, &case.rules);
        Protocol { case, product }
    }

    /// The job that a process must do now.
    pub fn job(&self, state: &State, place: Place) -> Option<Job> {
        let at = usize::from(place);
        self.case.processes[at].2.get(usize::from(state.processes[at].done)).copied()
    }

    /// What a process's clock says when it makes an entry.
    pub fn clock(&self, state: &State, place: Place) -> i64 {
        self.time(state) + self.case.processes[usize::from(place)].1
    }

    /// MariaDB's time. It advances with each entry.
    pub fn time(&self, state: &State) -> i64 {
        NOW + 10 * i64::try_from(state.entries.len()).unwrap_or(0)
    }

    /// Whether a process has done all its jobs.
    pub fn is_done(&self, state: &State, place: Place) -> bool {
        let process = &state.processes[usize::from(place)];
        process.step == Step::Idle && self.job(state, place).is_none()
    }

    fn is_at_rest(&self, state: &State) -> bool {
        (0u8..).take(state.processes.len()).all(|place| self.is_done(state, place))
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let row = (self.case.begins_with > 0).then_some((LONG_AGO, self.case.begins_with));
        let head = row.map_or((0, 0, 0), |(order, _)| (order, order, 0));
        let looks = Looks { claim: None, note: self.case.is_believed.then_some(0), run: 0 };
        let schedule = self.case.is_warm.then_some(Schedule { generation: 0, known: row, head });
        let process = |(place, (reach, _, _)): (Place, &(Set, i64, Vec<Job>))| Process {
            run: Run::from(has(self.case.apart, place)),
            known: None,
            reach: *reach,
            done: 0,
            step: Step::Idle,
            conflicts: 0,
            must_show: 0,
        };
        vec![State {
            caches: [
                Cache { schedule, looks: looks.clone(), ..Cache::default() },
                Cache { generation: 1, ..Cache::default() },
            ],
            journal: Journal { looks, ..Journal::default() },
            follower: self.case.fails_over.then(Journal::default),
            promoted: None,
            database: Database { row, is_believed: self.case.is_believed, ..Database::default() },
            replica: None,
            replicas: u8::from(self.case.may_fall_back),
            entries: Vec::new(),
            given: vec![Default::default(); self.case.answers.len()],
            processes: (0u8..).zip(&self.case.processes).map(process).collect(),
            has_failed_over: false,
            is_copied: false,
            faults: 0,
            deaths: self.case.deaths,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        if let Some(place) = self.alone(state) {
            actions.push(Action::Step(place));
            return;
        }
        for (place, process) in (0u8..).zip(&state.processes) {
            if self.is_done(state, place) {
                continue;
            }
            actions.push(Action::Step(place));
            match process.step {
                Step::Keep(_) if self.case.may_stall && state.journal.stalled.is_none() => {
                    actions.push(Action::Stall(place));
                }
                Step::Keep(_) if state.follower.is_some() && !self.case.rules.asks_no_replica => {
                    actions.push(Action::KeepAlone(place));
                }
                Step::Wait(_) => actions.extend([Action::WaitOver(place), Action::MarkGone(place)]),
                _ => {}
            }
            if process.known.is_some_and(|known| known != Known::Waited) {
                actions.push(Action::ChallengeOld(place));
            }
            if process.step != Step::Idle && state.deaths > 0 {
                actions.push(Action::Die(place));
            }
        }
        let is_at_rest = self.is_at_rest(state);
        let looks = |run: Run| &state.caches[usize::from(run)].looks;
        let promoted = state.promoted.as_ref();
        let may_end = !self.case.looks_last;
        // Processes that reach it find it so.
        let next = self.case.faults.get(usize::from(state.faults));
        let waits_for_copy =
            self.case.copies && !state.is_copied && next.is_some_and(|fault| fault.run == Some(1));
        let ends = [
            (may_end && self.cache_note_matters(state, 0), Action::CacheNoteEnds(0)),
            (may_end && self.claim_matters(looks(0)), Action::CacheClaimEnds(0)),
            (may_end && self.cache_note_matters(state, 1), Action::CacheNoteEnds(1)),
            (may_end && self.claim_matters(looks(1)), Action::CacheClaimEnds(1)),
            (may_end && self.journal_note_matters(state, false), Action::JournalNoteEnds(false)),
            (may_end && self.claim_matters(&state.journal.looks), Action::JournalClaimEnds(false)),
            (may_end && self.journal_note_matters(state, true), Action::JournalNoteEnds(true)),
            (
                may_end && promoted.is_some_and(|it| self.claim_matters(&it.looks)),
                Action::JournalClaimEnds(true),
            ),
            (
                state.follower.is_some()
                    && !state.has_failed_over
                    && self.is_next_or_last(state, J),
                Action::Promote,
            ),
            (promoted.is_some() && self.is_next(state, J), Action::Demote),
            (self.fault_matters(state) && !waits_for_copy, Action::Fault),
            (self.case.copies && !state.is_copied, Action::Copy),
            (state.replicas > 0 && self.is_next_or_last(state, D), Action::FallBehind),
            (
                state.replica.as_ref().is_some_and(|it| *it != state.database)
                    && self.is_next_or_last(state, D),
                Action::TakeOver,
            ),
        ];
        actions.extend(
            ends.into_iter()
                .filter(|(is_possible, _)| *is_possible && !is_at_rest)
                .map(|(_, one)| one),
        );
        if state.journal.stalled.is_some() && (is_at_rest || self.is_next(state, J)) {
            actions.push(Action::TakeLate);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let is_done = match action {
            Action::Step(place) => self.step(&mut state, place),
            Action::Stall(place) => self.stall(&mut state, place),
            Action::TakeLate => {
                self.take_late(&mut state);
                true
            }
            Action::WaitOver(place) => self.wait_is_over(&mut state, place),
            Action::MarkGone(place) => self.mark_is_gone(&mut state, place),
            Action::ChallengeOld(place) => self.challenge_is_old(&mut state, place),
            Action::CacheNoteEnds(run) => {
                state.caches[usize::from(run)].looks.note.take().is_some()
            }
            Action::CacheClaimEnds(run) => {
                state.caches[usize::from(run)].looks.claim.take().is_some()
            }
            Action::JournalNoteEnds(of_promoted) => {
                state.either(of_promoted).is_some_and(|it| it.looks.note.take().is_some())
            }
            Action::JournalClaimEnds(of_promoted) => {
                state.either(of_promoted).is_some_and(|it| it.looks.claim.take().is_some())
            }
            Action::KeepAlone(place) => self.keep_alone(&mut state, place),
            Action::Promote => {
                state.promote();
                true
            }
            Action::Demote => {
                state.demote();
                true
            }
            Action::Fault => {
                let fault = self.case.faults[usize::from(state.faults)];
                for (place, process) in (0u8..).zip(&mut state.processes) {
                    if has(fault.places, place) {
                        process.reach = fault.reach;
                        process.run = fault.run.unwrap_or(process.run);
                    }
                }
                state.faults += 1;
                true
            }
            Action::Copy => {
                state.copy_cache();
                true
            }
            Action::FallBehind => {
                state.replicas -= 1;
                state.replica = Some(state.database.clone());
                true
            }
            Action::TakeOver => state.take_over(),
            Action::Die(place) => {
                state.deaths -= 1;
                self.die(&mut state, place);
                true
            }
        };
        if !is_done {
            return None;
        }
        self.tidy(&mut state);
        if state.broken.is_none() && self.is_at_rest(&state) {
            state.broken = outcome::at_rest(self, &state);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(property_of(Broken::Table), |_, state: &State| {
                state.broken != Some(Broken::Table)
            }),
            Property::always(property_of(Broken::Read), |_, state: &State| {
                state.broken != Some(Broken::Read)
            }),
            Property::always(property_of(Broken::Left), |_, state: &State| {
                state.broken != Some(Broken::Left)
            }),
            Property::always(property_of(Broken::Cache), |_, state: &State| {
                state.broken != Some(Broken::Cache)
            }),
            Property::sometimes(OTHER_COUNTS, |protocol: &Protocol, state: &State| {
                let may_reach_it = protocol.case.apart != 0
                    || protocol.case.faults.iter().any(|fault| fault.run.is_some());
                !may_reach_it || state.database.registered == 1
            }),
            Property::sometimes(ALL_ARE_TOLD, |protocol: &Protocol, state: &State| {
                usize::try_from(state.acknowledged().count_ones())
                    == Ok(protocol.case.answers.len())
            }),
        ]
    }
}

/// Checks that the case can show anything.
pub const ALL_ARE_TOLD: &str = "every answer is acknowledged";

/// Another cache comes into use if it is reached.
pub const OTHER_COUNTS: &str = "the other run of the cache counts";

/// The promise that was broken.
pub fn property_of(broken: Broken) -> &'static str {
    match broken {
        Broken::Table => "every answer counts once, in its order",
        Broken::Read => "no read lacks what was acknowledged",
        Broken::Left => "nothing is left for ever",
        Broken::Cache => "what is believed is what the table has",
    }
}

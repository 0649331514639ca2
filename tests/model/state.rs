//! The state: three servers, the cache perhaps twice, and processes that are each at some step.

use crate::product::From;

use crate::step::{Batch, Step};

/// Which run of the cache: an index of [`State::caches`].
pub type Run = u8;

/// Index of an entry in [`State::entries`].
pub type Token = u8;
/// Index of a process.
pub type Place = u8;
/// A set of small numbers.
pub type Set = u8;
/// A head as numbers: order, journal, table.
pub type Base = (i64, i64, i64);

/// The servers, as a set.
pub const C: Set = 1;
/// The journal.
pub const J: Set = 2;
/// MariaDB.
pub const D: Set = 4;
/// The journal that is promoted in a failover: processes that reach it use it from then on. Others
/// use the old one.
pub const N: Set = 8;

/// The set of one number.
pub fn only(number: u8) -> Set {
    1 << number
}

/// Under this number a process waits for the end of a challenge.
pub fn waiter(place: Place) -> Place {
    place + 4
}

/// Whether a set has a number.
pub fn has(set: Set, number: u8) -> bool {
    set & only(number) != 0
}

/// An entry, as far as the model needs it: there is one question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taken {
    /// Which submission it is of.
    pub submission: u8,
    /// The clock of its process.
    pub at: i64,
    /// When the journal took it, and when MariaDB did, by the clock of each.
    pub kept_at: (i64, i64),
    /// Its order.
    pub order: i64,
    /// The head that it was computed from.
    pub base: Base,
    /// As in an entry.
    pub is_sure: bool,
    /// Its result.
    pub stability: u8,
    /// What it was computed from.
    pub from: Option<From>,
    /// The entry that it undoes.
    pub undoes: Option<Token>,
}

/// A look that is under way, and the last one that is done. Each has the set of processes that have
/// begun to wait since it was claimed: they wait at least as long as it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Looks {
    /// The process that claimed it.
    pub claim: Option<(Place, Set)>,
    /// What is noted.
    pub note: Option<Set>,
    /// The run of the cache that the note is for.
    pub run: Run,
}

impl Looks {
    /// Whether a run of the cache is confirmed.
    pub fn confirm(&self, run: Run) -> bool {
        self.note.is_some() && self.run == run
    }

    /// A process begins to wait.
    pub fn begin_wait(&mut self, place: Place) {
        if let Some((_, waiting)) = &mut self.claim {
            *waiting |= only(place);
        }
        if let Some(waiting) = &mut self.note {
            *waiting |= only(place);
        }
    }

    /// No process waits there any more.
    pub fn end_wait(&mut self, place: Place) {
        if let Some((_, waiting)) = &mut self.claim {
            *waiting &= !only(place);
        }
        if let Some(waiting) = &mut self.note {
            *waiting &= !only(place);
        }
    }

    /// Whether a process has waited as long as everything lives that was there when it began.
    pub fn are_outlived_by(&self, place: Place) -> bool {
        let is_older = |waiting: Set| has(waiting, place);
        !self.claim.is_some_and(|(_, waiting)| is_older(waiting))
            && !self.note.is_some_and(is_older)
    }
}

/// A generation of a run of the cache: schedules of another one are void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Era {
    /// The run.
    pub run: Run,
    /// The generation, which no other run has.
    pub generation: u8,
}

/// A student's schedule as the cache has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// The generation in which it counts.
    pub generation: u8,
    /// The question's state.
    pub known: Option<From>,
    /// The head.
    pub head: Base,
}

/// The cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cache {
    /// The generation in which schedules count.
    pub generation: u8,
    /// Nothing: it is cold.
    pub schedule: Option<Schedule>,
    /// The process that loads.
    pub fence: Option<Place>,
    /// The look whether it may be believed.
    pub looks: Looks,
}

impl Cache {
    /// The schedule, if it counts.
    pub fn current(&self) -> Option<Schedule> {
        self.schedule.filter(|schedule| schedule.generation == self.generation)
    }

    /// The student is dropped, and loads that are under way are void.
    pub fn drop_student(&mut self, keeps_fence: bool) {
        self.schedule = None;
        if !keeps_fence {
            self.fence = None;
        }
    }
}

/// How far a process has waited since it knows the present challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Known {
    /// The journal's shared look may still serve.
    Journal,
    /// The cache's confirmation may still be valid.
    Cache,
    /// No process believes another run any more, unless it has defended it.
    Waited,
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    /// The order of the newest entry.
    pub head: i64,
    /// What waits.
    pub stream: Vec<Token>,
    /// What was written lately.
    pub written: Vec<Token>,
    /// The look at MariaDB.
    pub looks: Looks,
    /// An entry that it takes once it no longer stalls.
    pub stalled: Option<Token>,
}

/// Answers that were written past the journal under the rules of the commit before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Blind {
    /// The newest state from before them.
    pub base: Option<From>,
    /// Order and submission.
    pub answers: Vec<(i64, u8)>,
}

/// MariaDB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Database {
    /// The record.
    pub row: Option<From>,
    /// The drain that has locked it.
    pub row_lock: Option<Place>,
    /// `memora_journal`.
    pub table: Vec<(i64, Token)>,
    /// The last id of `memora_journal`.
    pub last_id: i64,
    /// Tokens that have an audit record.
    pub audits: Set,
    /// What audit records say of their entries: the order that was written, and the stability that
    /// it replaced. Only where something is undone.
    pub replaced: Vec<(Token, From)>,
    /// Entries that were undone.
    pub undone: Set,
    /// Processes that have marked the student; drains as those that wait for the end of a
    /// challenge.
    pub marks: Set,
    /// Entries that drains have written, and could not look whether the cached schedule has them.
    pub doubts: Set,
    /// Whether a process believes the cache.
    pub is_believed: bool,
    /// The process that settles the marks.
    pub belief_lock: Option<Place>,
    /// The registered run of the cache.
    pub registered: Run,
    /// The challenging run.
    pub challenge: Option<Run>,
    /// Only under the rules of the commit before.
    pub blind: Blind,
}

impl Database {
    /// Keeps an entry in `memora_journal`; an existing one stays. Returns its id.
    pub fn keep(&mut self, token: Token) -> i64 {
        if let Some((id, _)) = self.table.iter().find(|(_, other)| *other == token) {
            return *id;
        }
        self.last_id += 1;
        self.table.push((self.last_id, token));
        self.last_id
    }
}

/// The outcome of a submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Given {
    /// A process works or worked on it.
    pub has_begun: bool,
    /// The student was told that it is safe.
    pub is_acknowledged: bool,
    /// Those that had been acknowledged before it began.
    pub after: Set,
}

/// One process. It does its jobs one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// The servers that it reaches.
    pub reach: Set,
    /// How many of its jobs are over.
    pub done: u8,
    /// Where it is in the present one.
    pub step: Step,
    /// How often another submission came first.
    pub conflicts: u8,
    /// The submissions that a read must show.
    pub must_show: Set,
    /// The run of the cache that it reaches, if any.
    pub run: Run,
    /// What it knows of the present challenge.
    pub known: Option<Known>,
}

impl Process {
    /// Whether it reaches a server.
    pub fn reaches(&self, server: Set) -> bool {
        self.reach & server != 0
    }
}

/// How a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// The table's state fits no possible order of the answers.
    Table,
    /// A read that was not marked as degraded lacked an answer acknowledged before it.
    Read,
    /// Something stays in the journal or in `memora_journal` permanently.
    Left,
    /// The cache is believed but differs from the table, when all is done.
    Cache,
}

/// The whole state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The runs of the cache.
    pub caches: [Cache; 2],
    /// The journal.
    pub journal: Journal,
    /// The replica that follows it, as far as it has come.
    pub follower: Option<Journal>,
    /// The promoted replica, while the old journal considers itself the primary.
    pub promoted: Option<Journal>,
    /// MariaDB.
    pub database: Database,
    /// A replica of it that is behind and may take over.
    pub replica: Option<Database>,
    /// How many replicas may still fall behind.
    pub replicas: u8,
    /// All entries that were ever made.
    pub entries: Vec<Taken>,
    /// All submissions.
    pub given: Vec<Given>,
    /// All processes.
    pub processes: Vec<Process>,
    /// The replica was promoted, once.
    pub has_failed_over: bool,
    /// The other run of the cache has the first one's content at some time.
    pub is_copied: bool,
    /// How many faults have happened.
    pub faults: u8,
    /// How many processes may still die.
    pub deaths: u8,
    /// The promise that was broken.
    pub broken: Option<Broken>,
}

impl State {
    /// A process.
    pub fn process(&mut self, place: Place) -> &mut Process {
        &mut self.processes[usize::from(place)]
    }

    /// Whether a process reaches a server.
    pub fn reaches(&self, place: Place, server: Set) -> bool {
        self.processes[usize::from(place)].reaches(server)
    }

    /// The run of the cache that a process reaches.
    pub fn run(&self, place: Place) -> Run {
        self.processes[usize::from(place)].run
    }

    /// The cache that a process reaches.
    pub fn cache(&mut self, place: Place) -> &mut Cache {
        let run = self.run(place);
        &mut self.caches[usize::from(run)]
    }

    /// The generation of the cache that a process reaches.
    pub fn era(&self, place: Place) -> Era {
        let run = self.run(place);
        Era { run, generation: self.caches[usize::from(run)].generation }
    }

    /// Begins a new generation of the cache that a process reaches.
    pub fn renew(&mut self, place: Place) {
        let newest = self.caches.iter().map(|cache| cache.generation).max().unwrap_or(0);
        self.cache(place).generation = newest + 1;
    }

    /// The other run of the cache begins with the first one's content: it is its replica, or was
    /// started from its file. It is another run, so it has another generation.
    pub fn copy_cache(&mut self) {
        let generation = self.caches[1].generation;
        self.caches[1] = Cache { generation, ..self.caches[0].clone() };
        self.is_copied = true;
    }

    /// There is another challenge, or none: no process knows it yet.
    pub fn set_challenge(&mut self, challenge: Option<Run>) {
        if self.database.challenge == challenge {
            return;
        }
        self.database.challenge = challenge;
        for place in 0..self.processes.len() {
            self.forget_challenge(u8::try_from(place).unwrap_or(0));
        }
    }

    fn forget_challenge(&mut self, place: Place) {
        self.process(place).known = None;
        self.journal.looks.end_wait(waiter(place));
        for cache in &mut self.caches {
            cache.looks.end_wait(waiter(place));
        }
    }

    /// The journals that consider themselves the primary.
    pub fn journals(&mut self) -> impl Iterator<Item = &mut Journal> {
        std::iter::once(&mut self.journal).chain(&mut self.promoted)
    }

    /// The journal that a process uses.
    pub fn journal_of(&mut self, place: Place) -> &mut Journal {
        let follows = self.reaches(place, N);
        match &mut self.promoted {
            Some(promoted) if follows => promoted,
            _ => &mut self.journal,
        }
    }

    /// The journal, or the promoted one.
    pub fn either(&mut self, is_promoted: bool) -> Option<&mut Journal> {
        if is_promoted { self.promoted.as_mut() } else { Some(&mut self.journal) }
    }

    /// The replica follows. It has all that came before.
    pub fn replicate(&mut self) {
        let Journal { head, ref stream, ref written, .. } = self.journal;
        self.follower = self.follower.as_ref().map(|_| Journal {
            head,
            stream: stream.clone(),
            written: written.clone(),
            // Notes count in the run of the server that they were made in.
            ..Journal::default()
        });
    }

    /// The replica takes writes of its own, and the journal does not know.
    pub fn promote(&mut self) {
        self.promoted = self.follower.take();
        self.has_failed_over = true;
    }

    /// The old journal follows the promoted one, and loses everything else.
    pub fn demote(&mut self) {
        if let Some(promoted) = self.promoted.take() {
            self.journal = promoted;
            self.follower = Some(Journal::default());
            self.replicate();
        }
    }

    /// Those that were acknowledged.
    pub fn acknowledged(&self) -> Set {
        self.given_that(|given| given.is_acknowledged)
    }

    /// The submissions that a process has begun.
    pub fn begun(&self) -> Set {
        self.given_that(|given| given.has_begun)
    }

    /// The order of an entry.
    pub fn order_of(&self, token: Token) -> i64 {
        self.entries[usize::from(token)].order
    }

    /// The replica takes over. Transactions under way are rolled back: a process starts over with
    /// the new one.
    pub fn take_over(&mut self) -> bool {
        let Some(replica) = self.replica.take() else { return false };
        self.database = Database { row_lock: None, belief_lock: None, ..replica };
        for process in &mut self.processes {
            process.step = match process.step.clone() {
                Step::LoadRow(load, _) => Step::LoadTable(load),
                Step::DrainLock(batch) | Step::DrainCommit { batch, .. } => {
                    Step::DrainBegin(Batch { before: 0, ..batch })
                }
                step => step,
            };
        }
        true
    }

    fn given_that(&self, is_meant: impl Fn(&Given) -> bool) -> Set {
        (0u8..)
            .zip(&self.given)
            .filter(|(_, given)| is_meant(given))
            .fold(0, |set, (at, _)| set | only(at))
    }
}

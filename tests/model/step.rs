//! Where a process is: each step is one round trip to one server, with what it remembers from
//! before.

use crate::product::From;

use crate::state::{Base, Era, Run, Schedule, Set, Token};

/// What a submission knows of the student.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Before {
    /// The question's state.
    pub known: Option<From>,
    /// The head.
    pub head: Base,
    /// It can be shown in this generation of the cache.
    pub cached: Option<Era>,
    /// The journal was asked.
    pub is_whole: bool,
    /// A confirmation covers it.
    pub is_sure: bool,
    /// The entry that it undoes, and the stability from before that.
    pub undoes: Option<(Token, u8)>,
}

/// Why a process looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The cache said this.
    Asked(Option<Schedule>),
    /// This run of it was shown an answer.
    Shown(Run),
}

/// A look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Why.
    pub why: Why,
    /// The run of the cache that it asks for, in the generation in which it was asked.
    pub era: Era,
}

/// What a drain took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Of the journal.
    pub stream: Vec<Token>,
    /// Of `memora_journal`.
    pub table: Vec<(i64, Token)>,
    /// What was written lately, but the database lacks.
    pub again: Vec<Token>,
    /// Entries that no longer wait for a predecessor.
    pub lost: Set,
    /// Entries that had been written before its transaction.
    pub before: Set,
}

impl Batch {
    /// All that it took.
    pub fn all(&self) -> impl Iterator<Item = Token> {
        self.stream.iter().copied().chain(self.table.iter().map(|(_, token)| *token))
    }
}

/// What a load has read so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Load {
    /// It is for this generation of the cache.
    pub cached: Option<Era>,
    /// Its fence has been set.
    pub is_fenced: bool,
    /// The journal was asked.
    pub is_whole: bool,
    /// The journal's head.
    pub head: i64,
    /// What waits there.
    pub stream: Vec<Token>,
    /// What was written lately.
    pub written: Vec<Token>,
}

/// A process's step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Between two jobs.
    Idle,
    /// Asks the cache, perhaps after a look for this run of it.
    Ask(Option<Run>),
    /// Claims a look in the cache.
    Claim(Asked),
    /// Asks the journal whether a process has looked at MariaDB.
    AskJournal(Asked),
    /// Claims a look in the journal.
    ClaimJournal(Asked),
    /// Looks at MariaDB; true: claimed in the journal.
    Look(Asked, bool),
    /// Has seen a challenge for its run for the first time, and revokes the journal's shared look.
    Sight(Asked),
    /// Locks the marks and repairs the cache.
    Repair(Asked, bool),
    /// Removes the marks.
    Settle(Asked, bool),
    /// Confirms the look in the journal; true: something was repaired.
    ConfirmJournal(Asked, bool),
    /// Confirms the look in the cache.
    Confirm(Asked, bool),
    /// Sets a fence, for a load in this generation.
    Fence(Era),
    /// Reads what waits in the journal.
    LoadJournal(Load),
    /// Keeps entries of the journal that its replica lacks in `memora_journal`.
    LoadKeep(Load),
    /// Looks whether something waits in `memora_journal`.
    LoadTable(Load),
    /// Reads the record; true: and what waits, in one snapshot.
    LoadRow(Load, bool),
    /// Caches what was loaded.
    Fill(Before),
    /// Keeps an entry.
    Keep(Before),
    /// Keeps an entry in `memora_journal` that too few replicas of the journal have.
    KeepToo { token: Token, before: Before },
    /// Shows an entry in the cache.
    Show { token: Token, before: Base, after: Base, cached: Option<Era> },
    /// Reads what waits in the journal, to see whether its undo counts.
    VerifyJournal { token: Token },
    /// Reads the rest of it from MariaDB.
    VerifyTable { token: Token, load: Load },
    /// Marks the student.
    Mark,
    /// Tells the journal.
    Revoke,
    /// Waits until the journal's shared look ends, if true, and then until the cache's confirmation
    /// does.
    Wait(bool),
    /// Has dropped the schedule in this run of the cache, and removes its mark if that run is
    /// registered; otherwise keeps waiting.
    Unmark(Run, bool),
    /// Notes that no process believes the cache.
    GiveUp,
    /// Looks whether something waits in the journal.
    DrainTake,
    /// Checks whether the database has what was written lately.
    DrainLook(Vec<Token>),
    /// Looks whether something waits in `memora_journal`.
    DrainTakeTable,
    /// Reads what waits in `memora_journal`.
    DrainTable(Batch),
    /// Reads what waits in the journal.
    DrainStream(Batch),
    /// Checks whether `memora_journal` is unchanged: then all that was read is one snapshot.
    DrainCheck(Batch),
    /// Keeps entries that it took from the journal, but the replica lacks, in `memora_journal`.
    DrainKeep(Batch),
    /// Begins a transaction.
    DrainBegin(Batch),
    /// Locks the record and lets the entries count.
    DrainLock(Batch),
    /// Writes: the state, the entries that count, the one that is early.
    DrainCommit {
        batch: Batch,
        state: Option<From>,
        counted: Set,
        early: Set,
        replaced: Vec<(Token, From)>,
        undone: Set,
    },
    /// Drops the cached schedule, if it lacks one of the entries.
    DrainDrop(Batch),
    /// Marks the student, whose cached schedule it could not check.
    DrainMark(Batch),
    /// Removes entries from the journal; then continues with the early ones.
    DrainAcknowledge { done: Set, early: Set },
    /// Takes entries out of the journal before they are written, against the rules.
    DrainForget(Batch),
}

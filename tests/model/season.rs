//! Who may know which version of the site's retired questions, and when: a process that changes
//! them, processes that look them up, and processes that read, each step one round trip, in every
//! order. Keys of the cache may vanish at any time.
//!
//! Once the change has returned, a read is right if it uses the version that was committed when it
//! began, or a newer one.

use std::collections::HashSet;

/// What breaks the rules.
#[derive(Clone, Copy, Default)]
struct Rules {
    /// What was looked up is remembered whatever has changed meanwhile.
    has_no_fence: bool,
    /// The change returns after its commit.
    does_not_forget: bool,
    /// The shard forgets before the commit.
    forgets_first: bool,
}

/// A process that looks the version up: it sets or finds the fence, reads MariaDB, and makes the
/// cache remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Loader {
    Begins,
    Fenced(u8),
    Read(u8, u8),
    Done,
}

/// A process that reads a schedule with what it knows, and what the cache remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reader {
    known: u8,
    /// How often it may still read.
    left: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// The version in MariaDB: 0 before the change, 1 after it.
    database: u8,
    /// The version that the cache remembers.
    token: Option<u8>,
    /// The fence; each has another number.
    fence: Option<u8>,
    fences: u8,
    loaders: [Loader; 2],
    readers: [Reader; 2],
    /// The steps of the change that are done; 2: it has returned.
    changed: u8,
    /// How often a key may still vanish.
    evictions: u8,
}

impl State {
    fn new() -> State {
        State {
            database: 0,
            token: Some(0),
            fence: None,
            fences: 0,
            loaders: [Loader::Begins; 2],
            readers: [Reader { known: 0, left: 2 }; 2],
            changed: 0,
            evictions: 2,
        }
    }

    /// Every state that one step leads to. An error: a read went by an old version.
    fn next(&self, rules: Rules) -> Result<Vec<State>, String> {
        let mut states = Vec::new();
        let mut add = |change: &dyn Fn(&mut State)| {
            let mut state = self.clone();
            change(&mut state);
            states.push(state);
        };
        let forget = |state: &mut State| {
            if !rules.does_not_forget {
                state.token = None;
                state.fence = None;
            }
        };
        match (self.changed, rules.forgets_first) {
            (0, false) | (1, true) => add(&|state| {
                state.database = 1;
                state.changed += 1;
            }),
            (1, false) | (0, true) => add(&|state| {
                forget(state);
                state.changed += 1;
            }),
            _ => {}
        }
        for index in 0..self.loaders.len() {
            match self.loaders[index] {
                Loader::Begins => add(&|state| {
                    if state.fence.is_none() {
                        state.fences += 1;
                        state.fence = Some(state.fences);
                    }
                    state.loaders[index] = Loader::Fenced(state.fence.unwrap_or_default());
                }),
                Loader::Fenced(fence) => {
                    add(&|state| state.loaders[index] = Loader::Read(fence, state.database))
                }
                Loader::Read(fence, version) => add(&|state| {
                    let is_whole = state.fence == Some(fence) || rules.has_no_fence;
                    if is_whole {
                        state.token = Some(version);
                    }
                    state.loaders[index] = if is_whole { Loader::Done } else { Loader::Begins };
                }),
                Loader::Done => {}
            }
        }
        for index in 0..self.readers.len() {
            let Reader { known, left } = self.readers[index];
            if left == 0 {
                continue;
            }
            match self.token {
                Some(token) if token == known => {
                    if self.changed == 2 && known < self.database {
                        return Err(format!("it went by an old version: {self:?}"));
                    }
                    add(&|state| state.readers[index].left -= 1);
                }
                // It takes over what the cache remembers, and asks again.
                Some(token) => add(&|state| state.readers[index].known = token),
                // It looks the version up: a loader.
                None => {}
            }
        }
        if self.evictions > 0 {
            add(&|state| {
                state.token = None;
                state.evictions -= 1;
            });
            add(&|state| {
                state.fence = None;
                state.evictions -= 1;
            });
        }
        Ok(states)
    }
}

/// Tries every order. Returns the number of states, or what went wrong.
fn check(rules: Rules) -> Result<usize, String> {
    let mut seen = HashSet::from([State::new()]);
    let mut waiting = vec![State::new()];
    while let Some(state) = waiting.pop() {
        for next in state.next(rules)? {
            // A loader that starts over differs from its earlier state only in its fence.
            if next.fences < 6 && seen.insert(next.clone()) {
                waiting.push(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn once_a_change_has_returned_no_read_goes_by_an_older_version() {
    let states = check(Rules::default()).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(states > 1_000, "{states} states");
}

#[test]
fn each_rule_is_needed() {
    let without = |change: fn(&mut Rules)| {
        let mut rules = Rules::default();
        change(&mut rules);
        check(rules)
    };
    assert!(without(|rules| rules.has_no_fence = true).is_err());
    assert!(without(|rules| rules.does_not_forget = true).is_err());
    assert!(without(|rules| rules.forgets_first = true).is_err());
}

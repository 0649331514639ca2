//! The promises: what must be true of each read, and of the final state.

use crate::product::From;
use memora_engine::rules::belief::Repair;

use crate::case::{ALL, Protocol};
use crate::product::Product;
use crate::state::{Broken, Database, Given, Place, Schedule, Set, State, has, only, waiter};
use crate::step::Step;

/// The possible stabilities, as a set, over the orders of submissions: all that must count, perhaps
/// those that may, each after those that were acknowledged before it began.
pub fn possible(protocol: &Protocol, state: &State, must: Set, may: Set) -> Set {
    let mut found = 0;
    let begin = (0, protocol.case.begins_with, None);
    extend(protocol, state, (must, must | may), begin, &mut found);
    found
}

fn extend(
    protocol: &Protocol,
    state: &State,
    (must, may): (Set, Set),
    (counted, stability, last): (Set, u8, Option<(u8, u8)>),
    found: &mut Set,
) {
    if must & !counted == 0 {
        *found |= only(stability);
    }
    for (at, answer) in (0u8..).zip(&protocol.case.answers) {
        if has(counted, at) || !has(may, at) {
            continue;
        }
        let comes_too_soon = |(other, given): (u8, &Given)| {
            // Any later one would come before one that it must follow.
            has(given.after, at) && has(counted, other)
        };
        let given = &state.given[usize::from(at)];
        let lacks = |other: u8| has(given.after, other) && !has(counted, other);
        if (0u8..).zip(&state.given).any(comes_too_soon) || (0..8).any(lacks) {
            continue;
        }
        let counted = counted | only(at);
        let next = match (answer.undoes(), last) {
            (None, _) => (counted, answer.rate(stability), Some((at, stability))),
            (Some(undone), Some((last, before))) if last == undone => (counted, before, None),
            // Something came in between.
            (Some(_), _) => continue,
        };
        extend(protocol, state, (must, may), next, found);
    }
}

/// Errors in a read that does not say that it is degraded.
pub fn of_read(protocol: &Protocol, state: &State, must: Set, stability: u8) -> Option<Broken> {
    let possible = possible(protocol, state, must, state.begun());
    (!has(possible, stability)).then_some(Broken::Read)
}

/// Errors once all processes are done, and one that reaches everything has drained both places.
pub fn at_rest(protocol: &Protocol, state: &State) -> Option<Broken> {
    let mut drained = state.clone();
    // Entries that only the old journal has are lost.
    drained.demote();
    let place: Place = 0;
    drained.process(place).reach = ALL;
    drained.process(place).run = state.database.registered;
    for _ in 0..3 {
        drained.process(place).step = Step::DrainTake;
        for _ in 0..30 {
            if drained.processes[0].step == Step::Idle || !protocol.drain_step(&mut drained, place)
            {
                break;
            }
        }
    }
    if !drained.journal.stream.is_empty() || !drained.database.table.is_empty() {
        return Some(Broken::Left);
    }
    let possible = possible(protocol, state, state.acknowledged(), state.begun());
    let stands = drained.database.row.map_or(0, |(_, stability)| stability);
    if !has(possible, stands) {
        return Some(Broken::Table);
    }
    let registered = usize::from(state.database.registered);
    let is_confirmed = protocol.is_confirmed(state, state.database.registered);
    let needs_no_repair = Product::repair(&state.database) == Repair::Nothing;
    // The next look repairs what a drain could not, because drains do not wait.
    let is_left = |_: &Schedule| {
        if marked_by_drains(&state.database) {
            !protocol.lacks(&drained, state.database.registered)
        } else {
            is_confirmed || needs_no_repair
        }
    };
    let cached = drained.caches[registered].current().filter(is_left);
    let differs = |known: Option<From>| known.map_or(0, |(_, stability)| stability) != stands;
    cached.is_some_and(|schedule| differs(schedule.known)).then_some(Broken::Cache)
}

fn marked_by_drains(database: &Database) -> bool {
    database.doubts != 0 || database.marks >= only(waiter(0))
}

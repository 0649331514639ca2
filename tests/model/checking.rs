//! Running the checker on a case.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::case::{ALL_ARE_TOLD, Action, Case, OTHER_COUNTS, Protocol, property_of};
use crate::state::{Broken, State};

/// The checker's result for a case: each broken promise, with the steps that lead there.
type Found = Vec<(&'static str, Path<State, Action>)>;

fn check(case: &Case, until: HasDiscoveries) -> Found {
    let began = Instant::now();
    let checker =
        Protocol::new(case.clone()).checker().threads(2).finish_when(until).spawn_bfs().join();
    let (count, depth) = (checker.unique_state_count(), checker.max_depth());
    println!(
        "{}: {count} states, {depth} steps at most, {:.1} s",
        case.name(),
        began.elapsed().as_secs_f64()
    );
    checker.discoveries().into_iter().collect()
}

/// Checks that no interleaving of a case breaks a promise.
pub fn holds(case: &Case) {
    let found = check(case, HasDiscoveries::AnyFailures);
    for (promise, path) in &found {
        let steps = path.clone().into_actions();
        assert!(
            [ALL_ARE_TOLD, OTHER_COUNTS].contains(promise),
            "{}: {promise}: {steps:?} lead to {:?}",
            case.name(),
            path.last_state()
        );
    }
    assert_eq!(
        found.len(),
        2,
        "{}: an answer is never acknowledged, or a run never counts",
        case.name()
    );
}

/// Checks that some interleaving of a case breaks a promise.
pub fn breaks(case: &Case, broken: Broken) {
    let wanted = property_of(broken);
    let found = check(case, HasDiscoveries::AllOf([wanted].into()));
    let way = found.iter().find(|(promise, _)| *promise == wanted);
    let promises: Vec<&str> = found.iter().map(|(promise, _)| *promise).collect();
    let Some((promise, path)) = way else { panic!("{}: only {promises:?} was found", case.name()) };
    println!("  not so: {promise}, after {:?}", path.clone().into_actions());
}

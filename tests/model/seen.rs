//! The cases of issue 15 in the rules of the commit before: the checker finds each of them.

use crate::case::ALL;
use crate::cases::{APART, one_and_two_reads, two_and_a_drain};
use crate::checking::{breaks, holds};
use crate::rules::Rules;
use crate::state::{Broken, C, D};

fn at_once() -> Rules {
    Rules { writes_at_once: true, ..Rules::default() }
}

#[test]
fn case_1_those_with_the_journal_never_look_at_mariadb() {
    let rules = Rules { journal_is_enough: true, ..Rules::default() };
    breaks(&two_and_a_drain(D, ALL).with(rules.clone()), Broken::Table);
    breaks(&one_and_two_reads(D, ALL).with(rules), Broken::Read);
}

#[test]
fn case_2_a_drain_reads_blind_answers_in_an_old_snapshot() {
    let rules = Rules { reads_old_snapshot: true, ..at_once() };
    breaks(&two_and_a_drain(ALL, D).with(rules), Broken::Table);
    // It is the snapshot.
    holds(&two_and_a_drain(ALL, D).with(at_once()));
}

#[test]
fn case_5_the_journal_fails_between_look_up_and_append() {
    breaks(&two_and_a_drain(ALL, ALL).fault(0b001, C | D).with(at_once()), Broken::Table);
}

#[test]
fn case_6_clocks_differ() {
    breaks(&two_and_a_drain(ALL, D).ahead(0, APART).with(at_once()), Broken::Table);
    // It is the clock: with equal ones the case before holds. So it is in the present form of
    // entries.
    let by_clocks = Rules { goes_by_clocks: true, ..Rules::default() };
    breaks(&two_and_a_drain(ALL, D).ahead(0, APART).with(by_clocks.clone()), Broken::Table);
    holds(&two_and_a_drain(ALL, D).with(by_clocks));
}

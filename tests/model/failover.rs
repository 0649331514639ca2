//! A journal that fails over: its replica is promoted while the old one continues, and some
//! processes still use the old one.

use crate::case::{ALL, Case, Job};
use crate::checking::{breaks, holds};
use crate::product::Given;
use crate::rules::Rules;
use crate::state::{Broken, C, N, Set};

/// Uses the journal that was promoted, once it is.
const NEW: Set = ALL | N;

fn failing_over(case: Case) -> Case {
    Case { fails_over: true, ..case }
}

/// A wrong answer from one process, a right one from another, and a drain.
fn two_and_a_drain(one: Set, other: Set, drain: Set) -> Case {
    let case = failing_over(Case::new(3, &[Given::Wrong, Given::Right]));
    Case { looks_last: true, ..case }
        .process(one, &[Job::Submit(0)])
        .process(other, &[Job::Submit(1)])
        .process(drain, &[Job::Drain])
}

/// A wrong answer, and a read that may load.
fn one_and_a_read(one: Set, reader: Set, is_warm: bool) -> Case {
    let case = failing_over(Case::new(3, &[Given::Wrong]));
    Case { is_warm, ..case }.process(one, &[Job::Submit(0)]).process(reader, &[Job::Read])
}

#[test]
fn answers_survive_that_two_journals_take() {
    for (one, other, drain) in [(NEW, NEW, NEW), (ALL, NEW, NEW), (NEW, ALL, NEW), (NEW, NEW, ALL)]
    {
        holds(&two_and_a_drain(one, other, drain));
    }
}

#[test]
fn an_answer_that_was_computed_from_another_counts_after_it() {
    let case = two_and_a_drain(NEW, NEW, NEW);
    let case = Case { begins_with: 1, answers: vec![Given::Right; 2], ..case };
    holds(&case);
    let rules = Rules { believes_journal: true, ..Rules::default() };
    breaks(&case.with(rules), Broken::Table);
}

#[test]
fn no_read_believes_an_old_journal() {
    for (one, reader) in [(NEW, ALL), (ALL, NEW), (NEW & !C, ALL), (NEW & !C, NEW)] {
        for is_warm in [false, true] {
            holds(&one_and_a_read(one, reader, is_warm));
        }
    }
}

#[test]
fn drains_of_two_journals_agree() {
    let case = failing_over(Case::new(3, &[Given::Wrong, Given::Right]));
    let case = Case { looks_last: true, ..case }
        .process(NEW, &[Job::Submit(0), Job::Submit(1)])
        .process(ALL, &[Job::Drain])
        .process(NEW, &[Job::Drain]);
    holds(&case);
}

#[test]
fn processes_die_in_a_failover() {
    for one in [ALL, NEW] {
        let case = one_and_a_read(one, NEW, false).process(NEW, &[Job::Drain]);
        holds(&Case { deaths: 1, looks_last: true, ..case });
    }
    let case = one_and_a_read(ALL, NEW, false).process(NEW, &[Job::Drain]);
    let rules = Rules { drains_what_lacks: true, ..Rules::default() };
    let case = Case { deaths: 1, looks_last: true, ..case };
    breaks(&case.with(rules), Broken::Cache);
}

#[test]
fn what_is_kept_in_mariadb_once_it_is_written_counts_once() {
    // The drain is faster than the process that also keeps the entry in the table.
    let case = failing_over(Case::new(1, &[Given::Right]));
    let case = Case { is_warm: false, looks_last: true, ..case }
        .process(ALL, &[Job::Submit(0)])
        .process(ALL, &[Job::Drain])
        .process(ALL, &[Job::Read]);
    holds(&case);
    let rules = Rules { loads_written_rows: true, ..Rules::default() };
    breaks(&case.with(rules), Broken::Read);
}

#[test]
fn without_asking_the_replica_what_only_the_old_journal_took_is_lost() {
    let rules = Rules { asks_no_replica: true, ..Rules::default() };
    breaks(&two_and_a_drain(ALL, NEW, NEW).with(rules), Broken::Table);
}

#[test]
fn a_look_is_over_when_all_journals_know() {
    let rules = Rules { tells_one_journal: true, ..Rules::default() };
    let case = one_and_a_read(NEW & !C, ALL, true).process(ALL, &[Job::Read]);
    breaks(&case.with(rules), Broken::Read);
}

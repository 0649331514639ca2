//! Cases in which memora's rules keep all promises.

use crate::case::{ALL, Case, Job};
use crate::checking::holds;
use crate::product::Given;
use crate::state::{C, D, J, Set};

/// The servers that one process may still reach. Without MariaDB and one other server it cannot
/// take a submission.
const CUT_OFF: [Set; 4] = [J | D, C | D, D, C | J];

/// How much clocks differ: more than the duration of any case.
pub const APART: i64 = 5_000_000;

/// A wrong answer from one process, a right one from another, which may come at the same time, and
/// a drain.
pub fn two_and_a_drain(one: Set, other: Set) -> Case {
    Case::new(3, &[Given::Wrong, Given::Right])
        .process(one, &[Job::Submit(0)])
        .process(other, &[Job::Submit(1)])
        .process(ALL, &[Job::Drain])
}

/// A wrong answer, and two reads, of which one may disturb the other.
pub fn one_and_two_reads(one: Set, reader: Set) -> Case {
    Case::new(3, &[Given::Wrong])
        .process(one, &[Job::Submit(0)])
        .process(reader, &[Job::Read])
        .process(ALL, &[Job::Read])
}

/// Two answers from two processes, and a read.
pub fn two_and_a_read(one: Set, other: Set) -> Case {
    Case::new(3, &[Given::Wrong, Given::Right])
        .process(one, &[Job::Submit(0)])
        .process(other, &[Job::Submit(1)])
        .process(ALL, &[Job::Read])
}

/// Two answers from one process, one after the other, one from another, and a drain.
pub fn three_and_a_drain(one: Set, other: Set) -> Case {
    Case::new(2, &[Given::Right, Given::Wrong, Given::Right])
        .process(one, &[Job::Submit(0), Job::Submit(1)])
        .process(other, &[Job::Submit(2)])
        .process(ALL, &[Job::Drain])
}

#[test]
fn all_reach_everything() {
    holds(&two_and_a_drain(ALL, ALL).process(ALL, &[Job::Drain]));
    holds(&one_and_two_reads(ALL, ALL));
    holds(&two_and_a_read(ALL, ALL));
}

#[test]
fn two_right_answers_climb_twice() {
    for cut_off in CUT_OFF {
        let case = Case {
            begins_with: 1,
            answers: vec![Given::Right; 2],
            ..two_and_a_drain(cut_off, ALL)
        };
        holds(&case);
    }
}

#[test]
fn one_is_cut_off_and_answers() {
    for cut_off in CUT_OFF {
        holds(&two_and_a_drain(cut_off, ALL));
        holds(&two_and_a_drain(ALL, cut_off));
        holds(&one_and_two_reads(cut_off, ALL));
    }
    holds(&two_and_a_read(J | D, ALL));
    holds(&two_and_a_read(D, ALL));
}

#[test]
fn one_is_cut_off_and_reads() {
    for cut_off in [C | D, C | J] {
        holds(&one_and_two_reads(D, cut_off));
        holds(&one_and_two_reads(J | D, cut_off));
    }
}

#[test]
fn two_are_cut_off_from_different_servers() {
    for (one, other) in [(J | D, C | D), (D, C | J), (C | D, C | J), (D, D)] {
        holds(&two_and_a_drain(one, other));
    }
}

#[test]
fn one_is_cut_off_in_the_middle() {
    for cut_off in CUT_OFF {
        holds(&two_and_a_drain(ALL, ALL).fault(0b001, cut_off));
    }
    // All processes lose it, and reach it again.
    holds(&two_and_a_drain(ALL, ALL).fault(0b111, C | D).fault(0b111, ALL));
}

#[test]
fn one_is_cut_off_for_a_while() {
    holds(&one_and_two_reads(D, ALL).fault(0b001, ALL));
    holds(&two_and_a_drain(D, ALL).fault(0b001, ALL));
}

#[test]
fn three_answers_follow_each_other() {
    for cut_off in [J | D, C | D, D] {
        holds(&three_and_a_drain(ALL, cut_off));
    }
    holds(&three_and_a_drain(D, C | J));
}

#[test]
fn one_process_dies() {
    for cut_off in [ALL, J | D, C | D, D] {
        holds(&Case { deaths: 1, ..two_and_a_drain(cut_off, ALL) });
    }
}

/// An answer, and a read that may load, which a drain may overtake.
pub fn one_and_a_load(one: Set) -> Case {
    Case::new(3, &[Given::Wrong])
        .process(one, &[Job::Submit(0)])
        .process(ALL, &[Job::Read])
        .process(ALL, &[Job::Drain])
}

#[test]
fn processes_die_while_another_loads() {
    for one in [ALL, J | D, C | D] {
        for is_warm in [false, true] {
            holds(&Case { deaths: 2, is_warm, ..one_and_a_load(one) });
        }
    }
}

/// Two answers, and a drain that does not reach the cache.
pub fn two_and_a_blind_drain() -> Case {
    Case::new(3, &[Given::Wrong, Given::Right])
        .process(ALL, &[Job::Submit(0)])
        .process(ALL, &[Job::Submit(1)])
        .process(J | D, &[Job::Drain, Job::Drain])
}

#[test]
fn a_process_dies_and_a_drain_does_not_reach_the_cache() {
    holds(&Case { deaths: 1, ..two_and_a_blind_drain() });
    for is_warm in [false, true] {
        let case = Case::new(3, &[Given::Wrong])
            .process(ALL, &[Job::Submit(0)])
            .process(ALL, &[Job::Read, Job::Read])
            .process(J | D, &[Job::Drain]);
        holds(&Case { deaths: 1, is_warm, ..case });
    }
}

#[test]
fn a_journal_that_stalls_takes_it_after_all() {
    for (one, other) in [(ALL, ALL), (J | D, ALL)] {
        holds(&Case { may_stall: true, ..two_and_a_drain(one, other) });
    }
}

#[test]
fn a_journal_that_stalls_takes_what_nobody_vouched_for() {
    let case = two_and_a_drain(C | J, ALL).fault(0b011, C | D);
    holds(&Case { may_stall: true, ..case });
}

/// An answer that is drained, then another, while a replica of MariaDB that is behind may take
/// over.
pub fn one_after_the_other() -> Case {
    let case = Case::new(2, &[Given::Right, Given::Wrong])
        .process(ALL, &[Job::Submit(0), Job::Drain, Job::Submit(1), Job::Drain]);
    Case { may_fall_back: true, ..case }
}

#[test]
fn a_replica_that_is_behind_takes_over() {
    holds(&one_after_the_other().process(ALL, &[Job::Read, Job::Read]));
    holds(&one_after_the_other().process(ALL, &[Job::Drain]));
    holds(&Case { deaths: 1, ..one_after_the_other() });
    for is_warm in [false, true] {
        holds(&Case { is_warm, may_fall_back: true, ..two_and_a_drain(ALL, ALL) });
        holds(&Case { is_warm, may_fall_back: true, deaths: 1, ..one_and_a_load(ALL) });
    }
}

#[test]
fn clocks_of_processes_differ() {
    for ahead in [APART, -APART] {
        holds(&two_and_a_drain(D, ALL).ahead(0, ahead));
        holds(&two_and_a_drain(ALL, C | D).ahead(0, ahead));
        holds(&three_and_a_drain(ALL, D).ahead(0, ahead));
    }
}

#[test]
fn the_cache_is_cold_or_not_believed() {
    for cut_off in [ALL, J | D, D] {
        holds(&Case { is_warm: false, ..two_and_a_drain(cut_off, ALL) });
    }
    holds(&Case { is_warm: false, ..one_and_two_reads(C | D, ALL) });
    holds(&Case { is_believed: false, ..one_and_two_reads(J | D, ALL) });
}

/// An answer from a process of one host, and reads of another host, which has a cache of its own.
pub fn apart_and_reads(one: Set, other: Set) -> Case {
    Case::new(3, &[Given::Wrong])
        .process(one, &[Job::Submit(0)])
        .process(other, &[Job::Read, Job::Read, Job::Read])
        .apart(0b10)
}

/// An answer from a process of each of two hosts, each of which has a cache of its own, and a read.
pub fn apart_and_answers(one: Set, other: Set) -> Case {
    Case::new(3, &[Given::Wrong, Given::Right])
        .process(one, &[Job::Submit(0), Job::Read])
        .process(other, &[Job::Submit(1)])
        .apart(0b10)
}

/// A process reaches another cache for a while, in which it takes an answer.
pub fn there_and_back() -> Case {
    let read = [Job::Read, Job::Read];
    Case::new(3, &[Given::Wrong])
        .process(ALL, &[&read[..], &[Job::Submit(0)], &read, &[Job::Read]].concat())
        .apart(0b01)
        .switch(0b01, 0)
}

#[test]
fn another_cache_comes_into_use() {
    holds(&there_and_back());
}

#[test]
fn each_of_two_hosts_has_a_cache_of_its_own() {
    for (one, other) in [(ALL, ALL), (C | D, ALL), (ALL, C | D), (C | D, C | D)] {
        holds(&apart_and_reads(one, other));
        holds(&apart_and_answers(one, other));
    }
}

#[test]
fn the_cache_fails_over_while_the_old_one_answers_some() {
    let one = Case::new(3, &[Given::Wrong])
        .process(ALL, &[Job::Submit(0)])
        .process(ALL, &[Job::Read, Job::Read, Job::Read]);
    holds(&one.clone().switch(0b10, 1).switch(0b01, 1));
    holds(&one.switch(0b01, 1).switch(0b10, 1));
}

/// An answer, and reads of another process, while the cache of both becomes another run, for one
/// after the other: what it begins with is what the first run had at some moment.
pub fn copied(first: Set, second: Set) -> Case {
    let case = Case::new(3, &[Given::Wrong])
        .process(ALL, &[Job::Submit(0)])
        .process(ALL, &[Job::Read, Job::Read, Job::Read]);
    Case { copies: true, is_whole: true, ..case }.switch(first, 1).switch(second, 1)
}

#[test]
fn a_replica_of_the_cache_is_promoted_while_the_old_primary_answers_some() {
    for (first, second) in [(0b10, 0b01), (0b01, 0b10)] {
        for is_warm in [false, true] {
            holds(&Case { is_warm, ..copied(first, second) });
        }
    }
}

#[test]
fn the_cache_comes_back_with_old_data() {
    let case = Case::new(3, &[Given::Wrong])
        .process(ALL, &[Job::Submit(0)])
        .process(ALL, &[Job::Read, Job::Read, Job::Read]);
    let case = case.fault(0b11, J | D).switch(0b10, 1).switch(0b01, 1);
    holds(&Case { copies: true, is_whole: true, ..case });
}

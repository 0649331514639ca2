//! Each protection is needed: without it, the checker finds a broken promise.

use crate::case::{ALL, Case, Job};
use crate::cases::{
    APART, apart_and_answers, apart_and_reads, copied, one_after_the_other, one_and_a_load,
    one_and_two_reads, there_and_back, three_and_a_drain, two_and_a_blind_drain, two_and_a_drain,
    two_and_a_read,
};
use crate::checking::{breaks, holds};
use crate::product::Given;
use crate::rules::Rules;
use crate::state::{Broken, C, D, J};

#[test]
fn without_a_fence_a_load_undoes_an_answer() {
    let cold = Case { is_warm: false, ..one_and_two_reads(C | D, ALL) };
    let rules = Rules { has_no_fence: true, ..Rules::default() };
    breaks(&cold.clone().with(rules), Broken::Read);
    let rules = Rules { drop_keeps_fence: true, ..Rules::default() };
    breaks(&cold.with(rules), Broken::Read);
}

#[test]
fn without_waiting_others_believe_what_lacks_an_answer() {
    let rules = Rules { does_not_wait: true, ..Rules::default() };
    breaks(&one_and_two_reads(J | D, ALL).with(rules), Broken::Read);
    // A process that cannot tell the journal must wait for its shared look.
    let rules = Rules { waits_for_a_lease_only: true, ..Rules::default() };
    breaks(&two_and_a_read(D, ALL).with(rules), Broken::Read);
    let rules = Rules { does_not_revoke: true, ..Rules::default() };
    breaks(&two_and_a_read(J | D, ALL).with(rules), Broken::Read);
}

#[test]
fn a_look_has_to_be_claimed_before_it_is_made() {
    let rules = Rules { confirmation_outlives_claim: true, ..Rules::default() };
    breaks(&two_and_a_read(D, ALL).with(rules), Broken::Read);
    let rules = Rules { confirms_without_claim: true, ..Rules::default() };
    breaks(&two_and_a_read(J | D, ALL).with(rules), Broken::Read);
}

#[test]
fn without_a_lock_a_mark_is_settled_that_nobody_has_seen() {
    let rules = Rules { settles_without_lock: true, ..Rules::default() };
    breaks(&Case { is_believed: false, ..one_and_two_reads(J | D, ALL).with(rules) }, Broken::Read);
}

#[test]
fn what_was_read_before_a_look_may_have_been_dropped_since() {
    let rules = Rules { shows_what_it_read_before: true, ..Rules::default() };
    breaks(&two_and_a_read(D, ALL).with(rules.clone()), Broken::Read);
    breaks(&one_and_two_reads(C | J | D, C | J).fault(0b001, D).with(rules), Broken::Read);
}

#[test]
fn a_schedule_is_only_changed_from_what_the_answer_was_computed_from() {
    let rules = Rules { ignores_cached_head: true, ..Rules::default() };
    breaks(&two_and_a_read(C | D, ALL).with(rules), Broken::Read);
}

#[test]
fn without_conflicts_what_a_stalled_journal_takes_comes_too_late() {
    let rules = Rules { has_no_conflicts: true, ..Rules::default() };
    breaks(&Case { may_stall: true, ..two_and_a_drain(ALL, ALL).with(rules) }, Broken::Table);
}

#[test]
fn without_audit_records_an_entry_counts_twice() {
    let rules = Rules { ignores_audits: true, ..Rules::default() };
    breaks(&two_and_a_drain(ALL, ALL).process(ALL, &[Job::Drain]).with(rules), Broken::Table);
}

#[test]
fn an_entry_waits_for_what_it_was_computed_from() {
    // Seen only if a drain does not read both places in one snapshot.
    let rules = Rules { drains_stream_first: true, ignores_early: true, ..Rules::default() };
    breaks(&three_and_a_drain(ALL, C | D).with(rules), Broken::Table);
}

#[test]
fn an_entry_counts_after_those_that_it_knows() {
    let rules = Rules { ignores_known_table: true, ..Rules::default() };
    breaks(&two_and_a_drain(C | D, ALL).with(rules), Broken::Table);
}

#[test]
fn a_drain_that_dies_has_taken_nothing_away() {
    let rules = Rules { acknowledges_first: true, ..Rules::default() };
    breaks(&Case { deaths: 1, ..two_and_a_drain(ALL, ALL).with(rules) }, Broken::Table);
}

#[test]
fn a_drain_drops_what_lacks_the_answer_of_a_process_that_died() {
    let rules = Rules { drain_leaves_schedules: true, ..Rules::default() };
    breaks(&Case { deaths: 1, ..two_and_a_drain(ALL, ALL).with(rules) }, Broken::Cache);
    // A drain may die, too.
    let two_die = Case { deaths: 2, ..two_and_a_drain(C | D, C | D) };
    let rules = Rules { drops_after_commit: true, ..Rules::default() };
    breaks(&two_die.clone().with(rules), Broken::Cache);
    holds(&two_die);
}

#[test]
fn a_drain_that_cannot_look_at_a_schedule_marks_its_student() {
    let rules = Rules { drain_leaves_unseen: true, ..Rules::default() };
    breaks(&Case { deaths: 1, ..two_and_a_blind_drain().with(rules) }, Broken::Cache);
}

#[test]
fn a_drain_breaks_the_fence_of_a_load_that_it_overtakes() {
    let rules = Rules { drain_leaves_loads: true, ..Rules::default() };
    breaks(&Case { deaths: 1, is_warm: false, ..one_and_a_load(ALL).with(rules) }, Broken::Cache);
}

#[test]
fn a_drain_reads_both_places_as_of_one_moment() {
    // An entry that enters the stream after it was read is older than one that enters the table
    // after that.
    let rules = Rules { drains_stream_first: true, ..Rules::default() };
    breaks(&three_and_a_drain(ALL, D).with(rules), Broken::Table);
    // The entry of the stream is not confirmed, so it does not claim that it came later.
    let rules = Rules { drains_table_first: true, ..Rules::default() };
    breaks(&three_and_a_drain(D, C | J).with(rules), Broken::Table);
}

#[test]
fn what_was_written_is_kept_for_an_older_database() {
    let rules = Rules { forgets_what_is_written: true, ..Rules::default() };
    breaks(&one_after_the_other().with(rules), Broken::Table);
    // It comes before the entry computed from it.
    let rules = Rules { takes_written_for_lost: true, ..Rules::default() };
    breaks(&one_after_the_other().with(rules), Broken::Table);
}

#[test]
fn a_load_lays_over_an_older_database_what_that_lacks() {
    let rules = Rules { loads_without_written: true, ..Rules::default() };
    // Two processes that answer at the same time leave the student cold.
    let case = Case::new(2, &[Given::Right, Given::Wrong])
        .process(ALL, &[Job::Submit(0), Job::Drain])
        .process(ALL, &[Job::Submit(1)])
        .process(ALL, &[Job::Read]);
    let case = Case { may_fall_back: true, ..case };
    breaks(&case.clone().with(rules), Broken::Read);
    holds(&case);
}

/// A limit of the protocol, not a protection: if no process could look, the servers' clocks decide.
#[test]
fn where_nobody_vouches_the_clocks_of_servers_have_to_agree() {
    breaks(&Case { journal_ahead: -APART, ..two_and_a_drain(D, C | J) }, Broken::Table);
    breaks(&Case { journal_ahead: APART, ..two_and_a_drain(C | J, D) }, Broken::Table);
}

// -- two runs of the cache in use
// --------------------------------------------------------------------
#[test]
fn one_run_of_the_cache_is_believed() {
    let rules = Rules { believes_any_run: true, ..Rules::default() };
    breaks(&apart_and_reads(ALL, ALL).with(rules), Broken::Read);
    let rules = Rules { shares_looks_of_any_run: true, ..Rules::default() };
    breaks(&apart_and_reads(ALL, ALL).with(rules), Broken::Read);
    // A replica has the primary's notes.
    let rules = Rules { confirms_any_run: true, ..Rules::default() };
    breaks(&copied(0b10, 0b01).with(rules), Broken::Read);
}

#[test]
fn another_run_counts_once_nobody_believes_the_last_one() {
    let rules = Rules { takes_without_waiting: true, ..Rules::default() };
    breaks(&apart_and_reads(ALL, ALL).with(rules), Broken::Read);
    let rules = Rules { takes_what_is_believed: true, ..Rules::default() };
    breaks(&apart_and_reads(ALL, ALL).with(rules), Broken::Read);
    let rules = Rules { does_not_defend: true, ..Rules::default() };
    breaks(&apart_and_reads(ALL, ALL).with(rules), Broken::Read);
    let rules = Rules { takes_with_old_schedules: true, ..Rules::default() };
    breaks(&there_and_back().with(rules), Broken::Read);
}

#[test]
fn what_a_run_was_shown_must_be_shown_in_the_one_that_counts() {
    let rules = Rules { shows_without_looking: true, ..Rules::default() };
    breaks(&apart_and_reads(ALL, ALL).with(rules), Broken::Read);
    let rules = Rules { unmarks_for_any_run: true, ..Rules::default() };
    breaks(&apart_and_answers(ALL, ALL).with(rules), Broken::Read);
}

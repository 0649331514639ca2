//! Undoing a submission: a load that both servers must answer, then an entry like others.

use crate::case::{ALL, Case, Job, Protocol};
use crate::checking::{breaks, holds};
use crate::product::Given;
use crate::rules::Rules;
use crate::state::{Base, Broken, C, D, J, Journal, N, Place, Set, State, Token, has};
use crate::step::{Before, Load, Step};

impl Protocol {
    /// The submission that a process undoes now.
    pub fn undoes(&self, state: &State, place: Place) -> Option<u8> {
        match self.job(state, place) {
            Some(Job::Submit(submission)) => self.case.answers[usize::from(submission)].undoes(),
            _ => None,
        }
    }

    /// Where a submission begins: an undo does not ask the cache.
    pub fn first_step(&self, state: &State, place: Place) -> Step {
        if self.undoes(state, place).is_some() {
            return Step::LoadJournal(Load::default());
        }
        Step::Ask(None)
    }

    /// What follows once an entry is kept. An undo drops the schedule: so reads show what both
    /// journals say while it is unknown whether the undo counts.
    pub fn kept(&self, before: &Before, token: Token, after: Base) -> Step {
        Step::Show { token, before: before.head, after, cached: before.cached }
    }

    /// The undo that a process has kept and shown: it is acknowledged only if it counts.
    pub fn must_verify(&self, state: &State, place: Place) -> Option<Token> {
        let rules = &self.case.rules;
        if rules.undoes_without_looking || rules.undoes_without_journal {
            return None;
        }
        self.undoes(state, place)?;
        let Some(Job::Submit(submission)) = self.job(state, place) else { return None };
        let token = state.entries.iter().rposition(|entry| entry.submission == submission)?;
        Token::try_from(token).ok()
    }

    /// Does a step of the look whether an undo counts. It ends there if that is unknown: the
    /// student sends it again.
    pub fn verify(&self, state: &mut State, place: Place) {
        match state.process(place).step.clone() {
            Step::VerifyJournal { token } if state.reaches(place, J) => {
                let Journal { stream, written, .. } = state.journal_of(place).clone();
                let load = Load { stream, written, ..Load::default() };
                state.process(place).step = Step::VerifyTable { token, load };
            }
            Step::VerifyTable { token, load }
                if state.reaches(place, D) && self.counts(state, &load, token) =>
            {
                self.tell(state, place);
            }
            _ => self.end_job(state, place),
        }
    }

    /// Whether an undo is certain to count.
    fn counts(&self, state: &State, load: &Load, token: Token) -> bool {
        let database = &state.database;
        if has(database.audits, token) {
            let undone = state.entries[usize::from(token)].undoes;
            return undone.is_some_and(|undone| has(database.undone, undone));
        }
        let waits = |token: &Token| !has(database.audits, *token);
        let mut stream = load.stream.clone();
        stream.extend(&load.written);
        stream.retain(waits);
        stream.sort_unstable_by_key(|token| state.order_of(*token));
        let mut table = database.table.clone();
        table.retain(|(_, token)| waits(token));
        let places = (stream.as_slice(), table.as_slice());
        let rules = &self.case.rules;
        // Another server may take the journal's place, and a drain may have something of this one.
        let has_place = !self.case.fails_over && stream.contains(&token);
        // A drain may have taken such an entry without this one.
        let (.., known) = state.entries[usize::from(token)].base;
        let is_other = |(id, other): &(i64, Token)| *id > known && *other != token;
        let knows_all = !table.iter().any(is_other);
        (has_place || rules.undoes_in_one_journal)
            && (knows_all || rules.undoes_beside_others)
            && self.product.counts(database.row, &state.entries, places, token)
    }

    /// Whether a process may continue that does not reach the journal.
    pub fn may_undo_without_journal(&self, state: &State, place: Place) -> bool {
        self.undoes(state, place).is_none() || self.case.rules.undoes_without_journal
    }

    /// What a process knows of the submission that it undoes, in one snapshot. `None`: it cannot be
    /// undone.
    pub fn undoing(&self, state: &State, place: Place, load: &Load) -> Option<Before> {
        let undone = self.undoes(state, place)?;
        let database = &state.database;
        let waits = |token: Token| !has(database.audits, token);
        let stream: Vec<Token> =
            load.stream.iter().copied().filter(|token| waits(*token)).collect();
        let mut table = database.table.clone();
        table.retain(|(_, token)| waits(*token));
        let (token, known, restored) = self.product.undoing(
            database.row,
            &state.entries,
            (&stream, &table),
            (undone, &database.replaced),
        )?;
        let (_, newest) = self.product.lay_over(database.row, &state.entries, &stream, &table);
        let of_row = database.row.map_or(0, |(order, _)| order).max(load.head);
        let of_stream = load.stream.iter().map(|token| state.order_of(*token)).max().unwrap_or(0);
        let of_table = database.table.iter().map(|(id, _)| *id).max().unwrap_or(0);
        Some(Before {
            known,
            head: (of_row.max(newest), of_row.max(of_stream), of_table),
            cached: None,
            is_whole: load.is_whole || self.case.rules.undoes_without_journal,
            is_sure: true,
            undoes: Some((token, restored)),
        })
    }
}

/// An answer that the same process then undoes, and one from another process at any time.
fn undone_and_another(one: Set, other: Set) -> Case {
    Case::new(2, &[Given::Wrong, Given::Undo(0), Given::Right])
        .process(one, &[Job::Submit(0), Job::Submit(1)])
        .process(other, &[Job::Submit(2)])
}

/// The same with a drain.
fn undone_and_drained(one: Set, other: Set) -> Case {
    undone_and_another(one, other).process(ALL, &[Job::Drain])
}

/// One process answers. Another one undoes that, perhaps before the first returns, and then
/// answers.
fn undone_by_another(one: Set, other: Set) -> Case {
    Case::new(2, &[Given::Wrong, Given::Undo(0), Given::Right])
        .process(one, &[Job::Submit(0)])
        .process(other, &[Job::Submit(1), Job::Submit(2)])
        .process(ALL, &[Job::Drain])
}

/// An answer; then one that does not know it, so it is computed again; that is undone.
fn computed_again() -> Case {
    Case::new(2, &[Given::Right, Given::Wrong, Given::Undo(1)])
        .process(ALL, &[Job::Submit(0)])
        .process(D, &[Job::Submit(1)])
        .process(ALL, &[Job::Submit(2)])
        .process(ALL, &[Job::Drain])
}

#[test]
fn all_reach_everything() {
    holds(&Case { looks_last: true, ..undone_and_drained(ALL, ALL) });
    holds(&undone_by_another(ALL, ALL));
    holds(&undone_and_another(ALL, ALL).process(ALL, &[Job::Read]));
}

#[test]
fn the_other_is_cut_off() {
    for cut_off in [J | D, C | D, D, C | J] {
        holds(&undone_and_drained(ALL, cut_off));
    }
    for cut_off in [J | D, C | D] {
        holds(&undone_and_another(ALL, cut_off).process(ALL, &[Job::Read]));
    }
}

#[test]
fn it_is_cut_off_and_undoes() {
    // It cannot undo without the journal, but need not reach the cache.
    holds(&undone_and_drained(J | D, ALL));
    holds(&undone_and_drained(C | D, ALL).fault(0b001, ALL));
    for cut_off in [C | D, D, C | J] {
        holds(&undone_by_another(cut_off, ALL));
    }
}

#[test]
fn it_dies() {
    holds(&Case { deaths: 1, looks_last: true, ..undone_and_drained(ALL, ALL) });
    holds(&Case { deaths: 1, looks_last: true, ..undone_by_another(ALL, ALL) });
}

#[test]
fn the_journal_stalls() {
    holds(&Case { may_stall: true, looks_last: true, ..undone_and_drained(ALL, ALL) });
}

#[test]
fn a_replica_of_mariadb_that_is_behind_takes_over() {
    let case = Case::new(2, &[Given::Right, Given::Undo(0)])
        .process(ALL, &[Job::Submit(0), Job::Drain, Job::Submit(1), Job::Drain]);
    for case in [case.clone(), case.clone().process(ALL, &[Job::Read, Job::Read])] {
        holds(&Case { may_fall_back: true, ..case });
    }
    holds(&Case { may_fall_back: true, ..case.process(ALL, &[Job::Drain]) });
}

/// An answer and its undo, and another answer, while the journal fails over.
fn failing_over(one: Set, other: Set, drain: Set) -> Case {
    let case = Case::new(2, &[Given::Wrong, Given::Undo(0), Given::Right])
        .process(one, &[Job::Submit(0), Job::Submit(1)])
        .process(other, &[Job::Submit(2)])
        .process(drain, &[Job::Drain]);
    Case { fails_over: true, looks_last: true, ..case }
}

#[test]
fn the_journal_fails_over() {
    const NEW: Set = ALL | N;
    for (one, other, drain) in [(NEW, NEW, NEW), (ALL, NEW, NEW), (NEW, ALL, NEW), (NEW, NEW, ALL)]
    {
        holds(&failing_over(one, other, drain));
    }
}

#[test]
fn it_does_not_undo_what_was_answered_since() {
    let rules = Rules { undoes_what_was_answered_since: true, ..Rules::default() };
    breaks(&undone_and_drained(ALL, ALL).with(rules), Broken::Table);
}

#[test]
fn it_counts_only_where_its_question_is_as_it_was() {
    let rules = Rules { undoes_in_any_case: true, ..Rules::default() };
    const NEW: Set = ALL | N;
    breaks(&failing_over(ALL, NEW, ALL).with(rules), Broken::Table);
}

#[test]
fn it_is_acknowledged_once_it_is_seen_to_count() {
    let rules = Rules { undoes_without_looking: true, ..Rules::default() };
    breaks(&undone_and_drained(ALL, ALL).with(rules), Broken::Table);
    const NEW: Set = ALL | N;
    let rules = Rules { undoes_in_one_journal: true, ..Rules::default() };
    breaks(&failing_over(NEW, NEW, NEW).with(rules), Broken::Table);
    let rules = Rules { undoes_beside_others: true, ..Rules::default() };
    breaks(&undone_and_drained(ALL, C | D).with(rules), Broken::Table);
}

#[test]
fn a_process_without_the_journal_cannot_know() {
    let rules = Rules { undoes_without_journal: true, ..Rules::default() };
    let case = Case::new(2, &[Given::Wrong, Given::Undo(0), Given::Right])
        .process(ALL, &[Job::Submit(0), Job::Submit(2)])
        .process(C | D, &[Job::Submit(1)])
        .process(ALL, &[Job::Drain]);
    breaks(&case.with(rules), Broken::Table);
}

/// The property test of `src/rules/lineage` shows that it must wait.
#[test]
fn what_is_computed_again_waits_until_it_is_written() {
    holds(&computed_again());
}

#[test]
fn it_leads_to_what_was_replaced() {
    let rules = Rules { undoes_to_what_it_knew: true, ..Rules::default() };
    breaks(&computed_again().with(rules), Broken::Table);
}

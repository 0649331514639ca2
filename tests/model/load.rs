//! Loading a student behind a fence.

use crate::product::From;

use crate::case::{Job, Protocol};
use crate::state::{Base, C, D, Era, J, Journal, Place, Schedule, State, Token, has};
use crate::step::{Before, Load, Step};

impl Protocol {
    /// Does a step of a load.
    pub fn load_step(&self, state: &mut State, place: Place) -> bool {
        let reaches = |server| state.reaches(place, server);
        let (cache, journal, database) = (reaches(C), reaches(J), reaches(D));
        let next = match state.process(place).step.clone() {
            Step::Fence(era) => {
                if cache {
                    state.cache(place).fence = Some(place);
                }
                let cached = Some(era);
                Step::LoadJournal(Load { cached, is_fenced: cache, ..Load::default() })
            }
            Step::LoadJournal(load) if journal => {
                let Journal { head, stream, written, .. } = state.journal_of(place).clone();
                let load = Load { is_whole: true, head, stream, written, ..load };
                let is_asked = self.case.fails_over && !self.case.rules.believes_journal;
                if load.stream.is_empty() || !is_asked {
                    Step::LoadTable(load)
                } else if state.follower.is_some() {
                    state.replicate();
                    Step::LoadTable(load)
                } else {
                    Step::LoadKeep(load)
                }
            }
            Step::LoadJournal(_) if !self.may_undo_without_journal(state, place) => {
                self.end_job(state, place);
                return true;
            }
            Step::LoadJournal(load) => Step::LoadTable(load),
            Step::LoadKeep(_) | Step::LoadTable(_) | Step::LoadRow(..) if !database => {
                self.end_job(state, place);
                return true;
            }
            Step::LoadKeep(load) => {
                for token in &load.stream {
                    state.database.keep(*token);
                }
                Step::LoadTable(load)
            }
            Step::LoadTable(mut load) => {
                if !self.case.rules.loads_without_written {
                    let lacks = |token: &Token| !has(state.database.audits, *token);
                    let lacking: Vec<Token> = load.written.iter().copied().filter(lacks).collect();
                    if !lacking.is_empty() {
                        load.stream.extend(lacking);
                        // Orders grow in the stream.
                        load.stream.sort_unstable_by_key(|token| state.order_of(*token));
                    }
                }
                let is_waiting = !load.stream.is_empty() || !state.database.table.is_empty();
                Step::LoadRow(load, is_waiting)
            }
            Step::LoadRow(load, _) if self.undoes(state, place).is_some() => {
                match self.undoing(state, place, &load) {
                    Some(before) => Step::Keep(before),
                    None => {
                        self.end_job(state, place);
                        return true;
                    }
                }
            }
            Step::LoadRow(load, is_waiting) => {
                let (known, head) = self.loaded(state, &load, is_waiting);
                let Load { cached, is_fenced, is_whole, .. } = load;
                let before = Before { known, head, cached, is_whole, is_sure: true, undoes: None };
                if is_fenced && is_whole {
                    Step::Fill(before)
                } else {
                    self.use_loaded(state, place, before);
                    return true;
                }
            }
            Step::Fill(before) => {
                let rules = &self.case.rules;
                let filled = state.cache(place);
                let is_fenced = filled.fence == Some(place) || rules.has_no_fence;
                if let Some(Era { generation, .. }) = before.cached.filter(|_| cache && is_fenced) {
                    let Before { known, head, .. } = before;
                    filled.fence = None;
                    filled.schedule = Some(Schedule { generation, known, head });
                }
                self.use_loaded(state, place, before);
                return true;
            }
            _ => return false,
        };
        state.process(place).step = next;
        true
    }

    /// What a load finds in MariaDB, and the result. With `is_waiting`, all of it is from one
    /// snapshot.
    fn loaded(&self, state: &State, load: &Load, is_waiting: bool) -> (Option<From>, Base) {
        let database = &state.database;
        if self.case.rules.writes_at_once {
            return self.loaded_today(state, load);
        }
        let newest = |known: Option<From>| known.map_or(0, |(order, _)| order);
        let journal = newest(database.row).max(load.head);
        if !is_waiting {
            return (database.row, (journal, journal, 0));
        }
        let (entries, mut stream, mut table) =
            (&state.entries, load.stream.clone(), database.table.clone());
        let waits = |token: Token| !has(database.audits, token);
        stream.retain(|token| waits(*token));
        if !self.case.rules.loads_written_rows {
            table.retain(|(_, token)| waits(*token));
        }
        let (known, order) = self.product.lay_over(database.row, entries, &stream, &table);
        let of_stream =
            load.stream.iter().map(|token| entries[usize::from(*token)].order).max().unwrap_or(0);
        let of_table = database.table.iter().map(|(id, _)| *id).max().unwrap_or(0);
        (known, (journal.max(order), journal.max(of_stream), of_table))
    }

    fn use_loaded(&self, state: &mut State, place: Place, before: Before) {
        if let Some(Job::Submit(_)) = self.job(state, place) {
            state.process(place).step = Step::Keep(before);
        } else {
            let stability = before.known.map_or(0, |(_, stability)| stability);
            self.end_read(state, place, stability, !before.is_whole);
        }
    }
}

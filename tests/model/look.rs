//! Asking the cache, and looking whether it may be believed.

use memora_engine::rules::belief::Repair;

use crate::case::{Job, Protocol};
use crate::product::Product;
use crate::state::{C, D, J, Looks, Place, Schedule, State, has};
use crate::step::{Asked, Before, Step};

impl Protocol {
    /// Does a step of asking or looking.
    pub fn look_step(&self, state: &mut State, place: Place) -> bool {
        let reaches = |server| state.reaches(place, server);
        let (cache, journal, database) = (reaches(C), reaches(J), reaches(D));
        let next = match state.process(place).step.clone() {
            Step::Ask(_) | Step::Claim(_) | Step::Repair(..) | Step::Confirm(..) if !cache => {
                // A transaction that is under way is rolled back.
                state.database.belief_lock =
                    state.database.belief_lock.filter(|holder| *holder != place);
                self.without_cache(state, place);
                return true;
            }
            Step::Ask(has_looked) => {
                let asked = Asked { found: state.cache.schedule };
                if has_looked || state.cache.looks.note.is_some() {
                    self.asked(state, place, asked.found, true);
                    return true;
                }
                Step::Claim(asked)
            }
            Step::Claim(asked) => {
                state.cache.looks.claim = Some((place, 0));
                Step::AskJournal(asked)
            }
            Step::AskJournal(asked) if journal => {
                if state.journal.looks.note.is_some() || self.case.rules.journal_is_enough {
                    Step::Confirm(asked, false)
                } else {
                    Step::ClaimJournal(asked)
                }
            }
            Step::AskJournal(asked) => Step::Look(asked, false),
            Step::ClaimJournal(asked) => {
                if journal {
                    state.journal.looks.claim = Some((place, 0));
                }
                Step::Look(asked, journal)
            }
            Step::Look(asked, _) if !database => {
                self.asked(state, place, asked.found, asked.found.is_none());
                return true;
            }
            Step::Look(asked, is_claimed) => {
                match Product::repair(state.database.is_believed, state.database.marks) {
                    Repair::Nothing if is_claimed => Step::ConfirmJournal(asked, false),
                    Repair::Nothing => Step::Confirm(asked, false),
                    _ => Step::Repair(asked, is_claimed),
                }
            }
            Step::Repair(asked, is_claimed) => {
                if !database {
                    self.asked(state, place, asked.found, asked.found.is_none());
                    return true;
                }
                if state.database.belief_lock.is_some_and(|holder| holder != place) {
                    return false;
                }
                if !self.case.rules.settles_without_lock {
                    state.database.belief_lock = Some(place);
                }
                if state.database.marks != 0 {
                    state.cache.drop_student(self.case.rules.drop_keeps_fence);
                }
                Step::Settle(asked, is_claimed)
            }
            Step::Settle(asked, is_claimed) => {
                state.database.belief_lock = None;
                if !database {
                    self.asked(state, place, asked.found, asked.found.is_none());
                    return true;
                }
                state.database.marks = 0;
                state.database.is_believed = true;
                if is_claimed {
                    Step::ConfirmJournal(asked, true)
                } else {
                    Step::Confirm(asked, true)
                }
            }
            Step::ConfirmJournal(asked, is_repaired) => {
                if journal {
                    self.confirm(&mut state.journal.looks, place);
                }
                Step::Confirm(asked, is_repaired)
            }
            Step::Confirm(asked, is_repaired) => {
                self.confirm(&mut state.cache.looks, place);
                if !is_repaired && self.case.rules.shows_what_it_read_before {
                    self.asked(state, place, asked.found, true);
                    return true;
                }
                // What was read before may be what somebody has dropped since.
                Step::Ask(true)
            }
            _ => return false,
        };
        state.process(place).step = next;
        true
    }

    fn confirm(&self, looks: &mut Looks, place: Place) {
        let rules = &self.case.rules;
        if rules.confirms_without_claim {
            looks.note = Some(0);
            return;
        }
        let Some((_, waiting)) = looks.claim.take_if(|(owner, _)| *owner == place) else { return };
        looks.note = Some(if rules.confirmation_outlives_claim { 0 } else { waiting });
    }

    /// The cache has answered.
    fn asked(&self, state: &mut State, place: Place, found: Option<Schedule>, is_sure: bool) {
        let Some(Schedule { known, head }) = found else {
            state.process(place).step = Step::Fence;
            return;
        };
        if let Some(Job::Submit(_)) = self.job(state, place) {
            let before = Before { known, head, is_cached: true, is_whole: true, is_sure };
            state.process(place).step = Step::Keep(before);
        } else {
            self.end_read(state, place, known.map_or(0, |(_, stability)| stability), !is_sure);
        }
    }

    /// A process has waited: true, if nothing is left of what was there when it began.
    pub fn wait_is_over(&self, state: &mut State, place: Place) -> bool {
        let Step::Wait(is_journal) = state.process(place).step else { return false };
        let looks = if is_journal { &mut state.journal.looks } else { &mut state.cache.looks };
        if !looks.are_outlived_by(place) {
            return false;
        }
        looks.end_wait(place);
        if is_journal {
            state.cache.looks.begin_wait(place);
            state.process(place).step = Step::Wait(false);
        } else {
            state.process(place).step = Step::GiveUp;
        }
        true
    }

    /// A waiting process sees that somebody has settled its mark, or has found that nobody believes
    /// the cache.
    pub fn mark_is_gone(&self, state: &mut State, place: Place) -> bool {
        let is_needed = has(state.database.marks, place) && state.database.is_believed;
        if !state.reaches(place, D) || is_needed || state.reaches(place, C) {
            return false;
        }
        self.acknowledge(state, place);
        true
    }
}

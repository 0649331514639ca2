//! Asking the cache, and looking whether it may be believed.

use memora_engine::rules::belief::Repair;
use memora_engine::rules::registration::Standing;

use crate::case::{Job, Protocol};
use crate::product::Product;
use crate::state::{C, D, Era, J, Known, Looks, Place, Run, Schedule, State, Token, has, waiter};
use crate::step::{Asked, Before, Load, Step, Why};

impl Protocol {
    /// Does a step of asking or looking.
    pub fn look_step(&self, state: &mut State, place: Place) -> bool {
        let reaches = |server| state.reaches(place, server);
        let (cache, journal, database) = (reaches(C), reaches(J), reaches(D));
        let era = state.era(place);
        let run = era.run;
        let next = match state.process(place).step.clone() {
            Step::Ask(_) if !cache => {
                self.without_cache(state, place);
                return true;
            }
            Step::Claim(asked) | Step::Repair(asked, _) | Step::Confirm(asked, _) if !cache => {
                // A transaction that is under way is rolled back.
                state.database.belief_lock =
                    state.database.belief_lock.filter(|holder| *holder != place);
                self.cannot_be_told(state, place, asked);
                return true;
            }
            Step::Ask(looked) => {
                let found = state.cache(place).current();
                if looked == Some(run) || self.is_confirmed(state, run) {
                    self.asked(state, place, (era, found), true);
                    return true;
                }
                Step::Claim(Asked { why: Why::Asked(found), era })
            }
            Step::Claim(asked) => {
                state.cache(place).looks.claim = Some((place, 0));
                Step::AskJournal(Asked { era: Era { run, ..asked.era }, ..asked })
            }
            Step::AskJournal(asked) if journal => {
                let looks = &state.journal_of(place).looks;
                let is_for_it =
                    looks.run == asked.era.run || self.case.rules.shares_looks_of_any_run;
                if looks.note.is_some() && is_for_it || self.case.rules.journal_is_enough {
                    Step::Confirm(asked, false)
                } else {
                    Step::ClaimJournal(asked)
                }
            }
            Step::AskJournal(asked) => Step::Look(asked, false),
            Step::ClaimJournal(asked) => {
                if journal {
                    state.journal_of(place).looks.claim = Some((place, 0));
                }
                Step::Look(asked, journal)
            }
            Step::Look(asked, _) if !database => {
                self.nobody_can_look(state, place, asked);
                return true;
            }
            Step::Look(asked, is_claimed) => match self.standing(state, place, asked) {
                Standing::Holds => match Product::repair(&state.database) {
                    Repair::Nothing if is_claimed => Step::ConfirmJournal(asked, false),
                    Repair::Nothing => Step::Confirm(asked, false),
                    _ => Step::Repair(asked, is_claimed),
                },
                Standing::Defends | Standing::Takes => Step::Repair(asked, is_claimed),
                Standing::Challenges => {
                    if state.database.belief_lock.is_some() {
                        return false;
                    }
                    state.set_challenge(Some(asked.era.run));
                    Step::Sight(asked)
                }
                Standing::Waits if state.process(place).known.is_none() => Step::Sight(asked),
                Standing::Waits => {
                    self.cannot_be_told(state, place, asked);
                    return true;
                }
            },
            Step::Sight(asked) => {
                // There may be another challenge by now, which the next look sees.
                if state.database.challenge == Some(asked.era.run) {
                    if journal {
                        state.journal.looks = Looks::default();
                    }
                    state.process(place).known =
                        Some(if journal { Known::Cache } else { Known::Journal });
                    begin_wait(state, waiter(place), !journal);
                }
                self.cannot_be_told(state, place, asked);
                return true;
            }
            Step::Repair(asked, is_claimed) => {
                if !database {
                    self.nobody_can_look(state, place, asked);
                    return true;
                }
                if state.database.belief_lock.is_some_and(|holder| holder != place) {
                    return false;
                }
                let standing = self.standing(state, place, asked);
                if !standing.counts() || run != asked.era.run && !self.case.rules.repairs_any_run {
                    self.cannot_be_told(state, place, asked);
                    return true;
                }
                let rules = &self.case.rules;
                if !rules.settles_without_lock {
                    state.database.belief_lock = Some(place);
                }
                let is_taken = standing == Standing::Takes;
                if is_taken && !rules.takes_with_old_schedules {
                    state.renew(place);
                } else if self.lacks(state, run) {
                    state.cache(place).drop_student(rules.drop_keeps_fence);
                }
                Step::Settle(asked, is_claimed)
            }
            Step::Settle(asked, is_claimed) => {
                state.database.belief_lock = None;
                if !database {
                    self.nobody_can_look(state, place, asked);
                    return true;
                }
                state.database.marks = 0;
                state.database.doubts = 0;
                state.database.is_believed = true;
                if !self.case.rules.believes_any_run {
                    state.database.registered = asked.era.run;
                    if !self.case.rules.does_not_defend {
                        state.set_challenge(None);
                    }
                }
                if is_claimed {
                    Step::ConfirmJournal(asked, true)
                } else {
                    Step::Confirm(asked, true)
                }
            }
            Step::ConfirmJournal(asked, is_repaired) => {
                if journal {
                    let looks = &mut state.journal_of(place).looks;
                    if self.confirm(looks, place) {
                        looks.run = asked.era.run;
                    }
                }
                Step::Confirm(asked, is_repaired)
            }
            Step::Confirm(asked, is_repaired) => {
                // By now another run may be reached and have the claim: the note names the run that
                // was looked for.
                let looks = &mut state.cache(place).looks;
                if self.confirm(looks, place) {
                    looks.run = asked.era.run;
                }
                match asked.why {
                    Why::Shown(shown) if shown == asked.era.run => {
                        self.acknowledge(state, place);
                        return true;
                    }
                    Why::Shown(_) => {
                        state.process(place).step = Step::Mark;
                        return true;
                    }
                    Why::Asked(found) if !is_repaired => {
                        if self.case.rules.shows_what_it_read_before {
                            self.asked(state, place, (asked.era, found), true);
                            return true;
                        }
                    }
                    Why::Asked(_) => {}
                }
                // A process may have dropped what was read before.
                Step::Ask(Some(asked.era.run))
            }
            _ => return false,
        };
        state.process(place).step = next;
        true
    }

    /// Whether a look drops the schedule that a run of the cache has.
    pub fn lacks(&self, state: &State, run: Run) -> bool {
        let schedule = state.caches[usize::from(run)].schedule;
        let order = schedule.map(|schedule| schedule.head.0);
        let mut doubts = (0..8).filter(|token| has(state.database.doubts, *token));
        let is_dropped = |token: Token| Product::is_dropped(state.order_of(token), order);
        state.database.marks != 0 || doubts.any(is_dropped)
    }

    /// What must be done for the run of the cache that a look is for.
    fn standing(&self, state: &mut State, place: Place, asked: Asked) -> Standing {
        let rules = &self.case.rules;
        if rules.believes_any_run {
            return Standing::Holds;
        }
        let known = state.process(place).known;
        let has_waited =
            known == Some(Known::Waited) || known.is_some() && rules.takes_without_waiting;
        let is_believed = state.database.is_believed && !rules.takes_what_is_believed;
        let registered = (state.database.registered, is_believed);
        let challenge = state.database.challenge;
        match Product::standing(registered, challenge, asked.era.run, has_waited) {
            Standing::Defends if rules.does_not_defend => Standing::Holds,
            standing => standing,
        }
    }

    /// Whether a run of the cache may be believed, as far as it says so itself.
    pub fn is_confirmed(&self, state: &State, run: Run) -> bool {
        let looks = &state.caches[usize::from(run)].looks;
        looks.confirm(run) || looks.note.is_some() && self.case.rules.confirms_any_run
    }

    /// Notes that a look is done, if its claim is still valid.
    fn confirm(&self, looks: &mut Looks, place: Place) -> bool {
        let rules = &self.case.rules;
        if rules.confirms_without_claim {
            looks.note = Some(0);
            return true;
        }
        let Some((_, waiting)) = looks.claim.take_if(|(owner, _)| *owner == place) else {
            return false;
        };
        looks.note = Some(if rules.confirmation_outlives_claim { 0 } else { waiting });
        true
    }

    /// The cache has answered.
    fn asked(
        &self,
        state: &mut State,
        place: Place,
        (era, found): (Era, Option<Schedule>),
        is_sure: bool,
    ) {
        let Some(Schedule { known, head, .. }) = found else {
            state.process(place).step = Step::Fence(era);
            return;
        };
        if let Some(Job::Submit(_)) = self.job(state, place) {
            let cached = Some(era);
            let before = Before { known, head, cached, is_whole: true, is_sure, undoes: None };
            state.process(place).step = Step::Keep(before);
        } else {
            self.end_read(state, place, known.map_or(0, |(_, stability)| stability), !is_sure);
        }
    }

    /// MariaDB does not answer. The cache is still read, and answers that it was shown are
    /// acknowledged.
    fn nobody_can_look(&self, state: &mut State, place: Place, asked: Asked) {
        match asked.why {
            Why::Asked(found) => {
                self.asked(state, place, (asked.era, found), found.is_none());
            }
            Why::Shown(_) => self.acknowledge(state, place),
        }
    }

    /// The cache that a process reaches is not registered, or went down: the process continues
    /// without it.
    fn cannot_be_told(&self, state: &mut State, place: Place, asked: Asked) {
        state.process(place).step = match asked.why {
            Why::Shown(_) => Step::Mark,
            // If the cache went down, Safe Mode says that it is degraded: its reads are checked no
            // less.
            Why::Asked(_) => Step::LoadJournal(Load::default()),
        };
    }

    /// A process has known a challenge; true, if nothing earlier is left.
    pub fn challenge_is_old(&self, state: &mut State, place: Place) -> bool {
        let registered = usize::from(state.database.registered);
        let known = state.process(place).known;
        let looks = match known {
            Some(Known::Journal) => &mut state.journal.looks,
            Some(Known::Cache) => &mut state.caches[registered].looks,
            _ => return false,
        };
        if !looks.are_outlived_by(waiter(place)) {
            return false;
        }
        looks.end_wait(waiter(place));
        state.caches.iter_mut().for_each(|cache| cache.looks.end_wait(waiter(place)));
        if known == Some(Known::Journal) {
            begin_wait(state, waiter(place), false);
            state.process(place).known = Some(Known::Cache);
        } else {
            state.process(place).known = Some(Known::Waited);
        }
        true
    }

    /// A process has waited; true, if nothing is left from when it began.
    pub fn wait_is_over(&self, state: &mut State, place: Place) -> bool {
        let Step::Wait(is_journal) = state.process(place).step else { return false };
        let is_over = if is_journal {
            state.journals().all(|journal| journal.looks.are_outlived_by(place))
        } else {
            state.caches.iter().all(|cache| cache.looks.are_outlived_by(place))
        };
        if !is_over {
            return false;
        }
        if is_journal {
            state.journals().for_each(|journal| journal.looks.end_wait(place));
            begin_wait(state, place, false);
            state.process(place).step = Step::Wait(false);
        } else {
            state.caches.iter_mut().for_each(|cache| cache.looks.end_wait(place));
            state.process(place).step = Step::GiveUp;
        }
        true
    }

    /// A waiting process sees that its mark is settled, or that no process believes the cache.
    pub fn mark_is_gone(&self, state: &mut State, place: Place) -> bool {
        let is_needed = has(state.database.marks, place) && state.database.is_believed;
        if !state.reaches(place, D) || is_needed {
            return false;
        }
        self.acknowledge(state, place);
        true
    }
}

/// A process begins to wait for the journal's shared look, or for each run's confirmation.
pub fn begin_wait(state: &mut State, place: Place, is_journal: bool) {
    if is_journal {
        state.journals().for_each(|journal| journal.looks.begin_wait(place));
    } else {
        state.caches.iter_mut().for_each(|cache| cache.looks.begin_wait(place));
    }
}

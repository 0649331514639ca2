//! States that the site's own code has computed. They count unchanged, in the given order, like the
//! answers of a session.

use std::collections::HashMap;

use crate::consistency::documents::unknown;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::rules::clock::now_us;
use crate::rules::entry::{Entry, From};
use crate::rules::names::{check_player, check_question_id, check_season};
use crate::rules::review::Review;
use crate::rules::season::Season;
use crate::servers::mariadb::seasons::{self, Link};
use crate::students::submit::{Conflicts, Keeping};

/// How the message begins that something does not exist.
const LOST: &str = "Nothing was saved: there is";
/// Most states in one entry.
const STATES: usize = 50;

/// A state that a question is given.
#[derive(Clone, Debug)]
pub struct GivenState {
    /// The question.
    pub question_id: String,
    /// 0 to the highest rung of the season's ladders, which is usually 4.
    pub stability: u8,
    /// Unix time in seconds of the next review.
    pub next_review: i64,
    /// Its Game Subject; `None`: keep the present one.
    pub subject: Option<String>,
    /// Its Game Topic; `None`: keep the present one.
    pub topic: Option<String>,
}

impl Engine {
    /// Gives questions of a student these states, as if they had been answered now. Of several
    /// states of one question the last counts. When this returns, they are durable, and the next
    /// read shows them. Returns how many questions were given one.
    ///
    /// # Errors
    /// As [`Engine::submit`]. If there are more than 50, some may have been saved: the call can be
    /// repeated.
    pub fn set_states(&self, user: &str, season: &str, given: &[GivenState]) -> Result<usize> {
        check_player(user)?;
        check_season(season)?;
        for state in given {
            check_question_id(&state.question_id)?;
        }
        let process = self.process();
        let (player, found) = self.check_names(&process, user, season, given)?;
        let highest = found.scheduling.most_rungs();
        if let Some(GivenState { stability, .. }) =
            given.iter().find(|state| state.stability > highest)
        {
            return Err(Error::InvalidInput(format!(
                "Nothing was saved: new_stability must be 0 to {highest}, not {stability}."
            )));
        }
        let mut last: HashMap<&str, &GivenState> = HashMap::new();
        last.extend(given.iter().map(|state| (state.question_id.as_str(), state)));
        let mut given: Vec<&GivenState> = last.into_values().collect();
        given.sort_unstable_by(|one, other| one.question_id.cmp(&other.question_id));
        for states in given.chunks(STATES) {
            self.set_some(&process, &player, &found, states)?;
        }
        Ok(given.len())
    }

    /// Makes sure that everything named exists. Returns the user's name as Frappe has it, and the
    /// season.
    fn check_names(
        &self,
        process: &Process,
        user: &str,
        season: &str,
        given: &[GivenState],
    ) -> Result<(String, Season)> {
        let names = |link: Link, name: fn(&GivenState) -> Option<&str>| {
            given.iter().filter_map(name).map(move |name| (link, name))
        };
        let mut links: Vec<(Link, &str)> =
            names(Link::Subject, |state| state.subject.as_deref()).collect();
        links.extend(names(Link::Topic, |state| state.topic.as_deref()));
        links.sort_unstable_by_key(|(link, name)| (*link as u8, *name));
        links.dedup();
        let (player, found) = process.database.with(|database| {
            let player = seasons::user_named(database, user)?
                .ok_or_else(|| unknown(LOST, Link::Player, user))?;
            for (link, name) in &links {
                if !seasons::link_exists(database, *link, name)? {
                    return Err(unknown(LOST, *link, name));
                }
            }
            Ok((player, seasons::named(database, season)?))
        })?;
        let found = found.ok_or_else(|| {
            let shown: String = season.chars().filter(|one| !one.is_control()).take(60).collect();
            Error::InvalidInput(format!("{LOST} no season \"{shown}\"."))
        })?;
        Ok((player, found))
    }

    /// Sets the states of one entry.
    fn set_some(
        &self,
        process: &Process,
        player: &str,
        season: &Season,
        given: &[&GivenState],
    ) -> Result<()> {
        let ids: Vec<String> = given.iter().map(|state| state.question_id.clone()).collect();
        let mut conflicts = Conflicts::default();
        loop {
            let before = self.before_in_season(process, player, season, &ids)?;
            let now = now_us();
            self.notice_clock(process, player, before.head.seconds_ahead(now));
            let order = before.head.next_order(now, process.random());
            let state = |given: &&GivenState| {
                let id = given.question_id.as_str();
                let known = before.states.get(id).cloned().unwrap_or_else(|| Review::new(id));
                Review {
                    stability: given.stability,
                    next_review: given.next_review,
                    last_review: Some(now / 1_000_000),
                    answered_at_us: order,
                    subject: given.subject.clone().or(known.subject),
                    topic: given.topic.clone().or(known.topic),
                    // A set state is not an answer.
                    memory: known.memory,
                    question_id: known.question_id,
                }
            };
            let is_new = |given: &&&GivenState| !before.states.contains_key(&given.question_id);
            self.check_room(&before, given.iter().filter(is_new).count() as u64)?;
            let states = given.iter().map(state).collect();
            let entry = Entry {
                at_us: now,
                kept_at_us: now,
                base: before.head,
                is_sure: before.is_sure,
                from: ids
                    .iter()
                    .map(|id| (id.clone(), before.states.get(id).map(From::of)))
                    .collect(),
                ..Entry::of_states(process.token(), states)
            };
            match self.keep(process, player, &before, &entry)? {
                Keeping::Done(kept) => {
                    let head = kept.head(before.head, order);
                    return self.show(process, player, &before, head, &entry.states);
                }
                _ => self.settle_conflict(process, player, &before, &mut conflicts)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::clock::SiteZone;
    use crate::rules::head::Head;
    use crate::rules::lineage::{Record, States, apply, is_early};
    use crate::rules::plan::{by_question, plan};
    use crate::rules::submission::Submission;

    fn zone() -> SiteZone {
        SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"))
    }

    /// A right answer to a question with these known states.
    fn answer(token: &str, known: &[Review], order: i64) -> Entry {
        let right = Submission::from_responses(r#"[{"question_id": "q", "quality": 5}]"#);
        let right = right.unwrap_or_default();
        let known = by_question(known.to_vec());
        let planned = plan(&zone(), &right, &known, order, order / 1_000_000);
        let times = (order, order);
        Entry::new(token.to_owned(), times, Head::default(), &right, &known, planned.reviews)
    }

    /// A state that was set.
    fn given(token: &str, stability: u8, known: &[Review], order: i64) -> Entry {
        let state = Review { stability, answered_at_us: order, ..Review::new("q") };
        let from = vec![("q".to_owned(), known.first().map(From::of))];
        Entry { from, ..Entry::of_states(token.to_owned(), vec![state]) }
    }

    fn stability_after(entries: &[Entry]) -> u8 {
        let mut states = States::default();
        for entry in entries {
            apply(&zone(), &mut states, entry);
        }
        states.into_reviews()[0].stability
    }

    #[test]
    fn a_state_that_was_given_counts_in_its_place_whatever_its_order() {
        let first = answer("a", &[], 5_000_000);
        // Neither includes the other, and the clock of this one was behind.
        let blind = given("b", 3, &[], 3_000_000);
        assert_eq!(stability_after(&[first.clone(), blind.clone()]), 3);
        // The answer is computed again from the set state.
        assert_eq!(stability_after(&[blind, first.clone()]), 4);
        let knowing = given("c", 2, &first.states, 6_000_000);
        let next = answer("d", &knowing.states, 7_000_000);
        assert_eq!(stability_after(&[first, knowing.clone(), next]), 3);
        // It waits for what it was computed from.
        assert!(is_early(&States::default(), &knowing));
    }

    #[test]
    fn an_edit_stands_against_a_state_from_before_it() {
        let review = Review { stability: 4, answered_at_us: 9_000_000, ..Review::new("q") };
        let mut states = States::default();
        states.extend(vec![Record { review, is_edited: true }]);
        assert!(apply(&zone(), &mut states, &given("a", 1, &[], 5_000_000)).is_empty());
        assert_eq!(states.into_reviews()[0].stability, 4);
    }
}

use super::*;
use crate::rules::acknowledgement::Acknowledgement;
use crate::rules::entry::tests::entry;
use crate::rules::memory::tests::memories;
use crate::rules::plan::by_question;
use proptest::prelude::*;

proptest! {
    #[test]
    fn entries_round_trip(
        answers in proptest::collection::vec((0u8..3, 0u8..6), 1..8), has_stage: bool,
        ago in proptest::collection::vec(any::<Option<u16>>(), 8), is_keyed: bool,
    ) {
        let subject = Some("Math".to_owned());
        let stage = has_stage.then(|| Review { subject, ..Review::new("s") });
        let stage: Vec<Review> = stage.into_iter().collect();
        let mut entry = entry(&answers, &stage).that_can_be_undone(&by_question(stage));
        entry.undoes = is_keyed.then(|| "other".to_owned());
        for (answer, ago) in entry.submission.answers.iter_mut().zip(&ago) {
            answer.given_at = ago.map(|ago| 7 - 1 - i64::from(ago));
        }
        entry.keyed = is_keyed.then(|| Keyed {
            fingerprint: "f".to_owned(),
            told: Acknowledgement {
                processed: 1, correct: 2, xp_earned: 3, remaining: 4, stability_counts: vec![5; 4],
                leeches: vec![6; has_stage.into()],
            },
        });
        let text = entry.to_text().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(Entry::read(&text, "x"), Ok(entry));
    }

    #[test]
    fn states_that_were_given_round_trip(
        known in any::<Option<(u32, u8)>>(), stability in 0u8..5, memory in memories(),
        memory_before in memories(), remembers: bool,
    ) {
        let memory = if remembers { memory } else { MemoryState::default() };
        let state = Review { stability, memory, answered_at_us: 9_000_000, ..Review::new("q") };
        let from = known.map(|(order, stability)| {
            From { order: order.into(), stability, memory: memory_before }
        });
        let base = Head { order: i64::from(u32::MAX), ..Head::default() };
        let entry = Entry {
            base,
            from: vec![("q".to_owned(), from)],
            remembers,
            ..Entry::of_states("token".to_owned(), vec![state])
        };
        let text = entry.to_text().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(Entry::read(&text, "x"), Ok(entry));
    }

    #[test]
    fn whatever_else_is_refused_with_a_reason(text in "\\PC*") {
        let _ = Entry::read(&text, "x");
    }
}

#[test]
fn qualities_are_kept_and_need_not_be_there() {
    let one = entry(&[(1, 5), (2, 0)], &[]);
    let text = one.to_text().unwrap_or_default();
    assert!(text.contains(r#""q":[5,0]"#), "{text}");
    let mut without = one;
    for answer in &mut without.submission.answers {
        if let Observed::Review { quality, .. } = &mut answer.observed {
            *quality = None;
        }
    }
    // As an older process wrote it, and as an answer without a quality is written.
    let older = text.replace(r#","q":[5,0]"#, "");
    assert_eq!(without.to_text().ok(), Some(older.clone()));
    assert_eq!(Entry::read(&older, "x"), Ok(without));
}

#[test]
fn an_entry_has_the_ladders_that_its_answers_count_on() {
    let ladder = r#"{"fast_ms":0,"slow_ms":9000,"days":[1,3,7,14,30]}"#;
    let scheduling = format!(r#"{{"ladder":{ladder},"subjects":{{"Art":{ladder}}}}}"#);
    let scheduling = Scheduling::read(&scheduling).unwrap_or_default();
    let mut entry = entry(&[(2, 5)], &[]);
    let spec = entry.to_text().unwrap_or_default();
    entry.submission.scheduling = scheduling;
    entry.submission.seed = 7;
    let own = entry.to_text().unwrap_or_default();
    // As an older memora writes and reads it, where a season changes nothing.
    assert!(!spec.contains(r#""l""#) && own.contains(r#""l""#), "{spec} {own}");
    assert_eq!(Entry::read(&own, "x"), Ok(entry.clone()));
    entry.submission.scheduling = Scheduling::of_fsrs();
    let own = entry.to_text().unwrap_or_default();
    assert_eq!(Entry::read(&own, "x"), Ok(entry));
}

#[test]
fn an_entry_of_the_first_version_is_read() {
    let states = vec![Review { answered_at_us: 5, ..Review::new("q") }];
    let text = serde_json::to_string(&states).unwrap_or_default();
    let old = Entry { remembers: false, ..Entry::of_states("1-0".to_owned(), states) };
    assert_eq!(Entry::read(&text, "1-0"), Ok(old));
    assert!(Entry::read(r#"{"v": 3}"#, "1-0").is_err());
}

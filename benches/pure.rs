//! The engine's rules and encodings without any server.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

use memora_engine::rules::clock::SiteZone;
use memora_engine::rules::ladder::Ladder;
use memora_engine::rules::review::Review;
use memora_engine::rules::submission::Submission;

fn review() -> Review {
    Review {
        stability: 3,
        next_review: 1_795_000_000,
        last_review: Some(1_794_000_000),
        answered_at_us: 1_794_000_000_123_456,
        subject: Some("Mathematics".to_owned()),
        topic: Some("Fractions".to_owned()),
        ..Review::new("stage-17:atom-4")
    }
}

fn encodings(criterion: &mut Criterion) {
    let review = review();
    let detail = review.detail();
    criterion.bench_function("detail: write", |bench| bench.iter(|| black_box(&review).detail()));
    criterion.bench_function("detail: read", |bench| {
        bench.iter(|| Review::from_detail("q", black_box(&detail)));
    });
    let answer = r#"{"question_id": "stage-17:atom-4", "is_correct": true, "time_spent_ms": 1834}"#;
    let session = format!(r#"{{"answers": [{}]}}"#, vec![answer; 50].join(","));
    criterion.bench_function("submission of 50: read", |bench| {
        bench.iter(|| {
            Submission::from_session_data(black_box(&session)).map(|read| read.answers.len())
        });
    });
}

fn rules(criterion: &mut Criterion) {
    let ladder = Ladder::default();
    criterion.bench_function("ladder: one answer", |bench| {
        bench.iter(|| {
            ladder.stability_after_answer(black_box(2), black_box(true), black_box(1_500))
        });
    });
    let Ok(zone) = SiteZone::named("America/New_York") else { return };
    criterion.bench_function("clock: add days over a change of clocks", |bench| {
        bench.iter(|| zone.add_days(black_box(1_772_902_800), black_box(3)));
    });
}

criterion_group!(benches, encodings, rules);
criterion_main!(benches);

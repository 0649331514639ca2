//! A log of answers in the form of py-fsrs: `card_id,review_rating,review_time,review_duration`.

use std::collections::HashMap;
use std::path::Path;

use fsrs::{FSRSItem, FSRSReview};
use jiff::Timestamp;
use memora_engine::rules::fsrs::Grade;

/// One answer.
#[derive(Clone, Copy)]
pub struct Answered {
    /// How the person graded it.
    pub grade: Grade,
    /// Days (UTC) since the answer before it; 0 for the first.
    pub days: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// An answer to predict, after those before it to the same question.
pub struct Item {
    /// The answers up to and including it, oldest first; never empty.
    pub answers: Vec<Answered>,
}

impl Item {
    /// The answer to predict.
    pub fn last(&self) -> &Answered {
        &self.answers[self.answers.len() - 1]
    }

    /// Those before it.
    pub fn before(&self) -> &[Answered] {
        &self.answers[..self.answers.len() - 1]
    }

    /// Whether it was right.
    pub fn is_right(&self) -> bool {
        self.last().grade != Grade::Again
    }

    /// In the form of the crate fsrs.
    pub fn for_training(&self) -> FSRSItem {
        let review =
            |answer: &Answered| FSRSReview { rating: answer.grade as u32, delta_t: answer.days };
        FSRSItem { reviews: self.answers.iter().map(review).collect() }
    }
}

/// All answers that can be predicted, in order of time: those given on a later day than the
/// previous answer to the question.
///
/// # Panics
/// If the file cannot be read, or a line is not an answer.
pub fn read(path: &Path) -> Vec<Item> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    let mut lines: Vec<(Timestamp, &str, Grade, u64)> = text.lines().skip(1).map(line).collect();
    lines.sort_by_key(|(at, ..)| *at);
    let mut questions: HashMap<&str, (i64, Vec<Answered>)> = HashMap::new();
    let mut items = Vec::new();
    for (at, question, grade, duration_ms) in lines {
        let day = at.as_second().div_euclid(86_400);
        let (last_day, answers) = questions.entry(question).or_insert((day, Vec::new()));
        let days = u32::try_from(day - *last_day).unwrap_or(0);
        *last_day = day;
        answers.push(Answered { grade, days, duration_ms });
        if days > 0 {
            items.push(Item { answers: answers.clone() });
        }
    }
    items
}

fn line(line: &str) -> (Timestamp, &str, Grade, u64) {
    let read = || {
        let mut fields = line.split(',');
        let question = fields.next()?;
        let rating: usize = fields.next()?.parse().ok()?;
        let at = fields.next()?.parse().ok()?;
        let duration_ms = fields.next()?.parse().ok()?;
        Some((at, question, *Grade::ALL.get(rating.checked_sub(1)?)?, duration_ms))
    };
    read().unwrap_or_else(|| panic!("no answer: {line:?}"))
}

//! What ladder and FSRS predict of real answers, and what each does to a school year: `make
//! bench-scheduler`. All figures are the same in each run.
//!
//! The answers are those with which py-fsrs, the scheduler's Python package, is tested (MIT): one
//! person's, of 2024. They are not part of memora; `make bench-scheduler` downloads them.

mod log;
mod predictions;
mod year;

use std::path::PathBuf;

use fsrs::{ComputeParametersInput, FSRSItem, compute_parameters};
use memora_engine::rules::fsrs::Parameters;

/// Prints a Markdown table.
fn print_table(headings: &[&str], rows: &[Vec<String>]) {
    let columns = headings.len() - 1;
    println!("| {} |\n| --- |{}", headings.join(" | "), " ---: |".repeat(columns));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}

/// Parameters trained on these items by the crate fsrs.
fn trained(train_set: Vec<FSRSItem>) -> Parameters {
    let input = ComputeParametersInput { train_set, ..ComputeParametersInput::default() };
    let found = compute_parameters(input).unwrap_or_else(|error| panic!("training: {error}"));
    let found: [f32; 21] =
        found.try_into().unwrap_or_else(|found: Vec<f32>| panic!("{} parameters", found.len()));
    Parameters::from(found)
}

fn main() {
    // Cargo adds `--bench`.
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let path = path.map_or_else(|| panic!("name the log of answers"), PathBuf::from);
    let log = log::read(&path);
    predictions::report(&log);
    year::report(&log);
}

//! What students do: they ask which questions are due, and answer.

pub mod call_times;
pub mod due;
pub mod persistence;
pub mod safe_mode;
pub mod submit;

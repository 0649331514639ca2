//! What students do: they ask which questions are due, and answer.

pub mod before;
pub mod call_times;
pub mod due;
pub mod persistence;
pub mod safe_mode;
pub mod show;
pub mod submit;

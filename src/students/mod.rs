//! What students do: they ask which questions are due, and answer.

pub mod answers;
mod arrange;
pub mod call_times;
pub mod due;
pub mod forecast;
pub mod known_state;
pub mod safe_mode;
mod sent_again;
pub mod session;
pub mod set_states;
pub mod show_in_cache;
pub mod submission_status;
pub mod submit;
pub mod submit_answer;
pub mod suspend;
pub mod undo;

//! The answer to a submission.

use crate::rules::acknowledgement::Acknowledgement;

/// What the caller of a submission gets.
#[derive(Debug)]
pub struct SubmitAnswer {
    /// The id with which to ask later whether it is in MariaDB.
    pub job_id: String,
    /// The season the answers count for.
    pub season: String,
    /// What the student is told.
    pub told: Acknowledgement,
    /// True for the one submission that should queue a drain.
    pub drain_wanted: bool,
    /// False if it was taken before: this is what was told then.
    pub is_first: bool,
}

//! What a submission is answered.

use crate::rules::acknowledgement::Acknowledgement;

/// The answer to a submission.
#[derive(Debug)]
pub struct SubmitAnswer {
    /// To ask later whether it is in MariaDB.
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

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Submissions that left the journal.
    pub submissions: usize,
    /// States that were written.
    pub answers: usize,
    /// Records that could not be written and were set aside.
    pub set_aside: usize,
    /// Submissions that had been written before, but that the database no longer had.
    pub written_again: usize,
    /// Submissions that are still in the journal.
    pub remaining: u64,
}

//! What an audit record says of a submission.

use sha2::{Digest, Sha256};

use crate::rules::answer_log;
use crate::rules::clock::now_us;
use crate::rules::counted_on::Before;
use crate::rules::entry::Entry;
use crate::servers::mariadb::audits::Audit;

/// The audit record of an entry. `before` is what each of its answers counted on; `checksum` is of
/// the entry's text.
pub(crate) fn audit<'a>(
    job_id: &'a str,
    (player, season): (&'a str, &'a str),
    (entry, before): (&'a Entry, &[Before]),
    checksum: String,
) -> Audit<'a> {
    Audit {
        job_id,
        player,
        season,
        // An undo has no answers.
        answers: if entry.undoes.is_some() { 0 } else { entry.states.len() },
        answered_at_us: entry.at_us,
        persisted_at_us: now_us(),
        checksum,
        keyed: entry.keyed.as_ref(),
        log: answer_log::pack(entry, before),
        replaced: None,
    }
}

/// SHA-256 over an entry's text, hexadecimal.
pub(crate) fn checksum(text: &str) -> String {
    format!("{:x}", Sha256::digest(text.as_bytes()))
}

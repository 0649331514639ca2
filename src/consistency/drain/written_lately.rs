//! Keeps what was written to MariaDB lately, in case the database loses it: a replica that was
//! behind takes over, or a power cut loses the last commits.
//!
//! An audit record is part of its submission's transaction, so exactly the submissions without one
//! are missing. Nothing leaves the journal's Redis permanently until its audit record was seen a
//! second time, minutes after it was written. What is missing is written again by then, and usually
//! much sooner, because each drain looks for the newest ones. Until then, every load applies it to
//! the records.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::report::DrainReport;
use crate::engine::outages::OutageNews;
use crate::engine::{Engine, Process};
use crate::error::Result;
use crate::servers::mariadb::audits;
use crate::servers::mariadb::journal::has_any;
use crate::servers::redis::journal::StreamEntry;
use crate::servers::redis::written::{self, Written};

/// How long submissions are kept: longer than a replica that takes over is behind.
const KEPT: Duration = Duration::from_secs(300);
/// How many of the newest submissions each drain looks for: a database that is behind lacks these.
const NEWEST: usize = 20;
/// How many submissions are looked for at a time.
const AT_ONCE: usize = 1_000;

impl Engine {
    /// Takes submissions that are in MariaDB now, or set aside there, out of the stream. Those with
    /// a token of their own are kept among those that were written lately.
    pub(super) fn acknowledge(
        &self,
        process: &Process,
        done: &[(&StreamEntry, &str)],
    ) -> Result<()> {
        let (keys, scripts) = (&self.settings.keys, &self.journal_scripts);
        // Unreadable entries have a Poison Review instead of an audit record.
        let (kept, rest): (Vec<_>, Vec<_>) =
            done.iter().copied().partition(|(entry, token)| entry.id != *token);
        let is_kept = process.journal.with(|journal| {
            scripts.acknowledge(journal, keys, &rest)?;
            self.written_scripts.keep(journal, keys, &kept)
        })?;
        if is_kept {
            return Ok(());
        }
        process.journal.with(|journal| scripts.acknowledge(journal, keys, &kept))?;
        while self.let_go_of_oldest(process, Duration::ZERO)?.0 > 0 {}
        Ok(())
    }

    /// Writes again what the database lacks, if it lacks one of the newest.
    pub(super) fn write_again_if_needed(
        &self,
        process: &Process,
        deadline: Instant,
        report: &mut DrainReport,
    ) {
        let before = report.written_again;
        if let Err(error) = self.write_again_if_newest_lacks(process, deadline, report) {
            log::warn!("it is unknown whether the database has what was written: {error}");
        }
        tell_written_again(process, report.written_again - before);
    }

    /// Forgets submissions that have been kept long enough and are in the database, and writes the
    /// others again.
    pub(super) fn let_go(&self, process: &Process, deadline: Instant, report: &mut DrainReport) {
        let before = report.written_again;
        if let Err(error) = self.let_go_of_old(process, deadline, report) {
            log::warn!("what was written lately is kept for longer: {error}");
        }
        tell_written_again(process, report.written_again - before);
    }

    fn write_again_if_newest_lacks(
        &self,
        process: &Process,
        deadline: Instant,
        report: &mut DrainReport,
    ) -> Result<()> {
        let keys = &self.settings.keys;
        let newest =
            process.journal.with(|journal| self.written_scripts.newest(journal, keys, NEWEST))?;
        if self.told_apart(process, newest)?.1.is_empty() {
            return Ok(());
        }
        let mut place = String::new();
        loop {
            let found =
                process.journal.with(|journal| written::after(journal, keys, &place, AT_ONCE))?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            place.clone_from(last);
            let found = found.into_iter().map(|(_, found)| found).collect();
            let (_, lacking) = self.told_apart(process, found)?;
            // To the end, even past the deadline: what is written again becomes the newest, so no
            // later drain would notice that others are missing before they are forgotten.
            self.write_again(process, lacking, deadline, report)?;
        }
    }

    fn let_go_of_old(
        &self,
        process: &Process,
        deadline: Instant,
        report: &mut DrainReport,
    ) -> Result<()> {
        loop {
            let (let_go, lacking) = self.let_go_of_oldest(process, KEPT)?;
            let is_done = let_go == 0 && lacking.is_empty();
            let is_locked = !self.write_again(process, lacking, deadline, report)?;
            // The next drain continues.
            if is_done || is_locked || Instant::now() >= deadline {
                return Ok(());
            }
        }
    }

    /// Forgets some submissions that have been kept for this long and are in the database. Returns
    /// how many, and those of them that the database lacks.
    fn let_go_of_oldest(&self, process: &Process, kept: Duration) -> Result<(usize, Vec<Written>)> {
        let (keys, scripts) = (&self.settings.keys, &self.journal_scripts);
        let past =
            process.journal.with(|journal| self.written_scripts.past(journal, keys, kept))?;
        let (there, lacking) = self.told_apart(process, past)?;
        let done: Vec<_> = there.iter().map(|one| (&one.entry, one.token.as_str())).collect();
        process.journal.with(|journal| scripts.acknowledge(journal, keys, &done))?;
        Ok((there.len(), lacking))
    }

    /// Writes submissions that the database lacks again. Returns false if a lock prevented one of
    /// them.
    fn write_again(
        &self,
        process: &Process,
        lacking: Vec<Written>,
        deadline: Instant,
        report: &mut DrainReport,
    ) -> Result<bool> {
        if lacking.is_empty() {
            return Ok(true);
        }
        let places: Vec<&str> =
            lacking.iter().filter_map(|found| found.entry.written.as_deref()).collect();
        let keys = &self.settings.keys;
        let stream = process.journal.with(|journal| written::at(journal, keys, &places))?;
        self.drain_whole(process, stream, Vec::new(), deadline, report)?;
        let (there, lacking) = self.told_apart(process, lacking)?;
        report.written_again += there.len();
        Ok(lacking.is_empty())
    }

    /// Separates submissions that the database has, or may have without an audit record, from those
    /// that it lacks.
    fn told_apart(
        &self,
        process: &Process,
        found: Vec<Written>,
    ) -> Result<(Vec<Written>, Vec<Written>)> {
        if found.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let tokens: Vec<&str> = found.iter().map(|one| one.token.as_str()).collect();
        let audited: HashSet<String> = process.drain.with(|database| {
            // A database that takes no writes is left: another one, which may lack some, has
            // replaced it.
            has_any(database)?;
            audits::audited(database, &tokens)
        })?;
        let is_there = |one: &Written| {
            let place = one.entry.written.as_deref().unwrap_or_default();
            audited.contains(&one.token) || !written::is_told_by_audit(place)
        };
        Ok(found.into_iter().partition(is_there))
    }
}

/// Tells administrators how many submissions the database lacked.
fn tell_written_again(process: &Process, again: usize) {
    if again > 0 {
        log::error!(
            "the database lacked {again} submissions that had been written to it, and was given them \
             again: a replica that was behind took over, or a crash took them"
        );
        process.outages.tell(OutageNews::WrittenAgain(again));
    }
}

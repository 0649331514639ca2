//! A submission with a key that is sent again: it gets the same answer as the first time, and
//! counts once.
//!
//! Its token is made from the player and the key, so it is recognised wherever tokens are: in the
//! journal, in `memora_journal`, and in the audit records. A process asks all of them before it
//! takes such a submission, and takes it only into the journal, which refuses a token that it has.
//! So two that arrive at the same time cannot both be taken. A journal that returns after another
//! took its place may have a submission that was taken again since: the first one counts
//! (`rules/in_order.rs`).

use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::acknowledgement::Keyed;
use crate::rules::entry::Entry;
use crate::rules::head::Head;
use crate::rules::scheduling::Scheduling;
use crate::rules::season::Season;
use crate::servers::mariadb::audits::{self, Sent};
use crate::servers::mariadb::journal::{self, TableEntry};
use crate::servers::redis::journal::{StreamEntry, is_replicated};
use crate::servers::redis::pending;
use crate::students::submit_answer::SubmitAnswer;

/// A submission's token, and the fingerprint that distinguishes its answers from others with the
/// same key.
pub(super) type Key<'a> = (&'a str, &'a str);

impl Engine {
    /// The answer to a submission with this token that was taken before; `None`: there was none.
    ///
    /// # Errors
    /// When a server that must be asked is down. [`Error::InvalidInput`] if the key was used for
    /// other answers.
    pub(super) fn answered_before(
        &self,
        process: &Process,
        key: Key<'_>,
    ) -> Result<Option<SubmitAnswer>> {
        let token = key.0;
        // Asked first: what leaves the journal is in MariaDB by then.
        let in_journal = self.in_journal(process, token);
        if let Ok(Some(entry)) = in_journal {
            return self.tell_of_journal(process, entry, key).map(Some);
        }
        let (sent, waiting) = process.database.with(|database| {
            let (mut sent, waits) = audits::sent(database, token)?;
            if !waits || sent.is_some() {
                return Ok((sent, None));
            }
            let waiting = journal::by_token(database, token)?;
            if waiting.is_none() {
                // A drain has just written it.
                sent = audits::sent(database, token)?.0;
            }
            Ok((sent, waiting))
        })?;
        match (sent, waiting) {
            (Some(Sent { season, told }), _) => tell(season, told, key).map(Some),
            (None, Some(entry)) => self.tell_of_table(process, entry, key).map(Some),
            // A journal that cannot be asked may have it.
            (None, None) => in_journal.map(|_| None),
        }
    }

    /// The submission with this token in the journal, if there is one.
    pub(super) fn in_journal(&self, process: &Process, token: &str) -> Result<Option<StreamEntry>> {
        if !self.journal_counts(process) {
            return Err(Error::NotRegistered { server: Server::Journal });
        }
        let keys = &self.settings.keys;
        let found = process.journal.with(|journal| pending::submission(journal, keys, token));
        found.inspect_err(|error| self.notice_outage(process, Server::Journal, error))
    }

    /// Answers with what the journal has of a submission that was taken before.
    pub(super) fn tell_of_journal(
        &self,
        process: &Process,
        found: StreamEntry,
        key: Key<'_>,
    ) -> Result<SubmitAnswer> {
        let StreamEntry { player, season, text, written, .. } = found;
        let Some(entry) = Entry::read(&text, key.0).ok() else {
            return tell(season, None, key);
        };
        let order = entry.order;
        let answer = tell(season, entry.keyed, key)?;
        // The drain has made sure that the cache shows what it wrote.
        if written.is_none() {
            let (keys, replicas) = (&self.settings.keys, self.replicas(process));
            if !process.journal.with(|journal| is_replicated(journal, keys, replicas))? {
                process.replicas.note(false);
                let student = (player.as_str(), answer.season.as_str());
                process
                    .database
                    .with(|database| journal::append(database, key.0, student, &text))?;
            }
            let knows = |head: Head| head.journal >= order;
            self.show_again(process, (&player, &answer.season), knows)?;
        }
        Ok(answer)
    }

    /// Answers with what `memora_journal` has of a submission that was taken before.
    pub(super) fn tell_of_table(
        &self,
        process: &Process,
        found: TableEntry,
        key: Key<'_>,
    ) -> Result<SubmitAnswer> {
        let TableEntry { id, player, season, text, .. } = found;
        let kept = Entry::read(&text, key.0).ok().and_then(|entry| entry.keyed);
        let answer = tell(season, kept, key)?;
        self.show_again(process, (&player, &answer.season), |head| head.table >= id)?;
        Ok(answer)
    }

    /// Makes sure that no process shows a schedule without a submission that waits: the process
    /// that took it may not have shown it yet, or may have died before that.
    fn show_again(
        &self,
        process: &Process,
        (player, season): (&str, &str),
        knows: impl FnOnce(Head) -> bool,
    ) -> Result<()> {
        let (name, scheduling) = (season.to_owned(), Scheduling::default());
        let found = Season { name, uses_cache: true, scheduling };
        let before = self.before_in_season(process, player, &found, &[String::new()]);
        match before {
            Ok(before) if before.cached.is_some() && knows(before.head) => Ok(()),
            _ => self.hide(process, player, season),
        }
    }
}

fn tell(
    season: String,
    kept: Option<Keyed>,
    (token, fingerprint): Key<'_>,
) -> Result<SubmitAnswer> {
    let Some(Keyed { fingerprint: of_first, told }) = kept else {
        return Err(Error::InvalidInput(
            "Nothing was saved now: these answers were saved before.".to_owned(),
        ));
    };
    if of_first != fingerprint {
        return Err(Error::InvalidInput(
            "Nothing was saved: this submission_id was used for other answers. Give each \
             submission its own."
                .to_owned(),
        ));
    }
    Ok(SubmitAnswer {
        job_id: token.to_owned(),
        season,
        told,
        drain_wanted: false,
        is_first: false,
    })
}

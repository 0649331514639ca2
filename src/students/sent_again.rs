//! A submission with a key that is sent again: it is answered as the first time, and counts once.
//!
//! Its token is made from the player and the key, so it is recognised wherever tokens are: in the
//! journal, in `memora_journal`, and in the audit records. A process asks MariaDB before it takes
//! such a submission, and the journal while it appends it. If both take it at the same moment, as
//! the process that keeps it in `memora_journal` does not reach the journal, the drain finds the
//! same token twice, and the first one counts (`rules/lineage.rs`).

use crate::engine::{Engine, Process};
use crate::error::{Error, Result, Server};
use crate::rules::acknowledgement::Keyed;
use crate::rules::entry::Entry;
use crate::servers::mariadb::audits::{self, Sent};
use crate::servers::mariadb::journal;
use crate::servers::redis::journal::{StreamEntry, is_replicated};
use crate::servers::redis::pending;
use crate::students::submit_answer::SubmitAnswer;

impl Engine {
    /// The answer to a submission with this token that was taken before. `None`: none was.
    ///
    /// # Errors
    /// When nobody can tell. [`Error::InvalidInput`] if the key was used for other answers.
    pub(super) fn answered_before(
        &self,
        process: &Process,
        player: &str,
        (token, fingerprint): (&str, &str),
    ) -> Result<Option<SubmitAnswer>> {
        let told = |season: String, told: Option<Keyed>| tell(token, season, told, fingerprint);
        match process.database.with(|database| audits::sent(database, token)) {
            Ok(Some(Sent::Written { season, told: kept })) => told(season, kept).map(Some),
            Ok(Some(Sent::Waiting { season, text })) => {
                self.tell_again(process, player, (season, text), (token, fingerprint)).map(Some)
            }
            Ok(None) => Ok(None),
            Err(error) if error.is_without(Server::Database) => {
                // What the journal still has need not be looked for in MariaDB.
                let found = self.in_journal(process, token).ok().flatten();
                match found {
                    Some(entry) => {
                        self.tell_of_journal(process, player, entry, (token, fingerprint)).map(Some)
                    }
                    None => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// A submission with this token in the journal.
    pub(super) fn in_journal(&self, process: &Process, token: &str) -> Result<Option<StreamEntry>> {
        let keys = &self.settings.keys;
        process.journal.with(|journal| pending::submission(journal, keys, token))
    }

    /// Answers with what the journal has of a submission that was taken before.
    pub(super) fn tell_of_journal(
        &self,
        process: &Process,
        player: &str,
        entry: StreamEntry,
        key: (&str, &str),
    ) -> Result<SubmitAnswer> {
        let StreamEntry { season, text, written, .. } = entry;
        if written.is_some() {
            // The drain has made sure that the cache shows it.
            return tell(key.0, season, Entry::read(&text, key.0).ok().and_then(keyed), key.1);
        }
        let (keys, replicas) = (&self.settings.keys, self.replicas(process));
        if !process.journal.with(|journal| is_replicated(journal, keys, replicas))? {
            process.replicas.note(false);
            process
                .database
                .with(|database| journal::append(database, key.0, (player, &season), &text))?;
        }
        self.tell_again(process, player, (season, text), key)
    }

    /// Answers with what waits of a submission that was taken before. Its process may not have
    /// shown it in the cache yet, or may have died before that.
    pub(super) fn tell_again(
        &self,
        process: &Process,
        player: &str,
        (season, text): (String, String),
        (token, fingerprint): (&str, &str),
    ) -> Result<SubmitAnswer> {
        let kept = Entry::read(&text, token).ok().and_then(keyed);
        let answer = tell(token, season, kept, fingerprint)?;
        self.hide(process, player, &answer.season)?;
        Ok(answer)
    }
}

fn keyed(entry: Entry) -> Option<Keyed> {
    entry.keyed
}

fn tell(
    token: &str,
    season: String,
    kept: Option<Keyed>,
    fingerprint: &str,
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
    Ok(SubmitAnswer { job_id: token.to_owned(), season, told, drain_wanted: false })
}

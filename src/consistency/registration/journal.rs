//! Whether the run of the journal that a process reaches is the registered one.

use std::time::{Duration, Instant};

use mysql::Conn;

use super::{LOOK_AGAIN, Run};
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::lock::lock;
use crate::rules::registration::{Registration, Standing};
use crate::servers::mariadb::registrations::{self, JOURNAL};
use crate::servers::redis::look;

/// How long a process assumes that its journal's run is registered, once it has looked.
const JOURNAL_COUNTS_FOR: Duration = Duration::from_secs(30);
/// A journal at which no process has looked for this long is not in use.
const LONGEST_USE: Duration = Duration::from_secs(31);

/// The run of the journal that a process reaches.
struct JournalRun<'a> {
    process: &'a Process,
    id: &'a str,
}

impl Run for JournalRun<'_> {
    type Found = Registration;

    fn id(&self) -> &str {
        self.id
    }

    fn look(&self, database: &mut Conn) -> Result<Registration> {
        registrations::look(database, JOURNAL)
    }

    fn registration<'f>(&self, found: &'f Registration) -> &'f Registration {
        found
    }

    fn standing(&self, found: &Registration) -> Standing {
        let challenge = lock(&self.process.journal_challenge);
        let known_for = challenge.known_for(&found.challenge, Instant::now());
        found.standing_of_new(self.id, known_for.unwrap_or_default(), LONGEST_USE)
    }

    fn settle(&self, database: &mut Conn, challenge: &str) -> Result<Standing> {
        registrations::settle(database, JOURNAL, (self.id, challenge), |found| self.standing(found))
    }

    fn remember(&self, challenge: &str) {
        let mut known = lock(&self.process.journal_challenge);
        let now = Instant::now();
        if known.known_for(challenge, now).is_none() {
            known.remember(challenge, now, LONGEST_USE);
        }
    }
}

impl Engine {
    /// Whether the journal that this process reaches is registered. True if that is unknown: the
    /// process then keeps the journal that it has.
    pub(crate) fn journal_counts(&self, process: &Process) -> bool {
        let known = |run: &str| {
            let (reached, now) = (lock(&process.journal_reached), Instant::now());
            match reached.counts(run, now, JOURNAL_COUNTS_FOR) {
                Some(false) => reached.counts(run, now, LOOK_AGAIN),
                counts => counts,
            }
        };
        let asked = process.journal.with(|journal| match known(&journal.run_id) {
            Some(counts) => Ok(Err(counts)),
            // A replaced run must not challenge the present one.
            None => journal.run_id_now().map(Ok),
        });
        let run = match asked {
            Ok(Ok(run)) => run,
            Ok(Err(counts)) => return counts,
            Err(_) => return true,
        };
        let run = JournalRun { process, id: &run };
        let server = (Server::Journal, &process.journal_reached);
        match self.look_after(process, server, &run) {
            Ok(standing) => standing.counts(),
            Err(error) => {
                log::debug!("which journal is registered is unknown: {error}");
                true
            }
        }
    }

    /// Ends the looks that the journal shares, for some shards. False: they may still serve
    /// somewhere, for as long as such a look lasts.
    pub(in crate::consistency) fn revoke_looks(
        &self,
        process: &Process,
        shards: &[&str],
        must_wait: bool,
    ) -> bool {
        let (keys, replicas) = (&self.settings.keys, self.replicas(process));
        let revoked = if must_wait {
            process.journal.insist(|journal| look::revoke_looks(journal, keys, shards, replicas))
        } else {
            process.journal.with(|journal| look::revoke_looks(journal, keys, shards, replicas))
        };
        matches!(revoked, Ok(true)) && self.journal_counts(process)
    }
}

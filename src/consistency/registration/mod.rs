//! Which run of the cache and of the journal is registered for the site.
//!
//! Hosts may reach different runs: each host has a redis_cache of its own, or a server failed over
//! while the old primary still answers some hosts. Two runs must not be believed side by side,
//! because an answer is shown in only one. MariaDB, which all hosts reach, knows which run is
//! *registered*; processes do not use the others until the registered one is no longer in use. See
//! [`crate::rules::registration`].

mod cache;
pub mod ensure;
mod journal;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use mysql::Conn;

use crate::engine::cache::Shard;
use crate::engine::outages::OutageNews;
use crate::engine::{Engine, Process};
use crate::error::{Result, Server};
use crate::lock::lock;
use crate::rules::registration::{Reached, Registration, Standing, challenge_of};
use crate::servers::mariadb::outages;
use crate::servers::mariadb::registrations::{self, JOURNAL};

/// How long a process avoids an unregistered run before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(320);

/// The run of a server that a process reaches: what MariaDB knows of it, and what must be done for
/// it.
pub(super) trait Run {
    /// The result of a look at MariaDB.
    type Found;

    /// Its id.
    fn id(&self) -> &str;

    /// Looks at MariaDB.
    fn look(&self, database: &mut Conn) -> Result<Self::Found>;

    /// The registration in that result.
    fn registration<'f>(&self, found: &'f Self::Found) -> &'f Registration;

    /// What must be done for it.
    fn standing(&self, found: &Self::Found) -> Standing;

    /// Whether it is registered, but something must be done.
    fn is_lacking(&self, _found: &Self::Found) -> bool {
        false
    }

    /// Looks again under a lock on the registration, and does what must be done.
    fn settle(&self, database: &mut Conn, challenge: &str) -> Result<Standing>;

    /// Remembers the present challenge, from now on if it is new to this process.
    fn remember(&self, challenge: &str);
}

/// The warning about hosts that use different servers side by side.
pub(crate) fn several(server: Server) -> String {
    let consequence = if server == Server::Cache {
        "Hosts that do not reach the registered server read from MariaDB."
    } else {
        "Hosts that do not reach the registered server keep answers in MariaDB."
    };
    format!(
        "Hosts use different servers as {server}. {consequence} Name one server's address for all \
         hosts in common_site_config.json."
    )
}

impl Engine {
    /// Looks at MariaDB for the run of a server that this process reaches, and does what must be
    /// done for it.
    ///
    /// # Errors
    /// When MariaDB cannot be asked; otherwise the errors of the run's own steps.
    pub(super) fn look_after(
        &self,
        process: &Process,
        server: (Server, &Mutex<Reached>),
        run: &impl Run,
    ) -> Result<Standing> {
        // A server that is known to be down gets a normal request with a short wait. One that hangs
        // delays no other requests.
        let asked = if process.database.is_down() { &process.database } else { &process.look };
        let found = asked.with(|database| run.look(database))?;
        run.remember(&run.registration(&found).challenge);
        let mut standing = run.standing(&found);
        let is_settled = match standing {
            Standing::Holds => !run.is_lacking(&found),
            Standing::Waits => true,
            Standing::Defends | Standing::Takes | Standing::Challenges => false,
        };
        if !is_settled {
            let challenge = challenge_of(run.id(), &process.token());
            standing = process.database.with(|database| run.settle(database, &challenge))?;
            if standing == Standing::Challenges {
                run.remember(&challenge);
            }
        }
        self.notice_standing(process, server, run.id(), standing);
        Ok(standing)
    }

    /// Reports what was done for a run of a server: administrators are told if two are in use.
    fn notice_standing(
        &self,
        process: &Process,
        (server, reached): (Server, &Mutex<Reached>),
        run: &str,
        standing: Standing,
    ) {
        lock(reached).note(run, standing.counts(), Instant::now());
        match standing {
            Standing::Defends => {
                log::error!("{}", several(server));
                let name = outages::of_several(server);
                match process.database.with(|database| outages::see_named(database, name)) {
                    Ok(true) => process.outages.tell(OutageNews::Several(server)),
                    Ok(false) => {}
                    Err(error) => log::debug!("the event could not be noted: {error}"),
                }
            }
            Standing::Takes => log::info!("the {server} of this site is run {run} now"),
            Standing::Holds | Standing::Challenges | Standing::Waits => {}
        }
    }

    /// Whether hosts use different servers side by side, as far as any process has noticed lately.
    ///
    /// # Errors
    /// When MariaDB cannot be asked.
    pub(crate) fn are_several(&self, process: &Process, server: Server) -> Result<bool> {
        process.database.with(|database| outages::is_open(database, outages::of_several(server)))
    }

    /// Looks whether hosts still use different servers side by side.
    ///
    /// # Errors
    /// When MariaDB cannot be asked.
    pub(crate) fn check_several(&self, process: &Process) -> Result<()> {
        let shards = process.cache.shards().iter().map(Shard::registered_as).collect::<Vec<_>>();
        for (server, names) in
            [(Server::Cache, shards), (Server::Journal, vec![JOURNAL.to_owned()])]
        {
            process.database.with(|database| {
                for name in &names {
                    if registrations::look(database, name)?.defended.is_some() {
                        return Ok(());
                    }
                }
                outages::end_named(database, outages::of_several(server))
            })?;
        }
        Ok(())
    }
}

//! The one hierarchy of errors. Every message says what happened, to what, and what to do.

use std::fmt;

/// A server that the engine depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Frappe's `redis_cache`.
    Cache,
    /// Frappe's `redis_queue`, which keeps the journal.
    Journal,
    /// The site's MariaDB.
    Database,
}

impl Server {
    /// A short name for tables and programs.
    pub fn id(self) -> &'static str {
        match self {
            Server::Cache => "cache",
            Server::Journal => "journal",
            Server::Database => "database",
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Server::Cache => "cache (redis_cache)",
            Server::Journal => "journal (redis_queue)",
            Server::Database => "database (MariaDB)",
        })
    }
}

/// Everything that can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's data cannot be accepted; nothing was saved.
    #[error("{0}")]
    InvalidInput(String),

    /// No season takes answers; nothing was saved.
    #[error("{0}")]
    SeasonUnavailable(String),

    /// The season is archived or on its way there; nothing was saved.
    #[error("{0} is archived and takes no answers any more.")]
    SeasonArchived(String),

    /// Safe Mode has no room for this read.
    #[error(
        "Reviews are served from a reserve for the moment. Please wait {retry_after} seconds and \
         try again."
    )]
    RateLimited {
        /// Seconds until a read has room again.
        retry_after: u64,
    },

    /// The server gave no answer: it is down, hangs, or its breaker is open.
    #[error(
        "the {server} cannot be reached: {cause}. Check that it runs; memora recovers by itself."
    )]
    Unavailable {
        /// Which server.
        server: Server,
        /// What the connection reported.
        cause: String,
        /// True when the connection broke at once, so that a fresh one may succeed.
        broken: bool,
    },

    /// The server answered, with an error.
    #[error("the {server} refused a command: {cause}. Check its log and its settings.")]
    Refused {
        /// Which server.
        server: Server,
        /// The server's own words.
        cause: String,
        /// MariaDB's error number, 0 for Redis.
        code: u16,
        /// True when the same command may be taken later.
        is_transient: bool,
    },

    /// The answers may have been saved and may not: a server failed in between.
    #[error(
        "the {server} failed while answers were saved: {cause}. They may have been saved. Check \
         that it runs; memora recovers by itself."
    )]
    Unsettled {
        /// Which server.
        server: Server,
        /// What the connection reported.
        cause: String,
    },

    /// Something that should not be: a defect, or data that others wrote.
    #[error("{0}")]
    Fault(String),
}

/// The engine's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// True when `server` could not be used, for whatever reason.
    pub fn is_failure_of(&self, failed: Server) -> bool {
        matches!(self, Error::Unavailable { server, .. } | Error::Refused { server, .. } if *server == failed)
    }

    /// True when trying again later may work: the caller is told so.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::Unavailable { .. }
                | Error::Unsettled { .. }
                | Error::Refused { is_transient: true, .. }
        )
    }

    /// The same failure of answers that may have been saved all the same.
    pub fn unsettled(self) -> Error {
        match self {
            Error::Unavailable { server, cause, .. } | Error::Refused { server, cause, .. } => {
                Error::Unsettled { server, cause }
            }
            error => error,
        }
    }

    /// True when the connection the error came from must not be used again.
    pub fn spoils_connection(&self) -> bool {
        !matches!(
            self,
            Error::Refused { .. }
                | Error::InvalidInput(_)
                | Error::SeasonUnavailable(_)
                | Error::SeasonArchived(_)
        )
    }
}

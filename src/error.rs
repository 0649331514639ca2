//! The engine's errors. Every message says what happened, to what, and what to do. Messages for
//! administrators end with the error's code, which `docs/operating.md` explains.

use std::fmt;

/// A server that the engine depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The cache's Redis: by default the server of Frappe's `redis_cache`.
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

/// Why a submission cannot be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUndone {
    /// The student has no submission with that id.
    #[error("you have no such submission.")]
    Unknown,
    /// It was taken too long ago.
    #[error("answers can be undone for 10 minutes.")]
    TooLate,
    /// Its questions have other states by now.
    #[error("the questions have been answered again, or changed, since.")]
    ChangedSince,
    /// What it replaced is not known.
    #[error("these answers cannot be undone.")]
    Unprepared,
}

/// Everything that can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's data cannot be accepted; nothing was saved.
    #[error("{0}")]
    InvalidInput(String),

    /// There is no such subject.
    #[error("{0}")]
    UnknownSubject(String),

    /// There is no such topic.
    #[error("{0}")]
    UnknownTopic(String),

    /// A submission cannot be undone; nothing was changed.
    #[error("Nothing was undone: {0}")]
    NotUndone(NotUndone),

    /// No season takes answers; nothing was saved.
    #[error("{0}")]
    SeasonUnavailable(String),

    /// The season is archived or on its way there; nothing was saved.
    #[error("{0} is archived and no longer takes answers.")]
    SeasonArchived(String),

    /// Safe Mode has no room for this read.
    #[error("Safe Mode has no room for this read. Wait {retry_after} seconds and try again.")]
    RateLimited {
        /// Seconds until a read has room again.
        retry_after: u64,
    },

    /// The server cannot be used: it is down, hangs, cannot serve now, or its breaker is open.
    #[error(
        "the {server} cannot be reached: {cause}. Check that it runs; memora recovers by itself. \
         [{code}]",
        code = self.code()
    )]
    Unavailable {
        /// Which server.
        server: Server,
        /// What the connection reported.
        cause: String,
        /// True when the server itself said that it cannot serve: it did nothing of what it was
        /// asked.
        answered: bool,
    },

    /// This process reaches a server that is not the site's registered one.
    #[error(
        "this process does not reach the site's registered {server}. \
         Name one server's address for all hosts in common_site_config.json. [{code}]",
        code = self.code()
    )]
    NotRegistered {
        /// Which server.
        server: Server,
    },

    /// Another node of the cluster has the requested data, or it is moving there.
    #[error(
        "the {server} has moved the requested data: {cause}. Try again. [{code}]",
        code = self.code()
    )]
    Elsewhere {
        /// Which server.
        server: Server,
        /// The node's own words.
        cause: String,
    },

    /// All connections of this process to the server are in use. The server may be healthy.
    #[error(
        "all {most} connections of this process to the {server} are in use. Try again; if it \
         lasts, see the part on processes in docs/sizing.md. [{code}]",
        code = self.code()
    )]
    Exhausted {
        /// Which server.
        server: Server,
        /// How many connections there may be.
        most: usize,
    },

    /// Other submissions of the same student came first, again and again; nothing was saved.
    #[error(
        "{count} other submissions of the same student came first, and nothing was saved. Try \
         again. [{code}]",
        code = self.code()
    )]
    Overtaken {
        /// How many.
        count: u32,
    },

    /// An undo was kept, but other answers may still come before it.
    #[error(
        "other answers of the same student are being saved, and until they are it is not certain \
         that their submission is undone. Try again. [{code}]",
        code = self.code()
    )]
    NotCertain,

    /// The server answered, with an error.
    #[error(
        "the {server} refused a command: {cause}. Check its log and its settings. [{code}]",
        code = self.code()
    )]
    Refused {
        /// Which server.
        server: Server,
        /// The server's own words.
        cause: String,
        /// MariaDB's error number, 0 for Redis.
        code: u16,
        /// True when the same command may succeed later.
        is_transient: bool,
    },

    /// The answers may or may not have been saved: a server failed in between.
    #[error(
        "the {server} failed while answers were being saved: {cause}. They may have been saved. \
         Check that it runs; memora recovers by itself. [{code}]",
        code = self.code()
    )]
    Unsettled {
        /// Which server.
        server: Server,
        /// What the connection reported.
        cause: String,
    },

    /// A defect, or data that others wrote.
    #[error("{0} [{code}]", code = self.code())]
    Fault(String),
}

/// The engine's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// True when `server` could not be used, for whatever reason.
    pub fn is_failure_of(&self, failed: Server) -> bool {
        match self {
            Error::Unavailable { server, .. }
            | Error::Elsewhere { server, .. }
            | Error::Refused { server, .. } => *server == failed,
            _ => false,
        }
    }

    /// True when callers must do without a server: it could not be used, or is not registered.
    pub fn is_without(&self, failed: Server) -> bool {
        matches!(self, Error::NotRegistered { server } if *server == failed)
            || self.is_failure_of(failed)
    }

    /// A name that never changes, for programs and for the table in `docs/operating.md`.
    pub fn code(&self) -> &'static str {
        use Server::{Cache, Database, Journal};
        match self {
            Error::InvalidInput(_) => "memora.invalid_input",
            Error::UnknownSubject(_) => "memora.unknown_subject",
            Error::UnknownTopic(_) => "memora.unknown_topic",
            Error::NotUndone(why) => match why {
                NotUndone::Unknown => "memora.unknown_submission",
                NotUndone::TooLate => "memora.too_late_to_undo",
                NotUndone::ChangedSince => "memora.changed_since",
                NotUndone::Unprepared => "memora.cannot_be_undone",
            },
            Error::SeasonUnavailable(_) => "memora.season_unavailable",
            Error::SeasonArchived(_) => "memora.season_archived",
            Error::RateLimited { .. } => "memora.rate_limited",
            Error::Unavailable { server, .. } | Error::Elsewhere { server, .. } => match server {
                Cache => "memora.cache_unavailable",
                Journal => "memora.journal_unavailable",
                Database => "memora.database_unavailable",
            },
            Error::NotRegistered { server: Cache } => "memora.other_cache",
            Error::NotRegistered { .. } => "memora.other_journal",
            Error::Exhausted { .. } => "memora.connections_in_use",
            Error::Overtaken { .. } => "memora.too_many_at_once",
            Error::NotCertain => "memora.undoing_not_certain",
            Error::Refused { is_transient: true, server, .. } => match server {
                Cache => "memora.cache_refused_for_now",
                Journal => "memora.journal_refused_for_now",
                Database => "memora.database_refused_for_now",
            },
            Error::Refused { is_transient: false, server, .. } => match server {
                Cache => "memora.cache_refused",
                Journal => "memora.journal_refused",
                Database => "memora.database_refused",
            },
            Error::Unsettled { .. } => "memora.outcome_unknown",
            Error::Fault(_) => "memora.fault",
        }
    }

    /// The server that failed, if one did.
    pub fn server(&self) -> Option<Server> {
        match self {
            Error::Unavailable { server, .. }
            | Error::Elsewhere { server, .. }
            | Error::NotRegistered { server }
            | Error::Exhausted { server, .. }
            | Error::Refused { server, .. }
            | Error::Unsettled { server, .. } => Some(*server),
            _ => None,
        }
    }

    /// True when the server may have done what it was asked, or may still do it: its reply is lost.
    pub fn may_have_been_done(&self) -> bool {
        matches!(self, Error::Unavailable { answered: false, .. })
    }

    /// True when trying again later may work: the caller is told so.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::RateLimited { .. }
                | Error::Unavailable { .. }
                | Error::Elsewhere { .. }
                | Error::NotRegistered { .. }
                | Error::Exhausted { .. }
                | Error::Overtaken { .. }
                | Error::NotCertain
                | Error::Unsettled { .. }
                | Error::Refused { is_transient: true, .. }
        )
    }

    /// The same failure, of answers that may have been saved anyway.
    pub fn unsettled(self) -> Error {
        match self {
            Error::Unavailable { server, cause, .. }
            | Error::Elsewhere { server, cause }
            | Error::Refused { server, cause, .. } => Error::Unsettled { server, cause },
            Error::Exhausted { server, .. } => {
                let cause = "all connections of this process are in use".to_owned();
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
                | Error::Elsewhere { .. }
                | Error::NotRegistered { .. }
                | Error::InvalidInput(_)
                | Error::UnknownSubject(_)
                | Error::UnknownTopic(_)
                | Error::NotUndone(_)
                | Error::SeasonUnavailable(_)
                | Error::SeasonArchived(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SOURCE: &str = include_str!("error.rs");
    const OPERATING: &str = include_str!("../docs/operating.md");

    /// The codes in this file's text, each as often as it stands there.
    fn codes() -> Vec<&'static str> {
        let source = SOURCE.split("#[cfg(test)]").next().unwrap_or_default();
        source.split('"').skip(1).step_by(2).filter(|text| text.starts_with("memora.")).collect()
    }

    #[test]
    fn each_kind_of_error_has_a_code_of_its_own() {
        let codes = codes();
        assert!(codes.len() > 10, "{codes:?}");
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len(), "{codes:?}");
    }

    #[test]
    fn operators_find_each_code_and_no_other() {
        let rows = OPERATING.lines().filter_map(|line| line.strip_prefix("| `memora."));
        let rows = rows.filter_map(|row| row.split_once('`'));
        let listed: Vec<String> = rows.map(|(name, _)| format!("memora.{name}")).collect();
        assert_eq!(listed, codes());
    }

    #[test]
    fn administrators_read_the_code_and_students_do_not() {
        let cause = || "it is gone".to_owned();
        let server = Server::Journal;
        for (error, code) in [
            (Error::Unavailable { server, cause: cause(), answered: false }, "journal_unavailable"),
            (
                Error::Refused { server, cause: cause(), code: 0, is_transient: true },
                "journal_refused_for_now",
            ),
            (
                Error::Refused { server, cause: cause(), code: 0, is_transient: false },
                "journal_refused",
            ),
            (Error::Exhausted { server, most: 16 }, "connections_in_use"),
            (Error::Overtaken { count: 60 }, "too_many_at_once"),
            (Error::NotCertain, "undoing_not_certain"),
            (Error::Unsettled { server, cause: cause() }, "outcome_unknown"),
            (Error::Fault(cause()), "fault"),
        ] {
            assert!(error.to_string().ends_with(&format!("[memora.{code}]")), "{error}");
        }
        for error in [
            Error::InvalidInput(cause()),
            Error::UnknownSubject(cause()),
            Error::UnknownTopic(cause()),
            Error::NotUndone(NotUndone::TooLate),
            Error::SeasonUnavailable(cause()),
            Error::SeasonArchived(cause()),
            Error::RateLimited { retry_after: 7 },
        ] {
            assert!(!error.to_string().contains("memora."), "{error}");
        }
    }
}

//! What an error of the Redis client means.

use ::redis::{RedisError, RetryMethod, ServerErrorKind};

use crate::error::{Error, Server};

// Codes that the client does not know, and treats as permanent.

/// A script or a module blocks the server. It answers again when that ends.
const HELD_UP: &str = "BUSY";
/// The server has not authenticated the connection, or takes no writes: a new one may have the
/// password, or lead elsewhere.
const OF_NO_USE: [&str; 4] = ["NOAUTH", "WRONGPASS", "NOREPLICAS", "MISCONF"];
/// The server is full now.
const FULL: &str = "OOM";
// Redis 6.2 reports why it refused a script's command in the detail of an ERR.
const FULL_IN_SCRIPT: &str = "-OOM ";
const DEMOTED_IN_SCRIPT: &str = "-READONLY ";

impl Error {
    /// Turns an error of the Redis client into ours.
    pub fn from_redis(server: Server, error: &RedisError) -> Error {
        if is_elsewhere(error) {
            return Error::Elsewhere { server, cause: error.to_string() };
        }
        let code = code(error).unwrap_or_default();
        let cause = error.to_string();
        // A server that was demoted takes no writes: READONLY.
        let is_demoted = matches!(error.retry_method(), RetryMethod::RefreshSlotsAndRetry)
            || cause.contains(DEMOTED_IN_SCRIPT);
        let is_of_no_use =
            error.is_unrecoverable_error() || is_demoted || OF_NO_USE.contains(&code.as_str());
        // It is loading its data, or has lost its master or its cluster: LOADING, MASTERDOWN,
        // CLUSTERDOWN.
        let must_wait = matches!(error.retry_method(), RetryMethod::WaitAndRetry);
        if is_of_no_use || must_wait || error.is_io_error() || code == HELD_UP {
            Error::Unavailable { server, cause, answered: !code.is_empty() }
        } else {
            let is_transient = code == FULL || cause.contains(FULL_IN_SCRIPT);
            Error::Refused { server, cause, code: 0, is_transient }
        }
    }
}

/// Whether another node of the cluster has the keys, or they are on their way there: MOVED, ASK,
/// TRYAGAIN. Of several commands, one such answer is enough.
fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, Moved, TryAgain};
    let refused = error.clone().into_server_errors().unwrap_or_default();
    refused.iter().any(|(_, error)| matches!(error.kind(), Some(Moved | Ask | TryAgain)))
}

/// The code that a server sent; of several commands, that of the first one that it refused.
pub(super) fn code(error: &RedisError) -> Option<String> {
    let refused = error.clone().into_server_errors()?;
    refused.first().map(|(_, error)| error.code().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn of_server(code: &str) -> Error {
        let reply = format!("-{code} a reason\r\n");
        match redis::parse_redis_value(reply.as_bytes()).and_then(|value| value.extract_error()) {
            Err(error) => Error::from_redis(Server::Cache, &error),
            Ok(value) => panic!("{code} is no error: {value:?}"),
        }
    }

    fn of_connection(kind: io::ErrorKind) -> Error {
        Error::from_redis(Server::Cache, &io::Error::from(kind).into())
    }

    #[test]
    fn a_server_that_cannot_serve_now_is_unavailable() {
        for code in ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN"] {
            let error = of_server(code);
            assert!(matches!(error, Error::Unavailable { answered: true, .. }), "{code}: {error}");
        }
    }

    #[test]
    fn a_node_that_no_longer_has_the_keys_is_healthy() {
        for code in ["MOVED", "ASK", "TRYAGAIN"] {
            let error = of_server(code);
            assert!(matches!(error, Error::Elsewhere { .. }), "{code}: {error}");
            assert!(!error.spoils_connection() && error.is_failure_of(Server::Cache));
        }
    }

    #[test]
    fn a_server_of_no_use_has_done_nothing() {
        let in_script =
            "ERR Error running script (call to f_1): @user_script:2: -READONLY You can't";
        for code in ["READONLY", in_script, "NOAUTH", "WRONGPASS", "NOREPLICAS", "MISCONF"] {
            let error = of_server(code);
            assert!(matches!(error, Error::Unavailable { answered: true, .. }), "{code}: {error}");
        }
    }

    #[test]
    fn a_full_server_refuses_for_now() {
        for code in ["OOM", "ERR Error running script (call to f_1): @user_script:2: -OOM command"]
        {
            let error = of_server(code);
            assert!(matches!(error, Error::Refused { is_transient: true, .. }), "{error}");
        }
    }

    #[test]
    fn what_no_retry_mends_is_refused() {
        for code in ["ERR", "WRONGTYPE", "NOPERM", "NOSCRIPT", "EXECABORT"] {
            let error = of_server(code);
            assert!(matches!(error, Error::Refused { is_transient: false, .. }), "{code}: {error}");
        }
    }

    #[test]
    fn a_server_that_gave_no_reply_may_have_done_what_it_was_asked() {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
        for kind in [BrokenPipe, ConnectionReset, UnexpectedEof, TimedOut, WouldBlock] {
            let error = of_connection(kind);
            assert!(error.may_have_been_done(), "{kind}: {error}");
        }
    }
}

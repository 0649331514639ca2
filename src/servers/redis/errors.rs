//! What an error of the Redis client means.

use crate::error::{Error, Server};

impl Error {
    /// Turns an error of the Redis client into ours.
    pub fn from_redis(server: Server, error: &::redis::RedisError) -> Error {
        let gone = error.is_io_error()
            || error.is_timeout()
            || error.is_connection_dropped()
            || matches!(error.code(), Some("LOADING" | "BUSY" | "MASTERDOWN"));
        // The connection leads to a server that was demoted, or knows another password now: a new
        // one may not.
        let demoted = matches!(
            error.code(),
            Some("READONLY" | "NOAUTH" | "WRONGPASS" | "NOREPLICAS" | "MISCONF")
        );
        let cause = error.to_string();
        if gone || demoted {
            let broken = demoted
                || !error.is_timeout() && !error.is_connection_refusal() && error.is_io_error();
            Error::Unavailable { server, cause, broken }
        } else {
            // Redis is full, or slots move between its servers.
            let is_transient = matches!(error.code(), Some("OOM" | "TRYAGAIN"));
            Error::Refused { server, cause, code: 0, is_transient }
        }
    }
}

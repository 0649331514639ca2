//! One server of the cache.

use super::{RedisConnection, RedisServer};
use crate::error::{Error, Result, Server};
use crate::servers::pool::Pool;

/// A server that has the cache, or a part of it.
pub struct Node {
    /// `host:port`, where it is one of several.
    pub(super) name: Option<String>,
    pool: Pool<RedisServer>,
}

impl Node {
    /// The only one.
    pub(super) fn only(server: &RedisServer) -> Node {
        Node { name: None, pool: Pool::new(Server::Cache, server.clone()) }
    }

    /// One of several.
    pub(super) fn named(server: &RedisServer) -> Node {
        Node { name: server.name(), pool: Pool::new(Server::Cache, server.clone()) }
    }

    /// As [`Pool::with`]. If there are several nodes, a failure names this one.
    pub(crate) fn with<T>(
        &self,
        mut work: impl FnMut(&mut RedisConnection) -> Result<T>,
    ) -> Result<T> {
        let outcome = self.pool.with(|redis| match work(redis) {
            // The node is healthy.
            Err(error @ Error::Elsewhere { .. }) => Ok(Err(error)),
            outcome => outcome.map(Ok),
        });
        match (outcome, &self.name) {
            (Ok(outcome), _) => outcome,
            (Err(Error::Unavailable { server, cause, answered }), Some(name)) => {
                Err(Error::Unavailable { server, cause: format!("{name}: {cause}"), answered })
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The host that it is on; empty for the only one.
    pub(super) fn host(&self) -> &str {
        let host = self.name.as_deref().and_then(|name| name.rsplit_once(':'));
        host.map_or("", |(host, _)| host)
    }

    /// Whether it counts as down.
    pub(crate) fn is_down(&self) -> bool {
        self.pool.is_down()
    }

    /// Closes all connections that are not in use.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

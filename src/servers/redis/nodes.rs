//! The servers of the cache: one Redis, or a Redis Cluster.

use std::sync::Arc;

use super::cluster::Cluster;
use super::node::Node;
use super::{RedisConnection, RedisServer};
use crate::error::Result;

/// The servers of the cache.
pub enum Nodes {
    /// One Redis.
    One(Arc<Node>),
    /// A Redis Cluster.
    Cluster(Box<Cluster>),
}

/// The addresses of the servers.
#[derive(Clone, Debug)]
pub enum Servers {
    /// One Redis.
    One(RedisServer),
    /// Some nodes of a Redis Cluster.
    Cluster(RedisServer, Vec<RedisServer>),
}

impl Nodes {
    /// The servers at these addresses.
    pub fn at(servers: &Servers) -> Nodes {
        match servers {
            Servers::One(server) => Nodes::One(Arc::new(Node::only(server))),
            Servers::Cluster(first, others) => Nodes::Cluster(Box::new(Cluster::of(first, others))),
        }
    }

    /// Runs `work` on a connection to the server that has a slot. As
    /// [`crate::servers::pool::Pool::with`].
    pub fn with<T>(
        &self,
        slot: u16,
        work: impl FnMut(&mut RedisConnection) -> Result<T>,
    ) -> Result<T> {
        match self {
            Nodes::One(node) => node.with(work),
            Nodes::Cluster(cluster) => cluster.with(slot, work),
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// If no node of the cluster says which others there are.
    pub fn all(&self) -> Result<Vec<Arc<Node>>> {
        match self {
            Nodes::One(node) => Ok(vec![Arc::clone(node)]),
            Nodes::Cluster(cluster) => cluster.nodes(),
        }
    }

    /// Whether one of them counts as down.
    pub fn is_down(&self) -> bool {
        match self {
            Nodes::One(node) => node.is_down(),
            Nodes::Cluster(cluster) => cluster.is_down(),
        }
    }

    /// Closes all connections that are not in use.
    pub fn close(&self) {
        match self {
            Nodes::One(node) => node.close(),
            Nodes::Cluster(cluster) => cluster.close(),
        }
    }
}

//! The nodes of a Redis Cluster, and which of them has which slot.
//!
//! A call whose node is down, or no longer has the slot, asks a node for the map of slots, and
//! tries once more if the map names another node.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::redis::Value;

use super::node::Node;
use super::{RedisConnection, RedisServer, text, unexpected};
use crate::error::{Error, Result, Server};
use crate::lock::lock;

/// While a node is down, the map is asked for at most this often.
const PAUSE: Duration = Duration::from_millis(250);

/// A Redis Cluster.
pub struct Cluster {
    /// The nodes that the configuration names.
    named: Vec<Arc<Node>>,
    /// How to reach its nodes: like the first named one.
    server: RedisServer,
    map: Mutex<Arc<Map>>,
    /// Held by the one call that asks for the map.
    asking: Mutex<()>,
}

/// Which node has which slots.
#[derive(Default)]
struct Map {
    ranges: Vec<(u16, u16, Arc<Node>)>,
    asked_at: Option<Instant>,
}

/// A part of the answer to CLUSTER SLOTS: the first slot, the last, and the node that has them.
struct Range {
    first: u16,
    last: u16,
    host: String,
    port: u16,
}

impl Cluster {
    /// The cluster that these nodes belong to. They are asked on the first use of a slot.
    pub(super) fn of(first: &RedisServer, others: &[RedisServer]) -> Cluster {
        let servers = std::iter::once(first).chain(others);
        Cluster {
            named: servers.map(|server| Arc::new(Node::named(server))).collect(),
            server: first.clone(),
            map: Mutex::default(),
            asking: Mutex::default(),
        }
    }

    /// Runs `work` on a connection to the node that has a slot.
    ///
    /// # Errors
    /// As [`crate::servers::pool::Pool::with`]; also while the slot moves, and if no node has it.
    pub(super) fn with<T>(
        &self,
        slot: u16,
        mut work: impl FnMut(&mut RedisConnection) -> Result<T>,
    ) -> Result<T> {
        let began = Instant::now();
        let mut map = self.known();
        if map.asked_at.is_none() {
            map = self.ask(began, None)?;
        }
        let Some(node) = map.node(slot) else {
            map = self.ask(began, None)?;
            let node = map.node(slot).ok_or_else(|| unavailable(no_node(slot)))?;
            return node.with(work).map_err(settled);
        };
        let error = match node.with(&mut work) {
            Err(error @ (Error::Elsewhere { .. } | Error::Unavailable { .. })) => error,
            outcome => return outcome,
        };
        let fresh = match &error {
            // That node knows where the slot is now.
            Error::Elsewhere { .. } => self.ask(began, Some((node, true))),
            _ => self.ask(began.checked_sub(PAUSE).unwrap_or(began), Some((node, false))),
        };
        match fresh.ok().and_then(|map| map.node(slot).cloned()) {
            Some(other) if other.name != node.name => other.with(work).map_err(settled),
            _ => Err(settled(error)),
        }
    }

    /// All nodes that have slots, according to a new map.
    pub(super) fn nodes(&self) -> Result<Vec<Arc<Node>>> {
        Ok(self.ask(Instant::now(), None)?.nodes())
    }

    /// Whether a node that has slots counts as down.
    pub(super) fn is_down(&self) -> bool {
        self.known().nodes().iter().any(|node| node.is_down())
    }

    /// Closes all connections that are not in use.
    pub(super) fn close(&self) {
        for node in self.known().nodes().iter().chain(&self.named) {
            node.close();
        }
    }

    fn known(&self) -> Arc<Map> {
        Arc::clone(&lock(&self.map))
    }

    /// The known map of slots, if it is newer than `since`; otherwise that of a node: of the `last`
    /// one if it answered, otherwise of any other.
    fn ask(&self, since: Instant, last: Option<(&Arc<Node>, bool)>) -> Result<Arc<Map>> {
        let _asking = lock(&self.asking);
        let known = self.known();
        if known.asked_at.is_some_and(|asked| asked >= since) {
            return Ok(known);
        }
        let nodes = known.nodes();
        let answering = last.filter(|(_, answers)| *answers).map(|(node, _)| node);
        let is_other = |node: &&Arc<Node>| last.is_none_or(|(last, _)| node.name != last.name);
        // A node that is known to be down is asked last.
        let mut others: Vec<_> = nodes.iter().chain(&self.named).filter(is_other).collect();
        others.sort_by_key(|node| node.is_down());
        let mut failure = None;
        for node in answering.into_iter().chain(others) {
            let asked = node.with(slots);
            match asked {
                Ok(ranges) => {
                    let map = Arc::new(self.map_of(&nodes, node, ranges));
                    *lock(&self.map) = Arc::clone(&map);
                    return Ok(map);
                }
                Err(error) => failure = Some(error),
            }
        }
        // No other call needs to ask again at once.
        let asked_at = Some(Instant::now());
        *lock(&self.map) = Arc::new(Map { ranges: known.ranges.clone(), asked_at });
        Err(failure.map_or_else(|| unavailable("it has no other node".to_owned()), settled))
    }

    /// A map in which known nodes keep their connections.
    fn map_of(&self, nodes: &[Arc<Node>], asked: &Node, ranges: Vec<Range>) -> Map {
        let mut known: Vec<Arc<Node>> = nodes.iter().chain(&self.named).cloned().collect();
        let ranges = ranges.into_iter().map(|Range { first, last, host, port }| {
            // A node without an address is the one that was asked.
            let host = if host.is_empty() { asked.host().to_owned() } else { host };
            let server = self.server.moved_to(&host, port);
            let name = server.name();
            let found = known.iter().find(|node| node.name == name).cloned();
            let node = found.unwrap_or_else(|| {
                let node = Arc::new(Node::named(&server));
                known.push(Arc::clone(&node));
                node
            });
            (first, last, node)
        });
        Map { ranges: ranges.collect(), asked_at: Some(Instant::now()) }
    }
}

impl Map {
    fn node(&self, slot: u16) -> Option<&Arc<Node>> {
        let has = |(first, last, _): &&(u16, u16, Arc<Node>)| (*first..=*last).contains(&slot);
        self.ranges.iter().find(has).map(|(_, _, node)| node)
    }

    /// Each node once.
    fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        for (_, _, node) in &self.ranges {
            if !nodes.iter().any(|known| known.name == node.name) {
                nodes.push(Arc::clone(node));
            }
        }
        nodes
    }
}

/// Which node has which slots, according to the node asked.
fn slots(connection: &mut RedisConnection) -> Result<Vec<Range>> {
    let found: Vec<Vec<Value>> = connection.command(redis::cmd("CLUSTER").arg("SLOTS"))?;
    found.into_iter().map(range).collect()
}

fn range(found: Vec<Value>) -> Result<Range> {
    let mut parts = found.into_iter();
    let mut next = || parts.next().unwrap_or(Value::Nil);
    let (first, last) = (number(next())?, number(next())?);
    // The master; its replicas follow.
    let Value::Array(master) = next() else { return Err(unexpected(&Value::Nil)) };
    let mut master = master.into_iter();
    let host = match master.next() {
        Some(Value::Nil) | None => String::new(),
        Some(host) => text(host)?,
    };
    let port = number(master.next().unwrap_or(Value::Nil))?;
    Ok(Range { first, last, host, port })
}

fn number(value: Value) -> Result<u16> {
    match value {
        Value::Int(number) => u16::try_from(number).map_err(|_| unexpected(&value)),
        value => Err(unexpected(&value)),
    }
}

fn no_node(slot: u16) -> String {
    format!("no node of the cluster has slot {slot}: see CLUSTER SLOTS")
}

fn unavailable(cause: String) -> Error {
    Error::Unavailable { server: Server::Cache, cause, answered: false }
}

/// The error for a moving slot: it cannot be used now.
fn settled(error: Error) -> Error {
    match error {
        Error::Elsewhere { cause, .. } => unavailable(cause),
        error => error,
    }
}

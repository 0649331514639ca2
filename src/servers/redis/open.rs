//! Connecting.

use std::time::Duration;

use ::redis::{Client, Connection, ConnectionAddr, ConnectionInfo, RedisResult};

use crate::servers::host::Host;

/// Connects to this host, whatever address `info` has.
pub fn open_at(host: &Host, info: &ConnectionInfo, patience: Duration) -> RedisResult<Connection> {
    host.connect(patience, |address| {
        let address = ConnectionAddr::Tcp(address.ip().to_string(), address.port());
        open(info.clone().set_addr(address), patience)
    })
}

/// Connects to the address in `info`.
pub fn open(info: ConnectionInfo, patience: Duration) -> RedisResult<Connection> {
    Client::open(info)?.get_connection_with_timeout(patience)
}

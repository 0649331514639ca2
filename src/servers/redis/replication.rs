//! Replicas: whether they have what was written, and how they do.

use std::time::Duration;

use ::redis::{FromRedisValue, Pipeline, ScriptInvocation};

use super::RedisConnection;
use super::errors::code;
use crate::error::{Error, Result};

/// How many replicas must have what was written before it counts, and how long they are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Replicas {
    /// How many; 0: none is asked.
    pub count: u32,
    /// How long they are waited for.
    pub patience: Duration,
}

impl Replicas {
    /// None is asked.
    pub const NONE: Replicas = Replicas { count: 0, patience: Duration::ZERO };
}

/// What a server says of its part in replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// `master` or `slave`, in Redis' words; empty where it may not be asked.
    pub role: String,
    /// The replicas that are connected.
    pub replicas: Vec<Replica>,
}

/// A replica, as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Host and port.
    pub address: String,
    /// Whether it follows; else it is still being copied to.
    pub is_online: bool,
    /// How much of what was written it has not confirmed yet.
    pub lag_bytes: u64,
    /// Seconds since it last confirmed anything; each second it does.
    pub lag_seconds: u64,
}

impl Replication {
    /// Reads the section `replication` of INFO.
    fn read(text: &str) -> Replication {
        let mut written = 0;
        let (mut role, mut lines) = (String::new(), Vec::new());
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            match name {
                "role" => value.clone_into(&mut role),
                "master_repl_offset" => written = value.parse().unwrap_or(0),
                // `slave0` and so on; `slave_repl_offset` and its kin are a replica's own.
                _ if is_numbered(name) => lines.push(value),
                _ => {}
            }
        }
        let replicas = lines.into_iter().map(|line| Replica::read(line, written)).collect();
        Replication { role, replicas }
    }

    /// Whether it takes writes that others follow.
    pub fn is_primary(&self) -> bool {
        self.role == "master"
    }

    /// How many replicas follow.
    pub fn following(&self) -> u32 {
        let count = self.replicas.iter().filter(|replica| replica.is_online).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

fn is_numbered(name: &str) -> bool {
    name.strip_prefix("slave").is_some_and(|number| number.parse::<u32>().is_ok())
}

impl Replica {
    fn read(line: &str, written: u64) -> Replica {
        let of = |wanted| {
            line.split(',')
                .filter_map(|field| field.split_once('='))
                .find_map(|(name, value)| (name == wanted).then_some(value))
                .unwrap_or_default()
        };
        let number = |name| of(name).parse::<u64>().unwrap_or(0);
        Replica {
            address: format!("{}:{}", of("ip"), of("port")),
            is_online: of("state") == "online",
            lag_bytes: written.saturating_sub(number("offset")),
            lag_seconds: number("lag"),
        }
    }
}

/// The server's part in replication; nothing where it may not be asked.
pub fn replication(connection: &mut RedisConnection) -> Result<Replication> {
    match connection.command::<String>(redis::cmd("INFO").arg("replication")) {
        Ok(text) => Ok(Replication::read(&text)),
        Err(Error::Refused { .. }) => Ok(Replication::default()),
        Err(error) => Err(error),
    }
}

impl RedisConnection {
    /// Runs a script that writes, and asks in the same round trip whether enough replicas have what
    /// it wrote, and all that was written before.
    pub(super) fn replicated_script<T: FromRedisValue>(
        &mut self,
        call: &ScriptInvocation<'_>,
        replicas: Replicas,
    ) -> Result<(T, bool)> {
        if replicas.count == 0 {
            return Ok((self.script(call)?, true));
        }
        let mut pipeline = redis::pipe();
        pipeline.invoke_script(call);
        let fail = |error| Error::from_redis(self.server, &error);
        let mut answer = replicated(&mut pipeline, replicas).query(&mut self.inner);
        if answer.as_ref().is_err_and(|error| code(error).as_deref() == Some("NOSCRIPT")) {
            call.load(&mut self.inner).map_err(fail)?;
            answer = pipeline.query(&mut self.inner);
        }
        let (value, count): (T, u32) = answer.map_err(fail)?;
        Ok((value, count >= replicas.count))
    }

    /// Runs commands whose answers are ignored, and of which the last one writes, and asks in the
    /// same round trip whether enough replicas have what was written.
    pub(super) fn replicated(
        &mut self,
        pipeline: &mut Pipeline,
        replicas: Replicas,
    ) -> Result<bool> {
        if replicas.count == 0 {
            return self.pipeline::<()>(pipeline).map(|()| true);
        }
        let (count,): (u32,) = self.pipeline(replicated(pipeline, replicas))?;
        Ok(count >= replicas.count)
    }
}

/// With the question how many replicas have what was written.
fn replicated(pipeline: &mut Pipeline, Replicas { count, patience }: Replicas) -> &mut Pipeline {
    let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1);
    pipeline.cmd("WAIT").arg(count).arg(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_tells_of_its_replicas() {
        let found = Replication::read(
            "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
             slave0:ip=10.0.0.2,port=6379,state=online,offset=990,lag=1\r\n\
             slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r\n\
             master_repl_offset:1000\r\n",
        );
        assert!(found.is_primary());
        assert_eq!((found.replicas.len(), found.following()), (2, 1));
        let expected = Replica {
            address: "10.0.0.2:6379".to_owned(),
            is_online: true,
            lag_bytes: 10,
            lag_seconds: 1,
        };
        assert_eq!(found.replicas[0], expected);
    }

    #[test]
    fn a_replica_has_none() {
        let found = Replication::read(
            "role:slave\r\nmaster_host:10.0.0.2\r\nslave_repl_offset:5\r\n\
             slave_priority:100\r\n",
        );
        assert!(!found.is_primary());
        assert_eq!(found.following(), 0);
    }
}

//! Asking replicas whether they have a write.

use std::time::Duration;

use ::redis::{FromRedisValue, Pipeline, ScriptInvocation};

use super::RedisConnection;
use super::errors::code;
use super::replication::Replication;
use crate::error::{Error, Result};

/// How many replicas must have a write before it counts, and how long to wait for them.
#[derive(Clone, Copy, Debug)]
pub struct Replicas {
    /// How many; 0: none is asked.
    pub count: u32,
    /// How long to wait for them.
    pub patience: Duration,
}

impl Replicas {
    /// None is asked.
    pub const NONE: Replicas = Replicas { count: 0, patience: Duration::ZERO };
}

/// The server's role in replication; `None` if memora's user may not ask.
pub fn replication(connection: &mut RedisConnection) -> Result<Replication> {
    match connection.command::<String>(redis::cmd("INFO").arg("replication")) {
        Ok(text) => Ok(Replication::read(&text)),
        Err(Error::Refused { .. }) => Ok(Replication::default()),
        Err(error) => Err(error),
    }
}

impl RedisConnection {
    /// Runs a script that writes, and asks in the same round trip whether enough replicas have this
    /// and all earlier writes.
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

    /// Runs commands, of which the last one writes, ignores their answers, and asks in the same
    /// round trip whether enough replicas have the writes.
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

/// Asks, too, how many replicas have the writes.
fn replicated(pipeline: &mut Pipeline, Replicas { count, patience }: Replicas) -> &mut Pipeline {
    let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1);
    pipeline.cmd("WAIT").arg(count).arg(milliseconds)
}

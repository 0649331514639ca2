//! A session as Frappe keeps it in redis_cache. docs/door.md names the places in Frappe's source.

use std::time::{Duration, Instant};

use ::redis::{FromRedisValue, Pipeline, RedisError, RedisResult, Value};

use super::RedisConnection;
use crate::error::{Error, Result};

type Pickle = Option<Vec<u8>>;

/// The answer to a [`question`].
type Answer = (Pickle, Pickle, Pickle, Pickle, Pickle, u64);

/// What Frappe's cache has of a session, its user and its site. Values are Python's pickles; `None`:
/// there is none.
#[derive(Debug, PartialEq, Eq)]
pub struct FrappeSession {
    /// The session.
    pub record: Pickle,
    /// When Frappe 15 last wrote it to the database.
    pub last_update: Pickle,
    /// The document of the user that was named.
    pub user: Pickle,
    /// Where that user is sent after the login.
    pub redirect: Pickle,
    /// Whether the site's recorder is on.
    pub recorder: Pickle,
    /// The number of bytes of the site's hooks; 0 without them.
    pub hooks_length: u64,
}

/// What to ask of a session and of a user, who need not be the session's.
///
/// # Arguments
/// `site`: its database name, with which Frappe begins its keys.
pub fn question(site: &str, session_id: &str, user: &str) -> Pipeline {
    let key = |name: &str| format!("{site}|{name}");
    let mut asked = redis::pipe();
    asked.cmd("HGET").arg(key("session")).arg(session_id);
    asked.cmd("HGET").arg(key("last_db_session_update")).arg(session_id);
    asked.cmd("GET").arg(key("document_cache::User::") + user);
    asked.cmd("HGET").arg(key("redirect_after_login")).arg(user);
    asked.cmd("GET").arg(key("recorder-intercept"));
    asked.cmd("STRLEN").arg(key("app_hooks"));
    asked
}

/// The least wait for an answer that is read late: it has arrived by then, or the server hangs.
const ARRIVED: Duration = Duration::from_millis(1);

/// Asks a [`question`], does something else while the server works on it, then reads the answer.
///
/// # Errors
/// As [`RedisConnection::pipeline`].
pub fn ask<T>(
    connection: &mut RedisConnection,
    question: &Pipeline,
    meanwhile: impl FnOnce() -> T,
) -> Result<(FrappeSession, T)> {
    let server = connection.server;
    let fail = |error: RedisError| Error::from_redis(server, &error);
    let (redis, patience) = (&mut connection.inner, connection.patience);
    let sent = Instant::now();
    redis.send_packed_command(&question.get_packed_pipeline()).map_err(fail)?;
    let done = meanwhile();
    let waited = sent.elapsed();
    // Otherwise a server that hangs would be waited for twice.
    let is_late = waited > patience / 2;
    if is_late {
        let left = patience.saturating_sub(waited).max(ARRIVED);
        redis.set_read_timeout(Some(left)).map_err(fail)?;
    }
    // All replies are read, also those after a refusal: otherwise the next call would get them.
    let replies = question.cmd_iter().map(|_| redis.recv_response());
    let replies = replies.collect::<RedisResult<_>>().map_err(fail)?;
    if is_late {
        redis.set_read_timeout(Some(patience)).map_err(fail)?;
    }
    let answer = Value::Array(replies).extract_error().map_err(fail)?;
    let answer = Answer::from_redis_value(answer).map_err(|error| fail(error.into()))?;
    Ok((answer.into(), done))
}

impl From<Answer> for FrappeSession {
    fn from((record, last_update, user, redirect, recorder, hooks_length): Answer) -> Self {
        FrappeSession { record, last_update, user, redirect, recorder, hooks_length }
    }
}

//! A script's answer.

use ::redis::{FromRedisValue, Value};

use super::{text, unexpected};
use crate::error::{Error, Result};
use crate::rules::head::Head;

/// A script's answer: its kind, then its parts in order.
pub(super) struct Answer {
    pub(super) kind: String,
    parts: std::vec::IntoIter<Value>,
}

impl Answer {
    pub(super) fn of(value: Value) -> Result<Answer> {
        let Value::Array(parts) = value else {
            return Err(unexpected(&value));
        };
        let mut parts = parts.into_iter();
        let kind = text(parts.next().unwrap_or(Value::Nil))?;
        Ok(Answer { kind, parts })
    }

    fn next(&mut self) -> Value {
        self.parts.next().unwrap_or(Value::Nil)
    }

    pub(super) fn list(&mut self) -> Result<Vec<Value>> {
        match self.next() {
            Value::Array(values) => Ok(values),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn head(&mut self) -> Result<Head> {
        let head = self.text()?;
        head.parse().map_err(|_| {
            Error::Fault(format!("the cache holds a head that memora did not write: {head:?}"))
        })
    }

    pub(super) fn number<T: FromRedisValue>(&mut self) -> Result<T> {
        T::from_redis_value(self.next()).map_err(|error| Error::Fault(error.to_string()))
    }

    pub(super) fn text(&mut self) -> Result<String> {
        text(self.next())
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>> {
        match self.next() {
            Value::Nil => Ok(None),
            value => text(value).map(Some),
        }
    }

    pub(super) fn unknown(&self) -> Error {
        Error::Fault(format!("a script of memora answered {:?}", self.kind))
    }
}

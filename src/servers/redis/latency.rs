//! Counts of calls by duration, in the cache's Redis: a hash for each ten minutes, and one for all
//! time.

use std::collections::HashMap;

use super::RedisConnection;
use super::keys::Keys;
use crate::error::Result;
use crate::rules::latency::{ByCall, Call, Counts, SLOT_SECONDS, SLOTS};

/// Adds counts to those of a slot and of all time.
pub fn add(connection: &mut RedisConnection, keys: &Keys, slot: i64, calls: &ByCall) -> Result<()> {
    let (slot, all) = (keys.latency(Some(slot)), keys.latency(None));
    let mut pipeline = redis::pipe();
    for (call, counts) in calls {
        let places = counts.places.iter().enumerate().filter(|(_, count)| **count > 0);
        let places = places.map(|(place, count)| (place.to_string(), *count));
        for (place, count) in places.chain([("sum".to_owned(), counts.sum_us)]) {
            let field = format!("{}:{place}", call.name());
            for key in [&slot, &all] {
                pipeline.cmd("HINCRBY").arg(key).arg(&field).arg(count).ignore();
            }
        }
    }
    if pipeline.is_empty() {
        return Ok(());
    }
    pipeline.cmd("EXPIRE").arg(&slot).arg((SLOTS + 1) * SLOT_SECONDS).ignore();
    connection.pipeline(&pipeline)
}

/// Reads the counts of some slots, in their order, and those of all time.
pub fn read(
    connection: &mut RedisConnection,
    keys: &Keys,
    slots: &[i64],
) -> Result<(Vec<ByCall>, ByCall)> {
    let mut pipeline = redis::pipe();
    for slot in slots.iter().copied().map(Some).chain([None]) {
        pipeline.cmd("HGETALL").arg(keys.latency(slot));
    }
    let found: Vec<HashMap<String, u64>> = connection.pipeline(&pipeline)?;
    let mut counts: Vec<ByCall> = found.iter().map(by_call).collect();
    let all = counts.pop().unwrap_or_default();
    Ok((counts, all))
}

fn by_call(fields: &HashMap<String, u64>) -> ByCall {
    let mut calls = ByCall::new();
    for call in Call::ALL {
        let count =
            |place: &str| fields.get(&format!("{}:{place}", call.name())).copied().unwrap_or(0);
        let mut counts = Counts { sum_us: count("sum"), ..Counts::default() };
        for (number, place) in counts.places.iter_mut().enumerate() {
            *place = count(&number.to_string());
        }
        if counts.total() > 0 {
            calls.insert(call, counts);
        }
    }
    calls
}

//! Whole keys as `RESTORE` takes them and `DUMP` returns them: Redis's own serialization, as in RDB
//! files.
//!
//! A thousand members of a sorted set cost Redis two thirds of what they cost as arguments of ZADD:
//! nothing is parsed, and their number is known in advance. The format is RDB version 9, which
//! every Redis since 5.0 can read (<https://rdb.fnordig.de/file_format.html>).

use crc::{CRC_64_REDIS, Crc, Table};

const RDB_VERSION: u16 = 9;
const HASH: u8 = 4;
/// A sorted set whose scores are binary.
const SORTED_SET: u8 = 5;
const CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// A hash.
pub struct HashDump(Vec<u8>);

impl HashDump {
    /// Begins a hash of `count` fields, in about `bytes` bytes.
    pub fn with_fields(count: usize, bytes: usize) -> HashDump {
        HashDump(begun(HASH, count, bytes))
    }

    /// Adds a field. A field must not be added twice.
    pub fn push(&mut self, field: &str, value: &str) {
        push_text(&mut self.0, field);
        push_text(&mut self.0, value);
    }

    /// What `RESTORE` takes.
    pub fn finish(self) -> Vec<u8> {
        finished(self.0)
    }
}

/// A sorted set.
pub struct SortedSetDump(Vec<u8>);

impl SortedSetDump {
    /// Begins a sorted set of `count` members, in about `bytes` bytes.
    pub fn with_members(count: usize, bytes: usize) -> SortedSetDump {
        SortedSetDump(begun(SORTED_SET, count, bytes))
    }

    /// Adds a member, which must not be added twice. Redis is fastest if scores descend.
    pub fn push(&mut self, member: &str, score: f64) {
        push_text(&mut self.0, member);
        self.0.extend_from_slice(&score.to_le_bytes());
    }

    /// What `RESTORE` takes.
    pub fn finish(self) -> Vec<u8> {
        finished(self.0)
    }
}

/// The members of a sorted set and their scores, from what `DUMP` returns. `None`: it is in another
/// form, as a set of few members is, or contains a text that Redis has compressed.
pub fn sorted_set(dump: &[u8]) -> Option<Vec<(Vec<u8>, f64)>> {
    let (kind, mut rest) = dump.split_first()?;
    if *kind != SORTED_SET {
        return None;
    }
    let count = take_length(&mut rest)?;
    let mut members = Vec::with_capacity(count.min(rest.len()));
    for _ in 0..count {
        let length = take_length(&mut rest)?;
        let member = take(&mut rest, length)?.to_vec();
        let score = f64::from_le_bytes(take(&mut rest, size_of::<f64>())?.try_into().ok()?);
        members.push((member, score));
    }
    Some(members)
}

/// Reads what [`push_length`] wrote; `None`: it is no length.
fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let first = take(rest, 1)?[0];
    match (first, first >> 6) {
        (_, 0) => Some(usize::from(first)),
        (_, 1) => Some(usize::from(first & 0x3f) << 8 | usize::from(take(rest, 1)?[0])),
        (0x80, _) => usize::try_from(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?)).ok(),
        (0x81, _) => usize::try_from(u64::from_be_bytes(take(rest, 8)?.try_into().ok()?)).ok(),
        _ => None,
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, others) = rest.split_at_checked(count)?;
    *rest = others;
    Some(taken)
}

fn begun(kind: u8, count: usize, bytes: usize) -> Vec<u8> {
    let mut dump = Vec::with_capacity(bytes + 16);
    dump.push(kind);
    push_length(&mut dump, count);
    dump
}

/// The version and a checksum come last.
fn finished(mut dump: Vec<u8>) -> Vec<u8> {
    dump.extend_from_slice(&RDB_VERSION.to_le_bytes());
    let checksum = CHECKSUM.checksum(&dump);
    dump.extend_from_slice(&checksum.to_le_bytes());
    dump
}

fn push_text(dump: &mut Vec<u8>, text: &str) {
    push_length(dump, text.len());
    dump.extend_from_slice(text.as_bytes());
}

/// A length takes one, two, five or nine bytes; its first bits tell how many.
fn push_length(dump: &mut Vec<u8>, length: usize) {
    match (u8::try_from(length), u16::try_from(length), u32::try_from(length)) {
        (Ok(length @ ..0x40), ..) => dump.push(length),
        (_, Ok(length @ ..0x4000), _) => dump.extend_from_slice(&(0x4000 | length).to_be_bytes()),
        (.., Ok(length)) => {
            dump.push(0x80);
            dump.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            dump.push(0x81);
            dump.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(length: usize) -> Vec<u8> {
        let mut dump = Vec::new();
        push_length(&mut dump, length);
        dump
    }

    #[test]
    fn lengths_of_every_width() {
        assert_eq!(length(0x3f), [0x3f]);
        assert_eq!(length(0x40), [0x40, 0x40]);
        assert_eq!(length(0x3fff), [0x7f, 0xff]);
        assert_eq!(length(0x4000), [0x80, 0, 0, 0x40, 0]);
        assert_eq!(length(1 << 32), [0x81, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_sorted_set_is_read_as_it_was_written() {
        let members: Vec<(String, f64)> = [0, 1, 0x3f, 0x40, 0x4000]
            .into_iter()
            .map(|length| ("q".repeat(length), length as f64 - 0.5))
            .collect();
        let mut set = SortedSetDump::with_members(members.len(), 0);
        for (member, score) in &members {
            set.push(member, *score);
        }
        let dump = set.finish();
        let bytes = |(member, score): &(String, f64)| (member.clone().into_bytes(), *score);
        assert_eq!(sorted_set(&dump), Some(members.iter().map(bytes).collect()));
        // Version and checksum come after the members.
        for end in 0..dump.len() - 10 {
            assert_eq!(sorted_set(&dump[..end]), None, "{end}");
        }
        // A compressed text, a hash, a length that exceeds what is there.
        for other in [&[5, 1, 0xc3, 1, 2][..], &[4, 1, 1, b'q', 0], &[5, 0x81, 255, 255, 255, 255]]
        {
            assert_eq!(sorted_set(other), None);
        }
    }

    #[test]
    fn the_checksum_is_that_of_redis() {
        // The check value in Redis's own source, crc64.c.
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn a_sorted_set_and_a_hash() {
        let mut set = SortedSetDump::with_members(1, 0);
        set.push("q1", 2.0);
        let body = [5, 1, 2, b'q', b'1', 0, 0, 0, 0, 0, 0, 0, 0x40, 9, 0];
        assert_eq!(set.finish(), [&body[..], &CHECKSUM.checksum(&body).to_le_bytes()].concat());
        let mut hash = HashDump::with_fields(1, 0);
        hash.push("q1", "é");
        let body = [4, 1, 2, b'q', b'1', 2, 0xc3, 0xa9, 9, 0];
        assert_eq!(hash.finish(), [&body[..], &CHECKSUM.checksum(&body).to_le_bytes()].concat());
    }
}

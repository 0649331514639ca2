//! The shard of a student in the cache, and the slot of a shard in a Redis Cluster. Pure.
//!
//! Processes of one site must agree, so these rules never change.

/// How many shards a cache in a Redis Cluster has. Each is one slot, on one node. More shards load
/// the nodes more evenly; with fewer shards, each look serves more students.
pub const SHARDS: usize = 32;
/// The slots of a Redis Cluster.
const SLOTS: usize = 16_384;

/// The student's shard in all seasons, if there are `shards` of them.
pub fn shard_of(player: &str, shards: usize) -> usize {
    if shards == 1 { 0 } else { usize::from(crc16(player.as_bytes())) % shards }
}

/// The hash tag of a shard's keys: `site/shard.number`, with the lowest number that gives a slot in
/// the shard's own range of slots. So nodes with equal ranges of slots, as `redis-cli --cluster
/// create` makes them, have equally many shards.
pub fn tag(site: &str, shard: usize) -> String {
    let tags = (0_u32..).map(|number| format!("{site}/{shard}.{number}"));
    let is_own = |tag: &String| usize::from(slot_of(tag)) * SHARDS / SLOTS == shard;
    // Each number succeeds with a chance of one in the number of shards.
    tags.take(1 << 16).find(is_own).unwrap_or_else(|| format!("{site}/{shard}"))
}

/// The slot of keys with a hash tag.
pub fn slot_of(tag: &str) -> u16 {
    // A power of two: the remainder fits.
    crc16(tag.as_bytes()) & 0x3fff
}

/// CRC-16/XMODEM, by which Redis Cluster knows slots.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // From the specification of Redis Cluster, and from CLUSTER KEYSLOT.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!((slot_of("foo"), slot_of("somekey")), (12_182, 11_058));
    }

    #[test]
    fn students_stay_where_they_are() {
        let shards = ["amal@school.example", "x:SEASON-2025", ""].map(|one| shard_of(one, SHARDS));
        assert_eq!(shards, [31, 10, 0]);
        assert_eq!(shard_of("amal@school.example", 1), 0);
    }

    proptest! {
        #[test]
        fn each_shard_has_a_part_of_the_slots(site in "[a-z0-9_]{1,40}") {
            for shard in 0..SHARDS {
                let (tag, start) = (tag(&site, shard), format!("{site}/{shard}."));
                prop_assert!(tag.starts_with(&start));
                prop_assert_eq!(usize::from(slot_of(&tag)) / (SLOTS / SHARDS), shard);
            }
        }
    }
}

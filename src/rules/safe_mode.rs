//! How many reads Safe Mode lets through (spec section 4).

/// Most Safe Mode reads of the whole site in a minute.
pub const READS_A_MINUTE: u64 = 500;
/// The window in which they are counted, in microseconds.
pub const WINDOW_US: i64 = 60_000_000;
/// The pause between a student's Safe Mode reads, in microseconds.
pub const PAUSE_US: i64 = 30_000_000;

/// How many microseconds a read must wait; `None`: not at all. `mine` is the time of the student's
/// last read. `count` and `oldest` are the number of the site's reads in the last minute, and the
/// time of the oldest.
pub fn wait_us(now: i64, mine: Option<i64>, count: u64, oldest: Option<i64>) -> Option<i64> {
    let own = mine.map(|last| last + PAUSE_US - now).filter(|wait| *wait > 0);
    let site = oldest.filter(|_| count >= READS_A_MINUTE).map(|oldest| oldest + WINDOW_US - now);
    own.max(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_waits_half_a_minute_and_the_site_for_its_oldest_read() {
        assert_eq!(wait_us(100_000_000, None, 0, None), None);
        assert_eq!(wait_us(100_000_000, Some(90_000_000), 1, Some(90_000_000)), Some(20_000_000));
        assert_eq!(wait_us(100_000_000, Some(60_000_000), 1, Some(60_000_000)), None);
        assert_eq!(wait_us(100_000_000, None, READS_A_MINUTE, Some(50_000_000)), Some(10_000_000));
        assert_eq!(wait_us(100_000_000, None, READS_A_MINUTE - 1, Some(50_000_000)), None);
    }
}

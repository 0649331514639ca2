//! Names for new rows of DocTypes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Names for new rows: they grow with time, so the index on them is filled at its end, and no two
/// are alike.
pub(super) struct Names {
    time: u64,
    process: u64,
}

static NAMED: AtomicU64 = AtomicU64::new(0);

impl Names {
    pub(super) fn new() -> Names {
        Names {
            time: u64::try_from(crate::rules::clock::now_us()).unwrap_or(0),
            process: u64::from(std::process::id()) % 46_656,
        }
    }

    pub(super) fn next(&self) -> String {
        let count = NAMED.fetch_add(1, Ordering::Relaxed) % 60_466_176;
        format!("{}{}{}", base36(self.time, 10), base36(count, 5), base36(self.process, 3))
    }
}

fn base36(mut number: u64, width: usize) -> String {
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let value = u8::try_from(number % 36).unwrap_or(0);
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= 36;
    }
    String::from_utf8_lossy(&digits).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_grow_and_differ() {
        let names = Names::new();
        let made: Vec<String> = (0..1_000).map(|_| names.next()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made.iter().all(|name| name.len() == 18));
    }

    #[test]
    fn base36_counts() {
        assert_eq!(base36(35, 2), "0z");
        assert_eq!(base36(36, 2), "10");
    }
}

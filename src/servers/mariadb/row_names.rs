//! Names for new rows of DocTypes.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many digits of a name are for the time, the row, and the process.
const WIDTHS: (usize, usize, usize) = (10, 5, 3);

/// Names for new rows: no two are alike, and they grow with time, so that the index on them is
/// filled at its end.
pub(super) struct Names {
    /// A name without its middle.
    form: [u8; WIDTHS.0 + WIDTHS.1 + WIDTHS.2],
}

static NAMED: AtomicU64 = AtomicU64::new(0);

impl Names {
    pub(super) fn new() -> Names {
        let mut form = [0; WIDTHS.0 + WIDTHS.1 + WIDTHS.2];
        let time = u64::try_from(crate::rules::clock::now_us()).unwrap_or(0);
        base36(&mut form[..WIDTHS.0], time);
        base36(&mut form[WIDTHS.0 + WIDTHS.1..], u64::from(std::process::id()));
        Names { form }
    }

    pub(super) fn next(&self) -> Vec<u8> {
        let mut name = self.form.to_vec();
        let count = NAMED.fetch_add(1, Ordering::Relaxed);
        base36(&mut name[WIDTHS.0..WIDTHS.0 + WIDTHS.1], count);
        name
    }
}

/// Writes the last digits of a number, as many as fit.
fn base36(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        let value = u8::try_from(number % 36).unwrap_or(0);
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= 36;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_grow_and_differ() {
        let names = Names::new();
        let made: Vec<Vec<u8>> = (0..1_000).map(|_| names.next()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made.iter().all(|name| name.len() == 18));
    }

    #[test]
    fn base36_counts() {
        let written = |number| {
            let mut digits = [0; 2];
            base36(&mut digits, number);
            digits
        };
        assert_eq!(written(35), *b"0z");
        assert_eq!(written(36), *b"10");
        assert_eq!(written(36 * 36), *b"00");
    }
}

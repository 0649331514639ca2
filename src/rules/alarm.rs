//! When administrators are alerted to what a reconciliation found (spec section 7).

/// The percentage above which administrators are alerted.
pub const ALARMING_PERCENT: f64 = 0.1;

/// Whether too many records differ (`share_differing`, 0 to 1), or too many of the schedules are
/// only half filled.
pub fn is_alarming(share_differing: f64, half_filled: u64, students: u64) -> bool {
    let share_half_filled = half_filled as f64 / (half_filled + students).max(1) as f64;
    100.0 * share_differing.max(share_half_filled) > ALARMING_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_thousand_is_no_alarm_and_more_is() {
        assert!(!is_alarming(0.0, 0, 0));
        assert!(!is_alarming(0.001, 0, 1_000));
        assert!(is_alarming(0.001_1, 0, 1_000));
        assert!(!is_alarming(0.0, 1, 999));
        assert!(is_alarming(0.0, 2, 999));
        assert!(is_alarming(0.0, 1, 0));
    }
}

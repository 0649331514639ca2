//! What a review session earns a student (spec section 3).

const XP_A_RIGHT_ANSWER: u64 = 10;
const XP_A_COMBO: u64 = 2;

/// The XP of a session with this many questions answered right, and the client's combo. A combo is
/// right answers in a row, so it is at most the number of right answers.
pub fn xp_earned(correct: usize, total_combo: u64) -> u64 {
    let correct = correct as u64;
    XP_A_RIGHT_ANSWER * correct + XP_A_COMBO * total_combo.min(correct)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combo_counts_as_far_as_there_are_right_answers() {
        let table = [(0, 0, 0), (0, 7, 0), (3, 0, 30), (3, 2, 34), (3, 3, 36), (3, u64::MAX, 36)];
        for (correct, total_combo, xp) in table {
            assert_eq!(xp_earned(correct, total_combo), xp);
        }
    }
}

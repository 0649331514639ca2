//! How well answers were predicted. Pure.

use std::collections::HashMap;

/// An answer, and the predicted probability that it is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// 0 to 1.
    pub probability: f64,
    /// Whether it was right.
    pub is_right: bool,
    /// The group of its question.
    pub bin: Bin,
}

/// A group of similar questions: by days since the last answer, number of answers and number of
/// wrong ones, each on the logarithmic scale of srs-benchmark, by the authors of FSRS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bin([i64; 3]);

impl Bin {
    /// `days` since the last answer; `reviews` so far on a later day than the one before, and the
    /// wrong ones among them (`lapses`).
    pub fn new(days: u32, reviews: u32, lapses: u32) -> Bin {
        let on_scale = |number: u32, base: f64| match number {
            0 => -1,
            // The logarithm of a u32 is small.
            #[allow(clippy::cast_possible_truncation)]
            _ => (f64::from(number).ln() / base.ln()).floor() as i64,
        };
        Bin([on_scale(days, 3.62), on_scale(reviews + 1, 1.89), on_scale(lapses, 1.73)])
    }
}

/// How well answers were predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fit {
    /// The mean surprise of an answer: less is better; a coin flip has 0.693.
    pub log_loss: f64,
    /// How far apart predictions and answers are in groups of similar questions: less is better.
    pub rmse_of_bins: f64,
    /// The probability that a right answer was predicted higher than a wrong one: more is better; a
    /// coin flip has 0.5.
    pub auc: f64,
}

impl Fit {
    /// How well these answers were predicted; all zero for none.
    pub fn of(predictions: &[Prediction]) -> Fit {
        if predictions.is_empty() {
            return Fit::default();
        }
        Fit {
            log_loss: log_loss(predictions),
            rmse_of_bins: rmse_of_bins(predictions),
            auc: auc(predictions),
        }
    }
}

fn log_loss(predictions: &[Prediction]) -> f64 {
    let loss = predictions.iter().map(|each| {
        let of_what_was = if each.is_right { each.probability } else { 1.0 - each.probability };
        -of_what_was.max(1e-6).ln()
    });
    loss.sum::<f64>() / predictions.len() as f64
}

fn rmse_of_bins(predictions: &[Prediction]) -> f64 {
    let mut bins: HashMap<Bin, (f64, f64, f64)> = HashMap::new();
    for each in predictions {
        let (sum, right, count) = bins.entry(each.bin).or_default();
        *sum += each.probability;
        *right += f64::from(u8::from(each.is_right));
        *count += 1.0;
    }
    let squares = bins.values().map(|(sum, right, count)| (sum - right).powi(2) / count);
    let mut squares: Vec<f64> = squares.collect();
    // In a fixed order, so that each run gives the same sum.
    squares.sort_by(f64::total_cmp);
    (squares.iter().sum::<f64>() / predictions.len() as f64).sqrt()
}

fn auc(predictions: &[Prediction]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        predictions.iter().map(|each| (each.probability, each.is_right)).collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut wrong_below, mut won, mut right) = (0.0, 0.0, 0.0);
    for same in all.chunk_by(|one, other| one.0 == other.0) {
        let right_here = same.iter().filter(|(_, is_right)| *is_right).count() as f64;
        let wrong_here = same.len() as f64 - right_here;
        won += right_here * (wrong_below + wrong_here / 2.0);
        wrong_below += wrong_here;
        right += right_here;
    }
    if right * wrong_below == 0.0 { 0.5 } else { won / (right * wrong_below) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prediction(probability: f64, is_right: bool, days: u32) -> Prediction {
        Prediction { probability, is_right, bin: Bin::new(days, 1, 0) }
    }

    #[test]
    fn what_is_known_beforehand_is_predicted_perfectly() {
        let known: Vec<_> = (0..40)
            .map(|number| {
                let is_right = number % 4 > 0;
                prediction(f64::from(u8::from(is_right)), is_right, number)
            })
            .collect();
        assert_eq!(Fit::of(&known), Fit { log_loss: 0.0, rmse_of_bins: 0.0, auc: 1.0 });
        let coin: Vec<_> =
            known.iter().map(|each| Prediction { probability: 0.5, ..*each }).collect();
        let fit = Fit::of(&coin);
        assert!((fit.log_loss - 0.5f64.ln().abs()).abs() < 1e-12, "{fit:?}");
        assert!((fit.auc - 0.5).abs() < 1e-12, "{fit:?}");
        assert_eq!(Fit::of(&[]), Fit::default());
    }

    #[test]
    fn a_group_is_judged_by_its_mean() {
        // Two groups of four: one is predicted exactly, the other is too high by 0.25.
        let group = |days, probability, right: usize| {
            (0..4).map(move |place| prediction(probability, place < right, days))
        };
        let all: Vec<_> = group(1, 0.5, 2).chain(group(100, 0.75, 2)).collect();
        let expected = (0.25f64.powi(2) / 2.0).sqrt();
        assert!((Fit::of(&all).rmse_of_bins - expected).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn figures_stay_in_range_and_do_not_depend_on_the_order(
            given in proptest::collection::vec((0.0f64..=1.0, any::<bool>(), 0u32..400), 1..60),
        ) {
            let all: Vec<_> =
                given.into_iter().map(|(told, right, days)| prediction(told, right, days)).collect();
            let fit = Fit::of(&all);
            prop_assert!((0.0..14.0).contains(&fit.log_loss));
            prop_assert!((0.0..=1.0).contains(&fit.rmse_of_bins) && (0.0..=1.0).contains(&fit.auc));
            let backwards: Vec<_> = all.iter().rev().copied().collect();
            let again = Fit::of(&backwards);
            prop_assert!((again.log_loss - fit.log_loss).abs() < 1e-9);
            prop_assert!((again.rmse_of_bins - fit.rmse_of_bins).abs() < 1e-9);
            prop_assert!((again.auc - fit.auc).abs() < 1e-9);
        }
    }
}

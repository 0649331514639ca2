//! What a sample of whole students tells about all of them.
//!
//! Errors may come in clusters: one student's schedule is lost, another's is perfect. So the sample
//! is of students, and the differences between their shares decide the precision (the linearized
//! variance of a ratio of a cluster sample; Cochran, Sampling Techniques, 3rd edition, section
//! 9A.1). The interval is Wilson's, for the size that a sample of single records with this variance
//! would have. It is right near 0 too, where nearly all schedules are, and is useful even without
//! errors (as in Korn and Graubard, 1998).

/// Of a normal distribution, 95% lie within this many standard deviations.
const DEVIATIONS: f64 = 1.96;

/// One student of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Records that were compared.
    pub records: u64,
    /// Records that differ.
    pub differing: u64,
}

/// A share of all records, with the bounds of 95% confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// 0 to 1.
    pub share: f64,
    /// 0 to 1.
    pub low: f64,
    /// 0 to 1.
    pub high: f64,
}

impl Estimate {
    /// The exact share, from all records.
    pub fn exact(records: u64, differing: u64) -> Estimate {
        let share = if records == 0 { 0.0 } else { differing as f64 / records as f64 };
        Estimate { share, low: share, high: share }
    }

    /// An estimate from some of `population` students, drawn at random.
    pub fn from_sample(sample: &[Cluster], population: u64) -> Estimate {
        let records: u64 = sample.iter().map(|cluster| cluster.records).sum();
        let differing: u64 = sample.iter().map(|cluster| cluster.differing).sum();
        let exact = Estimate::exact(records, differing);
        let students = sample.len() as u64;
        if students >= population {
            return exact;
        }
        if records == 0 {
            return Estimate { high: 1.0, ..exact };
        }
        let left = 1.0 - students as f64 / population as f64;
        let size = (records as f64 / design_effect(sample, exact.share)).max(1.0) / left;
        wilson(exact.share, size)
    }
}

/// The ratio of the variance to that of a sample of single records. At least 1; with too few
/// students, as if each student were one record.
fn design_effect(sample: &[Cluster], share: f64) -> f64 {
    let (students, records) =
        (sample.len() as f64, sample.iter().map(|one| one.records).sum::<u64>() as f64);
    if share == 0.0 || share == 1.0 {
        return 1.0;
    }
    if sample.len() < 2 {
        return records;
    }
    let squares: f64 =
        sample.iter().map(|one| (one.differing as f64 - share * one.records as f64).powi(2)).sum();
    let variance = students / (students - 1.0) * squares / records.powi(2);
    (variance / (share * (1.0 - share) / records)).max(1.0)
}

/// Wilson's interval for a share that was seen in a sample of this size.
fn wilson(share: f64, size: f64) -> Estimate {
    let square = DEVIATIONS * DEVIATIONS;
    let middle = (share + square / (2.0 * size)) / (1.0 + square / size);
    let half = DEVIATIONS / (1.0 + square / size)
        * (share * (1.0 - share) / size + square / (4.0 * size * size)).sqrt();
    Estimate {
        share,
        low: (middle - half).clamp(0.0, share),
        high: (middle + half).clamp(share, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn students(count: usize, records: u64, differing: impl Fn(usize) -> u64) -> Vec<Cluster> {
        (0..count).map(|number| Cluster { records, differing: differing(number) }).collect()
    }

    #[test]
    fn no_error_in_a_sample_is_no_proof() {
        let none = Estimate::from_sample(&students(10, 1_000, |_| 0), 1_000);
        assert_eq!((none.share, none.low), (0.0, 0.0));
        assert!((0.000_3..0.000_5).contains(&none.high), "{none:?}");
        assert_eq!(Estimate::from_sample(&[], 5), Estimate { share: 0.0, low: 0.0, high: 1.0 });
    }

    #[test]
    fn all_is_no_sample() {
        let all = students(10, 1_000, |number| u64::from(number == 0));
        assert_eq!(Estimate::from_sample(&all, 10), Estimate::exact(10_000, 1));
        assert_eq!(Estimate::from_sample(&[], 0), Estimate::exact(0, 0));
    }

    #[test]
    fn errors_in_one_place_tell_less_than_errors_everywhere() {
        let spread = Estimate::from_sample(&students(10, 1_000, |_| 10), 1_000);
        let clustered = Estimate::from_sample(
            &students(10, 1_000, |number| if number == 0 { 100 } else { 0 }),
            1_000,
        );
        assert_eq!(spread.share, clustered.share);
        assert!(
            clustered.high - clustered.low > 3.0 * (spread.high - spread.low),
            "{spread:?} {clustered:?}"
        );
    }

    proptest! {
        #[test]
        fn the_share_lies_between_its_bounds(
            parts in proptest::collection::vec((0..3_000u64, 0..100u64), 0..30),
            more in 0..1_000u64,
        ) {
            let sample: Vec<Cluster> = parts
                .iter()
                .map(|&(records, percent)| Cluster { records, differing: records * percent / 100 })
                .collect();
            let all = sample.len() as u64 + more;
            let Estimate { share, low, high } = Estimate::from_sample(&sample, all);
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
        }

        /// A 95% interval holds for schools where some students' schedules are worse than others'.
        #[test]
        fn the_truth_is_mostly_within(seed in any::<u64>()) {
            let mut state = seed | 1;
            let mut random = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let school: Vec<Cluster> = (0..2_000)
                .map(|_| Cluster {
                        records: 500 + random() % 1_000,
                        differing: (random() % 30).saturating_sub(9),
                    })
                .collect();
            let sum = |part: fn(&Cluster) -> u64| school.iter().map(part).sum::<u64>() as f64;
            let truth = sum(|one| one.differing) / sum(|one| one.records);
            let trials = 200;
            let within = (0..trials).filter(|_| {
                let mut draw = |_| school[(random() % 2_000) as usize];
                let sample: Vec<Cluster> = (0..20).map(&mut draw).collect();
                let estimate = Estimate::from_sample(&sample, 2_000);
                estimate.low <= truth && truth <= estimate.high
            });
            let within = within.count();
            prop_assert!(within > trials * 85 / 100, "{} of {}", within, trials);
        }
    }
}

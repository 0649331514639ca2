//! Focus mode (spec section 2): which questions of one topic are practised. Pure: no server.

use jiff::civil::Date;

use crate::rules::clock::SiteZone;
use crate::rules::ladder::LOWEST_STABILITY;
use crate::rules::review::Review;

const SMALLEST: usize = 10;
const LARGEST: usize = 30;

/// How many questions of a topic of `size` are practised: a tenth (rounded down), at least 10, at
/// most 30.
pub fn session_size(size: usize) -> usize {
    (size / 10).clamp(SMALLEST, LARGEST)
}

/// Picks from all of a topic's questions. Wrong ones come first, then those not reviewed today,
/// then the rest, each most overdue first. If all were reviewed today, it picks 10 random ones;
/// `random` gives a number below its argument.
pub fn pick(
    mut topic: Vec<Review>,
    zone: &SiteZone,
    today: Date,
    mut random: impl FnMut(usize) -> usize,
) -> Vec<Review> {
    let reviewed_today =
        |review: &Review| review.last_review.is_some_and(|last| zone.day(last) == today);
    if topic.iter().all(&reviewed_today) {
        let size = topic.len().min(SMALLEST);
        for index in 0..size {
            let other = index + random(topic.len() - index);
            topic.swap(index, other);
        }
        topic.truncate(size);
        return topic;
    }
    let size = session_size(topic.len());
    let rank =
        |review: &Review| match (review.stability == LOWEST_STABILITY, reviewed_today(review)) {
            (true, false) => 0,
            (true, true) => 1,
            (false, false) => 2,
            (false, true) => 3,
        };
    topic.sort_by(|one, other| (rank(one), one.due_order()).cmp(&(rank(other), other.due_order())));
    topic.truncate(size);
    topic
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_780_000_000;

    fn topic(size: usize, last_review: Option<i64>) -> Vec<Review> {
        let review =
            |number| Review { last_review, stability: 2, ..Review::new(&format!("q{number:04}")) };
        (0..size).map(review).collect()
    }

    fn utc() -> SiteZone {
        SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn sizes() {
        assert_eq!(
            [0, 50, 100, 101, 200, 300, 301, 5_000].map(session_size),
            [10, 10, 10, 10, 20, 30, 30, 30]
        );
    }

    #[test]
    fn wrong_ones_come_first_then_those_not_reviewed_today() {
        let zone = utc();
        let mut all = topic(40, Some(NOON));
        all[39].stability = 1;
        all[20].last_review = None;
        let picked = pick(all, &zone, zone.day(NOON), |_| 0);
        assert_eq!(picked.len(), 10);
        assert_eq!(
            (picked[0].question_id.as_str(), picked[1].question_id.as_str()),
            ("q0039", "q0020")
        );
    }

    #[test]
    fn ten_random_ones_when_all_were_reviewed_today() {
        let zone = utc();
        let picked = pick(topic(300, Some(NOON)), &zone, zone.day(NOON), |below| below - 1);
        assert_eq!(picked.len(), 10);
        assert_eq!(picked[0].question_id, "q0299");
        assert_eq!(pick(topic(3, Some(NOON)), &zone, zone.day(NOON), |_| 0).len(), 3);
        assert!(pick(Vec::new(), &zone, zone.day(NOON), |_| 0).is_empty());
    }
}

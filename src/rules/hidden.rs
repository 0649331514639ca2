//! Questions that are hidden: from every student, because the site has retired them, or from one
//! student, who has suspended them. Pure.
//!
//! Their records stay, and answers to them count. In the cache, such a question has the score
//! [`NEVER`], which is after every date, so no read by date finds it.

use std::collections::{HashMap, HashSet};

use super::review::Review;

/// The score of a hidden question in its student's sorted set.
pub const NEVER: f64 = f64::INFINITY;

/// The site's retired questions, at a version. Each change of them has a higher version than the
/// one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// The version of the last change; 0: there was none.
    pub version: u64,
    /// Every question that was ever retired: the version of its last change, and whether it is
    /// retired.
    changes: HashMap<String, (u64, bool)>,
}

impl Retired {
    /// From the site's changes: each question, the version of its last change, and whether it is
    /// retired. An empty name only gives the last version.
    pub fn new(changes: impl IntoIterator<Item = (String, u64, bool)>) -> Retired {
        let mut changes: HashMap<String, (u64, bool)> = changes
            .into_iter()
            .map(|(id, version, is_retired)| (id, (version, is_retired)))
            .collect();
        let version = changes.values().map(|(version, _)| *version).max().unwrap_or(0);
        changes.remove("");
        Retired { version, changes }
    }

    /// All of it as text, separated by NULs, which no question id has.
    pub fn to_text(&self) -> String {
        let mut text = self.version.to_string();
        for (id, (version, is_retired)) in &self.changes {
            text.push_str(&format!("\0{id}\0{version}\0{}", u8::from(*is_retired)));
        }
        text
    }

    /// Parses what [`Retired::to_text`] wrote; `None` if it is something else.
    pub fn read(text: &str) -> Option<Retired> {
        let mut parts = text.split('\0');
        let version = parts.next()?.parse().ok()?;
        let mut changes = HashMap::new();
        while let Some(id) = parts.next() {
            let (changed, is_retired) = (parts.next()?.parse().ok()?, parts.next()? == "1");
            changes.insert(id.to_owned(), (changed, is_retired));
        }
        Some(Retired { version, changes })
    }

    /// Whether a question is retired.
    pub fn has(&self, question_id: &str) -> bool {
        self.changes.get(question_id).is_some_and(|(_, is_retired)| *is_retired)
    }

    /// What has changed since an earlier version: questions, and whether they are retired now.
    pub fn since(&self, version: u64) -> Vec<(&str, bool)> {
        self.changes
            .iter()
            .filter(|(_, (changed, _))| *changed > version)
            .map(|(id, (_, is_retired))| (id.as_str(), *is_retired))
            .collect()
    }

    /// Whether a question was retired in an earlier version; `None`: it has changed since.
    fn had(&self, question_id: &str, version: u64) -> Option<bool> {
        match self.changes.get(question_id) {
            Some((changed, _)) if *changed > version => None,
            Some((_, is_retired)) => Some(*is_retired),
            None => Some(false),
        }
    }
}

/// What is hidden from one student.
#[derive(Clone, Copy)]
pub struct Hidden<'a> {
    /// From everybody.
    pub retired: &'a Retired,
    /// From this student alone.
    pub suspended: &'a HashSet<String>,
}

impl Hidden<'_> {
    /// Whether a question is hidden.
    pub fn has(&self, question_id: &str) -> bool {
        self.retired.has(question_id) || self.suspended.contains(question_id)
    }

    /// The score of a question in the student's sorted set.
    pub fn score(&self, review: &Review) -> f64 {
        if self.has(&review.question_id) { NEVER } else { review.next_review as f64 }
    }

    /// The score in a sorted set that has the changes up to an earlier version. `None`: either
    /// score is right, because the question has changed since, and the next read updates it.
    pub fn score_in(&self, review: &Review, version: u64) -> Option<f64> {
        let id = review.question_id.as_str();
        if self.suspended.contains(id) {
            return Some(NEVER);
        }
        let is_retired = self.retired.had(id, version)?;
        Some(if is_retired { NEVER } else { review.next_review as f64 })
    }

    /// The reviews whose questions are not hidden.
    pub fn shown(&self, mut reviews: Vec<Review>) -> Vec<Review> {
        if self.retired.version > 0 || !self.suspended.is_empty() {
            reviews.retain(|review| !self.has(&review.question_id));
        }
        reviews
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_gets_what_has_changed_since_its_version() {
        let changes = [("a", 1, true), ("b", 2, false), ("c", 3, true), ("", 4, false)];
        let retired = Retired::new(changes.map(|(id, version, is)| (id.to_owned(), version, is)));
        assert_eq!(retired.version, 4);
        assert!(retired.has("a") && !retired.has("b") && retired.has("c") && !retired.has("d"));
        let mut since = retired.since(1);
        since.sort_unstable();
        assert_eq!(since, [("b", false), ("c", true)]);
        assert!(retired.since(3).is_empty());
        assert_eq!(Retired::read(&retired.to_text()), Some(retired));
        assert_eq!(Retired::read(&Retired::default().to_text()), Some(Retired::default()));
        for nonsense in ["", "x", "1\0q", "1\0q\0a\x001"] {
            assert_eq!(Retired::read(nonsense), None);
        }
    }

    #[test]
    fn what_is_hidden_is_never_due() {
        let retired = Retired::new([("a".to_owned(), 1, true), ("c".to_owned(), 2, true)]);
        let suspended = HashSet::from(["b".to_owned()]);
        let hidden = Hidden { retired: &retired, suspended: &suspended };
        let score = |id| hidden.score(&Review { next_review: 5, ..Review::new(id) });
        assert_eq!(["a", "b", "c", "d"].map(score), [NEVER, NEVER, NEVER, 5.0]);
        let early = |id| hidden.score_in(&Review { next_review: 5, ..Review::new(id) }, 1);
        assert_eq!(["a", "b", "c", "d"].map(early), [Some(NEVER), Some(NEVER), None, Some(5.0)]);
        let left = hidden.shown(["a", "b", "d"].map(Review::new).to_vec());
        assert_eq!(left, [Review::new("d")]);
    }
}

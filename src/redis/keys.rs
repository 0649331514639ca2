//! The names of all keys. The one place that builds them, so that one site never touches another's.
//!
//! A season has no colon, so `player:season` names one pair only, whatever a player is called.

/// The keys of one site.
#[derive(Clone, Debug)]
pub struct Keys {
    site: String,
}

/// The consumer group of the journal.
pub const GROUP: &str = "drain";

impl Keys {
    /// Keys with the prefix that Frappe gives its own: the site's database name.
    pub fn of_site(site: &str) -> Keys {
        Keys { site: site.to_owned() }
    }

    fn of_student(&self, family: &str, player: &str, season: &str) -> String {
        format!("{}|{family}:{player}:{season}", self.site)
    }

    fn of_all(&self, family: &str) -> String {
        format!("{}|{family}", self.site)
    }

    /// Cache: the sorted set of a student's questions by next review.
    pub fn schedule(&self, player: &str, season: &str) -> String {
        self.of_student("srs", player, season)
    }

    /// Cache: what belongs to each question beside its date.
    pub fn details(&self, player: &str, season: &str) -> String {
        self.of_student("srs-detail", player, season)
    }

    /// Cache: who is loading the student's records.
    pub fn fence(&self, player: &str, season: &str) -> String {
        self.of_student("srs-fence", player, season)
    }

    /// Cache: the active season.
    pub fn active_season(&self) -> String {
        self.of_all("srs-season")
    }

    /// Cache: subjects and topics known to exist.
    pub fn links(&self) -> String {
        self.of_all("srs-links")
    }

    /// Journal: the stream of submissions.
    pub fn stream(&self) -> String {
        self.of_all("srs-journal")
    }

    /// Journal: a student's submissions that are still in the stream, and the last one's head.
    pub fn pending(&self, player: &str, season: &str) -> String {
        self.of_student("srs-pending", player, season)
    }

    /// Journal: set while a drain is queued.
    pub fn drain_queued(&self) -> String {
        self.of_all("srs-drain-queued")
    }

    /// Journal: whether the cache may be believed.
    pub fn trust(&self) -> String {
        self.of_all("srs-trust")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn two_students_never_share_a_key(one in ".*", other in ".*") {
            prop_assume!(one != other);
            let keys = Keys::of_site("site");
            prop_assert_ne!(keys.schedule(&one, "SEASON-2026"), keys.schedule(&other, "SEASON-2026"));
        }
    }
}

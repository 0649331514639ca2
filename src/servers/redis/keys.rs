//! The names of all keys. Only this file builds them, so that no site touches another's.
//!
//! A season's name has no colon, so `player:season` is unambiguous for any player name.

/// The keys of one site, or of one shard of its cache.
#[derive(Clone, Debug)]
pub struct Keys {
    site: String,
    /// What they begin with: the site, or the hash tag of a shard, in braces.
    start: String,
}

/// The consumer group of the journal.
pub const GROUP: &str = "drain";

impl Keys {
    /// Keys with the prefix that Frappe gives its own: the site's database name.
    pub fn of_site(site: &str) -> Keys {
        Keys { site: site.to_owned(), start: site.to_owned() }
    }

    /// Keys that a Redis Cluster keeps in one slot. The tag begins with the site's name and `/`.
    pub fn of_shard(site: &str, tag: &str) -> Keys {
        Keys { site: site.to_owned(), start: format!("{{{tag}}}") }
    }

    /// The site's database name.
    pub fn site(&self) -> &str {
        &self.site
    }

    fn of_student(&self, family: &str, player: &str, season: &str) -> String {
        format!("{}|{family}:{player}:{season}", self.start)
    }

    fn of_all(&self, family: &str) -> String {
        format!("{}|{family}", self.start)
    }

    /// The part after the `|` of a key of this site, of any shard.
    fn rest<'a>(&self, key: &'a str) -> Option<&'a str> {
        if self.is_sharded() {
            let tag = key.strip_prefix('{')?.strip_prefix(&self.site)?.strip_prefix('/')?;
            tag.split_once("}|").map(|(_, rest)| rest)
        } else {
            key.strip_prefix(&self.site)?.strip_prefix('|')
        }
    }

    fn is_sharded(&self) -> bool {
        self.start.len() > self.site.len()
    }

    /// Cache: the sorted set of a student's questions by next review.
    pub fn schedule(&self, player: &str, season: &str) -> String {
        self.of_student("srs", player, season)
    }

    /// Cache: what is kept of each question besides its date.
    pub fn details(&self, player: &str, season: &str) -> String {
        self.of_student("srs-detail", player, season)
    }

    /// Cache: the sorted set of a student's questions by subject, then by next review.
    pub fn by_subject(&self, player: &str, season: &str) -> String {
        self.of_student("srs-subject", player, season)
    }

    /// Cache: the keys of a student's schedule.
    pub fn all_of(&self, player: &str, season: &str) -> [String; 3] {
        [
            self.schedule(player, season),
            self.details(player, season),
            self.by_subject(player, season),
        ]
    }

    /// Cache: a sorted set that is about to become the student's, within one transaction.
    pub fn new_schedule(&self, player: &str, season: &str) -> String {
        self.of_student("srs-new", player, season)
    }

    /// Cache: details that are about to become the student's.
    pub fn new_details(&self, player: &str, season: &str) -> String {
        self.of_student("srs-new-detail", player, season)
    }

    /// Cache: a sorted set by subject that is about to become the student's.
    pub fn new_by_subject(&self, player: &str, season: &str) -> String {
        self.of_student("srs-new-subject", player, season)
    }

    /// Cache: who is loading the student's records.
    pub fn fence(&self, player: &str, season: &str) -> String {
        self.of_student("srs-fence", player, season)
    }

    /// Cache: the students with a cached schedule of a season, by the time at which it expires.
    pub fn students(&self, season: &str) -> String {
        self.of_all(&format!("srs-students:{season}"))
    }

    /// The student to whose schedule of this season a key of the cache belongs, in any shard.
    pub fn player_of<'a>(&self, key: &'a str, season: &str) -> Option<&'a str> {
        let rest = self.rest(key)?.strip_prefix("srs:")?;
        rest.strip_suffix(season)?.strip_suffix(':')
    }

    /// A SCAN pattern that finds all of a season's keys in the cache, of all shards, and perhaps
    /// others.
    pub fn season_pattern(&self, season: &str) -> String {
        format!("{}*:{season}", self.site_pattern())
    }

    /// How SCAN patterns for the site's keys begin.
    fn site_pattern(&self) -> String {
        let mut pattern = String::new();
        for letter in self.site.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        if self.is_sharded() { format!("{{{pattern}/*}}|srs") } else { pattern + "|srs" }
    }

    /// A SCAN pattern that finds all keys of memora's on this site, of all shards.
    pub fn own_pattern(&self) -> String {
        self.site_pattern() + "[-:]*"
    }

    /// Whether a key of the cache belongs to a student's schedule of this season, in any shard.
    pub fn is_of_season(&self, key: &str, season: &str) -> bool {
        let of_student = |family: &str| {
            let rest = self.rest(key).and_then(|rest| rest.strip_prefix(family)?.strip_prefix(':'));
            rest.and_then(|rest| rest.strip_suffix(season)).is_some_and(|rest| rest.ends_with(':'))
        };
        ["srs", "srs-detail", "srs-subject", "srs-fence"].into_iter().any(of_student)
    }

    /// Cache: how long calls took, in one slot of ten minutes, or ever.
    pub fn latency(&self, slot: Option<i64>) -> String {
        match slot {
            Some(slot) => self.of_all(&format!("srs-latency:{slot}")),
            None => self.of_all("srs-latency"),
        }
    }

    /// Cache: how many checks the database had seen at the last one.
    pub fn checks(&self) -> String {
        self.of_all("srs-checks")
    }

    /// Whether a key is memora's, of any site.
    pub fn is_own(key: &str) -> bool {
        key.split_once('|')
            .is_some_and(|(_, rest)| rest.starts_with("srs:") || rest.starts_with("srs-"))
    }

    /// Cache: the active season.
    pub fn active_season(&self) -> String {
        self.of_all("srs-season")
    }

    /// Cache: there while nothing has changed the active season, or the retired questions, since it
    /// was looked up.
    pub fn season_fence(&self) -> String {
        self.of_all("srs-season-fence")
    }

    /// Cache: a copy of the site's retired questions.
    pub fn retired(&self) -> String {
        self.of_all("srs-retired")
    }

    /// Cache: the generation in which cached schedules count, and the run of the cache that it is
    /// for.
    pub fn generation(&self) -> String {
        self.of_all("srs-generation")
    }

    /// Cache: the claim of the process that checks whether the cache may be believed.
    pub fn claim(&self) -> String {
        self.of_all("srs-looking")
    }

    /// Cache: the confirmation; it exists while the cache may be believed.
    pub fn confirmation(&self) -> String {
        self.of_all("srs-looked")
    }

    /// Cache: subjects, topics and users known to exist.
    pub fn links(&self) -> String {
        self.of_all("srs-links")
    }

    /// Journal: the stream of submissions.
    pub fn stream(&self) -> String {
        self.of_all("srs-journal")
    }

    /// Journal: a student's submissions that are still in the stream or were written lately, and
    /// the order of the newest one.
    pub fn pending(&self, player: &str, season: &str) -> String {
        self.of_student("srs-pending", player, season)
    }

    /// Journal: submissions that were written to MariaDB lately.
    pub fn written(&self) -> String {
        self.of_all("srs-written")
    }

    /// Journal: set while a drain is queued.
    pub fn drain_queued(&self) -> String {
        self.of_all("srs-drain-queued")
    }

    /// Journal: where the submissions are that wait or were written lately, by their tokens.
    pub fn tokens(&self) -> String {
        self.of_all("srs-tokens")
    }

    /// Journal: written so that replicas confirm it, and all that came before.
    pub fn confirmed(&self) -> String {
        self.of_all("srs-confirmed")
    }

    /// Journal: the claim of the process that looks at MariaDB for answers that a shard of the
    /// cache lacks.
    pub fn database_claim(&self, shard: &str) -> String {
        self.of_all(&format!("srs-database-looking{shard}"))
    }

    /// Journal: exists while a look at MariaDB, for a shard of the cache, serves all processes.
    pub fn database_look(&self, shard: &str) -> String {
        self.of_all(&format!("srs-database-looked{shard}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_seasons_keys_are_told_from_all_others() {
        let keys = Keys::of_site("a*b");
        for player in ["amal@school.example", "x:SEASON-2025", ""] {
            for key in [
                keys.schedule(player, "SEASON-2026"),
                keys.details(player, "SEASON-2026"),
                keys.by_subject(player, "SEASON-2026"),
            ] {
                assert!(keys.is_of_season(&key, "SEASON-2026"), "{key}");
                assert!(!keys.is_of_season(&key, "SEASON-2025"), "{key}");
                assert!(!Keys::of_site("a").is_of_season(&key, "SEASON-2026"), "{key}");
            }
        }
        for key in [
            "a*b|srs-season",
            "a*b|srs:SEASON-2026",
            "a*b|srs-x:y:SEASON-2026",
            "srs:y:SEASON-2026",
        ] {
            assert!(!keys.is_of_season(key, "SEASON-2026"), "{key}");
        }
        assert_eq!(keys.season_pattern("SEASON-2026"), "a\\*b|srs*:SEASON-2026");
        assert_eq!(keys.own_pattern(), "a\\*b|srs[-:]*");
    }

    #[test]
    fn a_schedules_key_tells_whose_it_is() {
        let keys = Keys::of_site("site");
        for player in ["amal@school.example", "x:SEASON-2025", ""] {
            assert_eq!(
                keys.player_of(&keys.schedule(player, "SEASON-2026"), "SEASON-2026"),
                Some(player)
            );
            assert_eq!(keys.player_of(&keys.schedule(player, "SEASON-2026"), "SEASON-2025"), None);
            assert_eq!(keys.player_of(&keys.details(player, "SEASON-2026"), "SEASON-2026"), None);
            let other = Keys::of_site("other");
            assert_eq!(other.player_of(&keys.schedule(player, "SEASON-2026"), "SEASON-2026"), None);
        }
        assert_eq!(keys.player_of(&keys.students("SEASON-2026"), "SEASON-2026"), None);
    }

    #[test]
    fn the_keys_of_a_shard_are_in_one_slot() {
        let keys = Keys::of_shard("a*b", "a*b/7.12");
        let schedule = keys.schedule("x:SEASON-2025", "SEASON-2026");
        assert_eq!(schedule, "{a*b/7.12}|srs:x:SEASON-2025:SEASON-2026");
        assert_eq!(keys.students("SEASON-2026"), "{a*b/7.12}|srs-students:SEASON-2026");
        for keys in [keys, Keys::of_shard("a*b", "a*b/31.0")] {
            assert_eq!(keys.player_of(&schedule, "SEASON-2026"), Some("x:SEASON-2025"));
            assert!(keys.is_of_season(&schedule, "SEASON-2026"));
            assert_eq!(keys.season_pattern("SEASON-2026"), "{a\\*b/*}|srs*:SEASON-2026");
        }
        for other in [Keys::of_shard("a", "a/7.12"), Keys::of_site("a*b")] {
            assert_eq!(other.player_of(&schedule, "SEASON-2026"), None);
            assert!(!other.is_of_season(&schedule, "SEASON-2026"));
        }
        assert!(Keys::is_own(&schedule));
    }

    proptest! {
        #[test]
        fn two_students_never_share_a_key(one in ".*", other in ".*") {
            prop_assume!(one != other);
            let keys = Keys::of_site("site");
            let schedule = |player: &str| keys.schedule(player, "SEASON-2026");
            prop_assert_ne!(schedule(&one), schedule(&other));
        }
    }
}

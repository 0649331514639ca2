//! The active season as a process remembers it.

/// The active season, or that there is none, as one generation of the cache knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct ActiveSeason {
    /// What the cache remembers: generation, run of the cache, use of the cache, name.
    pub token: String,
    /// Cached schedules count in this generation.
    pub generation: u64,
    /// The run of the cache's Redis that it is for.
    pub run_id: String,
    /// Its name; `None` when no season is active.
    pub name: Option<String>,
    /// The season's enable_redis.
    pub uses_cache: bool,
}

impl ActiveSeason {
    pub(crate) fn new(
        generation: u64,
        run_id: &str,
        found: Option<(String, bool)>,
    ) -> ActiveSeason {
        let (name, uses_cache) = found.map_or((None, false), |(name, uses)| (Some(name), uses));
        let shown = name.as_deref().unwrap_or_default();
        let token = format!("{generation}|{run_id}|{}|{shown}", u8::from(uses_cache));
        ActiveSeason { token, generation, run_id: run_id.to_owned(), name, uses_cache }
    }

    pub(crate) fn from_token(token: &str) -> Option<ActiveSeason> {
        let mut parts = token.splitn(4, '|');
        let (generation, run_id) = (parts.next()?.parse().ok()?, parts.next()?.to_owned());
        let (uses_cache, name) = (parts.next()? == "1", parts.next()?);
        let name = (!name.is_empty()).then(|| name.to_owned());
        Some(ActiveSeason { token: token.to_owned(), generation, run_id, name, uses_cache })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_the_season() {
        for found in [
            None,
            Some(("SEASON-2026".to_owned(), true)),
            Some(("SEASON-2026-B".to_owned(), false)),
        ] {
            let season = ActiveSeason::new(17, "f00", found);
            assert_eq!((season.generation, season.run_id.as_str()), (17, "f00"));
            assert_eq!(ActiveSeason::from_token(&season.token), Some(season));
        }
        assert_eq!(ActiveSeason::from_token("nonsense"), None);
    }
}

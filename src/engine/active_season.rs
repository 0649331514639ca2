//! The active season as a process remembers it.

use std::sync::Arc;

use crate::rules::hidden::Retired;

/// The active season, or that there is none, as one generation of the cache knows it; and which
/// questions are retired.
#[derive(Debug, PartialEq, Eq)]
pub struct ActiveSeason {
    /// What the cache remembers: generation, run of the cache, use of the cache with the version of
    /// the retired questions, name.
    pub token: String,
    /// Cached schedules count in this generation.
    pub generation: u64,
    /// The run of the cache's Redis that it is for.
    pub run_id: String,
    /// Its name; `None` when no season is active.
    pub name: Option<String>,
    /// The season's enable_redis.
    pub uses_cache: bool,
    /// The questions that are retired.
    pub retired: Arc<Retired>,
}

/// What a token says.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    generation: u64,
    run_id: String,
    season: Option<(String, bool)>,
    /// The version of the retired questions.
    pub retired: u64,
}

impl ActiveSeason {
    pub(crate) fn new(
        generation: u64,
        run_id: &str,
        found: Option<(String, bool)>,
        retired: Arc<Retired>,
    ) -> ActiveSeason {
        let (name, uses_cache) = found.map_or((None, false), |(name, uses)| (Some(name), uses));
        let shown = name.as_deref().unwrap_or_default();
        let mut uses = u8::from(uses_cache).to_string();
        // A process of an older version takes this for a season that does not use the cache.
        if retired.version > 0 {
            uses = format!("{uses}+{}", retired.version);
        }
        let token = format!("{generation}|{run_id}|{uses}|{shown}");
        let run_id = run_id.to_owned();
        ActiveSeason { token, generation, run_id, name, uses_cache, retired }
    }

    /// What a token says, with the retired questions of its version.
    pub(crate) fn of_token(token: Token, retired: Arc<Retired>) -> ActiveSeason {
        ActiveSeason::new(token.generation, &token.run_id, token.season, retired)
    }
}

impl Token {
    pub(crate) fn read(text: &str) -> Option<Token> {
        let mut parts = text.splitn(4, '|');
        let (generation, run_id) = (parts.next()?.parse().ok()?, parts.next()?.to_owned());
        let (uses, name) = (parts.next()?, parts.next()?);
        let (uses, retired) = uses.split_once('+').unwrap_or((uses, "0"));
        let retired = retired.parse().ok()?;
        let season = (!name.is_empty()).then(|| (name.to_owned(), uses == "1"));
        Some(Token { generation, run_id, season, retired })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_the_season_and_the_version_of_the_retired_questions() {
        let retired = Retired::new([("q".to_owned(), 3, true)]);
        for retired in [Arc::default(), Arc::new(retired)] {
            for found in [
                None,
                Some(("SEASON-2026".to_owned(), true)),
                Some(("SEASON-2026-B".to_owned(), false)),
            ] {
                let season = ActiveSeason::new(17, "f00", found, Arc::clone(&retired));
                assert_eq!((season.generation, season.run_id.as_str()), (17, "f00"));
                let token = Token::read(&season.token);
                assert_eq!(token.as_ref().map(|token| token.retired), Some(retired.version));
                let read = token.map(|token| ActiveSeason::of_token(token, Arc::clone(&retired)));
                assert_eq!(read, Some(season));
            }
        }
        assert_eq!(Token::read("nonsense"), None);
    }
}

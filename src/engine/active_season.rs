//! The active season as a process remembers it.

use std::sync::Arc;

use crate::rules::hidden::Retired;
use crate::rules::scheduling::Scheduling;
use crate::rules::season::Season;
use crate::servers::redis::keys::Keys;
use crate::servers::redis::student::Student;

/// The active season, or that there is none, as one generation of the cache knows it; and which
/// questions are retired.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveSeason {
    /// What the cache remembers: generation, run of the cache, use of the cache with the version of
    /// the retired questions and the ladders, name.
    pub token: String,
    /// Cached schedules count in this generation.
    pub generation: u64,
    /// The run of the cache's Redis that it is for.
    pub run_id: String,
    /// Its name; `None` when no season is active.
    pub name: Option<String>,
    /// The season's enable_redis.
    pub uses_cache: bool,
    /// How its questions are scheduled.
    pub scheduling: Scheduling,
    /// The questions that are retired.
    pub retired: Arc<Retired>,
}

impl ActiveSeason {
    /// A student's schedule of a season, in the generation that counts.
    pub fn student<'a>(&'a self, keys: &'a Keys, player: &'a str, season: &'a str) -> Student<'a> {
        Student {
            keys,
            player,
            season,
            season_token: &self.token,
            generation: self.generation,
            retired: &self.retired,
        }
    }
}

/// What a token says.
#[derive(Debug, PartialEq)]
pub struct Token {
    generation: u64,
    run_id: String,
    season: Option<Season>,
    /// The version of the retired questions.
    pub retired: u64,
}

impl ActiveSeason {
    pub(crate) fn new(
        generation: u64,
        run_id: &str,
        found: Option<Season>,
        retired: Arc<Retired>,
    ) -> ActiveSeason {
        let (name, uses_cache, scheduling) = match found {
            None => (None, false, Scheduling::default()),
            Some(season) => (Some(season.name), season.uses_cache, season.scheduling),
        };
        let shown = name.as_deref().unwrap_or_default();
        let mut uses = u8::from(uses_cache).to_string();
        // A process of an older version takes this for a season that does not use the cache.
        if retired.version > 0 {
            uses = format!("{uses}+{}", retired.version);
        }
        uses.push_str(&scheduling.text());
        let token = format!("{generation}|{run_id}|{uses}|{shown}");
        let run_id = run_id.to_owned();
        ActiveSeason { token, generation, run_id, name, uses_cache, scheduling, retired }
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
        // The ladders are an object of JSON.
        let (uses, scheduling) = uses.split_at(uses.find('{').unwrap_or(uses.len()));
        let (uses, retired) = uses.split_once('+').unwrap_or((uses, "0"));
        let (uses_cache, retired) = (uses == "1", retired.parse().ok()?);
        let scheduling = Scheduling::read(scheduling).ok()?;
        let season =
            (!name.is_empty()).then(|| Season { name: name.to_owned(), uses_cache, scheduling });
        Some(Token { generation, run_id, season, retired })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_the_season_its_ladders_and_the_version_of_the_retired_questions() {
        let ladder = r#"{"fast_ms":0,"slow_ms":9000,"days":[1,3,7,14,30]}"#;
        let own = Scheduling::read(&format!(r#"{{"subjects":{{"A|B+":{ladder}}}}}"#));
        let own = own.unwrap_or_else(|error| panic!("{error}"));
        let season = |name: &str, uses_cache, scheduling: &Scheduling| {
            let scheduling = scheduling.clone();
            Some(Season { name: name.to_owned(), uses_cache, scheduling })
        };
        let retired = Retired::new([("q".to_owned(), 3, true)]);
        for retired in [Arc::default(), Arc::new(retired)] {
            for found in [
                None,
                season("SEASON-2026", true, &Scheduling::of_fsrs()),
                season("SEASON-2026", true, &Scheduling::default()),
                season("SEASON-2026-B", false, &own),
                season("SEASON-2026", true, &own),
            ] {
                let season = ActiveSeason::new(17, "f00", found, Arc::clone(&retired));
                assert_eq!((season.generation, season.run_id.as_str()), (17, "f00"));
                // As a memora without ladders reads it: the same season, and no cache.
                let parts: Vec<&str> = season.token.splitn(4, '|').collect();
                assert_eq!(parts[3], season.name.as_deref().unwrap_or_default());
                assert!(parts[2] != "1" || season.scheduling.is_default(), "{}", season.token);
                let token = Token::read(&season.token);
                assert_eq!(token.as_ref().map(|token| token.retired), Some(retired.version));
                let read = token.map(|token| ActiveSeason::of_token(token, Arc::clone(&retired)));
                assert_eq!(read, Some(season));
            }
        }
        for nonsense in ["nonsense", "1|f00", r#"1|f00|1{"ladder":1}|SEASON-2026"#] {
            assert_eq!(Token::read(nonsense), None);
        }
    }
}

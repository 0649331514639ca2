//! Which names of questions, players and seasons are accepted.

use crate::error::{Error, Result};

/// Most characters in a question id; the column holds no more.
pub const LONGEST_QUESTION_ID: usize = 140;

/// MariaDB's longest identifier: a partition has its season's name.
const LONGEST_SEASON: usize = 64;

/// Refuses an id that the cache or the table would not keep unchanged.
///
/// # Errors
/// [`Error::InvalidInput`].
pub fn check_question_id(question_id: &str) -> Result<()> {
    match fault_of_question_id(question_id) {
        None => Ok(()),
        Some(reason) => Err(Error::InvalidInput(format!("Nothing was saved: {reason}."))),
    }
}

/// What is wrong with an id, if anything.
pub(crate) fn fault_of_question_id(question_id: &str) -> Option<String> {
    let length = question_id.chars().count();
    if length == 0 || length > LONGEST_QUESTION_ID {
        return Some(format!(
            "question_id must have 1 to {LONGEST_QUESTION_ID} characters, not {length}"
        ));
    }
    if question_id.chars().any(char::is_control) || question_id.trim() != question_id {
        return Some(
            "question_id must not have control characters or spaces at its ends".to_owned(),
        );
    }
    None
}

/// Refuses a player whose name the table cannot hold.
///
/// # Errors
/// [`Error::InvalidInput`].
pub fn check_player(player: &str) -> Result<()> {
    let length = player.chars().count();
    if (1..=LONGEST_QUESTION_ID).contains(&length) {
        return Ok(());
    }
    Err(Error::InvalidInput(format!(
        "a player must be the name of a User, 1 to {LONGEST_QUESTION_ID} characters, not {length}"
    )))
}

/// Refuses a season whose name could lead to the keys of another student: keys are `player:season`.
///
/// # Errors
/// [`Error::InvalidInput`].
pub fn check_season(season: &str) -> Result<()> {
    if season.contains(':') {
        return Err(Error::InvalidInput("the name of a season must not have a colon".to_owned()));
    }
    Ok(())
}

/// Refuses a season whose name is not `SEASON-YYYY` or `SEASON-YYYY-SUFFIX` (spec section 1). What
/// passes is safe as an identifier and in a key.
///
/// # Errors
/// [`Error::InvalidInput`].
pub fn check_season_name(season: &str) -> Result<()> {
    let is_valid = season.strip_prefix("SEASON-").is_some_and(|rest| {
        let (year, suffix) =
            rest.split_once('-').map_or((rest, None), |(year, suffix)| (year, Some(suffix)));
        let year_ok = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
        let in_suffix =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        year_ok && suffix.is_none_or(|suffix| !suffix.is_empty() && suffix.bytes().all(in_suffix))
    });
    if is_valid && season.len() <= LONGEST_SEASON {
        return Ok(());
    }
    let shown: String = season.chars().take(40).collect();
    Err(Error::InvalidInput(format!(
        "{shown:?} is not a season name: use SEASON-YYYY or SEASON-YYYY-SUFFIX (A-Z, 0-9, _), at \
         most {LONGEST_SEASON} characters"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn season_names() {
        for name in ["SEASON-2026", "SEASON-2026-A", "SEASON-2026-SPRING_2"] {
            assert!(check_season_name(name).is_ok(), "{name}");
        }
        let long = format!("SEASON-2026-{}", "A".repeat(60));
        for bad in [
            "",
            "season-2026",
            "SEASON-26",
            "SEASON-2026-",
            "SEASON-2026\n",
            "SEASON-2026-a",
            "SEASON-2026-'",
            &long,
        ] {
            assert!(check_season_name(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_has_nothing_to_escape(name in "SEASON-.{0,8}") {
            if check_season_name(&name).is_ok() {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                prop_assert!(name.bytes().all(is_plain));
            }
        }

        #[test]
        fn any_id_passes_or_is_refused(id: String) {
            if check_question_id(&id).is_ok() {
                prop_assert!((1..=LONGEST_QUESTION_ID).contains(&id.chars().count()));
                prop_assert!(!id.contains('\0'));
            }
        }
    }
}

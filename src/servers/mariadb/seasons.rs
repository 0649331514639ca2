//! Which seasons, subjects, topics and users exist.

use mysql::{Conn, Row};

use super::retired;
use super::statements::{row, rows};
use crate::error::Result;
use crate::rules::scheduling::Scheduling;
use crate::rules::season::Season;

/// The active season, unless it is archived or being archived. Of several, the one that includes
/// `today` (the site's day, `YYYY-MM-DD`) wins, then the one that began last.
pub fn active(connection: &mut Conn, today: &str) -> Result<Option<Season>> {
    let found = row(
        connection,
        "SELECT * FROM `tabGame Subscription Season` WHERE is_active = 1 \
         AND COALESCE(archive_status, '') = '' \
         ORDER BY (start_date <= ? AND end_date >= ?) DESC, start_date DESC, name DESC LIMIT 1",
        (today, today),
    )?;
    Ok(found.and_then(season_of))
}

/// As [`active`], and the version of the site's retired questions.
pub fn active_and_retired(connection: &mut Conn, today: &str) -> Result<(Option<Season>, u64)> {
    Ok((active(connection, today)?, retired::version(connection)?))
}

/// The season of exactly this name.
pub fn named(connection: &mut Conn, season: &str) -> Result<Option<Season>> {
    let sql = "SELECT * FROM `tabGame Subscription Season` WHERE name = ?";
    let found = row(connection, sql, (season,))?.and_then(season_of);
    Ok(found.filter(|found| found.name == season))
}

/// A season from a row of all columns: another app's DocType may lack the one for ladders.
fn season_of(mut row: Row) -> Option<Season> {
    let name: String = row.take_opt("name")?.ok()?;
    let uses_cache = row.take_opt("enable_redis")?.unwrap_or(false);
    let text: Option<String> =
        row.take_opt("scheduling").and_then(std::result::Result::ok).flatten();
    let scheduling = Scheduling::read(&text.unwrap_or_default()).unwrap_or_else(|error| {
        log::error!("the ladders of {name} cannot be read, so it uses the default ones: {error}");
        Scheduling::default()
    });
    Some(Season { name, uses_cache, scheduling })
}

/// The names of all seasons, including archived ones.
pub fn names(connection: &mut Conn) -> Result<Vec<String>> {
    rows(connection, "SELECT name FROM `tabGame Subscription Season` ORDER BY name", ())
}

/// A User's name as Frappe has it. MariaDB ignores more than case; a name that differs by more than
/// case is another user's.
pub fn user_named(connection: &mut Conn, name: &str) -> Result<Option<String>> {
    let found: Option<String> =
        row(connection, "SELECT name FROM `tabUser` WHERE name = ?", (name,))?;
    Ok(found.filter(|found| found.to_lowercase() == name.to_lowercase()))
}

/// Whether a Game Subject, Game Topic or User of exactly this name exists; MariaDB alone would
/// ignore its case.
pub fn link_exists(connection: &mut Conn, link: Link, name: &str) -> Result<bool> {
    let sql = match link {
        Link::Subject => "SELECT name FROM `tabGame Subject` WHERE name = ?",
        Link::Topic => "SELECT name FROM `tabGame Topic` WHERE name = ?",
        Link::Player => "SELECT name FROM `tabUser` WHERE name = ?",
    };
    let found: Option<String> = row(connection, sql, (name,))?;
    Ok(found.as_deref() == Some(name))
}

/// What a record points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A Game Subject.
    Subject,
    /// A Game Topic.
    Topic,
    /// A User.
    Player,
}

impl Link {
    /// The member of the set of known links in the cache.
    pub fn member(self, name: &str) -> String {
        match self {
            Link::Subject => format!("subject:{name}"),
            Link::Topic => format!("topic:{name}"),
            Link::Player => format!("player:{name}"),
        }
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Link::Subject => "subject",
            Link::Topic => "topic",
            Link::Player => "user",
        })
    }
}

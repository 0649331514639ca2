//! Which seasons, subjects, topics and users exist.

use mysql::Conn;

use super::retired;
use super::statements::{row, rows};
use crate::error::Result;

/// The active season and whether it uses the cache; none that is archived or on its way there. Of
/// several, the one that includes today wins, then the one that began last. `today` is the site's
/// day as `YYYY-MM-DD`.
pub fn active(connection: &mut Conn, today: &str) -> Result<Option<(String, bool)>> {
    row(
        connection,
        "SELECT name, enable_redis FROM `tabGame Subscription Season` WHERE is_active = 1 \
         AND COALESCE(archive_status, '') = '' \
         ORDER BY (start_date <= ? AND end_date >= ?) DESC, start_date DESC, name DESC LIMIT 1",
        (today, today),
    )
}

/// The active season and whether it uses the cache.
type Season = Option<(String, bool)>;

/// As [`active`], and the version of the site's retired questions.
pub fn active_and_retired(connection: &mut Conn, today: &str) -> Result<(Season, u64)> {
    Ok((active(connection, today)?, retired::version(connection)?))
}

/// Whether a season uses the cache; `None`: there is none of exactly this name.
pub fn uses_cache(connection: &mut Conn, season: &str) -> Result<Option<bool>> {
    let sql = "SELECT name, enable_redis FROM `tabGame Subscription Season` WHERE name = ?";
    let found: Option<(String, bool)> = row(connection, sql, (season,))?;
    Ok(found.filter(|(name, _)| name == season).map(|(_, uses_cache)| uses_cache))
}

/// The names of all seasons, the archived too.
pub fn names(connection: &mut Conn) -> Result<Vec<String>> {
    rows(connection, "SELECT name FROM `tabGame Subscription Season` ORDER BY name", ())
}

/// A User's name as Frappe has it. MariaDB ignores case and more; a name that differs by more than
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

//! A Redis URL as redis-py reads it: Frappe gives the same URL to redis-py, so it must mean the
//! same here. Options of redis-py that memora does not support are refused, naming the URL's key in
//! the site's configuration.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

/// Options of redis-py's own behaviour, which are ignored: memora keeps connections alive, tests
/// idle ones, retries on a second one, has its own limits, and uses UTF-8.
const OF_THE_CLIENT: [&str; 14] = [
    "client_name",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "health_check_interval",
    "lib_name",
    "lib_version",
    "max_connections",
    "protocol",
    "retry_on_error",
    "retry_on_timeout",
    "socket_keepalive",
    "socket_read_size",
    "timeout",
];
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 6379;

/// A parsed URL.
#[derive(Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// Where the server is.
    pub place: Place,
    /// The number of the database.
    pub database: i64,
    /// The user; `None`: the default one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// `socket_timeout`: the longest wait for a reply.
    pub reply_timeout: Option<Duration>,
    /// `socket_connect_timeout`: the longest that connecting may take.
    pub connect_timeout: Option<Duration>,
}

/// How to verify a server over TLS: redis-py's options, without their prefix `ssl_`.
#[derive(Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether its certificate is checked.
    pub cert_reqs: bool,
    /// Whether the certificate must name the host.
    pub check_hostname: bool,
    /// A file of CAs, beside those of the system.
    pub ca_certs: Option<PathBuf>,
    /// A folder of such files.
    pub ca_path: Option<PathBuf>,
    /// CAs, as PEM.
    pub ca_data: Option<String>,
    /// A file of the client's certificate.
    pub certfile: Option<PathBuf>,
    /// A file of its key; `None`: it is in the same file.
    pub keyfile: Option<PathBuf>,
}

impl Default for TlsOptions {
    /// As redis-py 4.5, which Frappe 15 has.
    fn default() -> Self {
        TlsOptions {
            cert_reqs: true,
            check_hostname: false,
            ca_certs: None,
            ca_path: None,
            ca_data: None,
            certfile: None,
            keyfile: None,
        }
    }
}

impl TlsOptions {
    /// Reads an option. False: it is none of these.
    fn take(&mut self, name: &str, value: String) -> std::result::Result<bool, String> {
        match name {
            "ssl_cert_reqs" => {
                self.cert_reqs = match value.as_str() {
                    "none" => false,
                    // A TLS client always asks for a certificate.
                    "optional" | "required" => true,
                    _ => return Err("ssl_cert_reqs must be none, optional or required".to_owned()),
                }
            }
            "ssl_check_hostname" => self.check_hostname = is_true(&value),
            "ssl_ca_certs" => self.ca_certs = Some(value.into()),
            "ssl_ca_path" => self.ca_path = Some(value.into()),
            "ssl_ca_data" => self.ca_data = Some(value),
            "ssl_certfile" => self.certfile = Some(value.into()),
            "ssl_keyfile" => self.keyfile = Some(value.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(&self) -> std::result::Result<(), &'static str> {
        if self.check_hostname && !self.cert_reqs {
            return Err("ssl_check_hostname needs ssl_cert_reqs=required");
        }
        if self.keyfile.is_some() && self.certfile.is_none() {
            return Err("ssl_keyfile needs ssl_certfile too");
        }
        Ok(())
    }
}

/// Reads a switch as redis-py does.
fn is_true(text: &str) -> bool {
    !["0", "F", "FALSE", "N", "NO"].contains(&text.to_uppercase().as_str())
}

/// Where a server is.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// TCP.
    Host {
        /// Name or address.
        name: String,
        /// Port.
        port: u16,
        /// `rediss://`: with TLS.
        tls: Option<TlsOptions>,
    },
    /// A Unix socket.
    Socket(PathBuf),
}

impl RedisUrl {
    /// Reads a URL such as `redis://user:password@host:6379/0` or `unix:///path?db=0`.
    ///
    /// # Arguments
    /// `key`: where the URL is in the site's configuration, for messages. They do not show the URL,
    /// which may have a password.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] says what cannot be used.
    pub fn read(key: &str, url: &str) -> Result<RedisUrl> {
        read(url).map_err(|what| Error::InvalidInput(format!("{key} cannot be used: {what}")))
    }
}

fn read(url: &str) -> std::result::Result<RedisUrl, String> {
    let schemes = "it must begin with redis://, rediss:// or unix://";
    let (scheme, rest) = url.split_once("://").ok_or(schemes)?;
    if !matches!(scheme, "redis" | "rediss" | "unix") {
        return Err(schemes.to_owned());
    }
    if rest.contains('#') {
        return Err("a # in it must be written %23".to_owned());
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (user_info, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let mut tls = (scheme == "rediss").then(TlsOptions::default);
    let mut read = RedisUrl {
        place: if scheme == "unix" { socket(place, path)? } else { host(place)? },
        database: 0,
        user: None,
        password: None,
        reply_timeout: None,
        connect_timeout: None,
    };
    let mut database = None;
    for (name, value) in options(query) {
        match name.as_str() {
            "db" => database = Some(number(&value).ok_or("db is not a number")?),
            "username" => read.user = Some(value),
            "password" => read.password = Some(value),
            "socket_timeout" => read.reply_timeout = Some(seconds(&name, &value)?),
            "socket_connect_timeout" => read.connect_timeout = Some(seconds(&name, &value)?),
            name if OF_THE_CLIENT.contains(&name) => {}
            name => {
                if let Some(tls) = &mut tls {
                    if tls.take(name, value)? {
                        continue;
                    }
                } else if name.starts_with("ssl_") {
                    return Err(format!("{name} needs rediss://"));
                }
                return Err(format!(
                    "memora does not know its option {name}. Remove it, or name the server without \
                     it in srs_cache_url or srs_journal_url"
                ));
            }
        }
    }
    if let Some(tls) = &tls {
        tls.check()?;
    }
    if let Place::Host { tls: place, .. } = &mut read.place {
        *place = tls;
    }
    if scheme != "unix" && database.is_none() {
        database = match decoded(path).replace('/', "").as_str() {
            "" => None,
            text => Some(number(text).ok_or("what follows the host is not a database's number")?),
        };
    }
    read.database = database.unwrap_or(0);
    // The URL's own values take precedence.
    let named = |text| Some(decoded(text)).filter(|text| !text.is_empty());
    read.user = named(user).or(read.user);
    read.password = named(password).or(read.password);
    Ok(read)
}

fn socket(place: &str, path: &str) -> std::result::Result<Place, String> {
    if !place.is_empty() {
        return Err("a socket's path must begin with a slash: unix:///path".to_owned());
    }
    match decoded(path) {
        path if path.is_empty() => Err("it names no socket: unix:///path".to_owned()),
        path => Ok(Place::Socket(path.into())),
    }
}

fn host(place: &str) -> std::result::Result<Place, String> {
    let (name, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or("a [ is not closed")?;
            (name, rest.strip_prefix(':').unwrap_or(rest))
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let port = match port {
        "" => DEFAULT_PORT,
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse() {
            Ok(0) => DEFAULT_PORT,
            Ok(port) => port,
            Err(_) => return Err("its port is more than 65535".to_owned()),
        },
        _ => {
            return Err(
                "its port is not a number; in a user or a password, : / ? # [ ] @ and % must \
                        be written as % and two digits, such as %40 for @"
                    .to_owned(),
            );
        }
    };
    let name = match decoded(name).to_lowercase() {
        name if name.is_empty() => DEFAULT_HOST.to_owned(),
        name if matches!(name.as_str(), "0.0.0.0" | "::") => {
            return Err(format!("{name} is an address to listen on, not the address of a server"));
        }
        name => name,
    };
    Ok(Place::Host { name, port, tls: None })
}

/// The options of a query. The first of a repeated one counts. Values are decoded twice, as
/// redis-py does.
fn options(query: &str) -> Vec<(String, String)> {
    let mut options: Vec<(String, String)> = Vec::new();
    let plain = |text: &str| decoded(&text.replace('+', " "));
    for (name, value) in query.split('&').filter_map(|option| option.split_once('=')) {
        let name = plain(name);
        if !value.is_empty() && options.iter().all(|(other, _)| *other != name) {
            options.push((name, decoded(&plain(value))));
        }
    }
    options
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn number(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

fn seconds(name: &str, text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.trim().parse().ok().filter(|seconds| *seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|patience| !patience.is_zero())
        .ok_or_else(|| format!("{name} must be seconds, more than 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_url_has_a_key_and_no_secret() {
        for url in [
            "secret",
            "http://h/secret",
            "redis://user:s#ecret@h",
            "redis://user:/secret@h",
            "redis://:secret@h:port",
            "redis://:secret@h:70000",
            "redis://:secret@h/nonsense",
            "redis://:secret@h?db=secret",
            "redis://:secret@h?socket_timeout=secret",
            "redis://:secret@h?socket_timeout=0",
            "redis://:secret@h?socket_timeout=nan",
            "redis://:secret@h?secret_to_come=1",
            "redis://:secret@[::1",
            "redis://:secret@0.0.0.0",
            "unix://:secret@run/redis.sock",
            "unix://",
        ] {
            let Err(error) = RedisUrl::read("redis_cache", url) else { panic!("{url} is taken") };
            let said = error.to_string().replace("secret_to_come", "");
            assert!(said.starts_with("redis_cache cannot be used: "), "{url}: {said}");
            assert!(!said.contains("ecret"), "{url}: {said}");
        }
    }
}

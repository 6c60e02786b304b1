//! Where a database is: reads `databases.NAME.url`. A password has no place in it, and errors quote nothing of it.

use std::path::{Path, PathBuf};

/// A kind of database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scheme {
    Sqlite,
    Postgres,
    Odbc,
}

impl Scheme {
    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Sqlite => "SQLite",
            Scheme::Postgres => "PostgreSQL",
            Scheme::Odbc => "ODBC",
        }
    }

    pub(super) fn with_article(self) -> &'static str {
        match self {
            Scheme::Sqlite => "an SQLite",
            Scheme::Postgres => "a PostgreSQL",
            Scheme::Odbc => "an ODBC",
        }
    }
}

/// A url that was read, with its text for `config show`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DatabaseUrl {
    text: String,
    target: Target,
}

/// What a url points at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// A database file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(PostgresTarget),
    /// A connection string for the ODBC driver manager.
    Odbc(String),
}

/// A database of a PostgreSQL server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PostgresTarget {
    /// The login, if the url names one.
    pub(crate) user: Option<String>,
    /// The server.
    pub(crate) host: Host,
    /// Its port; of a unix socket, the number in its name.
    pub(crate) port: u16,
    /// The database.
    pub(crate) database: String,
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Host {
    /// A host name or an IP address.
    Tcp(String),
    /// The directory of a unix socket.
    Unix(PathBuf),
}

impl Host {
    /// Whether no network is crossed. A name is not enough, but `localhost` is held to loopback when it is dialled.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Host::Unix(_) => true,
            Host::Tcp(host) => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Host::Tcp(host) => f.write_str(host),
            Host::Unix(dir) => write!(f, "{}", dir.display()),
        }
    }
}

/// The rule that a url breaks, and what to do.
type Broken = (String, String);

/// The port of PostgreSQL.
const PORT: u16 = 5432;

impl DatabaseUrl {
    /// Reads a url.
    ///
    /// # Errors
    /// The rule that it breaks, and help. Nothing of the url is quoted.
    pub(crate) fn parse(text: &str) -> Result<DatabaseUrl, Broken> {
        let target = match text.split_once(':') {
            Some(("sqlite", file)) => sqlite(file).map(Target::Sqlite),
            Some(("postgres" | "postgresql", rest)) => postgres(rest).map(Target::Postgres),
            Some(("odbc", connection)) => odbc(connection).map(Target::Odbc),
            _ => Err((
                "must begin with `sqlite:`, `postgres://` or `odbc:`".into(),
                "for example `sqlite:shop.db` or `postgres://reader@db.internal:5432/shop`".into(),
            )),
        }?;
        Ok(DatabaseUrl { text: text.to_owned(), target })
    }

    /// As it was written; it holds no password.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What it points at.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The kind of database.
    pub(crate) fn scheme(&self) -> Scheme {
        match self.target {
            Target::Sqlite(_) => Scheme::Sqlite,
            Target::Postgres(_) => Scheme::Postgres,
            Target::Odbc(_) => Scheme::Odbc,
        }
    }
}

fn sqlite(file: &str) -> Result<PathBuf, Broken> {
    match !file.is_empty() && !file.contains(['\0', '?', '#']) {
        true => Ok(PathBuf::from(file)),
        false => Err((
            "must name a database file after `sqlite:`, without `?` or `#`".into(),
            "for example `sqlite:shop.db`".into(),
        )),
    }
}

/// SPEC: RFC 3986 as far as PostgreSQL's connection URIs use it, without parameters: each of them has a setting of its own.
fn postgres(rest: &str) -> Result<PostgresTarget, Broken> {
    let shape = || {
        (
            "must have the form `postgres://user@host:port/database`".to_owned(),
            "a unix socket is written with its directory in place of the host: `postgres://user@%2Fvar%2Frun%2Fpostgresql/shop`"
                .to_owned(),
        )
    };
    let rest = rest.strip_prefix("//").ok_or_else(shape)?;
    if rest.contains(['?', '#']) {
        return Err((
            "must have no parameters".into(),
            "`tls`, `ca`, `timeout` and `schemas` are settings of the database; others are decided by Countersign"
                .into(),
        ));
    }
    let (authority, database) = rest.split_once('/').ok_or_else(shape)?;
    let (user, server) = match authority.rsplit_once('@') {
        Some((user, server)) => (Some(user), server),
        None => (None, authority),
    };
    // MUTATE(K1-url): a password may stand in a url, and so in every copy of the configuration
    if user.is_some_and(|user| user.contains(':')) {
        return Err((
            "must not hold a password".into(),
            "configuration files are copied, committed and shown; write `password = \"env:NAME\"` or `\"file:PATH\"` beside the url"
                .into(),
        ));
    }
    let user = user.map(decoded).transpose().map_err(|()| shape())?;
    let database = decoded(database).map_err(|()| shape())?;
    let (host, port) = host_and_port(server).ok_or_else(shape)?;
    Ok(PostgresTarget { user, host, port, database })
}

fn host_and_port(server: &str) -> Option<(Host, u16)> {
    let (host, port) = match server.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, rest))) => {
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("5432"))?)
        }
        Some(None) => return None,
        None => server.split_once(':').unwrap_or((server, "5432")),
    };
    let port = if port == "5432" { PORT } else { port.parse().ok().filter(|port| *port != 0)? };
    let host = decoded(host).ok()?;
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_'));
    match Path::new(&host).is_absolute() {
        true => Some((Host::Unix(PathBuf::from(host)), port)),
        false if is_name => Some((Host::Tcp(host), port)),
        false => None,
    }
}

/// Undoes percent-encoding; nothing empty, and no control characters.
fn decoded(text: &str) -> Result<String, ()> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |b: u8| char::from(b).to_digit(16).ok_or(());
                let byte = digit(*high)? * 16 + digit(*low)?;
                bytes.push(u8::try_from(byte).map_err(drop)?);
                tail
            }
            (b'%', _) => return Err(()),
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    let text = String::from_utf8(bytes).map_err(drop)?;
    if text.is_empty() || text.chars().any(char::is_control) { Err(()) } else { Ok(text) }
}

/// Words in the names of ODBC attributes whose values open doors.
const SECRET_WORDS: [&str; 5] = ["pwd", "passw", "passphrase", "secret", "token"];

/// SPEC: ODBC, SQLDriverConnect: attributes `KEY=value` between semicolons, values that hold one in braces.
fn odbc(connection: &str) -> Result<String, Broken> {
    let attributes = attributes(connection).ok_or_else(|| {
        (
            "must be `odbc:` and attributes `KEY=value` between semicolons".to_owned(),
            "for example `odbc:DSN=Sales;UID=reader`".to_owned(),
        )
    })?;
    let opens = |key: &str| SECRET_WORDS.iter().any(|word| key.to_ascii_lowercase().contains(word));
    // MUTATE(K1-odbc): a password may stand in a connection string, and so in every copy of the configuration
    if attributes.iter().any(|(key, _)| opens(key)) {
        return Err((
            "must not hold a password or another secret".into(),
            "write `password = \"env:NAME\"` or `\"file:PATH\"` beside the url: it is added as `PWD` when Countersign connects".into(),
        ));
    }
    Ok(connection.to_owned())
}

/// What a connection string names, for people: its data source, or else its driver.
pub(crate) fn odbc_name(connection: &str) -> String {
    let attributes = attributes(connection).unwrap_or_default();
    let value = |wanted: &str| {
        attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
    };
    match (value("DSN"), value("DRIVER")) {
        (Some(source), _) => format!("the data source `{source}`"),
        (None, Some(driver)) => format!("the driver `{driver}`"),
        (None, None) => "the ODBC source".to_owned(),
    }
}

/// The attributes of a connection string; none when it is not well formed.
fn attributes(connection: &str) -> Option<Vec<(&str, &str)>> {
    if connection.chars().any(char::is_control) {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = connection.trim_start_matches([';', ' ']);
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('{') {
            Some(braced) => {
                // `}}` within braces is a brace; no driver that is supported needs one, so it is refused.
                let (value, next) = braced.split_once('}')?;
                (value, next.strip_prefix(';').or_else(|| next.is_empty().then_some(""))?)
            }
            None => after.split_once(';').unwrap_or((after, "")),
        };
        let key = key.trim();
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b" _-".contains(&b));
        if !is_key {
            return None;
        }
        found.push((key, value));
        rest = next.trim_start_matches([';', ' ']);
    }
    (!found.is_empty()).then_some(found)
}

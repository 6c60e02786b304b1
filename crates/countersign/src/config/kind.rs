//! The kinds of values that settings have: how each is read, what a person is told is allowed, and its JSON Schema.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use countersign_identity::{
    CertificateMatch, check_claim, check_name,
    oauth::{Algorithm, ClaimPath, is_identifier},
};
use countersign_tools::files::Globs;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::{
    secret::Reference,
    units::{size, size_text, span, span_text},
    url::DatabaseUrl,
};

/// The version of the configuration format.
pub(crate) const FORMAT: u64 = 1;

/// A kind of value.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// The number of the format.
    Version,
    /// An address with a port, or a unix socket.
    Listen,
    /// The address of a web service.
    Identifier,
    /// Several words without spaces, and what they are.
    Words(&'static str),
    /// Names of roles elsewhere, and here.
    Renames,
    /// Where one claim of a token stands.
    ClaimPath,
    /// Where several claims stand.
    ClaimPaths,
    /// Signature algorithms.
    Algorithms,
    /// How a client certificate is recognised.
    Certificate,
    /// Host names for the `Host` header.
    Hosts,
    /// Web origins.
    Origins,
    /// A path, relative to the directory of the file.
    Path,
    /// A whole number.
    Count { min: u64, max: u64 },
    /// A number of bytes.
    Size { min: u64, max: u64 },
    /// A span of time.
    Span { min_ms: u64, max_ms: u64 },
    /// True or false.
    Flag,
    /// One name of a subject, tenant or role.
    Name(&'static str),
    /// The value of a claim.
    Claim,
    /// Several such names.
    Names(&'static str),
    /// Where a database is.
    DatabaseUrl,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// True, false, or an environment variable that says so.
    Switch,
    /// A role of a database.
    Login,
    /// Schemas of a PostgreSQL database.
    Schemas,
    /// Functions of a PostgreSQL database.
    Functions,
    /// Patterns of paths.
    Globs,
    /// Settings of a PostgreSQL database.
    ServerSettings,
    /// A reference to a secret.
    Secret,
    /// One line of text, of at most so many characters.
    Line(usize),
    /// Several such lines.
    Lines(usize),
    /// A text of a form of its own.
    Text(&'static Form),
    /// Several such texts.
    Texts(&'static Form),
}

/// What a text must be like.
pub(crate) struct Form {
    /// What is allowed, to follow "must be".
    pub(super) allowed: &'static str,
    /// Whether a text is.
    pub(super) admits: fn(&str) -> bool,
}

/// A value that was read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Listen(Listen),
    Path(PathBuf),
    Number(u64),
    Span(Duration),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Reference(Reference),
    Url(DatabaseUrl),
}

/// Where the server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    /// An address and port.
    Tcp(SocketAddr),
    /// A unix socket, relative to the directory of the file until it was checked.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Kind {
    /// Reads a value.
    ///
    /// # Errors
    /// The rule that it breaks, and help where there is more to say; the value is not quoted.
    pub(super) fn read(self, value: &DeValue<'_>) -> Result<Value, (String, Option<String>)> {
        let wrong = || (format!("must be {}", self.allowed()), None);
        match (self, value) {
            (Kind::Version, DeValue::Integer(_)) => match number(value) {
                Some(FORMAT) => Ok(Value::Number(FORMAT)),
                _ => Err((
                    format!("must be {FORMAT}"),
                    Some("this program reads version 1 of the format; another version needs another program".into()),
                )),
            },
            (Kind::Listen, DeValue::String(text)) => {
                let socket = text.strip_prefix("unix:").filter(|path| !path.is_empty() && !path.contains('\0'));
                match socket {
                    Some(path) => Ok(Value::Listen(Listen::Unix(path.into()))),
                    None => text.parse().map(|address| Value::Listen(Listen::Tcp(address))).map_err(|_| wrong()),
                }
            }
            (
                Kind::Hosts
                | Kind::Origins
                | Kind::Names(_)
                | Kind::Schemas
                | Kind::Functions
                | Kind::ServerSettings
                | Kind::Words(_)
                | Kind::Renames
                | Kind::ClaimPaths
                | Kind::Algorithms
                | Kind::Lines(_)
                | Kind::Texts(_),
                DeValue::Array(items),
            ) => {
                let texts: Option<Vec<String>> =
                    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
                let texts = texts.ok_or_else(wrong)?;
                if texts.iter().all(|text| self.admits(text)) { Ok(Value::Texts(texts)) } else { Err(wrong()) }
            }
            (Kind::Globs, DeValue::Array(items)) => {
                let texts: Option<Vec<String>> =
                    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
                let texts = texts.ok_or_else(wrong)?;
                match Globs::denying(&texts) {
                    Ok(_) => Ok(Value::Texts(texts)),
                    Err(rule) => Err((format!("must be {}", self.allowed()), Some(rule))),
                }
            }
            (Kind::Path, DeValue::String(text)) if !text.is_empty() && !text.contains('\0') => {
                Ok(Value::Path(PathBuf::from(text.as_ref())))
            }
            (Kind::Count { min, max }, DeValue::Integer(_)) => {
                number(value).filter(|n| (min..=max).contains(n)).map(Value::Number).ok_or_else(wrong)
            }
            (Kind::Size { min, max }, DeValue::String(text)) => {
                size(text).filter(|n| (min..=max).contains(n)).map(Value::Number).ok_or_else(wrong)
            }
            (Kind::Span { min_ms, max_ms }, DeValue::String(text)) => {
                let millis = span(text).filter(|ms| (min_ms..=max_ms).contains(ms)).ok_or_else(wrong)?;
                Ok(Value::Span(Duration::from_millis(millis)))
            }
            (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
            (
                Kind::Name(_)
                | Kind::Claim
                | Kind::OneOf(_)
                | Kind::Login
                | Kind::Line(_)
                | Kind::Identifier
                | Kind::ClaimPath
                | Kind::Certificate
                | Kind::Text(_),
                DeValue::String(text),
            ) if self.admits(text) => Ok(Value::Text(text.to_string())),
            (Kind::DatabaseUrl, DeValue::String(text)) => {
                DatabaseUrl::parse(text).map(Value::Url).map_err(|(rule, help)| (rule, Some(help)))
            }
            (Kind::Switch, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
            (Kind::Switch, DeValue::String(text)) => match Reference::parse(text) {
                Some(Reference::Env(variable)) => Ok(Value::Reference(Reference::Env(variable))),
                _ => Err(wrong()),
            },
            (Kind::Secret, DeValue::String(text)) => Reference::parse(text).map(Value::Reference).ok_or_else(|| {
                (
                    "must be a reference to the secret, not the secret itself: `env:NAME` or `file:PATH`".into(),
                    Some("configuration files are copied, committed and shown; put the secret in the environment or in a file of mode 0600".into()),
                )
            }),
            _ => Err(wrong()),
        }
    }

    /// What is allowed, to follow "must be".
    pub(super) fn allowed(self) -> String {
        match self {
            Kind::Version => format!("{FORMAT}"),
            Kind::Listen => {
                "an address and port such as \"127.0.0.1:8931\" or \"[::1]:8931\", or a socket such as \"unix:run/mcp.sock\"".into()
            }
            Kind::Identifier => {
                "an `https` address without query and fragment, such as \"https://mcp.example.com/mcp\"; on this machine `http` too".into()
            }
            Kind::Words(what) => format!("a list of {what}s, each 1-255 visible characters"),
            Kind::Renames => "a list such as [\"Bank Analysts=analyst\"]: a name elsewhere, and the role that it is here".into(),
            Kind::ClaimPath => "the name of a claim, or a JSON pointer such as \"/realm_access/roles\"".into(),
            Kind::ClaimPaths => "a list of claims, each a name or a JSON pointer".into(),
            Kind::Algorithms => {
                "a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA; shared secrets and `none` are never taken".into()
            }
            Kind::Certificate => "`dns:HOST`, `uri:URI`, or `sha256:` and 64 hexadecimal digits".into(),
            Kind::Hosts => {
                "a list of host names such as [\"countersign.internal\"], in lower case, without scheme or port".into()
            }
            Kind::Origins => "a list of web origins such as [\"https://app.example.com\"]".into(),
            Kind::Path => "a path, as text".into(),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Size { min, max } => {
                format!(
                    "a size such as \"64 KiB\" or \"1 MiB\", from {} to {}",
                    size_text(min),
                    size_text(max)
                )
            }
            Kind::Span { min_ms, max_ms } => {
                format!(
                    "a time such as \"500ms\", \"10s\" or \"5m\", from {} to {}",
                    span_text(min_ms),
                    span_text(max_ms)
                )
            }
            Kind::Flag => "true or false, without quotes".into(),
            Kind::Name(what) => format!("a {what}: 1-64 characters of A-Z, a-z, 0-9, `.`, `_`, `@` or `-`"),
            Kind::Claim => "text of 1-256 characters without control characters".into(),
            Kind::Names(what) => {
                format!("a list of {what}s, each 1-64 characters of A-Z, a-z, 0-9, `.`, `_`, `@` or `-`")
            }
            Kind::DatabaseUrl => "where a database is: `sqlite:FILE`, `postgres://user@host:port/database` or \
                                  `odbc:CONNECTION-STRING`"
                .into(),
            Kind::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Kind::Switch => "true, false, or \"env:NAME\" for an environment variable that says so".into(),
            Kind::Login => "the name of a database role: 1-63 bytes without control characters".into(),
            Kind::Schemas => "a list of schemas such as [\"public\"], as the database spells them".into(),
            Kind::Functions => "a list of functions such as [\"app.tax_rate\"]".into(),
            Kind::Globs => "a list of patterns of paths such as [\"*.pem\", \"private/**\"]".into(),
            Kind::ServerSettings => "a list of settings such as [\"app.region\"]".into(),
            Kind::Secret => "a reference: `env:NAME` or `file:PATH`".into(),
            Kind::Line(most) => format!("one line of text, of at most {most} characters"),
            Kind::Lines(most) => format!("a list of texts, each one line of at most {most} characters"),
            Kind::Text(form) => form.allowed.into(),
            Kind::Texts(form) => format!("a list of {}", form.allowed),
        }
    }

    /// The JSON Schema of the value.
    pub(super) fn schema(self) -> Json {
        match self {
            Kind::Version => json!({"const": FORMAT}),
            Kind::Listen | Kind::Path | Kind::ClaimPath | Kind::Text(_) => {
                json!({"type": "string", "minLength": 1})
            }
            Kind::Identifier => json!({"type": "string", "pattern": "^https?://[^?#@ ]+$"}),
            Kind::Certificate => json!({"type": "string", "pattern": "^(dns|uri|sha256):.+$"}),
            Kind::Renames => json!({"type": "array", "items": {"type": "string", "pattern": "^.+=.+$"}}),
            Kind::Algorithms => {
                json!({"type": "array", "minItems": 1, "items": {"enum": Algorithm::names()}})
            }
            Kind::Hosts | Kind::Origins | Kind::Words(_) | Kind::ClaimPaths | Kind::Texts(_) => {
                json!({"type": "array", "items": {"type": "string", "minLength": 1}})
            }
            Kind::Count { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
            Kind::Size { .. } => json!({"type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)$"}),
            Kind::Span { .. } => json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}),
            Kind::Flag => json!({"type": "boolean"}),
            Kind::Name(_) => json!({"type": "string", "pattern": NAME_PATTERN}),
            Kind::Claim => json!({"type": "string", "minLength": 1, "maxLength": 256}),
            Kind::Names(_) => json!({"type": "array", "items": {"type": "string", "pattern": NAME_PATTERN}}),
            Kind::DatabaseUrl => json!({"type": "string", "pattern": "^(sqlite:|postgres(ql)?://|odbc:).+$"}),
            Kind::OneOf(words) => json!({"enum": words}),
            Kind::Switch => {
                json!({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "^env:[A-Za-z_][A-Za-z0-9_]*$"}]})
            }
            Kind::Login => json!({"type": "string", "minLength": 1, "maxLength": 63}),
            Kind::Schemas => json!({"type": "array", "items": {"type": "string", "pattern": IDENTIFIER}}),
            Kind::Functions | Kind::ServerSettings => {
                json!({"type": "array", "items": {"type": "string", "pattern": FUNCTION}})
            }
            Kind::Globs => {
                json!({"type": "array", "maxItems": 200, "items": {"type": "string", "minLength": 1, "maxLength": 256}})
            }
            Kind::Secret => json!({"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"}),
            Kind::Line(most) => json!({"type": "string", "maxLength": most}),
            Kind::Lines(most) => json!({"type": "array", "items": {"type": "string", "maxLength": most}}),
        }
    }

    /// Whether one text of a list, or a name, is admitted.
    fn admits(self, text: &str) -> bool {
        match self {
            Kind::Name(what) | Kind::Names(what) => check_name(what, text).is_ok(),
            Kind::Claim => check_claim("value", text).is_ok(),
            Kind::OneOf(words) => words.contains(&text),
            Kind::Identifier => is_identifier(text),
            Kind::Words(_) => {
                (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
            }
            Kind::Renames => text
                .rsplit_once('=')
                .is_some_and(|(theirs, ours)| !theirs.is_empty() && check_name("role", ours).is_ok()),
            Kind::ClaimPath | Kind::ClaimPaths => ClaimPath::parse(text).is_ok(),
            Kind::Algorithms => Algorithm::parse(text).is_some(),
            Kind::Certificate => CertificateMatch::parse(text).is_ok(),
            Kind::Login => (1..=63).contains(&text.len()) && !text.chars().any(char::is_control),
            Kind::Line(most) | Kind::Lines(most) => {
                text.chars().count() <= most && !text.chars().any(char::is_control)
            }
            Kind::Schemas => identifier(text),
            Kind::Functions | Kind::ServerSettings => text
                .split_once('.')
                .map_or_else(|| identifier(text), |(s, name)| identifier(s) && identifier(name)),
            Kind::Text(form) | Kind::Texts(form) => (form.admits)(text),
            Kind::Hosts => host(text),
            Kind::Origins => {
                text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).is_some_and(|rest| {
                    host(
                        rest.rsplit_once(':')
                            .map_or(rest, |(host, port)| if port.parse::<u16>().is_ok() { host } else { "" }),
                    )
                })
            }
            _ => false,
        }
    }
}

const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$";

/// An identifier of PostgreSQL, as its catalogue spells it.
const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_$]{0,62}$";
const FUNCTION: &str = "^([A-Za-z_][A-Za-z0-9_$]{0,62}\\.)?[A-Za-z_][A-Za-z0-9_$]{0,62}$";

fn identifier(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    text.len() <= 63
        && text.bytes().next().is_some_and(first)
        && text.bytes().all(|b| first(b) || b.is_ascii_digit() || b == b'$')
}

/// Host names are compared as bytes, so they are written in lower case.
fn host(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    (1..=253).contains(&text.len()) && text.bytes().all(plain)
}

fn number(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

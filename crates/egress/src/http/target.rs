//! A URL as we will use it: linted as text first, since parsers repair what attackers write; then parsed, once, by the one parser whose
//! result is judged, dialled and sent.
//!
//! SPEC: the WHATWG URL standard, in the `url` crate. It turns every spelling of an address (octal, hexadecimal, short, full-width,
//! percent-encoded) into that address, so that the address is judged, not its spelling.

use std::net::IpAddr;

use url::{Host, Url};

/// Why a text is not a URL that may be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlRule {
    /// Longer than [`MAX_CHARS`].
    #[error("a URL has at most {MAX_CHARS} characters")]
    Length,
    /// A control, white-space or invisible character, which parsers drop.
    #[error("a URL holds no white space, control or invisible characters")]
    Character,
    /// A backslash, which some parsers read as a slash.
    #[error("a URL holds no backslash")]
    Backslash,
    /// Not `http://` or `https://`.
    #[error("a URL starts with `https://` or `http://`")]
    Scheme,
    /// No host.
    #[error("a URL names a host after `://`")]
    Authority,
    /// A user name or password.
    #[error("a URL holds no user name or password")]
    Userinfo,
    /// The host is neither a name nor an address.
    #[error("the URL's host is neither a name nor an address")]
    Host,
    /// The port is none.
    #[error("the URL's port is a number from 1 to 65535")]
    Port,
    /// Anything else that the parser refuses.
    #[error("the text is not a URL")]
    Syntax,
}

/// Longest URL, in characters.
pub const MAX_CHARS: usize = 4096;

/// A URL that may be judged: absolute, `http` or `https`, with a host and a port, without credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    url: Url,
    host: String,
    address: Option<IpAddr>,
    port: u16,
    tls: bool,
}

impl Target {
    /// Lints and parses a text.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Target, UrlRule> {
        lint(text)?;
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost => UrlRule::Authority,
            url::ParseError::InvalidPort => UrlRule::Port,
            url::ParseError::IdnaError
            | url::ParseError::InvalidIpv4Address
            | url::ParseError::InvalidIpv6Address
            | url::ParseError::InvalidDomainCharacter => UrlRule::Host,
            _ => UrlRule::Syntax,
        })?;
        Target::of(url)
    }

    /// Where a `Location` leads from here. It is linted as a whole URL is: a relative one after it was joined, too.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn join(&self, location: &str) -> Result<Target, UrlRule> {
        lint_characters(location)?;
        // `https:host` is a path beside this page to one parser, and a host to another.
        // MUTATE(F2-location): a location without `//` is read as this parser does
        if scheme(location).is_some_and(|rest| !rest.starts_with("//")) {
            return Err(UrlRule::Scheme);
        }
        let joined = self.url.join(location).map_err(|_| UrlRule::Syntax)?;
        lint(joined.as_str())?;
        Target::of(joined)
    }

    fn of(mut url: Url) -> Result<Target, UrlRule> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(UrlRule::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRule::Userinfo);
        }
        let address = match url.host().ok_or(UrlRule::Authority)? {
            Host::Ipv4(v4) => Some(IpAddr::V4(v4)),
            // A mapped address is its IPv4 address: in lists, in policies and on the wire.
            Host::Ipv6(v6) => Some(v6.to_canonical()),
            Host::Domain(_) => None,
        };
        let host = match address {
            Some(address) => address.to_string(),
            None => absolute(url.host_str().unwrap_or_default())?,
        };
        // INVARIANT: the host that is judged is the host that is sent.
        match address {
            Some(address) => url.set_ip_host(address).map_err(|()| UrlRule::Host)?,
            None => url.set_host(Some(&host)).map_err(|_| UrlRule::Host)?,
        }
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(UrlRule::Port)?;
        url.set_fragment(None);
        Ok(Target { url, host, address, port, tls })
    }

    /// The canonical URL, without its fragment.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The name in ASCII and lower case without a final dot, or the address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, if the URL names one instead of a host.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The port, also where the URL leaves it out.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is `https`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether scheme, host and port are the same (RFC 6454).
    pub fn same_origin(&self, other: &Target) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// What the request line asks for.
    pub(crate) fn path(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// The value of `Host`: with the port only where it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        authority(&self.host, self.url.port())
    }
}

/// A host, with brackets around an IPv6 address, and a port.
pub(crate) fn authority(host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// What follows the scheme (RFC 3986 §3.1) and its colon, if the text begins with one.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let mark = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(mark)).then_some(rest)
}

/// INVARIANT: nothing that a parser drops, repairs or reads in two ways gets as far as the parser.
fn lint(text: &str) -> Result<(), UrlRule> {
    lint_characters(text)?;
    let (scheme, rest) = text.split_once("://").ok_or(UrlRule::Scheme)?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err(UrlRule::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlRule::Userinfo);
    }
    match authority.is_empty() || authority.starts_with(':') {
        true => Err(UrlRule::Authority),
        false => Ok(()),
    }
}

fn lint_characters(text: &str) -> Result<(), UrlRule> {
    if text.chars().nth(MAX_CHARS).is_some() {
        return Err(UrlRule::Length);
    }
    // MUTATE(F1-lint): characters that parsers drop are left to the parser
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || is_invisible(c)) {
        return Err(UrlRule::Character);
    }
    match text.contains('\\') {
        true => Err(UrlRule::Backslash),
        false => Ok(()),
    }
}

/// Characters that show nothing and that IDNA drops: soft hyphen, joiners and marks of direction, variation selectors, tags.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}')
}

/// A name without its final dot; every label has 1 to 63 characters, and all of it at most 253 (RFC 1035 §2.3.4). URLs allow marks such as `$`, `,`
/// and `;` in a name; no host has them (RFC 1123 §2.1; `_` is in use), and those who read a log or a list of hosts take them for something else.
fn absolute(name: &str) -> Result<String, UrlRule> {
    let name = name.strip_suffix('.').unwrap_or(name);
    // MUTATE(F1-marks): a name holds whatever a URL's host may
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let fits = name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()));
    match plain && fits {
        true => Ok(name.to_owned()),
        false => Err(UrlRule::Host),
    }
}

#[cfg(test)]
mod tests;

//! Hosts as operators list them: `api.example.com`, `*.example.com`, `10.0.0.7`, each with `:port` where it is not 80 or 443.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{
    names::is_below,
    target::{Target, authority},
};

/// Ports of a host that is listed without one.
pub const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// One entry of a list of hosts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HostPattern {
    /// A name (without `*.`) or an address.
    host: String,
    /// Whether it stands for every name below `host`, and not for `host` itself.
    below: bool,
    port: Option<u16>,
}

/// Why a text is no entry of a list of hosts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a host: write a name such as `api.example.com`, `*.example.com` for all names below it, or an address, with `:port` where it is not 80 or 443"
)]
pub struct HostError(String);

impl HostPattern {
    /// Exactly this host and port.
    pub fn exact(host: &str, port: u16) -> HostPattern {
        HostPattern { host: host.to_owned(), below: false, port: Some(port) }
    }

    /// Whether a host and port are meant.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        self.matches_host(host) && self.port.map_or(DEFAULT_PORTS.contains(&port), |own| own == port)
    }

    /// Whether a host is meant, whatever the port.
    pub fn matches_host(&self, host: &str) -> bool {
        match self.below {
            true => host != self.host && host.parse::<IpAddr>().is_err() && is_below(host, &self.host),
            false => host == self.host,
        }
    }

    /// Whether it names one host, instead of all below one.
    pub fn is_exact(&self) -> bool {
        !self.below
    }

    /// Whether it names one host and its port.
    pub fn names(&self, host: &str, port: u16) -> bool {
        !self.below && self.host == host && self.port == Some(port)
    }

    /// The name or address; for all names below one, that one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one is given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it means every host that another pattern means, ports aside.
    pub fn covers(&self, other: &HostPattern) -> bool {
        match (self.below, other.below) {
            (false, false) => self.host == other.host,
            (true, false) => self.matches_host(&other.host),
            (true, true) => is_below(&other.host, &self.host),
            (false, true) => false,
        }
    }

    /// The pattern without its port.
    #[must_use]
    pub fn any_port(&self) -> HostPattern {
        HostPattern { port: None, ..self.clone() }
    }

    /// The host's address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<HostPattern, HostError> {
        let refused = || HostError(text.to_owned());
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if rest.contains(['*', '/', '?', '#', '%']) {
            return Err(refused());
        }
        let is_bare_v6 = rest.parse::<std::net::Ipv6Addr>().is_ok();
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !is_bare_v6 && !rest.ends_with(']') => {
                let digits = port.bytes().all(|b| b.is_ascii_digit());
                let port: u16 = port.parse().ok().filter(|_| digits).ok_or_else(refused)?;
                (host, Some(port).filter(|port| *port != 0).ok_or_else(refused).map(Some)?)
            }
            _ => (rest, None),
        };
        // Of `host:80:81`, the parser would drop one port unseen.
        if !is_bare_v6 && host.rsplit_once(']').map_or(host, |(_, after)| after).contains(':') {
            return Err(refused());
        }
        let host = if is_bare_v6 { format!("[{host}]") } else { host.to_owned() };
        // What stands in a list is read as what stands in a URL.
        let target = Target::parse(&format!("https://{host}/")).map_err(|_| refused())?;
        match below && target.address().is_some() {
            true => Err(refused()),
            false => Ok(HostPattern { host: target.host().to_owned(), below, port }),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.below { "*." } else { "" };
        write!(f, "{star}{}", authority(&self.host, self.port))
    }
}

#[cfg(test)]
mod tests;

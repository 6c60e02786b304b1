//! Why there is no answer. The message is for whoever asked; it names the rule and never what the network or the server said.

use std::{net::IpAddr, time::Duration};

use super::target::UrlRule;
use crate::{address::AddressClass, dial::DialError, tls::TlsError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL breaks a rule.
    #[error("{0}")]
    Url(UrlRule),
    /// The host and port are not on the operator's list.
    #[error("`{host}` at port {port} is not on the list of hosts")]
    Host {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A redirect leads to a host that this request may not reach.
    #[error("the answer leads to `{host}` at port {port}, which this request may not reach")]
    OtherHost {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The name leads inside.
    #[error("`{0}` is a name of this machine, of a private network or of a platform")]
    Name(String),
    /// An address may not be dialled; the whole host is refused then.
    #[error("the address {address} may not be reached: it is {class}")]
    Address {
        /// The address.
        address: IpAddr,
        /// What it is.
        class: AddressClass,
    },
    /// A port of an orchestrator on a private network, not named with its host.
    #[error("port {0} of a private network is probably an orchestrator's: it must be listed with its host")]
    PlatformPort(u16),
    /// `http`, where only `https` is allowed.
    #[error("only https is allowed here")]
    Cleartext,
    /// A redirect from `https` to `http`.
    #[error("the answer leads from https to http")]
    Downgrade,
    /// A redirect that leads nowhere.
    #[error("the answer leads to what is no URL to fetch: {0}")]
    Location(UrlRule),
    /// More redirects than allowed.
    #[error("more than {0} redirects")]
    Redirects(u8),
    /// A redirect of a request that is not followed.
    #[error("the server redirects a request that must not be sent elsewhere")]
    Redirected,
    /// A header that belongs to the client.
    #[error("the header `{0}` is the client's own")]
    Header(String),
    /// The name has no address.
    #[error("the host's name cannot be resolved")]
    Resolve(#[source] std::io::Error),
    /// Nobody answers there, or another than was dialled.
    #[error("the host cannot be reached")]
    Connect(#[source] DialError),
    /// The proxy refuses or does not answer.
    #[error("the egress proxy refuses the connection")]
    Proxy,
    /// The proxy wants to know who we are, and was not told, or not by the right name and password.
    #[error("the egress proxy refuses this server's name and password")]
    ProxyLogin,
    /// The server did not prove its name.
    #[error("the server does not prove its name by TLS")]
    Tls(#[source] TlsError),
    /// A limit of time.
    #[error("{what} took longer than {limit:?}")]
    Time {
        /// What took too long.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The body comes too slowly.
    #[error("the answer comes more slowly than {0} bytes a second")]
    Slow(u32),
    /// The body is larger than allowed.
    #[error("the answer has more than {0} bytes")]
    Large(u64),
    /// The body is encoded: its size would be known only after decoding.
    #[error("the answer is compressed, though that was not asked for")]
    Encoded,
    /// The content type is not allowed.
    #[error("the answer's content type `{0}` is not allowed")]
    Type(String),
    /// What came is no HTTP, or more of it than allowed.
    #[error("the server's answer is not HTTP within the limits")]
    Protocol(#[source] hyper::Error),
    /// A request that may take effect was sent, in whole or in part, and nothing came back.
    #[error("the request was sent and not answered ({0}): whether it took effect is not known")]
    Unanswered(#[source] Box<FetchError>),
    /// A request that may take effect was answered, and the answer cannot be read.
    #[error("the server answered with status {status}, and the rest cannot be read: {cause}")]
    Unread {
        /// The status.
        status: u16,
        /// Why.
        #[source]
        cause: Box<FetchError>,
    },
}

impl FetchError {
    /// A stable word for records and programs.
    pub fn code(&self) -> &'static str {
        match self {
            FetchError::Url(_) | FetchError::Location(_) => "url",
            FetchError::Host { .. } | FetchError::OtherHost { .. } => "host",
            FetchError::Name(_) => "name",
            FetchError::Address { .. } | FetchError::PlatformPort(_) => "address",
            FetchError::Cleartext | FetchError::Downgrade => "cleartext",
            FetchError::Redirects(_) | FetchError::Redirected => "redirect",
            FetchError::Header(_) => "header",
            FetchError::Resolve(_) => "resolve",
            FetchError::Connect(_) => "connect",
            FetchError::Proxy | FetchError::ProxyLogin => "proxy",
            FetchError::Tls(_) => "tls",
            FetchError::Time { .. } | FetchError::Slow(_) => "time",
            FetchError::Large(_) => "size",
            FetchError::Encoded => "encoding",
            FetchError::Type(_) => "type",
            FetchError::Protocol(_) => "protocol",
            FetchError::Unanswered(cause) | FetchError::Unread { cause, .. } => cause.code(),
        }
    }

    /// Whether a rule of ours refused it, rather than the network or the server failing.
    pub fn is_refusal(&self) -> bool {
        !matches!(self.code(), "resolve" | "connect" | "proxy" | "tls" | "time" | "protocol")
    }
}

impl From<DialError> for FetchError {
    fn from(error: DialError) -> FetchError {
        match error {
            DialError::Forbidden { address, class } => FetchError::Address { address, class },
            DialError::Resolve(cause) => FetchError::Resolve(cause),
            other => FetchError::Connect(other),
        }
    }
}

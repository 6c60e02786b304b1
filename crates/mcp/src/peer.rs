//! Who is at the other end of a connection, as far as the connection itself proves it, and what a request shows beside.

use std::{fmt, net::IpAddr, sync::Arc};

/// Where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// An address of a network.
    Address(IpAddr),
    /// A process of this machine, on a unix socket: the user id that the kernel vouches for.
    User(u32),
}

/// The other end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Where it comes from.
    pub source: Source,
    /// Its certificate (DER), if it showed one. TLS has verified that it was signed by the configured authority.
    pub certificate: Option<Arc<[u8]>>,
}

/// What a request shows of its sender.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'r> {
    /// The value of the one `Authorization` header; empty when there is none.
    pub authorization: &'r [u8],
    /// The value of the one `DPoP` header.
    pub proof: Option<&'r str>,
    /// The method of the request.
    pub method: &'r str,
    /// The connection.
    pub peer: &'r Peer,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Peer {
        Peer { source: Source::Address(address), certificate: None }
    }
}

/// As it stands in records.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Address(address) => write!(f, "{address}"),
            Source::User(uid) => write!(f, "unix:{uid}"),
        }
    }
}

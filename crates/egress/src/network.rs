//! Networks as operators write them: an address and a prefix length, with no bit set beyond it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An IPv4 or IPv6 network; an address alone is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    first: IpAddr,
    length: u32,
}

/// Why a text is no network.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a network: write an address and a prefix length such as `10.1.0.0/16`, with no bit set beyond the prefix"
)]
pub struct NetworkError(String);

impl Network {
    /// Whether an address lies in it. An IPv4-mapped address is its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                same(u32::from(first).into(), u32::from(address).into(), 32 - self.length)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => same(first.into(), address.into(), 128 - self.length),
            _ => false,
        }
    }

    /// Whether it is one address.
    pub fn is_single(&self) -> bool {
        self.length == bits(self.first)
    }
}

/// Whether two addresses agree but for their last bits.
fn same(a: u128, b: u128, but: u32) -> bool {
    (a ^ b).checked_shr(but).unwrap_or(0) == 0
}

fn bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let refused = || NetworkError(text.to_owned());
        let (first, length) = match text.split_once('/') {
            Some((first, length)) => (first, Some(length)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().map_err(|_| refused())?;
        let length = match length {
            Some(length) => length.parse().map_err(|_| refused())?,
            None => bits(first),
        };
        let beyond = match first {
            IpAddr::V4(first) => u32::from(first).checked_shl(length).unwrap_or(0) != 0,
            IpAddr::V6(first) => u128::from(first).checked_shl(length).unwrap_or(0) != 0,
        };
        // A mapped network would be compared with IPv4 addresses that never match it.
        let mapped = first.to_canonical() != first;
        match length > bits(first) || beyond || mapped {
            true => Err(refused()),
            false => Ok(Network { first, length }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_single() {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}/{}", self.first, self.length),
        }
    }
}

/// A prefix under which a translator reaches IPv4 (RFC 6052 §2.2); only the form with 96 bits, whose last 32 bits are the IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nat64(Ipv6Addr);

impl Nat64 {
    /// The IPv4 address that an address below this prefix stands for.
    pub fn inner(&self, address: IpAddr) -> Option<Ipv4Addr> {
        let IpAddr::V6(address) = address else { return None };
        let address = u128::from(address);
        let low = u32::try_from(address & u128::from(u32::MAX)).ok()?;
        same(self.0.into(), address, 32).then(|| Ipv4Addr::from(low))
    }
}

impl FromStr for Nat64 {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Nat64, NetworkError> {
        match text.parse::<Network>()? {
            Network { first: IpAddr::V6(first), length: 96 } => Ok(Nat64(first)),
            _ => Err(NetworkError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;

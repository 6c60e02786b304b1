//! What an address is, by tables of our own: the standard library's answers are unstable or incomplete.
//!
//! SPEC: RFC 6890 and the IANA special-purpose address registries it founds, read 2026-11; and the addresses at which clouds serve the
//! credentials of their machines. For IPv6 only global unicast (2000::/3) can be public, and transition forms are never public: an
//! address inside an address would be judged by nobody.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

use crate::network::{Nat64, Network};

/// What an address is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressClass {
    /// Reachable by the world.
    Public,
    /// An organisation's own network: RFC 1918, RFC 6598 (shared), RFC 4193 (unique local).
    Private,
    /// This machine.
    Loopback,
    /// The link alone: RFC 3927, RFC 4291 §2.5.6.
    LinkLocal,
    /// Where a cloud serves credentials or configuration to its machines.
    Metadata,
    /// Many machines at once.
    Multicast,
    /// No address: 0.0.0.0/8, ::.
    Unspecified,
    /// Reserved, for documentation, or an IPv4 address in an IPv6 disguise other than RFC 4291 §2.5.5.2.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressClass::Public => "public",
            AddressClass::Private => "private",
            AddressClass::Loopback => "loopback",
            AddressClass::LinkLocal => "link-local",
            AddressClass::Metadata => "a service of the cloud or the platform",
            AddressClass::Multicast => "multicast",
            AddressClass::Unspecified => "unspecified",
            AddressClass::Reserved => "reserved",
        })
    }
}

impl AddressClass {
    /// Classifies an address. An IPv4-mapped one is what its IPv4 address is, for that is where a connection goes.
    pub fn of(address: IpAddr) -> AddressClass {
        match address {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| of_v6(v6), of_v4),
        }
    }
}

/// Which addresses may be dialled. Multicast, unspecified and reserved ones never are; link-local and metadata ones only where the operator
/// lists that one address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressPolicy {
    private: bool,
    loopback: bool,
    networks: Vec<Network>,
    nat64: Vec<Nat64>,
    platform: Vec<IpAddr>,
}

impl AddressPolicy {
    /// For hosts that the operator names in configuration: public, private and loopback addresses.
    pub fn operator_named() -> AddressPolicy {
        AddressPolicy { private: true, loopback: true, ..AddressPolicy::public_only() }
    }

    /// For hosts that anybody else names: public addresses alone, and none of this machine's own.
    pub fn public_only() -> AddressPolicy {
        AddressPolicy {
            private: false,
            loopback: false,
            networks: Vec::new(),
            nat64: Vec::new(),
            platform: Vec::new(),
        }
    }

    /// Adds networks of the operator's own. A network permits the private addresses in it; what serves machines rather than people (loopback,
    /// link-local, metadata, the platform's addresses) takes a network of that one address.
    #[must_use]
    pub fn with_networks(mut self, networks: impl IntoIterator<Item = Network>) -> AddressPolicy {
        self.networks.extend(networks);
        self
    }

    /// Adds prefixes under which a translator (RFC 6052) reaches IPv4: an address below one is judged as the IPv4 address in it.
    #[must_use]
    pub fn with_nat64(mut self, prefixes: impl IntoIterator<Item = Nat64>) -> AddressPolicy {
        self.nat64.extend(prefixes);
        self
    }

    /// Adds addresses of the platform that this process runs on, such as an orchestrator's API: they are [`AddressClass::Metadata`].
    #[must_use]
    pub fn with_platform(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> AddressPolicy {
        self.platform.extend(addresses.into_iter().map(|address| address.to_canonical()));
        self
    }

    /// Whether an address of this class may be dialled, by its class alone.
    pub fn permits(&self, class: AddressClass) -> bool {
        match class {
            AddressClass::Public => true,
            AddressClass::Private => self.private,
            AddressClass::Loopback => self.loopback,
            AddressClass::LinkLocal
            | AddressClass::Metadata
            | AddressClass::Multicast
            | AddressClass::Unspecified
            | AddressClass::Reserved => false,
        }
    }

    /// Judges an address before it is dialled.
    ///
    /// # Errors
    /// What the address is, if it may not be dialled.
    pub fn judge(&self, address: IpAddr) -> Result<AddressClass, AddressClass> {
        let inner = self.nat64.iter().find_map(|prefix| prefix.inner(address));
        let inner = inner.map_or_else(|| address.to_canonical(), IpAddr::V4);
        let class = match AddressClass::of(inner) {
            AddressClass::Public | AddressClass::Private if self.platform.contains(&inner) => {
                AddressClass::Metadata
            }
            // MUTATE(F1-own): this machine's own addresses are like any other
            AddressClass::Public | AddressClass::Private if !self.loopback && is_own(inner) => {
                AddressClass::Loopback
            }
            class => class,
        };
        let listed = self.networks.iter().filter(|network| network.contains(inner));
        let named = match class {
            AddressClass::Public | AddressClass::Private => listed.count() > 0,
            // MUTATE(F3-single): a network that the operator lists covers the metadata services in it
            AddressClass::Loopback | AddressClass::LinkLocal | AddressClass::Metadata => {
                listed.filter(|n| n.is_single()).count() > 0
            }
            AddressClass::Multicast | AddressClass::Unspecified | AddressClass::Reserved => false,
        };
        match named || self.permits(class) {
            true => Ok(class),
            false => Err(class),
        }
    }
}

/// Whether packets to this address never leave the machine: the kernel would send them from that same address. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    };
    // Without a route there is no connection either.
    source().is_ok_and(|source| source.ip() == address)
}

/// Any port would do: RFC 863's.
const DISCARD: u16 = 9;

/// First match counts.
const V4: &[(Ipv4Addr, u32, AddressClass)] = &[
    (Ipv4Addr::new(169, 254, 0, 0), 16, AddressClass::LinkLocal),
    (Ipv4Addr::new(168, 63, 129, 16), 32, AddressClass::Metadata),
    (Ipv4Addr::new(100, 100, 100, 200), 32, AddressClass::Metadata),
    (Ipv4Addr::new(192, 0, 0, 192), 32, AddressClass::Metadata),
    (Ipv4Addr::new(0, 0, 0, 0), 8, AddressClass::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, AddressClass::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, AddressClass::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, AddressClass::Loopback),
    (Ipv4Addr::new(172, 16, 0, 0), 12, AddressClass::Private),
    (Ipv4Addr::new(192, 168, 0, 0), 16, AddressClass::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 31, 196, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 52, 193, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 175, 48, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(198, 18, 0, 0), 15, AddressClass::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, AddressClass::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, AddressClass::Reserved),
];

/// First match counts; what matches none is reserved.
const V6: &[(Ipv6Addr, u32, AddressClass)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, AddressClass::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, AddressClass::Loopback),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32, AddressClass::Metadata),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0), 32, AddressClass::Metadata),
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, AddressClass::Metadata),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128, AddressClass::Metadata),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, AddressClass::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, AddressClass::LinkLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, AddressClass::Multicast),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, AddressClass::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, AddressClass::Reserved),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, AddressClass::Reserved),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, AddressClass::Reserved),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, AddressClass::Reserved),
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, AddressClass::Public),
];

fn of_v4(address: Ipv4Addr) -> AddressClass {
    let bits = u32::from(address);
    let of = |&&(prefix, length, _): &&(Ipv4Addr, u32, AddressClass)| {
        (bits ^ u32::from(prefix)).checked_shr(32 - length).unwrap_or(0) == 0
    };
    V4.iter().find(of).map_or(AddressClass::Public, |(_, _, class)| *class)
}

fn of_v6(address: Ipv6Addr) -> AddressClass {
    let bits = u128::from(address);
    let of = |&&(prefix, length, _): &&(Ipv6Addr, u32, AddressClass)| {
        (bits ^ u128::from(prefix)).checked_shr(128 - length).unwrap_or(0) == 0
    };
    let class = V6.iter().find(of).map_or(AddressClass::Reserved, |(_, _, class)| *class);
    match class {
        // SPEC: RFC 5214 §6.1: an interface identifier that embeds an IPv4 address.
        AddressClass::Public if matches!((bits >> 32) as u32 & 0xfcff_ffff, 0x0000_5efe) => {
            AddressClass::Reserved
        }
        class => class,
    }
}

#[cfg(test)]
mod tests;

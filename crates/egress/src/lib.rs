//! The one door to the network, standalone: a host is resolved once, every address it has must be allowed, and exactly a judged address is
//! dialled. What judges and what dials see the same answer, so a name that changes its mind between the two gains nothing.
//!
//! [`dial`] yields a plain stream; [`Tls`] makes it a verified one. There is no way to skip the verification. [`http`] builds a client
//! on both.
#![forbid(unsafe_code)]

mod address;
mod dial;
pub mod http;
mod network;
mod resolve;
mod tls;

pub use address::{AddressClass, AddressPolicy};
pub use dial::{DialError, Dialed, Endpoint, Stream, dial, dial_resolved};
pub use network::{Nat64, Network, NetworkError};
pub use resolve::{Resolver, Resolving, SystemResolver};
pub use tls::{Roots, Tls, TlsError, TlsStream};

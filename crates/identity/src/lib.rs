//! Who is calling: API keys for HTTP, the operating-system user for stdio, and nobody under `danger`.
//!
//! Every door of Countersign gets its principal here, before it reads a request:
//! - [`KeyRing`] turns the key of an `Authorization` header into a principal (one hash, one look-up).
//! - [`KeyStore`] mints, renews, revokes and lists the keys that the ring accepts.
//! - [`LocalUser`] is the operator of a stdio process, checked against the process's user id.
//! - [`danger`] makes the anonymous principal, for conformance runs.
#![forbid(unsafe_code)]

mod bearer;
pub mod danger;
mod failure;
mod key;
mod keyfile;
mod keyring;
mod keystore;
mod local;
mod names;
mod time;

pub use bearer::bearer_token;
pub use failure::AuthFailure;
pub use key::{ApiKey, Malformed};
pub use keyfile::{KeyFileError, KeyKind, KeyRecord};
pub use keyring::{KeyRing, MAX_STALENESS};
pub use keystore::{DEFAULT_LIFETIME, DEFAULT_OVERLAP, KeyStore, Minted, NewKey};
pub use local::{LocalRefused, LocalUser, process_uid};
pub use names::{ClaimError, NameError, check_claim, check_name};
pub use time::Timestamp;

/// The issuer of every principal that an API key names.
pub const KEY_ISSUER: &str = "keys";
/// The issuer of the operator behind a stdio process.
pub const LOCAL_ISSUER: &str = "local";

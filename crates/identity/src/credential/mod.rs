//! Short-lived credentials of this server's own: what an operator hands to one agent, for one task, for a few minutes.
//!
//! A credential is a JWT signed with Ed25519. It names its holder, tenant and roles, always some scopes, and may name the only tools and the
//! one run that it is good for. [`CredentialStore`] issues, narrows and lists credentials and keeps the keys that sign them;
//! [`CredentialRing`] is what a running server believes. What is revoked is the business of the state, by the credential's id.
//!
//! SPEC: the profile is that of RFC 9068 with a type of its own, `cs+jwt`, so that neither can be taken for the other: `iss` and `aud` are the
//! server's own address, and what the credential grants stands in `tenant`, `kind`, `roles`, `scope`, `tools`, `run` and `owner`.

mod grant;
mod keys;
mod ring;
mod store;
#[cfg(test)]
mod tests;
mod token;

use std::time::Duration;

pub use grant::{Grant, GrantError, Narrowing};
pub use ring::CredentialRing;
pub use store::{CredentialStore, Issued, IssuedRecord, StoreError};

/// The issuer of every principal that a credential of this server names.
pub const CREDENTIAL_ISSUER: &str = "credentials";
/// The longest life of a credential that a configuration can allow.
pub const MAX_CREDENTIAL_LIFETIME: Duration = Duration::from_secs(3600);

/// What all credentials of one server have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialProfile {
    /// The server's own address: who issues its credentials, and whom they are for.
    pub address: String,
    /// The longest life of one.
    pub max_ttl: Duration,
}

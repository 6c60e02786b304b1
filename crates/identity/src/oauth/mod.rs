//! OAuth 2.1, resource server: access tokens of the operator's authorization servers.
//!
//! [`ResourceServer`] checks tokens (RFC 9068, RFC 8725), their binding to a key (RFC 9449) or to a client certificate (RFC 8705), and
//! maps their claims to tenant and roles, as far as [`IssuerConfig`] lets the issuer grant them. Tokens that cannot be read here, their
//! issuer is asked about (RFC 7662). [`Metadata`] is what clients read to
//! find the authorization server (RFC 9728).
//!
//! Signatures are verified by `aws-lc-rs`, the provider of TLS, and by no other code. The rest of a token is read by the strict JSON
//! parser that reads messages, since two readings of one token are how tokens get forged; a general JWT library would keep the second
//! of two `aud` members, and knows shared secrets, which here cannot be expressed.

mod algorithm;
mod claims;
mod discovery;
mod dpop;
mod endpoint;
mod fetch;
mod introspection;
mod issuer;
mod jwk;
mod jws;
mod keys;
mod metadata;
mod refused;
mod server;
mod source;
mod survey;
#[cfg(test)]
mod tests;
mod verified;

pub use algorithm::Algorithm;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
pub use claims::{ClaimPath, NotAClaim};
pub use dpop::SharedProofs;
pub use endpoint::IntrospectionClient;
pub use fetch::Fetcher;
pub use introspection::{IntrospectionEndpoint, MAX_ANSWER};
pub use issuer::{IssuerConfig, IssuerSetup, TenantRule};
pub use keys::Timing;
pub use metadata::{Metadata, WELL_KNOWN, is_identifier};
pub use refused::TokenRefused;
pub use server::{ResourceServer, Scheme, Shown, Witness};
pub use source::{FetchFailed, KeySource, NamedBy};
pub use survey::{Skew, Survey, survey};

pub(crate) use claims::Claims;
pub(crate) use jwk::{PublicKey, sha256};
pub(crate) use jws::Jws;
pub(crate) use verified::Remembered;

/// A SHA-256 in base64url, as `cnf` holds it.
fn hash_of(text: &str) -> Option<[u8; 32]> {
    BASE64URL.decode(text).ok()?.try_into().ok()
}

/// SHA-256 of a client certificate, as a bound token names it.
pub fn certificate_hash(der: &[u8]) -> [u8; 32] {
    sha256(der)
}

//! Who is calling: access tokens, client certificates and API keys for HTTP, the operating-system user for stdio and unix sockets, and
//! nobody under `danger`.
//!
//! Every door of Countersign gets its principal here, before it reads a request:
//! - [`oauth`] turns an access token of the operator's authorization server into a principal (RFC 9068, 9449, 8705, 9728).
//! - [`Certificates`] says whose client certificate the connection has shown; [`ServerTls`] is what had it verified.
//! - [`KeyRing`] turns the key of an `Authorization` header into a principal (one hash, one look-up).
//! - [`KeyStore`] mints, renews, revokes and lists the keys that the ring accepts.
//! - [`CredentialRing`] does the same for this server's own short-lived credentials, and [`CredentialStore`] issues and narrows them.
//! - [`PeerUsers`] are the users of this machine on a unix socket.
//! - [`LocalUser`] is the operator of a stdio process, checked against the process's user id.
//! - [`danger`] makes the anonymous principal, for conformance runs.
#![forbid(unsafe_code)]

mod bearer;
mod certificate;
mod credential;
pub mod danger;
mod failure;
mod key;
mod keyfile;
mod keyring;
mod keystore;
mod local;
mod names;
pub mod oauth;
mod peers;
mod time;
mod tls;

pub use bearer::read_authorization;
pub use certificate::{CertificateMatch, CertificateRule, Certificates, NotAMatch};
pub use credential::{
    CREDENTIAL_ISSUER, CredentialProfile, CredentialRing, CredentialStore, Grant, GrantError, Issued,
    IssuedRecord, MAX_CREDENTIAL_LIFETIME, Narrowing, StoreError,
};
pub use failure::AuthFailure;
pub use key::{ApiKey, Malformed};
pub use keyfile::{KeyFileError, KeyKind, KeyRecord};
pub use keyring::{KeyRing, MAX_STALENESS};
pub use keystore::{DEFAULT_LIFETIME, DEFAULT_OVERLAP, KeyStore, Minted, NewKey};
pub use local::{LocalRefused, LocalUser, process_uid};
pub use names::{ClaimError, NameError, check_claim, check_name};
pub use peers::PeerUsers;
pub use time::Timestamp;
pub use tls::{CertificateFacts, ClientCertificates, ServerTls, TlsFiles, TlsFilesError, TlsRules};

/// The issuer of every principal that a client certificate names.
pub const CERTIFICATE_ISSUER: &str = "certificates";
/// The issuer of every principal that an API key names.
pub const KEY_ISSUER: &str = "keys";
/// The issuer of the operator behind a stdio process.
pub const LOCAL_ISSUER: &str = "local";

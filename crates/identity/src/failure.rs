//! Why a credential was refused. The code goes into the log, the public text to the caller.

/// Why nobody was authenticated.
///
/// Telling a caller that its key expired or was revoked gives nothing away: it holds the 256-bit key that proves it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum AuthFailure {
    /// No `Authorization` header.
    #[error("an API key is required: send `Authorization: Bearer cs_...`")]
    Missing,
    /// The header is not `Bearer` and one token.
    #[error("the `Authorization` header must be `Bearer` followed by one API key")]
    BadHeader,
    /// The token is no API key: wrong prefix, length, alphabet or checksum.
    #[error("the token is not an API key of this server (mistyped or cut off?)")]
    Malformed,
    /// A well-formed key that this server never minted, or has forgotten.
    #[error("the API key is not known to this server")]
    Unknown,
    /// The key was revoked.
    #[error("the API key was revoked")]
    Revoked,
    /// The key's time is over.
    #[error("the API key has expired; the operator renews it with `countersign token key renew`")]
    Expired,
    /// The key file cannot be read, so nobody can be authenticated.
    #[error("the server cannot check credentials at present")]
    Unavailable,
}

impl AuthFailure {
    /// A stable code for records and metrics.
    pub fn code(self) -> &'static str {
        match self {
            AuthFailure::Missing => "missing",
            AuthFailure::BadHeader => "bad-header",
            AuthFailure::Malformed => "malformed",
            AuthFailure::Unknown => "unknown",
            AuthFailure::Revoked => "revoked",
            AuthFailure::Expired => "expired",
            AuthFailure::Unavailable => "unavailable",
        }
    }
}

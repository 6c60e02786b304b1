//! Why a token was refused. The code goes into the record; the caller learns only what RFC 6750 and RFC 9449 let it learn.

/// Why a token makes nobody a principal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenRefused {
    /// No three parts, no strict JSON, too long.
    #[error("the token is no signed JWT")]
    Malformed,
    /// The header brings or names a key, or asks for an extension.
    #[error("the token's header is not acceptable")]
    Header,
    /// `none`, a MAC, something unknown, or not on the issuer's list.
    #[error("the token's algorithm is not acceptable")]
    Algorithm,
    /// `typ` is not that of an access token.
    #[error("the token is no access token")]
    Kind,
    /// `iss` names no issuer of the configuration.
    #[error("the token's issuer is not known here")]
    Issuer,
    /// The issuer has no such key.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature is wrong")]
    Signature,
    /// The token is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its issuer says that it is not, or no longer, good.
    #[error("the token is not active")]
    Inactive,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// A claim that is needed is missing or has the wrong form.
    #[error("the token lacks the claim `{0}`, or the claim has the wrong form")]
    Claim(&'static str),
    /// The issuer may not grant this tenant, or names none.
    #[error("the token's issuer may not grant its tenant")]
    Tenant,
    /// A token of a client for itself, where only people are expected.
    #[error("the token was issued to a client that is not declared as a service")]
    Service,
    /// A scope is missing that everything here needs.
    #[error("the token lacks a scope")]
    Scope,
    /// The token, or whoever it speaks for, was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The token is bound to a key or certificate that the caller did not show.
    #[error("the token is bound to a key that was not shown")]
    Unbound,
    /// The proof of possession does not fit the token, the request or the time.
    #[error("the proof of possession is not valid")]
    Proof,
    /// The proof was used before.
    #[error("the proof of possession was used before")]
    Replay,
    /// The proof must carry this nonce.
    #[error("the proof of possession needs the server's nonce")]
    Nonce(String),
    /// The issuer's keys cannot be had, so nothing can be checked.
    #[error("the issuer's keys cannot be read at present")]
    Unavailable,
}

impl TokenRefused {
    /// A stable code for records and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            TokenRefused::Malformed => "token-malformed",
            TokenRefused::Header => "token-header",
            TokenRefused::Algorithm => "token-algorithm",
            TokenRefused::Kind => "token-type",
            TokenRefused::Issuer => "token-issuer",
            TokenRefused::UnknownKey => "token-unknown-key",
            TokenRefused::Signature => "token-signature",
            TokenRefused::Audience => "token-audience",
            TokenRefused::Inactive => "token-inactive",
            TokenRefused::Expired => "token-expired",
            TokenRefused::NotYet => "token-not-yet",
            TokenRefused::Claim(_) => "token-claim",
            TokenRefused::Tenant => "token-tenant",
            TokenRefused::Service => "token-service",
            TokenRefused::Scope => "token-scope",
            TokenRefused::Revoked => "token-revoked",
            TokenRefused::Unbound => "token-unbound",
            TokenRefused::Proof => "proof-invalid",
            TokenRefused::Replay => "proof-replayed",
            TokenRefused::Nonce(_) => "proof-nonce",
            TokenRefused::Unavailable => "unavailable",
        }
    }
}

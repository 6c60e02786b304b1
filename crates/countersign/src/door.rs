//! The door of the HTTP server: what a request and its connection show, and whom that makes their sender.
//!
//! An `Authorization` header decides alone: an API key, a credential of this server's own, or an access token. Without one, the connection may speak: its client certificate,
//! or the user at the other end of a unix socket.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::{Pipeline, Principal, Subsystem};
use countersign_identity::{
    AuthFailure, CredentialRing, KeyRing,
    oauth::{Scheme, Shown, TokenRefused, Witness, certificate_hash},
    read_authorization,
};
use countersign_mcp::{Authenticator, NotAuthenticated, Presented, Source};

use crate::callers::Live;

#[cfg(test)]
mod tests;

/// Everybody who may come in.
pub(crate) struct Door {
    pub(crate) keys: Arc<KeyRing>,
    /// Credentials of this server's own, where they are turned on.
    pub(crate) credentials: Option<Arc<CredentialRing>>,
    pub(crate) callers: Live,
    /// Who callers without any credential are, where there is such a one.
    pub(crate) anonymous: Option<Arc<Principal>>,
}

/// What an `Authorization` header holds.
enum Credential<'p> {
    Key(&'p str),
    Token(Scheme, &'p str),
}

#[async_trait]
impl Authenticator for Door {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Arc<Principal>, NotAuthenticated> {
        if presented.authorization.is_empty() {
            return self.by_connection(presented);
        }
        let callers = self.callers.current();
        let tokens = &callers.tokens;
        let (scheme, token) = match self.credential(presented, tokens.is_some()).map_err(refused)? {
            Credential::Key(key) => return self.keys.authenticate_bearer(key).map_err(refused),
            Credential::Token(scheme, token) => (scheme, token),
        };
        if let Some(own) = self.own(scheme, token, tokens.is_some()) {
            return own;
        }
        match tokens {
            Some(tokens) => {
                let shown = Shown {
                    scheme,
                    token,
                    proof: presented.proof,
                    method: presented.method,
                    certificate: presented.peer.certificate.as_deref().map(certificate_hash),
                };
                tokens.authenticate(&shown).await.map_err(token_refused)
            }
            None => Err(token_refused(TokenRefused::Kind)),
        }
    }

    fn still_holds(&self, presented: &Presented<'_>, principal: &Principal) -> bool {
        if presented.authorization.is_empty() {
            return self.by_connection(presented).is_ok_and(|found| *found == *principal);
        }
        let callers = self.callers.current();
        let tokens = &callers.tokens;
        match self.credential(presented, tokens.is_some()) {
            Ok(Credential::Key(key)) => {
                self.keys.authenticate_bearer(key).is_ok_and(|found| *found == *principal)
            }
            Ok(Credential::Token(scheme, token)) => match (self.own(scheme, token, tokens.is_some()), tokens)
            {
                (Some(own), _) => own.is_ok_and(|found| *found == *principal),
                (None, Some(tokens)) => tokens.still_holds(token),
                (None, None) => false,
            },
            Err(_) => false,
        }
    }
}

impl Door {
    /// INVARIANT: what begins like an API key is never taken for a token, and what looks like a token is never looked up as a key, unless
    /// no tokens are taken and the answer is no in any case.
    fn credential<'p>(
        &self,
        presented: &Presented<'p>,
        issuers: bool,
    ) -> Result<Credential<'p>, AuthFailure> {
        let takes_tokens = issuers || self.credentials.is_some();
        match read_authorization(presented.authorization)? {
            (Scheme::Bearer, key) if key.starts_with("cs_") || !takes_tokens => Ok(Credential::Key(key)),
            (Scheme::Dpop, _) if !issuers => Err(AuthFailure::BadHeader),
            (scheme, token) => Ok(Credential::Token(scheme, token)),
        }
    }

    /// What this server's own keys say of a token; `None` where its type is that of another issuer's tokens. INVARIANT: the type decides, and
    /// each of the two refuses the other's, so no token is judged twice until somebody takes it.
    fn own(
        &self,
        scheme: Scheme,
        token: &str,
        issuers: bool,
    ) -> Option<Result<Arc<Principal>, NotAuthenticated>> {
        match self.credentials.as_ref()?.authenticate(token) {
            Err(TokenRefused::Kind) => None,
            // It may be an opaque one of an issuer, which refuses whatever claims to be ours.
            Err(TokenRefused::Malformed) if issuers => None,
            Err(TokenRefused::Unavailable) => Some(Err(NotAuthenticated::Unavailable(Subsystem::State))),
            Err(refused) => Some(Err(token_refused(refused))),
            // SPEC: RFC 9449 §7.1: the DPoP scheme is for bound tokens alone.
            Ok(_) if scheme == Scheme::Dpop => Some(Err(token_refused(TokenRefused::Unbound))),
            Ok(principal) => Some(Ok(principal)),
        }
    }

    fn by_connection(&self, presented: &Presented<'_>) -> Result<Arc<Principal>, NotAuthenticated> {
        let (peer, callers) = (presented.peer, self.callers.current());
        let (found, code) = match (&peer.certificate, peer.source) {
            (Some(certificate), _) => (callers.certificates.identify(certificate), "certificate-unknown"),
            // MUTATE(G2-socket): any user of the machine is somebody
            (None, Source::User(uid)) => (callers.users.identify(uid), "user-unknown"),
            (None, Source::Address(_)) => (None, "missing"),
        };
        found.or_else(|| self.anonymous.clone()).ok_or(NotAuthenticated::Credential(code))
    }
}

fn refused(failure: AuthFailure) -> NotAuthenticated {
    match failure {
        AuthFailure::Unavailable => NotAuthenticated::Unavailable(Subsystem::State),
        // MUTATE(L5-login-code): the record does not say why a login failed
        failure => NotAuthenticated::Credential(failure.code()),
    }
}

fn token_refused(refused: TokenRefused) -> NotAuthenticated {
    let code = refused.code();
    match refused {
        TokenRefused::Unavailable => NotAuthenticated::Unavailable(Subsystem::Identity),
        TokenRefused::Scope => NotAuthenticated::Scope(code),
        TokenRefused::Proof | TokenRefused::Replay => NotAuthenticated::Proof(code),
        TokenRefused::Nonce(nonce) => NotAuthenticated::Nonce(nonce),
        _ => NotAuthenticated::Credential(code),
    }
}

/// Puts what happens to issuers and their tokens on record.
pub(crate) struct OnRecord(pub(crate) Arc<Pipeline>);

impl Witness for OnRecord {
    fn keys_changed(&self, issuer: &str, before: usize, after: usize) {
        self.0.security_detail("issuer-keys-changed", None, &format!("{issuer}: {before} -> {after} keys"));
    }

    fn keys_unreachable(&self, issuer: &str, cause: &str) {
        self.0.security_detail("issuer-unreachable", None, &format!("{issuer}: {cause}"));
    }

    fn introspection_failed(&self, issuer: &str, cause: &str) {
        self.0.security_detail("introspection-failed", None, &format!("{issuer}: {cause}"));
    }

    fn proofs_unknown(&self, cause: &str) {
        self.0.security_detail("proofs-unknown", None, cause);
    }

    fn claims_dropped(&self, principal: &Principal, count: usize) {
        let detail = format!("{count} tenants and roles that the issuer may not grant");
        self.0.security_detail("claims-dropped", Some(principal), &detail);
    }
}

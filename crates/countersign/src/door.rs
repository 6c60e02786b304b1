//! The door of the HTTP server: what a request and its connection show, and whom that makes their sender.
//!
//! An `Authorization` header decides alone: an API key, or an access token. Without one, the connection may speak: its client certificate,
//! or the user at the other end of a unix socket.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::{Pipeline, Principal, Subsystem};
use countersign_identity::{
    AuthFailure, KeyRing,
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
        match (credential(presented, tokens.is_some()).map_err(refused)?, tokens) {
            (Credential::Token(scheme, token), Some(tokens)) => {
                let shown = Shown {
                    scheme,
                    token,
                    proof: presented.proof,
                    method: presented.method,
                    certificate: presented.peer.certificate.as_deref().map(certificate_hash),
                };
                tokens.authenticate(&shown).await.map_err(token_refused)
            }
            (Credential::Key(key) | Credential::Token(_, key), _) => {
                self.keys.authenticate_bearer(key).map_err(refused)
            }
        }
    }

    fn still_holds(&self, presented: &Presented<'_>, principal: &Principal) -> bool {
        if presented.authorization.is_empty() {
            return self.by_connection(presented).is_ok_and(|found| *found == *principal);
        }
        let callers = self.callers.current();
        let tokens = &callers.tokens;
        match (credential(presented, tokens.is_some()), tokens) {
            (Ok(Credential::Token(_, token)), Some(tokens)) => tokens.still_holds(token),
            (Ok(Credential::Key(key)), _) => {
                self.keys.authenticate_bearer(key).is_ok_and(|found| *found == *principal)
            }
            _ => false,
        }
    }
}

impl Door {
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

/// INVARIANT: what begins like an API key never goes to the issuers, and what looks like a token is never looked up as a key, unless there
/// are no issuers and the answer is no in any case.
fn credential<'p>(presented: &Presented<'p>, issuers: bool) -> Result<Credential<'p>, AuthFailure> {
    match read_authorization(presented.authorization)? {
        (Scheme::Bearer, key) if key.starts_with("cs_") || !issuers => Ok(Credential::Key(key)),
        (Scheme::Dpop, _) if !issuers => Err(AuthFailure::BadHeader),
        (scheme, token) => Ok(Credential::Token(scheme, token)),
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

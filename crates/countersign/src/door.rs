//! The door of the HTTP server: what an `Authorization` header makes of its caller.

use std::{net::IpAddr, sync::Arc};

use countersign_core::{Principal, Subsystem};
use countersign_identity::{AuthFailure, KeyRing, bearer_token};
use countersign_mcp::{Authenticator, NotAuthenticated};

#[cfg(test)]
mod tests;

/// Asks the key ring; callers without any header are the anonymous principal, where there is one.
pub(crate) struct Door {
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) anonymous: Option<Arc<Principal>>,
}

impl Authenticator for Door {
    fn authenticate(&self, authorization: &[u8], _peer: IpAddr) -> Result<Arc<Principal>, NotAuthenticated> {
        if let (true, Some(anonymous)) = (authorization.is_empty(), &self.anonymous) {
            return Ok(Arc::clone(anonymous));
        }
        let identified = bearer_token(authorization).and_then(|token| self.keys.authenticate_bearer(token));
        identified.map_err(|failure| match failure {
            AuthFailure::Unavailable => NotAuthenticated::Unavailable(Subsystem::State),
            // MUTATE(L5-login-code): the record does not say why a login failed
            failure => NotAuthenticated::Credential(failure.code()),
        })
    }
}

//! What loosens identity: the principal that nobody had to prove. Reached only through `danger.anonymous`.

use std::sync::Arc;

use countersign_core::{AuthMethod, Principal, PrincipalKind};

/// The principal of every caller while `danger.anonymous` is set: issuer `anonymous`, tenant `tenant`, these roles.
///
/// It exists for conformance runs, whose clients send no credential. Its kind is `Anonymous`, so that policies can refuse it.
pub fn anonymous(tenant: &str, roles: &[String]) -> Arc<Principal> {
    let principal =
        Principal::new("anonymous", "anonymous", PrincipalKind::Anonymous, tenant, AuthMethod::Anonymous);
    Arc::new(principal.with_roles(roles.iter().cloned()))
}

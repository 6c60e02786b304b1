//! The operator behind a stdio process: named in the configuration, and checked against the process's user id.

use std::{collections::BTreeMap, sync::Arc};

use countersign_core::{AuthMethod, Principal, PrincipalKind};

use crate::LOCAL_ISSUER;

#[cfg(test)]
mod tests;

/// `[identity.local]`: which operating-system user may use stdio, and who that is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalUser {
    /// The user id that the process must run as.
    pub uid: u32,
    /// The subject's name in policies and records.
    pub user: String,
    /// The tenant.
    pub tenant: String,
    /// The roles.
    pub roles: Vec<String>,
    /// What is known of them besides, by name: catalog queries can be bound to it.
    pub claims: BTreeMap<String, String>,
}

/// The stdio process runs as somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this process runs as user id {actual}, but `identity.local.uid` admits only {admitted}")]
pub struct LocalRefused {
    /// The user id that the configuration admits.
    pub admitted: u32,
    /// The user id of the process.
    pub actual: u32,
}

impl LocalUser {
    /// The principal of a process that runs with these real and effective user ids; see [`process_uid`].
    ///
    /// # Errors
    /// [`LocalRefused`] when either is not the configured one: a process that changed its identity is nobody we know.
    pub fn authenticate(&self, (real, effective): (u32, u32)) -> Result<Arc<Principal>, LocalRefused> {
        for actual in [real, effective] {
            // MUTATE(G2-uid): any user of the machine is taken for the operator
            if actual != self.uid {
                return Err(LocalRefused { admitted: self.uid, actual });
            }
        }
        Ok(self.principal(AuthMethod::LocalUser))
    }

    /// The principal, by a method that has shown the user id.
    pub(crate) fn principal(&self, method: AuthMethod) -> Arc<Principal> {
        let kind = PrincipalKind::Person;
        let principal = Principal::new(LOCAL_ISSUER, &self.user, kind, &self.tenant, method)
            .with_roles(self.roles.iter().cloned())
            .with_credential(format!("uid:{}", self.uid));
        let claims = self.claims.iter();
        Arc::new(claims.fold(principal, |principal, (name, value)| principal.with_claim(name, value)))
    }
}

/// The real and effective user id of this process.
pub fn process_uid() -> (u32, u32) {
    (rustix::process::getuid().as_raw(), rustix::process::geteuid().as_raw())
}

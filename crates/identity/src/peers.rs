//! Users of this machine behind a unix socket: the kernel says who is at the other end, so nobody needs a key.

use std::{collections::HashMap, sync::Arc};

use countersign_core::{AuthMethod, Principal};

use crate::local::LocalUser;

/// `[identity.users]`: which operating-system users may call over a unix socket, and who they are.
#[derive(Clone, Default, Debug)]
pub struct PeerUsers {
    by_uid: HashMap<u32, Arc<Principal>>,
}

impl PeerUsers {
    /// These users. Two with one user id would be a guess: the caller refuses them.
    pub fn new(users: &[LocalUser]) -> PeerUsers {
        let by_uid = users.iter().map(|user| (user.uid, user.principal(AuthMethod::UnixPeer)));
        PeerUsers { by_uid: by_uid.collect() }
    }

    /// Who the process of this user id is.
    pub fn identify(&self, uid: u32) -> Option<Arc<Principal>> {
        self.by_uid.get(&uid).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_users_are_somebody() {
        let ada = LocalUser {
            uid: 1000,
            user: "ada".into(),
            tenant: "north".into(),
            roles: vec!["reader".into()],
            claims: Default::default(),
        };
        let users = PeerUsers::new(&[ada]);
        let found = users.identify(1000).unwrap();
        assert_eq!((found.issuer(), found.subject(), found.method()), ("local", "ada", AuthMethod::UnixPeer));
        assert!(users.identify(0).is_none(), "not even root");
    }
}

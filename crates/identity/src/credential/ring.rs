//! What a running server believes of credentials. A change of the file takes effect within [`MAX_STALENESS`], without restart.

use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use countersign_core::Principal;

use super::{
    CredentialProfile,
    keys::{VerifyingKey, jwks},
    store,
    token::Credential,
};
use crate::{
    keyfile::{self, KeyFileError, Stamp},
    keyring::MAX_STALENESS,
    oauth::{Remembered, TokenRefused, sha256},
    time::Timestamp,
};

/// Credentials that are remembered in each of two generations.
const REMEMBERED: usize = 4_000;

/// Turns credentials into principals.
///
/// INVARIANT: a file that cannot be read makes nobody a principal, as with API keys.
pub struct CredentialRing {
    path: PathBuf,
    profile: CredentialProfile,
    started: Instant,
    /// When the file was last looked at, in milliseconds since `started`.
    looked: AtomicU64,
    known: RwLock<Known>,
    remembered: Remembered<Verified>,
}

#[derive(Default)]
struct Known {
    /// `None`: the file cannot be read.
    keys: Option<Vec<VerifyingKey>>,
    stamp: Option<Stamp>,
    /// Counts the sets of keys that were read.
    version: u64,
}

/// A credential that was verified.
#[derive(Clone)]
struct Verified {
    principal: Arc<Principal>,
    expires: Timestamp,
    /// The version of the keys with which it was verified.
    version: u64,
}

impl CredentialRing {
    /// Believes what the keys of this file have signed.
    ///
    /// # Errors
    /// When the file exists and cannot be used.
    pub fn open(
        path: impl Into<PathBuf>,
        profile: CredentialProfile,
    ) -> Result<CredentialRing, KeyFileError> {
        let ring = CredentialRing {
            path: path.into(),
            profile,
            started: Instant::now(),
            looked: AtomicU64::new(0),
            known: RwLock::default(),
            remembered: Remembered::new(REMEMBERED),
        };
        ring.reload()?;
        Ok(ring)
    }

    /// Who bears this credential?
    ///
    /// # Errors
    /// [`TokenRefused`] says why nobody does; [`TokenRefused::Kind`] that it is a token of another type.
    pub fn authenticate(&self, token: &str) -> Result<Arc<Principal>, TokenRefused> {
        self.authenticate_at(token, Timestamp::now())
    }

    /// The public keys, as a JSON Web Key Set; none while the file cannot be read.
    pub fn jwks(&self) -> Option<String> {
        self.look();
        self.known.read().unwrap_or_else(PoisonError::into_inner).keys.as_deref().map(jwks)
    }

    pub(super) fn authenticate_at(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Principal>, TokenRefused> {
        self.look();
        match self.judge(token, now) {
            // A key that another process made a moment ago.
            Err(TokenRefused::UnknownKey) if self.reload_if_changed() => self.judge(token, now),
            judged => judged,
        }
    }

    fn judge(&self, token: &str, now: Timestamp) -> Result<Arc<Principal>, TokenRefused> {
        let hash = sha256(token.as_bytes());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // MUTATE(G5-remembered-key): a credential outlives the key that signed it
        let remembered = self.remembered.get(&hash).filter(|found| found.version == known.version);
        let verified = match remembered {
            Some(found) => found,
            None => {
                let credential = Credential::read(&self.profile, known.keys.as_deref(), token, now)?;
                let found = verified(credential, known.version);
                self.remembered.insert(hash, found.clone());
                found
            }
        };
        // MUTATE(G5-remembered-expiry): a credential that was valid once is valid for ever
        if now >= verified.expires {
            return Err(TokenRefused::Expired);
        }
        Ok(verified.principal)
    }

    fn reload(&self) -> Result<(), KeyFileError> {
        let read = store::verifying_keys(&self.path);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let (keys, stamp, outcome) = match read {
            Ok((keys, stamp)) => (Some(keys), stamp, Ok(())),
            Err(e) => (None, None, Err(e)),
        };
        // The file changes with every credential, its keys hardly ever: what was verified stays verified.
        if known.keys != keys {
            known.version += 1;
            known.keys = keys;
        }
        known.stamp = stamp;
        outcome
    }

    /// Reads the file again if it changed; looks at most once in [`MAX_STALENESS`].
    fn look(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(looked) >= MAX_STALENESS.as_millis() as u64;
        // One of several threads wins and looks; the others go on with the keys they have.
        if due && self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.reload_if_changed();
        }
    }

    /// Whether the file had changed and could be read.
    fn reload_if_changed(&self) -> bool {
        let stamp = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.keys.is_some().then_some(known.stamp)
        };
        // A failure leaves a ring that believes nothing, which is its message.
        keyfile::stamp(&self.path).ok() != stamp && self.reload().is_ok()
    }
}

fn verified(credential: Credential, version: u64) -> Verified {
    let Credential { id, grant, ancestors, expires, .. } = credential;
    Verified { principal: Arc::new(grant.principal(id, ancestors)), expires, version }
}

//! The keys that a running server accepts. A change of the key file takes effect within [`MAX_STALENESS`], without restart.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use countersign_core::{AuthMethod, Principal};
use subtle::ConstantTimeEq as _;

use crate::{
    KEY_ISSUER,
    failure::AuthFailure,
    key,
    keyfile::{self, KeyFileError, KeyRecord, Stamp},
    time::Timestamp,
};

#[cfg(test)]
mod tests;

/// How long a change of the key file may go unnoticed: a revoked key works for at most this long.
pub const MAX_STALENESS: Duration = Duration::from_millis(500);

/// Turns keys into principals. Cheap to ask from many threads at once: one SHA-256, one look-up under a read lock, and, at
/// most twice a second, one `stat` of the key file.
///
/// INVARIANT: a key file that cannot be read authenticates nobody. The last good set is not kept, since the change that
/// cannot be read may be a revocation.
#[derive(Debug)]
pub struct KeyRing {
    path: PathBuf,
    started: Instant,
    /// When the file was last looked at, in milliseconds since `started`.
    looked: AtomicU64,
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    /// `None`: the file could not be read.
    by_hash: Option<HashMap<[u8; 32], Entry>>,
    stamp: Option<Stamp>,
}

#[derive(Debug)]
struct Entry {
    sha256: [u8; 32],
    expires: Timestamp,
    revoked: bool,
    principal: Arc<Principal>,
}

impl KeyRing {
    /// Opens the ring on a key file. A file that does not exist is an empty ring, and is read once it appears.
    ///
    /// # Errors
    /// When the file exists and cannot be used.
    pub fn open(path: impl Into<PathBuf>) -> Result<KeyRing, KeyFileError> {
        let ring = KeyRing {
            path: path.into(),
            started: Instant::now(),
            looked: AtomicU64::new(0),
            index: RwLock::default(),
        };
        ring.reload()?;
        Ok(ring)
    }

    /// Reads the key file anew and says how many keys it has.
    ///
    /// # Errors
    /// When it cannot be used; until it can, nobody is authenticated.
    pub fn reload(&self) -> Result<usize, KeyFileError> {
        let (index, result) = match keyfile::read(&self.path) {
            Ok((records, stamp)) => {
                let count = records.len();
                let by_hash = records.into_iter().map(|record| (record.sha256, entry(record))).collect();
                (Index { by_hash: Some(by_hash), stamp }, Ok(count))
            }
            Err(e) => (Index::default(), Err(e)),
        };
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        result
    }

    /// Who holds this key?
    ///
    /// # Errors
    /// [`AuthFailure`] says why nobody does.
    pub fn authenticate_bearer(&self, token: &str) -> Result<Arc<Principal>, AuthFailure> {
        self.authenticate_at(token, Timestamp::now())
    }

    /// Whether the key behind `principal` is still in force, with the same tenant and roles: for streams that outlive the
    /// request which opened them.
    ///
    /// # Errors
    /// [`AuthFailure`] says why it no longer is.
    pub fn recheck(&self, principal: &Principal) -> Result<(), AuthFailure> {
        self.look();
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let entries = index.by_hash.as_ref().ok_or(AuthFailure::Unavailable)?;
        let entry =
            entries.values().find(|entry| *entry.principal == *principal).ok_or(AuthFailure::Unknown)?;
        entry.in_force(Timestamp::now())
    }

    fn authenticate_at(&self, token: &str, now: Timestamp) -> Result<Arc<Principal>, AuthFailure> {
        self.look();
        let hash = key::hash(token);
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let entries = index.by_hash.as_ref().ok_or(AuthFailure::Unavailable)?;
        // The look-up is by a hash that a caller cannot steer, so its timing tells nothing about stored hashes; the comparison
        // that decides is in constant time all the same.
        let Some(entry) = entries.get(&hash).filter(|entry| bool::from(entry.sha256.ct_eq(&hash))) else {
            return Err(if key::is_well_formed(token) {
                AuthFailure::Unknown
            } else {
                AuthFailure::Malformed
            });
        };
        entry.in_force(now)?;
        Ok(Arc::clone(&entry.principal))
    }

    /// Reads the file again if it changed; looks at most once in [`MAX_STALENESS`].
    fn look(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(looked) >= MAX_STALENESS.as_millis() as u64;
        // One of several threads wins and looks; the others go on with the set they have.
        if !due || self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let known = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            index.by_hash.is_some().then_some(index.stamp)
        };
        // MUTATE(G5-revoke): a revoked key works until the server restarts
        if keyfile::stamp(&self.path).ok() != known {
            // A failure leaves a ring that authenticates nobody, which is its message.
            let _ = self.reload();
        }
    }
}

impl Entry {
    fn in_force(&self, now: Timestamp) -> Result<(), AuthFailure> {
        if self.revoked {
            return Err(AuthFailure::Revoked);
        }
        // MUTATE(G1-expiry): keys live for ever
        if now >= self.expires {
            return Err(AuthFailure::Expired);
        }
        Ok(())
    }
}

fn entry(record: KeyRecord) -> Entry {
    let principal =
        Principal::new(KEY_ISSUER, record.subject, record.kind.into(), record.tenant, AuthMethod::ApiKey)
            .with_roles(record.roles)
            .with_credential(record.id);
    let claims = record.claims.into_iter();
    let principal = claims.fold(principal, |principal, (name, value)| principal.with_claim(name, value));
    Entry {
        sha256: record.sha256,
        expires: record.expires,
        revoked: record.revoked.is_some(),
        principal: Arc::new(principal),
    }
}

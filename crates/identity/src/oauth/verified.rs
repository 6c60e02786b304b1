//! Tokens that were verified lately, by their hash: a client sends the same token with every call.
//!
//! INVARIANT: nothing is remembered of a token that did not verify, so nobody without a valid token can fill the memory; and what is
//! remembered is checked at every use: its time, the version of the issuer's keys, its binding, its revocation.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use countersign_core::Principal;

/// What a token is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bound {
    /// Nothing: whoever bears it.
    Bearer,
    /// The key with this thumbprint (RFC 9449).
    Key([u8; 32]),
    /// The client certificate with this SHA-256 (RFC 8705).
    Certificate([u8; 32]),
}

/// What a verified token says.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) principal: Arc<Principal>,
    /// The issuer's name in the configuration.
    pub(super) issuer: Arc<str>,
    /// From this second on it is not valid; the leeway is in it.
    pub(super) expires: u64,
    pub(super) bound: Bound,
    /// The version of the issuer's keys with which it was verified.
    pub(super) version: u64,
    /// Whether a proof must carry our nonce.
    pub(super) nonce: bool,
}

type Generation = HashMap<[u8; 32], Arc<Verified>>;

/// The tokens of two generations: when the young one is full, it becomes the old one, and the old one is forgotten.
pub(super) struct Remembered {
    capacity: usize,
    generations: Mutex<(Generation, Generation)>,
}

impl Remembered {
    /// Room for `capacity` tokens in each generation.
    pub(super) fn new(capacity: usize) -> Remembered {
        Remembered { capacity, generations: Mutex::default() }
    }

    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<Arc<Verified>> {
        let mut both = self.both();
        if let Some(found) = both.0.get(hash) {
            return Some(Arc::clone(found));
        }
        let found = both.1.remove(hash)?;
        self.put(&mut both, *hash, Arc::clone(&found));
        Some(found)
    }

    pub(super) fn insert(&self, hash: [u8; 32], verified: Arc<Verified>) {
        self.put(&mut self.both(), hash, verified);
    }

    pub(super) fn forget(&self, hash: &[u8; 32]) {
        let mut both = self.both();
        both.0.remove(hash);
        both.1.remove(hash);
    }

    fn put(&self, both: &mut (Generation, Generation), hash: [u8; 32], verified: Arc<Verified>) {
        if both.0.len() >= self.capacity {
            both.1 = std::mem::take(&mut both.0);
        }
        both.0.insert(hash, verified);
    }

    fn both(&self) -> MutexGuard<'_, (Generation, Generation)> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

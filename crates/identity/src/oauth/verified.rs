//! Tokens that were verified lately, by their hash: a client sends the same token with every call.
//!
//! INVARIANT: nothing is remembered of a token that did not verify, so nobody without a valid token can fill the memory; and what is
//! remembered is checked at every use: its time, its issuer, the version of the issuer's keys, its binding, its revocation.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use countersign_core::Principal;

use super::issuer::Issuer;

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
pub(crate) struct Verified {
    pub(super) principal: Arc<Principal>,
    /// Its issuer, as it was configured then.
    pub(super) issuer: Arc<Issuer>,
    /// From this second on it is not valid; the leeway is in it.
    pub(super) expires: u64,
    pub(super) bound: Bound,
    /// The version of the issuer's keys with which it was verified.
    pub(super) version: u64,
    /// Whether a proof must carry our nonce.
    pub(super) nonce: bool,
    /// When its issuer was asked about it, if it is one that cannot be read.
    pub(super) introspected: Option<Instant>,
}

type Generation<V> = HashMap<[u8; 32], V>;

/// What was found of the tokens of two generations: when the young one is full, it becomes the old one, and the old one is forgotten.
pub(crate) struct Remembered<V = Arc<Verified>> {
    capacity: usize,
    generations: Mutex<(Generation<V>, Generation<V>)>,
}

impl<V: Clone> Remembered<V> {
    /// Room for `capacity` tokens in each generation.
    pub(crate) fn new(capacity: usize) -> Remembered<V> {
        Remembered { capacity, generations: Mutex::default() }
    }

    pub(crate) fn get(&self, hash: &[u8; 32]) -> Option<V> {
        let mut both = self.both();
        if let Some(found) = both.0.get(hash) {
            return Some(found.clone());
        }
        let found = both.1.remove(hash)?;
        self.put(&mut both, *hash, found.clone());
        Some(found)
    }

    pub(crate) fn insert(&self, hash: [u8; 32], found: V) {
        self.put(&mut self.both(), hash, found);
    }

    pub(crate) fn forget(&self, hash: &[u8; 32]) {
        let mut both = self.both();
        both.0.remove(hash);
        both.1.remove(hash);
    }

    fn put(&self, both: &mut (Generation<V>, Generation<V>), hash: [u8; 32], found: V) {
        if both.0.len() >= self.capacity {
            both.1 = std::mem::take(&mut both.0);
        }
        both.0.insert(hash, found);
    }

    fn both(&self) -> MutexGuard<'_, (Generation<V>, Generation<V>)> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

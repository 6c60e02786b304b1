//! Decisions already made by one set of policies. It lives and dies with its set, so no decision outlives its policies.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Mutex,
};

use countersign_core::{Decision, Principal};

/// Shards, so that callers seldom wait for each other.
const SHARDS: usize = 16;
/// Decisions in one shard; a full shard is emptied.
const SHARD_ENTRIES: usize = 256;
/// A longer key is not kept: names in it come from callers.
const MAX_KEY_BYTES: usize = 1024;

/// Decisions by question.
pub(crate) struct Cache {
    shards: [Mutex<HashMap<Key, Decision>>; SHARDS],
    hasher: RandomState,
}

/// Everything that a decision depends on besides the policies, each part preceded by its length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// A question by `principal` about `parts`.
    pub(crate) fn new<'a>(principal: &'a Principal, parts: impl IntoIterator<Item = &'a str>) -> Key {
        let mut key = Key(Vec::with_capacity(256));
        key.0.push(principal.kind() as u8);
        key.0.push(principal.method() as u8);
        key.0.extend((principal.roles().len() as u64).to_le_bytes());
        // INVARIANT: the tenant and the roles are part of the key: the same person elsewhere, or with other roles, is another question.
        // MUTATE(H7-cache-tenant): decisions are shared between tenants
        let who = [principal.key(), principal.tenant()];
        let scopes = principal.scopes();
        key.0.push(u8::from(principal.owner().is_some()) | u8::from(scopes.is_some()) << 1);
        key.0.extend((scopes.unwrap_or_default().len() as u64).to_le_bytes());
        let claims = principal.claims();
        key.0.extend((claims.len() as u64).to_le_bytes());
        // INVARIANT: so are the claims, which an issuer may change from token to token.
        // MUTATE(G1-claims-cache): a decision is reused for the same person with other claims
        let claims = claims.iter().flat_map(|(name, value)| [name.as_str(), value]);
        let roles = principal.roles().iter().chain(scopes.unwrap_or_default()).map(String::as_str);
        for part in who.into_iter().chain(principal.owner()).chain(claims).chain(roles).chain(parts) {
            key.0.extend((part.len() as u64).to_le_bytes());
            key.0.extend(part.as_bytes());
        }
        key
    }
}

impl Cache {
    pub(crate) fn new() -> Cache {
        Cache { shards: Default::default(), hasher: RandomState::new() }
    }

    /// The decision on the same question, if it is still here.
    pub(crate) fn get(&self, key: &Key) -> Option<Decision> {
        self.shard(key)?.lock().ok()?.get(key).cloned()
    }

    /// Keeps a decision. One that rests on an error is not kept: the next question tries again.
    pub(crate) fn put(&self, key: Key, decision: &Decision) {
        if decision.error.is_some() || key.0.len() > MAX_KEY_BYTES {
            return;
        }
        let Some(mut shard) = self.shard(&key).and_then(|shard| shard.lock().ok()) else { return };
        if shard.len() >= SHARD_ENTRIES {
            shard.clear();
        }
        shard.insert(key, decision.clone());
    }

    fn shard(&self, key: &Key) -> Option<&Mutex<HashMap<Key, Decision>>> {
        self.shards.get(self.hasher.hash_one(&key.0) as usize % SHARDS)
    }
}

#[cfg(test)]
mod tests;

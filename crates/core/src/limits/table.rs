//! What limits remember of each key, without growing for ever.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState},
    sync::OnceLock,
};

/// Fewer entries than this are never swept.
const SWEEP_AT: usize = 10_000;

/// A map that forgets what is over. It is swept when it has doubled since the last sweep, so that a sweep costs each new key a constant share,
/// however many keys live on.
pub(super) struct Table<V> {
    entries: HashMap<u64, V>,
    sweep_at: usize,
}

impl<V> Default for Table<V> {
    fn default() -> Table<V> {
        Table { entries: HashMap::new(), sweep_at: SWEEP_AT }
    }
}

impl<V: Default> Table<V> {
    pub(super) fn get(&self, key: u64) -> Option<&V> {
        self.entries.get(&key)
    }

    /// The entry of a key, made if it is not there. `lives` says of each entry whether it still matters.
    pub(super) fn entry(&mut self, key: u64, lives: impl Fn(&V) -> bool) -> &mut V {
        // MUTATE(I1-sweep): what is over is never forgotten
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| lives(entry));
            self.sweep_at = self.entries.len().saturating_mul(2).max(SWEEP_AT);
        }
        self.entries.entry(key).or_default()
    }
}

/// A key for a table, without a copy of its parts. The hash is keyed by a random number of this process, so that nobody can aim at
/// another's key; by chance two of a million keys meet once in 37 million processes.
pub(super) fn key(kind: &str, parts: &[&str]) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    let mut hasher = SEED.get_or_init(RandomState::new).build_hasher();
    kind.hash(&mut hasher);
    // `str` hashes with an end mark: ("a", "bc") and ("ab", "c") differ.
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_forgotten_and_sweeps_are_rare() {
        let mut table = Table::<u64>::default();
        let swept = std::cell::Cell::new(0_usize);
        for key in 0..100_000 {
            *table.entry(key, |entry| {
                swept.set(swept.get() + 1);
                *entry > 0
            }) = u64::from(key % 2 == 0);
        }
        assert!(table.entries.len() < 80_000, "{} are kept", table.entries.len());
        assert!((0..100_000).step_by(2).all(|key| table.get(key).is_some()), "what matters is kept");
        assert!(swept.get() < 300_000, "{} were looked at", swept.get());
    }
}

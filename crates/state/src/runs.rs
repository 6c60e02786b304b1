//! What is remembered of runs: which one somebody is in, and what each has read. It is in the store, and in memory as far as that is safe.
//!
//! INVARIANT: memory holds nothing that the store has not confirmed, and only ever less of a label than the store. What was read here is
//! therefore known to all before the answer leaves, and a run goes on, with its label, in another process and after a restart.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use countersign_core::{Confidentiality, Digest, Integrity, Label, RunId, ports::Runs};

use crate::{error::StateError, store::Store};

/// Idle time after which the next request of a holder begins a new run, in microseconds.
const IDLE: u64 = 30 * 60 * 1_000_000;
/// How long memory is believed. INVARIANT: much less than [`IDLE`], since another process may take a run for idle that is only used from memory,
/// and than the time after which stores forget.
const BELIEVED: Duration = Duration::from_secs(5 * 60);
/// Entries in memory; beyond them the store is asked more often.
const REMEMBERED: usize = 65_536;

/// Stores note the use of a run this often at most, in microseconds.
pub(crate) const NOTED: u64 = 5 * 60 * 1_000_000;

/// The runs in a store.
pub struct StoredRuns {
    store: Arc<dyn Store>,
    /// No other process serves these runs.
    alone: bool,
    clock: fn() -> u64,
    holders: Memory<Digest, RunId>,
    labels: Memory<RunId, Label>,
}

impl StoredRuns {
    /// Runs that other processes serve as well. `clock`: microseconds since 1970 UTC.
    pub fn shared(store: Arc<dyn Store>, clock: fn() -> u64) -> StoredRuns {
        StoredRuns { store, alone: false, clock, holders: Memory::default(), labels: Memory::default() }
    }

    /// Runs that this process alone serves: it asks the store for a label only the first time, and then every few minutes.
    pub fn alone(store: Arc<dyn Store>, clock: fn() -> u64) -> StoredRuns {
        StoredRuns { alone: true, ..StoredRuns::shared(store, clock) }
    }

    async fn try_of(&self, holder: Digest) -> Result<RunId, StateError> {
        if let Some(run) = self.holders.get(&holder) {
            return Ok(run);
        }
        let asked = Instant::now();
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| StateError::Entropy(error.to_string()))?;
        let fresh = format!("run-{:032x}", u128::from_be_bytes(random));
        let now = (self.clock)();
        // MUTATE(P4-run): each process has a run of its own for the same holder
        let run = self.store.run_of(holder.0, &fresh, now, now.saturating_sub(IDLE)).await?;
        let run = RunId::new(run);
        self.holders.put(holder, asked, |_| run.clone());
        Ok(run)
    }

    async fn try_join(&self, run: &RunId, label: Label) -> Result<(), StateError> {
        let known = self.labels.get(run).unwrap_or_default();
        if known.join(label) == known {
            return Ok(());
        }
        let asked = Instant::now();
        // MUTATE(P4-join): what was read here is not known elsewhere
        let joined = self.store.run_join(key(run), label, (self.clock)()).await?;
        self.labels.put(run.clone(), asked, |known| joined.join(known.unwrap_or_default()));
        Ok(())
    }

    async fn try_label(&self, run: &RunId) -> Result<Label, StateError> {
        // MUTATE(P4-label): what was read elsewhere is not asked for
        if let Some(known) = self.labels.get(run).filter(|_| self.alone) {
            return Ok(known);
        }
        let asked = Instant::now();
        let stored = self.store.run_label(key(run), (self.clock)()).await?;
        // Another call may have joined meanwhile: labels only rise.
        Ok(self.labels.put(run.clone(), asked, |known| stored.join(known.unwrap_or_default())))
    }
}

#[async_trait]
impl Runs for StoredRuns {
    async fn of(&self, holder: Digest) -> Result<RunId, String> {
        self.try_of(holder).await.map_err(|error| error.to_string())
    }

    async fn join(&self, run: &RunId, label: Label) -> Result<(), String> {
        self.try_join(run, label).await.map_err(|error| error.to_string())
    }

    async fn label(&self, run: &RunId) -> Result<Label, String> {
        self.try_label(run).await.map_err(|error| error.to_string())
    }
}

fn key(run: &RunId) -> [u8; 32] {
    Digest::of_fields("countersign run v1", [run.as_str().as_bytes()]).0
}

/// What the store said, and when it was asked.
struct Memory<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Memory<K, V> {
        Memory(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// What is known, while it can be believed.
    fn get(&self, key: &K) -> Option<V> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(_, asked)| asked.elapsed() < BELIEVED).map(|(value, _)| value.clone())
    }

    /// Puts what `with` makes of the entry that was there.
    fn put(&self, key: K, asked: Instant, with: impl FnOnce(Option<V>) -> V) -> V {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= REMEMBERED {
            entries.retain(|_, (_, asked)| asked.elapsed() < BELIEVED);
        }
        if entries.len() >= REMEMBERED {
            entries.clear();
        }
        let value = with(entries.remove(&key).map(|(known, _)| known));
        entries.insert(key, (value.clone(), asked));
        value
    }
}

/// A label as numbers that a database can compare: integrity and confidentiality, the least first.
pub(crate) fn ranks(label: Label) -> [i16; 2] {
    [label.integrity as i16, label.confidentiality as i16]
}

/// The label of these numbers.
pub(crate) fn label([integrity, confidentiality]: [i16; 2]) -> Result<Label, StateError> {
    let integrities = [Integrity::Trusted, Integrity::Untrusted, Integrity::Suspicious];
    let confidentialities = [
        Confidentiality::Public,
        Confidentiality::Internal,
        Confidentiality::Private,
        Confidentiality::Secret,
    ];
    let integrity = integrities.into_iter().find(|one| *one as i16 == integrity);
    let confidentiality = confidentialities.into_iter().find(|one| *one as i16 == confidentiality);
    let damaged = || StateError::Damaged("the label of a run is none".into());
    Ok(Label {
        integrity: integrity.ok_or_else(damaged)?,
        confidentiality: confidentiality.ok_or_else(damaged)?,
    })
}

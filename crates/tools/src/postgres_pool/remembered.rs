//! What was found out about statements, by their exact text: bounded, and forgotten together when full.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::Purpose;

/// Statements at most, for each purpose.
const MOST: usize = 2048;

pub(super) struct Remembered<V> {
    reads: Mutex<HashMap<Box<str>, V>>,
    writes: Mutex<HashMap<Box<str>, V>>,
}

impl<V> Default for Remembered<V> {
    fn default() -> Remembered<V> {
        Remembered { reads: Mutex::default(), writes: Mutex::default() }
    }
}

impl<V: Clone> Remembered<V> {
    pub(super) fn get(&self, purpose: Purpose, sql: &str) -> Option<V> {
        self.of(purpose).lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    pub(super) fn insert(&self, purpose: Purpose, sql: &str, value: V) {
        let mut known = self.of(purpose).lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(sql.into(), value);
    }

    /// INVARIANT: what was found for reading is never taken for writing.
    fn of(&self, purpose: Purpose) -> &Mutex<HashMap<Box<str>, V>> {
        match purpose {
            Purpose::Read => &self.reads,
            Purpose::Write => &self.writes,
        }
    }
}

//! Calls that were taken from a shared store ahead of their use, so that the store is not asked for each.
//!
//! INVARIANT: for each key a process holds one lease at a time, for [`LIFETIME`] at most. Whatever its processes do, a fleet exceeds a
//! rate by no more than what lies unused in their leases.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use tokio::sync::Mutex as Turn;

use super::{
    rates::{Lease, Rate, RateStore},
    table::{Table, key},
};

/// How long a lease is good, in microseconds; what is left of it then is lost.
const LIFETIME: u64 = 1_000_000;

/// The leases of all keys.
pub(super) struct Leases {
    store: Arc<dyn RateStore>,
    keys: Mutex<Table<Arc<Key>>>,
}

#[derive(Default)]
struct Key {
    held: Turn<Held>,
    /// How often the store did not answer.
    failures: AtomicU64,
}

#[derive(Default)]
struct Held {
    left: u32,
    /// Until when it is good.
    until: u64,
    /// Until when the store has nothing.
    dry: u64,
    /// How many were asked for.
    asked: u32,
}

impl Leases {
    pub(super) fn new(store: Arc<dyn RateStore>) -> Leases {
        Leases { store, keys: Mutex::default() }
    }

    /// One call, or how long to wait.
    pub(super) async fn take(
        &self,
        limit: &'static str,
        parts: [&str; 2],
        rate: Rate,
        now: u64,
    ) -> Result<Lease, String> {
        let entry = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(keys.entry(key(limit, &parts), |entry| lives(entry, now)))
        };
        let failures = entry.failures.load(SeqCst);
        // Callers of one key queue here, so that one of them asks for all; and if it gets no answer, that is the answer to all.
        let mut held = entry.held.lock().await;
        if entry.failures.load(SeqCst) != failures {
            return Err("the store did not answer".to_owned());
        }
        if now >= held.until {
            (held.left, held.asked) = (0, 0);
        }
        if held.left == 0 {
            if now < held.dry {
                return Ok(Lease::Wait(held.dry - now));
            }
            // Whoever used up one lease in time gets a larger one; a call now and then takes no more than itself.
            let want = held.asked.saturating_mul(2).clamp(1, self.store.block(rate).max(1));
            let [first, second] = parts;
            let name = format!("{limit}\u{0}{first}\u{0}{second}");
            let leased = self.store.lease(&name, rate, want, now).await;
            match leased.inspect_err(|_| _ = entry.failures.fetch_add(1, SeqCst))? {
                Lease::Granted(granted) => {
                    (held.left, held.asked) = (granted, want);
                    // MUTATE(I1-lease): what was leased is used whenever
                    held.until = now.saturating_add(LIFETIME);
                }
                Lease::Wait(micros) => {
                    held.dry = now.saturating_add(micros);
                    return Ok(Lease::Wait(micros));
                }
            }
        }
        held.left = held.left.saturating_sub(1);
        Ok(Lease::Granted(1))
    }
}

/// Whether a lease still matters: somebody uses it at this moment, or it says something of the next call.
fn lives(entry: &Arc<Key>, now: u64) -> bool {
    entry.held.try_lock().map_or(true, |held| now < held.until.max(held.dry))
}

#[cfg(test)]
mod tests;

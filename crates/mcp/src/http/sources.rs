//! Budgets of sources that have not shown who they are: open connections, and failed authentications.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::peer::Source;

/// All addresses that hold or lately used some budget.
pub(crate) struct Sources {
    connections: usize,
    /// Nanoseconds that one failure costs.
    interval: u64,
    /// Nanoseconds of failures that may come at once.
    burst: u64,
    seen: Arc<Mutex<HashMap<Source, Budget>>>,
}

#[derive(Default)]
struct Budget {
    connections: usize,
    /// When the failures so far are paid off (monotonic nanoseconds).
    paid: u64,
}

/// A connection on which nobody has authenticated; given back on drop.
pub(crate) struct Place {
    seen: Arc<Mutex<HashMap<Source, Budget>>>,
    key: Source,
}

/// Above this many addresses, those without connections are forgotten.
const SWEEP_AT: usize = 10_000;
const MINUTE: u64 = 60_000_000_000;

impl Sources {
    pub(crate) fn new(connections: usize, failures_per_minute: u32, failures_burst: u32) -> Sources {
        let interval = MINUTE / u64::from(failures_per_minute.max(1));
        let burst = interval.saturating_mul(u64::from(failures_burst.max(1)));
        Sources { connections, interval, burst, seen: Arc::default() }
    }

    /// A place for one more connection, if the address has one left.
    pub(crate) fn connect(&self, source: Source) -> Option<Place> {
        let key = key(source);
        let mut seen = lock(&self.seen);
        if seen.len() > SWEEP_AT {
            seen.retain(|_, source| source.connections > 0);
        }
        let source = seen.entry(key).or_default();
        // MUTATE(G8-connections): an address holds any number of connections without authenticating
        if source.connections >= self.connections {
            return None;
        }
        source.connections += 1;
        Some(Place { seen: Arc::clone(&self.seen), key })
    }

    /// One failed authentication at `now`. `Some` says how long the address has to wait before it may fail again.
    pub(crate) fn fail(&self, source: Source, now: u64) -> Option<Duration> {
        let mut seen = lock(&self.seen);
        let source = seen.entry(key(source)).or_default();
        let paid = source.paid.max(now).saturating_add(self.interval);
        let over = paid.saturating_sub(now.saturating_add(self.burst));
        // MUTATE(G8-failures): an address fails as often as it likes
        if over > 0 {
            return Some(Duration::from_nanos(over));
        }
        source.paid = paid;
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut seen = lock(&self.seen);
        if let Some(source) = seen.get_mut(&self.key) {
            source.connections = source.connections.saturating_sub(1);
            if source.connections == 0 && source.paid == 0 {
                seen.remove(&self.key);
            }
        }
    }
}

fn lock(seen: &Mutex<HashMap<Source, Budget>>) -> MutexGuard<'_, HashMap<Source, Budget>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An IPv6 host owns a whole /64, so that is what has a budget.
fn key(source: Source) -> Source {
    match source {
        Source::Address(IpAddr::V6(v6)) => Source::Address(match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None if v6 == Ipv6Addr::LOCALHOST => IpAddr::V6(v6),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        }),
        other => other,
    }
}

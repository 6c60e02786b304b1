//! Leases save trips to the store, are small and short, and add up to the rate.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use async_trait::async_trait;

use super::*;
use crate::{
    denied::{Denied, Subsystem},
    limits::{LimitConfig, Limits},
    principal::{AuthMethod, Principal, PrincipalKind},
};

const NOW: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000;
const RATE: Rate = Rate { per_minute: 600, burst: 100 };

/// A shared store: exact, and it counts.
#[derive(Default)]
struct Shared {
    arrivals: Mutex<HashMap<String, u64>>,
    trips: AtomicU32,
    gone: AtomicBool,
}

#[async_trait]
impl RateStore for Shared {
    async fn lease(&self, key: &str, rate: Rate, want: u32, now: u64) -> Result<Lease, String> {
        self.trips.fetch_add(1, SeqCst);
        // Others come in between.
        tokio::task::yield_now().await;
        if self.gone.load(SeqCst) {
            return Err("gone".into());
        }
        let mut arrivals = self.arrivals.lock().unwrap();
        let arrival = arrivals.entry(key.to_owned()).or_default();
        let (lease, next) = rate.lease(*arrival, now, want);
        *arrival = next;
        Ok(lease)
    }

    async fn charge(&self, _principal: &str, _by: [u64; 2], _now: u64) -> Result<[u64; 2], String> {
        Ok([0; 2])
    }

    fn block(&self, rate: Rate) -> u32 {
        rate.burst / 10
    }
}

async fn take(leases: &Leases, now: u64) -> bool {
    matches!(leases.take("principal", ["ann", ""], RATE, now).await, Ok(Lease::Granted(_)))
}

#[tokio::test]
async fn two_processes_together_have_one_rate_and_few_trips() {
    let store = Arc::new(Shared::default());
    let processes = [Leases::new(Arc::clone(&store) as _), Leases::new(Arc::clone(&store) as _)];
    let mut taken = 0;
    for _ in 0..200 {
        for process in &processes {
            taken += u32::from(take(process, NOW).await);
        }
    }
    assert_eq!(taken, 100, "exactly the burst");
    let trips = store.trips.load(SeqCst);
    assert!(trips <= 20, "{trips} trips for 400 calls: neither leases nor refusals are asked for one by one");
    // Ten seconds later there is a burst again.
    let later = NOW + 10 * SECOND;
    let mut taken = 0;
    for _ in 0..200 {
        taken += u32::from(take(&processes[0], later).await);
    }
    assert_eq!(taken, 100);
}

/// What lies unused is what a fleet may exceed a rate by, so it does not lie long.
#[tokio::test]
async fn what_is_left_of_a_lease_is_lost_soon() {
    let store = Arc::new(Shared::default());
    let leases = Leases::new(Arc::clone(&store) as _);
    // One, two, four and eight: of the last, seven are left.
    for _ in 0..8 {
        assert!(take(&leases, NOW).await);
    }
    assert_eq!(store.trips.load(SeqCst), 4);
    assert!(take(&leases, NOW + LIFETIME - 1).await);
    assert_eq!(store.trips.load(SeqCst), 4, "it is still good");
    assert!(take(&leases, NOW + LIFETIME).await);
    assert_eq!(store.trips.load(SeqCst), 5, "it is over");
    // Calls now and then take no more than themselves.
    let before = *store.arrivals.lock().unwrap().values().next().unwrap();
    for n in 1..5 {
        assert!(take(&leases, NOW + (20 + 2 * n) * SECOND).await);
    }
    let after = *store.arrivals.lock().unwrap().values().next().unwrap();
    assert!(after > before && after <= NOW + 28 * SECOND + RATE.interval(), "{before} {after}");
}

#[tokio::test]
async fn callers_at_once_share_one_trip() {
    let store = Arc::new(Shared::default());
    let leases = Arc::new(Leases::new(Arc::clone(&store) as _));
    let callers: Vec<_> = (0..150)
        .map(|_| {
            let leases = Arc::clone(&leases);
            tokio::spawn(async move { take(&leases, NOW).await })
        })
        .collect();
    let mut taken = 0;
    for caller in callers {
        taken += u32::from(caller.await.unwrap());
    }
    assert_eq!(taken, 100);
    assert!(store.trips.load(SeqCst) <= 20, "{} trips", store.trips.load(SeqCst));
}

#[tokio::test]
async fn a_store_that_does_not_answer_refuses() {
    let store = Arc::new(Shared::default());
    let limits =
        Limits::new(LimitConfig { principal: RATE, ..LimitConfig::wide() }, Some(Arc::clone(&store) as _));
    let ann = Principal::new("keys", "ann", PrincipalKind::Person, "acme", AuthMethod::ApiKey);
    limits.admit(&ann, NOW).await.unwrap();
    store.gone.store(true, SeqCst);
    let refused = limits.admit(&ann, NOW + LIFETIME).await;
    assert_eq!(refused, Err(Denied::Unavailable(Subsystem::State)));
    store.gone.store(false, SeqCst);
    limits.admit(&ann, NOW + LIFETIME).await.unwrap();
}

/// A store that hangs keeps each caller waiting once, not once for everybody before it.
#[tokio::test]
async fn callers_who_waited_for_a_failure_do_not_try_it_each() {
    let store = Arc::new(Shared::default());
    store.gone.store(true, SeqCst);
    let leases = Arc::new(Leases::new(Arc::clone(&store) as _));
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let leases = Arc::clone(&leases);
            tokio::spawn(async move { leases.take("principal", ["ann", ""], RATE, NOW).await })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap().is_err());
    }
    assert_eq!(store.trips.load(SeqCst), 1);
    assert!(!take(&leases, NOW).await);
    assert_eq!(store.trips.load(SeqCst), 2, "who comes later tries again");
}

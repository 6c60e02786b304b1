//! What several processes count together is exceeded by at most a block of each, for few trips to the store.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use async_trait::async_trait;

use super::*;
use crate::limits::{Lease, Rate};

const NOW: u64 = 10 * HOUR;

/// A shared store: exact, and it counts the trips.
#[derive(Default)]
struct Shared {
    until: Mutex<HashMap<String, Pair>>,
    made: Mutex<HashMap<String, (u64, u64)>>,
    trips: AtomicU32,
    gone: AtomicBool,
}

impl Shared {
    fn trip(&self) -> Result<(), String> {
        self.trips.fetch_add(1, SeqCst);
        if self.gone.load(SeqCst) { Err("gone".into()) } else { Ok(()) }
    }
}

#[async_trait]
impl RateStore for Shared {
    async fn lease(&self, _key: &str, _rate: Rate, _want: u32, _now: u64) -> Result<Lease, String> {
        Ok(Lease::Granted(1))
    }

    async fn charge(&self, principal: &str, by: Pair, now: u64) -> Result<Pair, String> {
        self.trip()?;
        let mut all = self.until.lock().unwrap();
        let until = all.entry(principal.to_owned()).or_default();
        for (until, by) in until.iter_mut().zip(by) {
            *until = (*until).max(now) + by;
        }
        Ok(until.map(|until| until - now))
    }

    async fn count(&self, run: &str, calls: u64, now: u64, since: u64) -> Result<Option<u64>, String> {
        self.trip()?;
        let mut all = self.made.lock().unwrap();
        let (made, last) = all.entry(run.to_owned()).or_default();
        *made = if *last < since { calls } else { *made + calls };
        *last = now;
        Ok(Some(*made))
    }
}

fn store(shared: &Arc<Shared>) -> Store {
    Some(Arc::clone(shared) as _)
}

async fn calls(budgets: &Budgets, calls: u32, times: u32, now: u64) -> u32 {
    let mut taken = 0;
    for _ in 0..times {
        taken += u32::from(budgets.take(&RunId::new("r"), calls, now).await.is_ok());
    }
    taken
}

#[tokio::test]
async fn a_run_has_one_budget_in_all_processes() {
    let shared = Arc::new(Shared::default());
    let processes = [Budgets::new(store(&shared)), Budgets::new(store(&shared))];
    let mut taken = 0;
    for _ in 0..1500 {
        for process in &processes {
            taken += calls(process, 1000, 1, NOW).await;
        }
    }
    // A block is ten calls, of which nine are not told.
    assert!((1000..=1000 + 9).contains(&taken), "{taken}");
    let trips = shared.trips.load(SeqCst);
    assert!(trips <= 104, "{trips} trips for 3000 calls");
    // A process that comes later, in place of one that died, learns of it with its first call.
    let late = Budgets::new(store(&shared));
    assert_eq!(calls(&late, 1000, 20, NOW).await, 0);
    assert_eq!(calls(&late, 1000, 1, NOW + HOUR).await, 0);
    assert_eq!(calls(&late, 1000, 1, NOW + RUN_IDLE + 1).await, 1, "it was idle, and a run begins anew");

    let small = [Budgets::new(store(&shared)), Budgets::new(store(&shared))];
    let later = NOW + 10 * RUN_IDLE;
    assert_eq!(calls(&small[0], 5, 3, later).await + calls(&small[1], 5, 9, later).await, 5, "exactly");
}

#[tokio::test]
async fn a_principal_has_one_hour_in_all_processes() {
    const LIMITS: Pair = [1000, u64::MAX];
    let shared = Arc::new(Shared::default());
    let processes = [Volumes::new(store(&shared)), Volumes::new(store(&shared))];
    let mut given = 0;
    for _ in 0..800 {
        for process in &processes {
            if process.check("ann", LIMITS, NOW).await.is_ok() {
                process.charge("ann", [3, 1], LIMITS, NOW).await.unwrap();
                given += 3;
            }
        }
    }
    assert!((1000..=1000 + 2 * 12).contains(&given), "{given}");
    let trips = shared.trips.load(SeqCst);
    assert!(trips <= 90, "{trips} trips for 1600 calls");
    let late = Volumes::new(store(&shared));
    assert!(late.check("ann", LIMITS, NOW).await.is_err(), "a process that comes later learns of it at once");
    late.check("bob", LIMITS, NOW).await.unwrap();
    // An answer that is a block by itself is known to the others before it leaves.
    let later = NOW + 3 * HOUR;
    for process in &processes {
        process.check("ann", LIMITS, later).await.unwrap();
    }
    processes[0].charge("ann", [5000, 1], LIMITS, later).await.unwrap();
    let minute = later + UNTOLD;
    assert!(processes[1].check("ann", LIMITS, minute).await.is_err());
}

#[tokio::test]
async fn a_store_that_is_gone_refuses() {
    let shared = Arc::new(Shared::default());
    let (budgets, volumes) = (Budgets::new(store(&shared)), Volumes::new(store(&shared)));
    let (run, limits) = (RunId::new("r"), [100, 100]);
    shared.gone.store(true, SeqCst);
    let unavailable = Err(Denied::Unavailable(Subsystem::State));
    assert_eq!(budgets.take(&run, 100, NOW).await, unavailable);
    assert_eq!(volumes.check("ann", limits, NOW).await, unavailable);
    assert_eq!(volumes.charge("ann", [1, 1], limits, NOW).await, unavailable);
    shared.gone.store(false, SeqCst);
    budgets.take(&run, 100, NOW).await.unwrap();
    volumes.check("ann", limits, NOW).await.unwrap();
    assert_eq!(shared.until.lock().unwrap()["ann"], [NOW + HOUR / 100; 2], "nothing that was given is lost");
}

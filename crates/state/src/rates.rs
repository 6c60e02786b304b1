//! The limits of a fleet: what all its processes take their calls from, and count together.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::{
    Digest,
    limits::{Lease, Rate, RateStore},
};

use crate::store::Store;

/// How far one answer uses up a limit at most, in microseconds: a thousand hours.
const LONGEST: u64 = 1000 * 3_600_000_000;

/// Limits in a store. A lease is a tenth of the burst, and no more than what the rate yields in a second.
pub struct SharedRates(Arc<dyn Store>);

impl SharedRates {
    /// Rates in this store.
    pub fn new(store: Arc<dyn Store>) -> SharedRates {
        SharedRates(store)
    }
}

#[async_trait]
impl RateStore for SharedRates {
    async fn lease(&self, key: &str, rate: Rate, want: u32, _now: u64) -> Result<Lease, String> {
        let key = Digest::of_fields("countersign rate v1", [key.as_bytes()]);
        self.0.lease(key.0, rate, want).await.map_err(|error| error.to_string())
    }

    async fn charge(&self, principal: &str, by: [u64; 2], _now: u64) -> Result<[u64; 2], String> {
        let key = Digest::of_fields("countersign volume v1", [principal.as_bytes()]);
        // Whatever an answer is of a small limit, times stay in range.
        let by = by.map(|by| by.min(LONGEST));
        self.0.charge(key.0, by).await.map_err(|error| error.to_string())
    }

    async fn count(&self, run: &str, calls: u64, now: u64, since: u64) -> Result<Option<u64>, String> {
        let key = Digest::of_fields("countersign budget v1", [run.as_bytes()]);
        self.0.count(key.0, calls, now, since).await.map(Some).map_err(|error| error.to_string())
    }

    fn block(&self, rate: Rate) -> u32 {
        (rate.burst / 10).min(rate.per_minute / 60).max(1)
    }
}

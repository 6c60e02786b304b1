//! The limits of a fleet: rates that all its processes take their calls from.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::{
    Digest,
    limits::{Lease, Rate, RateStore},
};

use crate::store::Store;

/// Rates in a store. A lease is a tenth of the burst, and no more than what the rate yields in a second.
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

    fn block(&self, rate: Rate) -> u32 {
        (rate.burst / 10).min(rate.per_minute / 60).max(1)
    }
}

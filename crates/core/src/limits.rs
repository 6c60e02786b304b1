//! Limits: how often, how many at once, how much, how long in a row. A refusal says when a retry may succeed.
//!
//! All of them live in memory. Rates of principals, tenants, tools and the server, the calls of a run, and rows and bytes of an hour can be
//! shared with other processes through a [`RateStore`]. The rest protects what each process has for itself. Times are microseconds since 1970.

mod breaker;
mod lease;
mod rates;
mod table;
mod volume;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use breaker::Breaker;
use breaker::{Breakers, Watch};
use rates::Rates;
pub use rates::{Lease, Rate, RateStore};
use table::key;
use volume::{Budgets, Volumes};

use crate::{denied::Denied, ids::RunId, principal::Principal};

/// All limits of the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct LimitConfig {
    /// Calls per principal, over all tools.
    pub principal: Rate,
    /// Calls per tenant, over all its principals.
    pub tenant: Rate,
    /// Calls per principal and tool.
    pub tool: Rate,
    /// Calls per run: a session, a stdio process.
    pub run: Rate,
    /// Calls of one tool with the same arguments in one run: what does not change anything is a loop.
    pub repeat: Rate,
    /// Calls for the whole server.
    pub server: Rate,
    /// Calls that a run may make in all.
    pub run_calls: u32,
    /// Rows that a principal may be given in an hour.
    pub rows_per_hour: u64,
    /// Bytes of results that a principal may be given in an hour.
    pub bytes_per_hour: u64,
    /// Calls under way per principal.
    pub concurrent_principal: u32,
    /// Calls under way in all.
    pub concurrent_server: u32,
    /// When a tool that fails is left alone.
    pub breaker: Breaker,
}

impl LimitConfig {
    fn volumes(&self) -> [u64; 2] {
        [self.rows_per_hour, self.bytes_per_hour]
    }

    /// Limits that nobody meets: for tests and measurements of something else.
    pub fn wide() -> LimitConfig {
        let rate = Rate { per_minute: 60_000_000, burst: 1_000_000 };
        LimitConfig {
            principal: rate,
            tenant: rate,
            tool: rate,
            run: rate,
            repeat: rate,
            server: rate,
            run_calls: u32::MAX,
            rows_per_hour: u64::MAX,
            bytes_per_hour: u64::MAX,
            concurrent_principal: 10_000,
            concurrent_server: 10_000,
            breaker: Breaker { failures: u32::MAX, rest: Duration::from_secs(1) },
        }
    }
}

/// The limits in force.
pub struct Limits {
    config: LimitConfig,
    rates: Rates,
    budgets: Budgets,
    volumes: Volumes,
    breakers: Breakers,
    active: Arc<Mutex<HashMap<String, u32>>>,
}

/// A slot for a call under way; given back on drop.
pub struct Slot {
    active: Arc<Mutex<HashMap<String, u32>>>,
    key: String,
}

impl Limits {
    /// Limits that live in memory, and in `store` if one is given.
    pub fn new(config: LimitConfig, store: Option<Arc<dyn RateStore>>) -> Limits {
        Limits {
            config,
            rates: Rates::new(store.clone()),
            budgets: Budgets::new(store.clone()),
            volumes: Volumes::new(store),
            breakers: Breakers::default(),
            active: Arc::default(),
        }
    }

    /// One call of a principal, before its body is read.
    pub async fn admit(&self, principal: &Principal, now: u64) -> Result<(), Denied> {
        // MUTATE(I1-principal): a principal calls as often as it likes
        self.rates.take("principal", [principal.key(), ""], self.config.principal, now).await?;
        // MUTATE(I1-tenant): the principals of a tenant together call as often as they like
        self.rates.take("tenant", [principal.tenant(), ""], self.config.tenant, now).await?;
        self.rates.take("server", ["", ""], self.config.server, now).await
    }

    /// One call of a tool by a principal, in a run, with these canonical arguments.
    pub async fn admit_call(
        &self,
        principal: &Principal,
        run: &RunId,
        tool: &str,
        arguments: &str,
        now: u64,
    ) -> Result<(), Denied> {
        // MUTATE(I1-tool): a tool is called as often as a principal likes
        self.rates.take("tool", [principal.key(), tool], self.config.tool, now).await?;
        // INVARIANT: a run is named by us; principals cannot share one.
        // MUTATE(I1-run): a run calls as often as it likes
        self.rates.take_here("run", &[run.as_str()], self.config.run, now)?;
        // MUTATE(I3-repeat): the same call is repeated without end
        self.rates.take_here("repeat", &[run.as_str(), tool, arguments], self.config.repeat, now)?;
        self.budgets.take(run, self.config.run_calls, now).await?;
        self.volumes.check(principal.key(), self.config.volumes(), now).await
    }

    /// Counts what a principal is about to be given.
    ///
    /// # Errors
    /// If nobody could tell other processes, which must know.
    pub async fn given(&self, principal: &Principal, rows: u64, bytes: u64, now: u64) -> Result<(), Denied> {
        self.volumes.charge(principal.key(), [rows, bytes], self.config.volumes(), now).await
    }

    /// Watches one execution of a tool for a tenant; refused while the tool rests after failures.
    pub fn watch(&self, tenant: &str, tool: &str, now: u64) -> Result<Watch<'_>, Denied> {
        self.breakers.enter(key("breaker", &[tenant, tool]), self.config.breaker, now)
    }

    /// Takes a slot for a call under way.
    pub fn slot(&self, principal: &str) -> Result<Slot, Denied> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u32 = active.values().sum();
        let own = active.get(principal).copied().unwrap_or(0);
        // MUTATE(I1-concurrency): any number of calls at once
        if own >= self.config.concurrent_principal || total >= self.config.concurrent_server {
            return Err(Denied::Limited { limit: "concurrency", retry_after: Duration::from_millis(250) });
        }
        match active.get_mut(principal) {
            Some(count) => *count += 1,
            None => {
                active.insert(principal.to_owned(), 1);
            }
        }
        Ok(Slot { active: Arc::clone(&self.active), key: principal.to_owned() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = active.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                active.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Rates and concurrency: GCRA per principal, per principal and tool, and for the whole server; slots for calls under way.
//!
//! Counters live in memory. A short-lived process (stdio) gives a [`RateStore`], so that starting it anew does not start it with fresh
//! limits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::denied::Denied;

/// So many calls a minute, with a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Sustained calls per minute; at least 1.
    pub per_minute: u32,
    /// Calls that may come at once; at least 1.
    pub burst: u32,
}

impl Rate {
    fn interval(self) -> u64 {
        60_000_000 / u64::from(self.per_minute.max(1))
    }
}

/// All limits of the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct LimitConfig {
    /// Per principal, over all tools.
    pub principal: Rate,
    /// Per principal and tool.
    pub tool: Rate,
    /// For the whole server.
    pub server: Rate,
    /// Calls under way per principal.
    pub concurrent_principal: u32,
    /// Calls under way in all.
    pub concurrent_server: u32,
}

/// Where theoretical arrival times (microseconds since 1970) outlive the process.
pub trait RateStore: Send + Sync {
    /// Reads, lets `step` compute the new value, and writes it back, excluding other processes meanwhile.
    fn update(&self, key: &str, step: &mut dyn FnMut(u64) -> Option<u64>) -> Result<(), String>;
}

/// The limits in force.
pub struct Limits {
    config: LimitConfig,
    rates: Mutex<HashMap<String, u64>>,
    active: Arc<Mutex<HashMap<String, u32>>>,
    store: Option<Arc<dyn RateStore>>,
}

/// A slot for a call under way; given back on drop.
pub struct Slot {
    active: Arc<Mutex<HashMap<String, u32>>>,
    key: String,
}

/// Above this many keys, those whose time has passed are forgotten.
const SWEEP_AT: usize = 10_000;
const SERVER: &str = "*";

impl Limits {
    /// Limits that live in memory, and in `store` if one is given.
    pub fn new(config: LimitConfig, store: Option<Arc<dyn RateStore>>) -> Limits {
        Limits { config, rates: Mutex::default(), active: Arc::default(), store }
    }

    /// One call of a principal, before its body is read. `now` is microseconds since 1970.
    pub fn admit(&self, principal: &str, now: u64) -> Result<(), Denied> {
        // MUTATE(I1-principal): a principal calls as often as it likes
        self.take("principal", principal, self.config.principal, now)?;
        self.take("server", SERVER, self.config.server, now)
    }

    /// One call of a tool by a principal.
    pub fn admit_tool(&self, principal: &str, tool: &str, now: u64) -> Result<(), Denied> {
        // MUTATE(I1-tool): a tool is called as often as a principal likes
        self.take("tool", &format!("{principal}\u{0}{tool}"), self.config.tool, now)
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

    fn take(&self, limit: &'static str, key: &str, rate: Rate, now: u64) -> Result<(), Denied> {
        let mut wait = None;
        let mut step = |arrival: u64| match gcra(arrival, rate, now) {
            Ok(next) => Some(next),
            Err(micros) => {
                wait = Some(micros);
                None
            }
        };
        match &self.store {
            Some(store) => store
                .update(&format!("{limit}\u{0}{key}"), &mut step)
                .map_err(|_| Denied::Unavailable(crate::denied::Subsystem::State))?,
            None => {
                let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
                if rates.len() > SWEEP_AT {
                    rates.retain(|_, arrival| *arrival > now);
                }
                // INVARIANT: keys of different limits differ, by their NUL-separated parts or by `*`, which no principal key is.
                match rates.get_mut(key) {
                    Some(arrival) => {
                        if let Some(next) = step(*arrival) {
                            *arrival = next;
                        }
                    }
                    None => {
                        if let Some(next) = step(0) {
                            rates.insert(key.to_owned(), next);
                        }
                    }
                }
            }
        }
        match wait {
            Some(micros) => Err(Denied::Limited { limit, retry_after: Duration::from_micros(micros) }),
            None => Ok(()),
        }
    }
}

/// The generic cell rate algorithm (ITU-T I.371): the next theoretical arrival time, or how long to wait, in microseconds.
fn gcra(arrival: u64, rate: Rate, now: u64) -> Result<u64, u64> {
    let interval = rate.interval();
    let tolerance = interval.saturating_mul(u64::from(rate.burst.max(1)).saturating_sub(1));
    let earliest = arrival.saturating_sub(tolerance);
    if now < earliest {
        return Err(earliest - now);
    }
    Ok(arrival.max(now).saturating_add(interval))
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

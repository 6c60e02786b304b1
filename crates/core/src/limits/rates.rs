//! Rates: so many a minute with a burst, by the generic cell rate algorithm (ITU-T I.371), which keeps one number for each key.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::table::{Table, key};
use crate::denied::{Denied, Subsystem};

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

/// Where theoretical arrival times (microseconds since 1970) outlive the process.
pub trait RateStore: Send + Sync {
    /// Reads, lets `step` compute the new value, and writes it back, excluding other processes meanwhile.
    fn update(&self, key: &str, step: &mut dyn FnMut(u64) -> Option<u64>) -> Result<(), String>;
}

/// The rates of all keys.
pub(super) struct Rates {
    arrivals: Mutex<Table<u64>>,
    store: Option<Arc<dyn RateStore>>,
}

impl Rates {
    pub(super) fn new(store: Option<Arc<dyn RateStore>>) -> Rates {
        Rates { arrivals: Mutex::default(), store }
    }

    /// One event under this key, in the store if there is one.
    pub(super) fn take(
        &self,
        limit: &'static str,
        parts: [&str; 2],
        rate: Rate,
        now: u64,
    ) -> Result<(), Denied> {
        let Some(store) = &self.store else { return self.take_here(limit, &parts, rate, now) };
        let mut wait = None;
        let mut step = |arrival: u64| gcra(arrival, rate, now).map_err(|micros| wait = Some(micros)).ok();
        let [first, second] = parts;
        let updated = store.update(&format!("{limit}\u{0}{first}\u{0}{second}"), &mut step);
        updated.map_err(|_| Denied::Unavailable(Subsystem::State))?;
        wait.map_or(Ok(()), |micros| Err(limited(limit, micros)))
    }

    /// One event under a key that other processes do not share.
    pub(super) fn take_here(
        &self,
        limit: &'static str,
        parts: &[&str],
        rate: Rate,
        now: u64,
    ) -> Result<(), Denied> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = arrivals.entry(key(limit, parts), |arrival| *arrival > now);
        *arrival = gcra(*arrival, rate, now).map_err(|micros| limited(limit, micros))?;
        Ok(())
    }
}

pub(super) fn limited(limit: &'static str, micros: u64) -> Denied {
    Denied::Limited { limit, retry_after: Duration::from_micros(micros) }
}

/// The next theoretical arrival time, or how long to wait, in microseconds.
fn gcra(arrival: u64, rate: Rate, now: u64) -> Result<u64, u64> {
    let interval = rate.interval();
    let tolerance = interval.saturating_mul(u64::from(rate.burst.max(1)).saturating_sub(1));
    let earliest = arrival.saturating_sub(tolerance);
    if now < earliest {
        return Err(earliest - now);
    }
    Ok(arrival.max(now).saturating_add(interval))
}

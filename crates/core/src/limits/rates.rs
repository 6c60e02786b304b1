//! Rates: so many a minute with a burst, by the generic cell rate algorithm (ITU-T I.371), which keeps one number for each key.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    lease::Leases,
    table::{Table, key},
};
use crate::denied::{Denied, Subsystem};

/// So many calls a minute, with a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Sustained calls per minute; at least 1.
    pub per_minute: u32,
    /// Calls that may come at once; at least 1.
    pub burst: u32,
}

/// What of a rate somebody is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lease {
    /// So many calls; at least 1.
    Granted(u32),
    /// None; the next one in so many microseconds.
    Wait(u64),
}

impl Rate {
    /// Microseconds between two calls that come evenly; at least 1.
    pub fn interval(self) -> u64 {
        (60_000_000 / u64::from(self.per_minute.max(1))).max(1)
    }

    /// How many microseconds ahead of that calls may come.
    pub fn tolerance(self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst.max(1)).saturating_sub(1))
    }

    /// What of `want` calls is granted at `now`, and the theoretical arrival time after that. Times are microseconds since 1970.
    pub fn lease(self, arrival: u64, now: u64, want: u32) -> (Lease, u64) {
        let (interval, begin) = (self.interval(), arrival.max(now));
        let latest = now.saturating_add(self.tolerance());
        if begin > latest {
            return (Lease::Wait(begin - latest), arrival);
        }
        let fit = ((latest - begin) / interval).saturating_add(1);
        let granted = u64::from(want.max(1)).min(fit);
        let next = begin.saturating_add(granted.saturating_mul(interval));
        (Lease::Granted(u32::try_from(granted).unwrap_or(u32::MAX)), next)
    }
}

/// Where rates are counted that outlive the process, or that several processes share.
#[async_trait]
pub trait RateStore: Send + Sync {
    /// Takes up to `want` calls of the rate under this key, excluding other processes meanwhile. `now` (microseconds since 1970) is for
    /// stores without a clock.
    ///
    /// # Errors
    /// Why nobody knows; the call is refused then.
    async fn lease(&self, key: &str, rate: Rate, want: u32, now: u64) -> Result<Lease, String>;

    /// Moves the times until which a principal's rows and bytes of the hour are used up, on by `by` microseconds each, from now on if they are
    /// past. How far they are ahead of now then.
    ///
    /// # Errors
    /// Why nobody knows; the call is refused then.
    async fn charge(&self, principal: &str, by: [u64; 2], now: u64) -> Result<[u64; 2], String>;

    /// Adds calls to those of a run, which begin anew if none was added since `since`. How many there are then; none if no other process
    /// serves the run.
    ///
    /// # Errors
    /// Why nobody knows; the call is refused then.
    async fn count(&self, _run: &str, _calls: u64, _now: u64, _since: u64) -> Result<Option<u64>, String> {
        Ok(None)
    }

    /// How many calls one lease has at most; the store is not asked for each of them. Several processes together exceed a rate by at most
    /// one lease each: what they took and had not used yet.
    fn block(&self, _rate: Rate) -> u32 {
        1
    }
}

/// The rates of all keys.
pub(super) struct Rates {
    arrivals: Mutex<Table<u64>>,
    leases: Option<Leases>,
}

impl Rates {
    pub(super) fn new(store: Option<Arc<dyn RateStore>>) -> Rates {
        Rates { arrivals: Mutex::default(), leases: store.map(Leases::new) }
    }

    /// One event under this key, in the store if there is one.
    pub(super) async fn take(
        &self,
        limit: &'static str,
        parts: [&str; 2],
        rate: Rate,
        now: u64,
    ) -> Result<(), Denied> {
        let Some(leases) = &self.leases else { return self.take_here(limit, &parts, rate, now) };
        match leases.take(limit, parts, rate, now).await {
            Ok(Lease::Granted(_)) => Ok(()),
            Ok(Lease::Wait(micros)) => Err(limited(limit, micros)),
            // MUTATE(I4-rates): a store that does not answer limits nobody
            Err(_) => Err(Denied::Unavailable(Subsystem::State)),
        }
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
        let (lease, next) = rate.lease(*arrival, now, 1);
        *arrival = next;
        match lease {
            Lease::Granted(_) => Ok(()),
            Lease::Wait(micros) => Err(limited(limit, micros)),
        }
    }
}

pub(super) fn limited(limit: &'static str, micros: u64) -> Denied {
    Denied::Limited { limit, retry_after: Duration::from_micros(micros) }
}

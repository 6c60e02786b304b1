//! How much: the calls of a run, and the rows and bytes that a principal is given in an hour.
//!
//! What an answer holds is known only when it is there, so that the one that crosses the limit is still given and the next is refused.
//!
//! INVARIANT: where a store counts for several processes, each of them keeps less than a hundredth of a limit to itself, for a minute at most
//! while it goes on; a fleet exceeds a limit by no more than that, and by the answers that cross it. A process that dies takes no more with it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    rates::{RateStore, limited},
    table::{Table, key},
};
use crate::{
    denied::{Denied, Subsystem},
    ids::RunId,
};

const HOUR: u64 = 3_600_000_000;
/// A run that made no call for so long is over.
const RUN_IDLE: u64 = 4 * HOUR;
/// How long a process does not tell the store of less than a block.
const UNTOLD: u64 = 60_000_000;
/// A limit has so many blocks.
const BLOCKS: u64 = 100;

type Store = Option<Arc<dyn RateStore>>;

/// How many calls each run has made, and when it made the last.
pub(super) struct Budgets {
    runs: Mutex<Table<Calls>>,
    store: Store,
}

#[derive(Clone, Copy, Default)]
struct Calls {
    /// In all processes, as far as this one knows.
    made: u64,
    last: u64,
    /// Of these, what the store does not know of.
    untold: u64,
    /// When the store was told.
    told: u64,
}

impl Budgets {
    pub(super) fn new(store: Store) -> Budgets {
        Budgets { runs: Mutex::default(), store }
    }

    pub(super) async fn take(&self, run: &RunId, calls: u32, now: u64) -> Result<(), Denied> {
        let calls = u64::from(calls);
        let over = Denied::Limited { limit: "run budget", retry_after: Duration::from_micros(RUN_IDLE) };
        let Some(telling) = self.take_here(run, calls, now).ok_or_else(|| over.clone())? else {
            return Ok(());
        };
        let Some(store) = &self.store else { return Ok(()) };
        let told = store.count(run.as_str(), telling, now, now.saturating_sub(RUN_IDLE)).await;
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = runs.entry(key("calls", &[run.as_str()]), |calls| calls.lives(now));
        match told {
            Ok(Some(made)) => {
                known.told = now;
                known.made = known.made.max(made.saturating_add(known.untold));
                // MUTATE(P4-budget): calls that a run made elsewhere are not its own
                if made > calls { Err(over) } else { Ok(()) }
            }
            Ok(None) => Ok(()),
            // MUTATE(I4-budget): a store that does not answer limits no run
            Err(_) => {
                known.untold = known.untold.saturating_add(telling);
                Err(Denied::Unavailable(Subsystem::State))
            }
        }
    }

    /// Counts a call here. What the store is to be told of, if it is time; none if the run has used up its calls.
    fn take_here(&self, run: &RunId, calls: u64, now: u64) -> Option<Option<u64>> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = runs.entry(key("calls", &[run.as_str()]), |calls| calls.lives(now));
        if !known.lives(now) {
            *known = Calls::default();
        }
        // MUTATE(I3-budget): a run makes any number of calls
        if known.made >= calls {
            return None;
        }
        (known.made, known.last) = (known.made.saturating_add(1), now);
        known.untold = known.untold.saturating_add(1);
        let due = known.untold.saturating_mul(BLOCKS) >= calls || now.saturating_sub(known.told) >= UNTOLD;
        Some(due.then(|| std::mem::take(&mut known.untold)))
    }
}

impl Calls {
    fn lives(&self, now: u64) -> bool {
        now.saturating_sub(self.last) < RUN_IDLE
    }
}

/// For each principal, until when its rows and bytes of the hour are used up: each row moves the time by an hour's share.
pub(super) struct Volumes {
    used: Mutex<Table<Used>>,
    store: Store,
}

/// Rows and bytes, as times.
type Pair = [u64; 2];

#[derive(Clone, Copy, Default)]
struct Used {
    /// In all processes, as far as this one knows.
    until: Pair,
    /// Of that, what the store does not know of.
    untold: Pair,
    /// When the store was told.
    told: u64,
}

impl Volumes {
    pub(super) fn new(store: Store) -> Volumes {
        Volumes { used: Mutex::default(), store }
    }

    /// Whether the principal may be given more.
    pub(super) async fn check(&self, principal: &str, limits: Pair, now: u64) -> Result<(), Denied> {
        if limits == [u64::MAX; 2] {
            return Ok(());
        }
        self.tell(principal, now).await?;
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = used.get(key("volume", &[principal])) else { return Ok(()) };
        let names = ["rows per hour", "bytes per hour"];
        for ((limit, of), until) in names.into_iter().zip(limits).zip(known.until) {
            let over = until.saturating_sub(now);
            // MUTATE(I1-volume): a principal is given any number of rows and bytes
            if of < u64::MAX && over >= HOUR {
                return Err(limited(limit, over - HOUR + share(1, of)));
            }
        }
        Ok(())
    }

    /// Counts `given` rows and bytes against the limits of an hour.
    pub(super) async fn charge(
        &self,
        principal: &str,
        given: Pair,
        limits: Pair,
        now: u64,
    ) -> Result<(), Denied> {
        {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let known = used.entry(key("volume", &[principal]), |used| used.lives(now));
            let shares = given.into_iter().zip(limits).map(|(given, limit)| share(given, limit));
            for ((until, untold), share) in known.until.iter_mut().zip(&mut known.untold).zip(shares) {
                *until = (*until).max(now).saturating_add(share);
                *untold = untold.saturating_add(share);
            }
        }
        self.tell(principal, now).await
    }

    /// Tells the store what was given, if it is time, and learns what others gave.
    async fn tell(&self, principal: &str, now: u64) -> Result<(), Denied> {
        let Some(store) = &self.store else { return Ok(()) };
        let lives = |used: &Used| used.lives(now);
        let name = key("volume", &[principal]);
        let untold = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let known = used.entry(name, lives);
            let much = known.untold.iter().any(|untold| untold.saturating_mul(BLOCKS) >= HOUR);
            // MUTATE(P4-volume): what was given here is not counted elsewhere
            if !much && now.saturating_sub(known.told) < UNTOLD {
                return Ok(());
            }
            std::mem::take(&mut known.untold)
        };
        let told = store.charge(principal, untold, now).await;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let known = used.entry(name, lives);
        match told {
            Ok(ahead) => {
                known.told = now;
                for ((until, ahead), untold) in known.until.iter_mut().zip(ahead).zip(known.untold) {
                    *until = (*until).max(now.saturating_add(ahead).saturating_add(untold));
                }
                Ok(())
            }
            // MUTATE(I4-volume): a store that does not answer limits no principal
            Err(_) => {
                for (known, untold) in known.untold.iter_mut().zip(untold) {
                    *known = known.saturating_add(untold);
                }
                Err(Denied::Unavailable(Subsystem::State))
            }
        }
    }
}

impl Used {
    fn lives(&self, now: u64) -> bool {
        self.until.iter().any(|until| *until > now) || now.saturating_sub(self.told) < HOUR
    }
}

/// The part of an hour that `amount` of `limit` is, in microseconds.
fn share(amount: u64, limit: u64) -> u64 {
    let micros = u128::from(amount) * u128::from(HOUR) / u128::from(limit.max(1));
    u64::try_from(micros).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

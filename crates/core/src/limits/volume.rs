//! How much: the calls of a run, and the rows and bytes that a principal is given in an hour.
//!
//! What an answer holds is known only when it is there, so that the one that crosses the limit is still given and the next is refused.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    rates::limited,
    table::{Table, key},
};
use crate::{denied::Denied, ids::RunId};

const HOUR: u64 = 3_600_000_000;
/// A run that made no call for so long is over.
const RUN_IDLE: u64 = 4 * HOUR;

/// How many calls each run has made, and when it made the last.
#[derive(Default)]
pub(super) struct Budgets {
    runs: Mutex<Table<(u32, u64)>>,
}

impl Budgets {
    pub(super) fn take(&self, run: &RunId, calls: u32, now: u64) -> Result<(), Denied> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let lives = |(_, last): &(u32, u64)| now.saturating_sub(*last) < RUN_IDLE;
        let (made, last) = runs.entry(key("calls", &[run.as_str()]), lives);
        // MUTATE(I3-budget): a run makes any number of calls
        if *made >= calls {
            return Err(Denied::Limited {
                limit: "run budget",
                retry_after: Duration::from_micros(RUN_IDLE),
            });
        }
        (*made, *last) = (made.saturating_add(1), now);
        Ok(())
    }
}

/// For each principal, until when its rows and bytes of the hour are used up: each row moves the time by an hour's share.
#[derive(Default)]
pub(super) struct Volumes {
    used: Mutex<Table<(u64, u64)>>,
}

impl Volumes {
    /// Whether the principal may be given more.
    pub(super) fn check(&self, principal: &str, rows: u64, bytes: u64, now: u64) -> Result<(), Denied> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((rows_until, bytes_until)) = used.get(key("volume", &[principal])) else { return Ok(()) };
        for (limit, of, until) in
            [("rows per hour", rows, *rows_until), ("bytes per hour", bytes, *bytes_until)]
        {
            let over = until.saturating_sub(now);
            // MUTATE(I1-volume): a principal is given any number of rows and bytes
            if of < u64::MAX && over >= HOUR {
                return Err(limited(limit, over - HOUR + share(1, of)));
            }
        }
        Ok(())
    }

    /// Counts `given` rows and bytes against the limits of an hour.
    pub(super) fn charge(&self, principal: &str, given: (u64, u64), limits: (u64, u64), now: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let lives = |(rows, bytes): &(u64, u64)| *rows > now || *bytes > now;
        let (rows, bytes) = used.entry(key("volume", &[principal]), lives);
        *rows = (*rows).max(now).saturating_add(share(given.0, limits.0));
        *bytes = (*bytes).max(now).saturating_add(share(given.1, limits.1));
    }
}

/// The part of an hour that `amount` of `limit` is, in microseconds.
fn share(amount: u64, limit: u64) -> u64 {
    let micros = u128::from(amount) * u128::from(HOUR) / u128::from(limit.max(1));
    u64::try_from(micros).unwrap_or(u64::MAX)
}

//! Rates that processes share.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::limits::{Lease, Rate};
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{micros, time};
use crate::error::StateError;

pub(super) fn lease(t: &Transaction<'_>, key: [u8; 32], rate: Rate, want: u32) -> Result<Lease, StateError> {
    let now = now();
    let arrival: Option<i64> =
        t.query_row("SELECT arrival FROM rates WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    let (lease, arrival) = rate.lease(arrival.map_or(0, micros), now, want);
    t.execute(
        "INSERT INTO rates (key, arrival) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET arrival = excluded.arrival",
        params![key, time(arrival)],
    )?;
    Ok(lease)
}

/// Microseconds since 1970 UTC, by the clock that the processes of one machine share.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn forget(t: &Transaction<'_>, before: u64) -> Result<(), StateError> {
    t.execute("DELETE FROM rates WHERE arrival < ?1", [time(before)])?;
    Ok(())
}

//! What was seen, so that it is not taken a second time.

use rusqlite::{Transaction, params};

use super::time;
use crate::error::StateError;

/// Rows that one step clears away at most.
const SWEPT: u32 = 64;

pub(super) fn once(t: &Transaction<'_>, key: [u8; 32], now: u64, until: u64) -> Result<bool, StateError> {
    t.execute(
        "DELETE FROM seen WHERE key IN (SELECT key FROM seen WHERE until <= ?1 LIMIT ?2)",
        params![time(now), SWEPT],
    )?;
    // MUTATE(P4-seen): what was seen is taken again
    let sql = "INSERT INTO seen (key, until) VALUES (?1, ?3) ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE seen.until <= ?2";
    Ok(t.execute(sql, params![key, time(now), time(until)])? == 1)
}

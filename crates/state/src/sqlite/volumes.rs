//! What principals were given and how often runs called, counted over processes.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{micros, rates::now, time};
use crate::error::StateError;

pub(super) fn charge(t: &Transaction<'_>, key: [u8; 32], by: [u64; 2]) -> Result<[u64; 2], StateError> {
    let sql = "SELECT rows_until, bytes_until FROM volumes WHERE key = ?1";
    let found: Option<(i64, i64)> =
        t.query_row(sql, [key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (rows, bytes) = found.unwrap_or_default();
    let now = now();
    let [by_rows, by_bytes] = by;
    // MUTATE(P4-charge): what was given before is not counted
    let rows = micros(rows).max(now).saturating_add(by_rows);
    let bytes = micros(bytes).max(now).saturating_add(by_bytes);
    t.execute(
        "INSERT INTO volumes (key, rows_until, bytes_until) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET rows_until = excluded.rows_until, bytes_until = excluded.bytes_until",
        params![key, time(rows), time(bytes)],
    )?;
    Ok([rows - now, bytes - now])
}

pub(super) fn count(
    t: &Transaction<'_>,
    run: [u8; 32],
    calls: u64,
    now: u64,
    since: u64,
) -> Result<u64, StateError> {
    // MUTATE(P4-count): what a run called before is not counted
    let sql = "INSERT INTO budgets (run, calls, used) VALUES (?1, ?2, ?3) ON CONFLICT (run) DO UPDATE SET
        calls = CASE WHEN budgets.used < ?4 THEN 0 ELSE budgets.calls END + excluded.calls, used = max(budgets.used, excluded.used)
        RETURNING calls";
    Ok(micros(t.query_row(sql, params![run, time(calls), time(now), time(since)], |row| row.get(0))?))
}

pub(super) fn forget(t: &Transaction<'_>, before: u64) -> Result<(), StateError> {
    t.execute("DELETE FROM volumes WHERE max(rows_until, bytes_until) < ?1", [time(before)])?;
    t.execute("DELETE FROM budgets WHERE used < ?1", [time(before)])?;
    Ok(())
}

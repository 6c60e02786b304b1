//! What principals were given and how often runs called, counted over processes. Each step is one statement.

use super::session::{Session, get};
use crate::{
    error::StateError,
    time::{micros, time},
};

pub(super) async fn charge(s: &mut Session, key: [u8; 32], by: [u64; 2]) -> Result<[u64; 2], StateError> {
    // MUTATE(P4-charge-fleet): what was given before is not counted
    let sql = "INSERT INTO volumes AS v (key, rows_until, bytes_until)
        SELECT $1, n.now + $2::BIGINT, n.now + $3::BIGINT
        FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now) n
        ON CONFLICT (key) DO UPDATE SET rows_until = greatest(v.rows_until, excluded.rows_until - $2::BIGINT) + $2::BIGINT,
            bytes_until = greatest(v.bytes_until, excluded.bytes_until - $3::BIGINT) + $3::BIGINT
        RETURNING rows_until - (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT,
            bytes_until - (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT";
    let [by_rows, by_bytes] = by.map(time);
    let rows = s.rows(sql, &[&key.as_slice(), &by_rows, &by_bytes]).await?;
    let row = rows.first().ok_or(StateError::Lost)?;
    Ok([micros(get(row, 0)?), micros(get(row, 1)?)])
}

pub(super) async fn count(
    s: &mut Session,
    run: [u8; 32],
    calls: u64,
    now: u64,
    since: u64,
) -> Result<u64, StateError> {
    // MUTATE(P4-count-fleet): what a run called before is not counted
    let sql = "INSERT INTO budgets AS b (run, calls, used) VALUES ($1, $2, $3) ON CONFLICT (run) DO UPDATE SET
        calls = CASE WHEN b.used < $4 THEN 0 ELSE b.calls END + excluded.calls, used = greatest(b.used, excluded.used)
        RETURNING calls";
    let rows = s.rows(sql, &[&run.as_slice(), &time(calls), &time(now), &time(since)]).await?;
    Ok(micros(get(rows.first().ok_or(StateError::Lost)?, 0)?))
}

pub(super) async fn forget(s: &mut Session, before: u64) -> Result<(), StateError> {
    s.change("DELETE FROM volumes WHERE greatest(rows_until, bytes_until) < $1", &[&time(before)]).await?;
    s.change("DELETE FROM budgets WHERE used < $1", &[&time(before)]).await?;
    Ok(())
}

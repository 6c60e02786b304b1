//! What is frozen or revoked.

use super::{
    listen::CHANNEL,
    session::{Session, get},
};
use crate::{
    error::StateError,
    stops::{StopKind, StopRow},
    time::{micros, time},
};

pub(super) async fn add(s: &mut Session, row: &StopRow) -> Result<(), StateError> {
    // INVARIANT: what is revoked is not made a mere freeze, which could be thawed.
    let sql = "INSERT INTO stops (kind, what, frozen, reason, operator, at, until) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (kind, what) DO UPDATE SET frozen = excluded.frozen, reason = excluded.reason, operator = excluded.operator,
         at = excluded.at, until = excluded.until WHERE stops.frozen";
    let (kind, at, until) = (row.kind.name(), time(row.at), row.until.map(time));
    s.change(sql, &[&kind, &row.what, &row.frozen, &row.reason, &row.operator, &at, &until]).await?;
    call_out(s).await;
    Ok(())
}

pub(super) async fn remove(s: &mut Session, kind: StopKind, what: &str) -> Result<bool, StateError> {
    let sql = "DELETE FROM stops WHERE kind = $1 AND what = $2 AND frozen";
    let removed = s.change(sql, &[&kind.name(), &what]).await? == 1;
    call_out(s).await;
    Ok(removed)
}

/// Tells other processes. The stop is in force already; where there are no channels they notice when they read again.
async fn call_out(s: &mut Session) {
    // MUTATE(P4-push): nobody is told of a stop
    let _ = s.rows("SELECT pg_notify($1, '')", &[&CHANNEL]).await;
}

pub(super) async fn all(s: &mut Session) -> Result<Vec<StopRow>, StateError> {
    let sql = "SELECT kind, what, frozen, reason, operator, at, until FROM stops ORDER BY at, kind, what";
    let rows = s.rows(sql, &[]).await?;
    let stop = |row: &tokio_postgres::Row| {
        let kind = StopKind::of_name(get(row, 0)?);
        Ok(StopRow {
            // INVARIANT: a stop that this program does not understand is an error, and an error stops everything.
            kind: kind.ok_or_else(|| StateError::Damaged("a stop of an unknown kind".into()))?,
            what: get(row, 1)?,
            frozen: get(row, 2)?,
            reason: get(row, 3)?,
            operator: get(row, 4)?,
            at: micros(get(row, 5)?),
            until: get::<Option<i64>>(row, 6)?.map(micros),
        })
    };
    rows.iter().map(stop).collect()
}

pub(super) async fn forget(s: &mut Session, before: u64) -> Result<(), StateError> {
    s.change("DELETE FROM stops WHERE until < $1", &[&time(before)]).await?;
    Ok(())
}

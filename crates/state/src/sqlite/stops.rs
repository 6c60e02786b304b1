//! What is frozen or revoked.

use rusqlite::{Transaction, params};

use super::{micros, time};
use crate::{
    error::StateError,
    stops::{StopKind, StopRow},
};

pub(super) fn add(t: &Transaction<'_>, row: &StopRow) -> Result<(), StateError> {
    t.execute(
        // INVARIANT: what is revoked is not made a mere freeze, which could be thawed.
        "INSERT INTO stops (kind, what, frozen, reason, operator, at, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (kind, what) DO UPDATE SET frozen = excluded.frozen, reason = excluded.reason, operator = excluded.operator,
         at = excluded.at, until = excluded.until WHERE stops.frozen",
        params![row.kind.name(), row.what, row.frozen, row.reason, row.operator, time(row.at), row.until.map(time)],
    )?;
    Ok(())
}

pub(super) fn remove(t: &Transaction<'_>, kind: StopKind, what: &str) -> Result<bool, StateError> {
    Ok(t.execute("DELETE FROM stops WHERE kind = ?1 AND what = ?2 AND frozen", [kind.name(), what])? == 1)
}

pub(super) fn all(t: &Transaction<'_>) -> Result<Vec<StopRow>, StateError> {
    let sql = "SELECT kind, what, frozen, reason, operator, at, until FROM stops ORDER BY at, kind, what";
    let mut statement = t.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut stops = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        let kind = StopKind::of_name(&kind);
        stops.push(StopRow {
            // INVARIANT: a stop that this program does not understand is an error, and an error stops everything.
            kind: kind.ok_or_else(|| StateError::Damaged("a stop of an unknown kind".into()))?,
            what: row.get(1)?,
            frozen: row.get(2)?,
            reason: row.get(3)?,
            operator: row.get(4)?,
            at: micros(row.get(5)?),
            until: row.get::<_, Option<i64>>(6)?.map(micros),
        });
    }
    Ok(stops)
}

pub(super) fn forget(t: &Transaction<'_>, before: u64) -> Result<(), StateError> {
    t.execute("DELETE FROM stops WHERE until < ?1", [time(before)])?;
    Ok(())
}

//! Runs and their labels.

use countersign_core::Label;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::time;
use crate::{
    error::StateError,
    runs::{NOTED, label, ranks},
};

pub(super) fn of(
    t: &Transaction<'_>,
    holder: [u8; 32],
    fresh: &str,
    now: u64,
    since: u64,
) -> Result<String, StateError> {
    let sql = "INSERT INTO holders (holder, run, used) VALUES (?1, ?2, ?3) ON CONFLICT (holder) DO UPDATE SET
        run = CASE WHEN holders.used < ?4 THEN excluded.run ELSE holders.run END, used = max(holders.used, excluded.used)
        RETURNING run";
    Ok(t.query_row(sql, params![holder, fresh, time(now), time(since)], |row| row.get(0))?)
}

pub(super) fn read(t: &Transaction<'_>, run: [u8; 32], now: u64) -> Result<Label, StateError> {
    let sql = "SELECT integrity, confidentiality, used FROM labels WHERE run = ?1";
    let found = t.query_row(sql, [run], |row| Ok((pair(row)?, row.get::<_, i64>(2)?))).optional()?;
    let Some((found, used)) = found else { return Ok(Label::default()) };
    // MUTATE(P4-noted): a run that goes on is forgotten, with what it has read
    if used < time(now.saturating_sub(NOTED)) {
        t.execute("UPDATE labels SET used = ?2 WHERE run = ?1", params![run, time(now)])?;
    }
    label(found)
}

pub(super) fn join(t: &Transaction<'_>, run: [u8; 32], with: Label, now: u64) -> Result<Label, StateError> {
    let [integrity, confidentiality] = ranks(with);
    // MUTATE(P4-rises): the last answer decides what a run has read
    let sql = "INSERT INTO labels (run, integrity, confidentiality, used) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (run) DO UPDATE SET
        integrity = max(labels.integrity, excluded.integrity), confidentiality = max(labels.confidentiality, excluded.confidentiality),
        used = max(labels.used, excluded.used) RETURNING integrity, confidentiality";
    label(t.query_row(sql, params![run, integrity, confidentiality, time(now)], pair)?)
}

pub(super) fn forget(t: &Transaction<'_>, before: u64) -> Result<(), StateError> {
    t.execute("DELETE FROM holders WHERE used < ?1", [time(before)])?;
    t.execute("DELETE FROM labels WHERE used < ?1", [time(before)])?;
    Ok(())
}

fn pair(row: &Row<'_>) -> rusqlite::Result<[i16; 2]> {
    Ok([row.get(0)?, row.get(1)?])
}

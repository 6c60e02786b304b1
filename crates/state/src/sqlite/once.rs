//! Idempotency keys.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{micros, time};
use crate::{error::StateError, store::OnceRow};

pub(super) fn begin(t: &Transaction<'_>, row: &OnceRow) -> Result<Option<OnceRow>, StateError> {
    let sql = "SELECT key, arguments, call, instance, until, phase, answer, at FROM once_keys WHERE key = ?1";
    let known = t
        .query_row(sql, [row.key], |row| {
            Ok(OnceRow {
                key: row.get(0)?,
                arguments: row.get(1)?,
                call: row.get(2)?,
                instance: row.get(3)?,
                until: micros(row.get(4)?),
                phase: row.get(5)?,
                answer: row.get(6)?,
                at: micros(row.get(7)?),
            })
        })
        .optional()?;
    if known.is_none() {
        t.execute(
            "INSERT INTO once_keys (key, arguments, call, instance, until, phase, answer, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                row.key,
                row.arguments,
                row.call,
                row.instance,
                time(row.until),
                row.phase,
                row.answer,
                time(row.at)
            ],
        )?;
    }
    Ok(known)
}

pub(super) fn take_over(t: &Transaction<'_>, from: &str, row: &OnceRow) -> Result<bool, StateError> {
    let sql = "UPDATE once_keys SET call = ?3, instance = ?4, until = ?5, at = ?6 WHERE key = ?1 AND call = ?2 AND phase = 'claimed'";
    let changed =
        t.execute(sql, params![row.key, from, row.call, row.instance, time(row.until), time(row.at)])?;
    Ok(changed == 1)
}

pub(super) fn phase(
    t: &Transaction<'_>,
    key: [u8; 32],
    call: &str,
    phase: &str,
    answer: &str,
) -> Result<(), StateError> {
    let sql = "UPDATE once_keys SET phase = ?3, answer = ?4 WHERE key = ?1 AND call = ?2";
    owned(t.execute(sql, params![key, call, phase, answer])?)
}

pub(super) fn free(t: &Transaction<'_>, key: [u8; 32], call: &str) -> Result<(), StateError> {
    owned(t.execute("DELETE FROM once_keys WHERE key = ?1 AND call = ?2", params![key, call])?)
}

/// Ends the doubt about a call, if it has a key. One that ran has no answer any more.
pub(super) fn resolve(t: &Transaction<'_>, call: &str, ran: bool) -> Result<(), StateError> {
    let sql = match ran {
        true => {
            "UPDATE once_keys SET phase = 'done', answer = '' WHERE call = ?1 AND phase IN ('executing', 'in doubt')"
        }
        false => "DELETE FROM once_keys WHERE call = ?1 AND phase IN ('executing', 'in doubt')",
    };
    t.execute(sql, [call])?;
    Ok(())
}

/// INVARIANT: only the call that has a key changes it; another one may have taken it over.
fn owned(changed: usize) -> Result<(), StateError> {
    match changed {
        1 => Ok(()),
        _ => Err(StateError::Damaged("an idempotency key is not this call's".into())),
    }
}

pub(super) fn forget(t: &Transaction<'_>, before: u64) -> Result<(), StateError> {
    // One in doubt is kept: it must never run again by itself.
    t.execute("DELETE FROM once_keys WHERE at < ?1 AND phase = 'done'", [time(before)])?;
    Ok(())
}

//! Idempotency keys.

use super::session::{Session, get};
use crate::{
    error::StateError,
    store::OnceRow,
    time::{micros, time},
};

/// A key that was taken and given free again between two looks is looked at again, so often.
const LOOKS: u32 = 8;

pub(super) async fn begin(s: &mut Session, row: &OnceRow) -> Result<Option<OnceRow>, StateError> {
    // INVARIANT: of any number of calls, in any number of processes, one inserts the row.
    // MUTATE(J2-once-fleet): every process takes the key for itself
    let take = "INSERT INTO once_keys (key, arguments, call, instance, until, phase, answer, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (key) DO NOTHING";
    let look =
        "SELECT key, arguments, call, instance, until, phase, answer, at FROM once_keys WHERE key = $1";
    let (key, arguments) = (row.key.as_slice(), row.arguments.as_slice());
    let (until, at) = (time(row.until), time(row.at));
    for _ in 0..LOOKS {
        let taken = s
            .change(take, &[&key, &arguments, &row.call, &row.instance, &until, &row.phase, &row.answer, &at])
            .await?;
        if taken == 1 {
            return Ok(None);
        }
        if let Some(known) = s.rows(look, &[&key]).await?.first() {
            return Ok(Some(OnceRow {
                key: digest(get(known, 0)?)?,
                arguments: digest(get(known, 1)?)?,
                call: get(known, 2)?,
                instance: get(known, 3)?,
                until: micros(get(known, 4)?),
                phase: get(known, 5)?,
                answer: get(known, 6)?,
                at: micros(get(known, 7)?),
            }));
        }
    }
    Err(StateError::Lost)
}

fn digest(bytes: &[u8]) -> Result<[u8; 32], StateError> {
    bytes.try_into().map_err(|_| StateError::Damaged("an idempotency key is no digest".into()))
}

pub(super) async fn take_over(s: &mut Session, from: &str, row: &OnceRow) -> Result<bool, StateError> {
    let sql = "UPDATE once_keys SET call = $3, instance = $4, until = $5, at = $6 WHERE key = $1 AND call = $2 AND phase = 'claimed'";
    let (until, at) = (time(row.until), time(row.at));
    Ok(s.change(sql, &[&row.key.as_slice(), &from, &row.call, &row.instance, &until, &at]).await? == 1)
}

pub(super) async fn phase(
    s: &mut Session,
    key: [u8; 32],
    call: &str,
    phase: &str,
    answer: &str,
) -> Result<(), StateError> {
    let sql = "UPDATE once_keys SET phase = $3, answer = $4 WHERE key = $1 AND call = $2";
    owned(s.change(sql, &[&key.as_slice(), &call, &phase, &answer]).await?)
}

pub(super) async fn free(s: &mut Session, key: [u8; 32], call: &str) -> Result<(), StateError> {
    owned(s.change("DELETE FROM once_keys WHERE key = $1 AND call = $2", &[&key.as_slice(), &call]).await?)
}

/// INVARIANT: only the call that has a key changes it; another one may have taken it over.
fn owned(changed: u64) -> Result<(), StateError> {
    match changed {
        1 => Ok(()),
        _ => Err(StateError::Damaged("an idempotency key is not this call's".into())),
    }
}

pub(super) async fn forget(s: &mut Session, before: u64) -> Result<(), StateError> {
    // One in doubt is kept: it must never run again by itself.
    s.change("DELETE FROM once_keys WHERE at < $1 AND phase = 'done'", &[&time(before)]).await?;
    Ok(())
}

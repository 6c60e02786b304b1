//! Requests and votes.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{micros, time};
use crate::{
    error::StateError,
    store::{Judged, NewRequest, RequestRow, UseRow, VoteRow},
};

const COLUMNS: &str = "id, request, created, call, instance, until, ended";

pub(super) fn ask(t: &Transaction<'_>, new: &NewRequest, limit: u32) -> Result<Option<String>, StateError> {
    let now = time(new.created);
    t.execute("UPDATE approvals SET state = 'expired' WHERE state = 'pending' AND expires <= ?1", [now])?;
    let known: Option<String> = t
        .query_row("SELECT id FROM approvals WHERE bound = ?1 AND state = 'pending'", [new.bound], |row| {
            row.get(0)
        })
        .optional()?;
    if known.is_some() {
        return Ok(known);
    }
    let open: u32 = t.query_row(
        "SELECT count(*) FROM approvals WHERE principal = ?1 AND state = 'pending'",
        [&new.principal],
        |row| row.get(0),
    )?;
    // MUTATE(J2-flood): one principal floods the approvers
    if open >= limit {
        return Ok(None);
    }
    t.execute(
        "INSERT INTO approvals (id, bound, tenant, principal, request, created, expires, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending')",
        params![new.id, new.bound, new.tenant, new.principal, new.request, now, time(new.expires)],
    )?;
    Ok(Some(new.id.clone()))
}

pub(super) fn open_requests(t: &Transaction<'_>, principal: &str, now: u64) -> Result<u32, StateError> {
    let sql = "SELECT count(*) FROM approvals WHERE principal = ?1 AND state = 'pending' AND expires > ?2";
    Ok(t.query_row(sql, params![principal, time(now)], |row| row.get(0))?)
}

pub(super) fn pending(
    t: &Transaction<'_>,
    bound: [u8; 32],
    now: u64,
) -> Result<Option<RequestRow>, StateError> {
    let sql =
        format!("SELECT {COLUMNS} FROM approvals WHERE bound = ?1 AND state = 'pending' AND expires > ?2");
    let found = t.query_row(&sql, params![bound, time(now)], request).optional()?;
    found.map(|row| with_votes(t, row)).transpose()
}

pub(super) fn by_id(t: &Transaction<'_>, id: &str) -> Result<Option<RequestRow>, StateError> {
    let found =
        t.query_row(&format!("SELECT {COLUMNS} FROM approvals WHERE id = ?1"), [id], request).optional()?;
    found.map(|row| with_votes(t, row)).transpose()
}

pub(super) fn latest(t: &Transaction<'_>, limit: u32) -> Result<Vec<RequestRow>, StateError> {
    many(t, &format!("SELECT {COLUMNS} FROM approvals ORDER BY created DESC, id LIMIT {limit}"))
}

pub(super) fn open_uses(t: &Transaction<'_>) -> Result<Vec<RequestRow>, StateError> {
    many(
        t,
        &format!(
            "SELECT {COLUMNS} FROM approvals WHERE state = 'consumed' AND (ended IS NULL OR ended = 'in doubt') ORDER BY created"
        ),
    )
}

fn many(t: &Transaction<'_>, sql: &str) -> Result<Vec<RequestRow>, StateError> {
    let rows: Vec<RequestRow> = t.prepare(sql)?.query_map([], request)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(|row| with_votes(t, row)).collect()
}

pub(super) fn vote(t: &Transaction<'_>, id: &str, vote: &VoteRow) -> Result<bool, StateError> {
    let waits: bool = t.query_row(
        "SELECT EXISTS (SELECT 1 FROM approvals WHERE id = ?1 AND state = 'pending')",
        [id],
        |row| row.get(0),
    )?;
    if waits {
        t.execute(
            "INSERT OR REPLACE INTO votes (approval, key, operator, vote, reason, signature, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![id, vote.key, vote.operator, vote.vote, vote.reason, vote.signature, time(vote.at)],
        )?;
    }
    Ok(waits)
}

pub(super) fn consume(
    t: &Transaction<'_>,
    id: &str,
    by: &UseRow,
    judged: &Judged,
) -> Result<bool, StateError> {
    // INVARIANT: the transaction holds the write lock from its beginning: no vote comes between this look and the use.
    if !judged.is_of(votes(t, id)?) {
        return Ok(false);
    }
    for key in &judged.keys {
        let good: bool = t.query_row(
            "SELECT EXISTS (SELECT 1 FROM operator_keys WHERE id = ?1 AND revoked IS NULL)",
            [key],
            |row| row.get(0),
        )?;
        if !good {
            return Ok(false);
        }
    }
    // INVARIANT: compare and set: of any number of calls, in any number of processes, one changes the row.
    // MUTATE(J2-once): an approval is used again and again
    let sql = "UPDATE approvals SET state = 'consumed', call = ?2, instance = ?3, until = ?4 WHERE id = ?1 AND state = 'pending'";
    Ok(t.execute(sql, params![id, by.call, by.instance, time(by.until)])? == 1)
}

pub(super) fn close(t: &Transaction<'_>, id: &str, call: &str, end: &str) -> Result<(), StateError> {
    let sql = "UPDATE approvals SET ended = ?3 WHERE id = ?1 AND call = ?2 AND ended IS NULL";
    match t.execute(sql, [id, call, end])? {
        1 => Ok(()),
        _ => Err(StateError::Damaged(format!("request `{id}` was not in use by this call"))),
    }
}

pub(super) fn resolve(t: &Transaction<'_>, call: &str, end: &str) -> Result<bool, StateError> {
    // MUTATE(J2-resolve): what is settled can be settled otherwise
    let sql = "UPDATE approvals SET ended = ?2 WHERE call = ?1 AND state = 'consumed' AND (ended IS NULL OR ended = 'in doubt')";
    Ok(t.execute(sql, [call, end])? == 1)
}

/// Requests that are long over; those in doubt stay.
pub(super) fn forget(t: &Transaction<'_>, before: u64) -> Result<(), StateError> {
    let over = "SELECT id FROM approvals WHERE expires < ?1 AND (state <> 'consumed' OR ended <> 'in doubt')";
    t.execute(&format!("DELETE FROM votes WHERE approval IN ({over})"), [time(before)])?;
    t.execute(&format!("DELETE FROM approvals WHERE id IN ({over})"), [time(before)])?;
    Ok(())
}

fn request(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    let used = match row.get::<_, Option<String>>(3)? {
        None => None,
        Some(call) => Some(UseRow {
            call,
            instance: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
            until: micros(row.get::<_, Option<i64>>(5)?.unwrap_or_default()),
            end: row.get(6)?,
        }),
    };
    Ok(RequestRow {
        id: row.get(0)?,
        request: row.get(1)?,
        created: micros(row.get(2)?),
        used,
        votes: Vec::new(),
    })
}

fn with_votes(t: &Transaction<'_>, mut row: RequestRow) -> Result<RequestRow, StateError> {
    row.votes = votes(t, &row.id)?;
    Ok(row)
}

fn votes(t: &Transaction<'_>, id: &str) -> Result<Vec<VoteRow>, StateError> {
    let sql =
        "SELECT key, operator, vote, reason, signature, at FROM votes WHERE approval = ?1 ORDER BY at, key";
    let vote = |row: &Row<'_>| {
        Ok(VoteRow {
            key: row.get(0)?,
            operator: row.get(1)?,
            vote: row.get(2)?,
            reason: row.get(3)?,
            signature: row.get(4)?,
            at: micros(row.get(5)?),
        })
    };
    Ok(t.prepare(sql)?.query_map([id], vote)?.collect::<Result<_, _>>()?)
}

//! Requests and votes.

use tokio_postgres::{Row, types::ToSql};

use super::session::{Session, failed, get};
use crate::{
    error::StateError,
    store::{Judged, NewRequest, RequestRow, UseRow, VoteRow},
    time::{micros, time},
};

/// Requests with their votes in one statement, so that both are of one moment. Rows of one request follow one another.
macro_rules! requests {
    ($which:literal) => {
        concat!(
            "SELECT a.id, a.request, a.created, a.call, a.instance, a.until, a.ended,
             v.key, v.operator, v.vote, v.reason, v.signature, v.at
             FROM approvals a LEFT JOIN votes v ON v.approval = a.id WHERE ",
            $which,
            " ORDER BY a.created DESC, a.id, v.at, v.key"
        )
    };
}

pub(super) async fn ask(s: &mut Session, new: &NewRequest, limit: u32) -> Result<Option<String>, StateError> {
    let (now, expires) = (time(new.created), time(new.expires));
    let bound = new.bound.as_slice();
    let t = s.client.transaction().await.map_err(failed)?;
    // Requests of one principal queue here, so that the limit is exact.
    t.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", &[&new.principal])
        .await
        .map_err(failed)?;
    let expire = "UPDATE approvals SET state = 'expired' WHERE state = 'pending' AND expires <= $1 AND (bound = $2 OR principal = $3)";
    t.execute(expire, &[&now, &bound, &new.principal]).await.map_err(failed)?;
    let known = "SELECT id FROM approvals WHERE bound = $1 AND state = 'pending'";
    let known = t.query_opt(known, &[&bound]).await.map_err(failed)?;
    let known: Option<String> = known.as_ref().map(|row| get(row, 0)).transpose()?;
    if known.is_some() {
        t.commit().await.map_err(failed)?;
        return Ok(known);
    }
    let open = "SELECT count(*) FROM approvals WHERE principal = $1 AND state = 'pending'";
    let open = t.query_one(open, &[&new.principal]).await.map_err(failed)?;
    let open: i64 = get(&open, 0)?;
    // MUTATE(J2-flood-fleet): one principal floods the approvers
    if open >= i64::from(limit) {
        return Ok(None);
    }
    let insert = "INSERT INTO approvals (id, bound, tenant, principal, request, created, expires, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending')";
    t.execute(insert, &[&new.id, &bound, &new.tenant, &new.principal, &new.request, &now, &expires])
        .await
        .map_err(failed)?;
    t.commit().await.map_err(failed)?;
    Ok(Some(new.id.clone()))
}

pub(super) async fn open_requests(s: &mut Session, principal: &str, now: u64) -> Result<u32, StateError> {
    let sql = "SELECT count(*) FROM approvals WHERE principal = $1 AND state = 'pending' AND expires > $2";
    let rows = s.rows(sql, &[&principal, &time(now)]).await?;
    let open: i64 = get(rows.first().ok_or(StateError::Lost)?, 0)?;
    Ok(u32::try_from(open).unwrap_or(u32::MAX))
}

pub(super) async fn pending(
    s: &mut Session,
    bound: [u8; 32],
    now: u64,
) -> Result<Option<RequestRow>, StateError> {
    let sql = requests!("a.bound = $1 AND a.state = 'pending' AND a.expires > $2");
    let rows = s.rows(sql, &[&bound.as_slice(), &time(now)]).await?;
    Ok(fold(&rows)?.into_iter().next())
}

pub(super) async fn by_id(s: &mut Session, id: &str) -> Result<Option<RequestRow>, StateError> {
    let rows = s.rows(requests!("a.id = $1"), &[&id]).await?;
    Ok(fold(&rows)?.into_iter().next())
}

pub(super) async fn latest(s: &mut Session, limit: u32) -> Result<Vec<RequestRow>, StateError> {
    let sql = requests!("a.id IN (SELECT id FROM approvals ORDER BY created DESC, id LIMIT $1)");
    fold(&s.rows(sql, &[&i64::from(limit)]).await?)
}

pub(super) async fn open_uses(s: &mut Session) -> Result<Vec<RequestRow>, StateError> {
    let sql = requests!("a.state = 'consumed' AND (a.ended IS NULL OR a.ended = 'in doubt')");
    let mut open = fold(&s.rows(sql, &[]).await?)?;
    open.sort_by_key(|row| row.created);
    Ok(open)
}

pub(super) async fn vote(s: &mut Session, id: &str, vote: &VoteRow) -> Result<bool, StateError> {
    // The lock of the request keeps a vote from slipping past its use.
    let sql = "WITH waiting AS (SELECT id FROM approvals WHERE id = $1 AND state = 'pending' FOR UPDATE)
         INSERT INTO votes (approval, key, operator, vote, reason, signature, at) SELECT id, $2, $3, $4, $5, $6, $7 FROM waiting
         ON CONFLICT (approval, key) DO UPDATE SET operator = excluded.operator, vote = excluded.vote, reason = excluded.reason,
         signature = excluded.signature, at = excluded.at";
    let added = s
        .change(
            sql,
            &[&id, &vote.key, &vote.operator, &vote.vote, &vote.reason, &vote.signature, &time(vote.at)],
        )
        .await?;
    Ok(added == 1)
}

pub(super) async fn consume(
    s: &mut Session,
    id: &str,
    by: &UseRow,
    judged: Judged,
) -> Result<bool, StateError> {
    // INVARIANT: of any number of calls, in any number of processes, one finds the row pending. Who votes locks it too: after this no vote
    // comes, and the next statement sees all that came before.
    // MUTATE(J2-once-postgres): an approval is used again and again
    // MUTATE(J2-judged-lock): a denial that is being stored while a request is used is overruled
    let lock = "SELECT 1 FROM approvals WHERE id = $1 AND state = 'pending' FOR UPDATE";
    let lock = s.prepared(lock).await?;
    let votes = "SELECT key, operator, vote, reason, signature, at FROM votes WHERE approval = $1";
    let votes = s.prepared(votes).await?;
    let take = "UPDATE approvals SET state = 'consumed', call = $2, instance = $3, until = $4 WHERE id = $1
         AND (SELECT count(*) FROM operator_keys WHERE id = ANY($5) AND revoked IS NULL) = $6";
    let take = s.prepared(take).await?;

    let t = s.client.transaction().await.map_err(failed)?;
    if t.query_opt(&lock, &[&id]).await.map_err(failed)?.is_none() {
        return Ok(false);
    }
    let stored = t.query(&votes, &[&id]).await.map_err(failed)?;
    if !judged.is_of(stored.iter().map(|row| vote_at(row, 0)).collect::<Result<_, _>>()?) {
        return Ok(false);
    }
    let mut keys = judged.keys;
    keys.sort();
    keys.dedup();
    let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
    let by: [&(dyn ToSql + Sync); 6] = [&id, &by.call, &by.instance, &time(by.until), &keys, &count];
    let taken = t.execute(&take, &by).await.map_err(failed)?;
    t.commit().await.map_err(failed)?;
    Ok(taken == 1)
}

pub(super) async fn close(s: &mut Session, id: &str, call: &str, end: &str) -> Result<(), StateError> {
    let sql = "UPDATE approvals SET ended = $3 WHERE id = $1 AND call = $2 AND ended IS NULL";
    match s.change(sql, &[&id, &call, &end]).await? {
        1 => Ok(()),
        _ => Err(StateError::Damaged(format!("request `{id}` was not in use by this call"))),
    }
}

/// Ends the doubt about a call and about its idempotency key, if it has one, in one statement. One that ran has no answer any more.
pub(super) async fn resolve(s: &mut Session, call: &str, end: &str, ran: bool) -> Result<bool, StateError> {
    macro_rules! resolving {
        ($key:literal) => {
            concat!(
                "WITH settled AS (UPDATE approvals SET ended = $2 WHERE call = $1 AND state = 'consumed'
                 AND (ended IS NULL OR ended = 'in doubt') RETURNING call), freed AS (",
                $key,
                " WHERE call IN (SELECT call FROM settled) AND phase IN ('executing', 'in doubt')) SELECT call FROM settled"
            )
        };
    }
    let sql = match ran {
        true => resolving!("UPDATE once_keys SET phase = 'done', answer = ''"),
        false => resolving!("DELETE FROM once_keys"),
    };
    Ok(s.rows(sql, &[&call, &end]).await?.len() == 1)
}

/// Requests that are long over; those in doubt stay. Their votes go with them.
pub(super) async fn forget(s: &mut Session, before: u64) -> Result<(), StateError> {
    let sql = "DELETE FROM approvals WHERE expires < $1 AND (state <> 'consumed' OR ended <> 'in doubt')";
    s.change(sql, &[&time(before)]).await?;
    Ok(())
}

fn fold(rows: &[Row]) -> Result<Vec<RequestRow>, StateError> {
    let mut requests: Vec<RequestRow> = Vec::new();
    for row in rows {
        let id: &str = get(row, 0)?;
        if requests.last().is_none_or(|last| last.id != id) {
            requests.push(request(row)?);
        }
        if let (Some(last), Some(_)) = (requests.last_mut(), get::<Option<&str>>(row, 7)?) {
            last.votes.push(vote_at(row, 7)?);
        }
    }
    Ok(requests)
}

/// The vote whose columns begin at this one.
fn vote_at(row: &Row, first: usize) -> Result<VoteRow, StateError> {
    Ok(VoteRow {
        key: get(row, first)?,
        operator: get(row, first + 1)?,
        vote: get(row, first + 2)?,
        reason: get(row, first + 3)?,
        signature: get(row, first + 4)?,
        at: micros(get(row, first + 5)?),
    })
}

fn request(row: &Row) -> Result<RequestRow, StateError> {
    let used = match get::<Option<String>>(row, 3)? {
        None => None,
        Some(call) => Some(UseRow {
            call,
            instance: get::<Option<String>>(row, 4)?.unwrap_or_default(),
            until: micros(get::<Option<i64>>(row, 5)?.unwrap_or_default()),
            end: get(row, 6)?,
        }),
    };
    Ok(RequestRow {
        id: get(row, 0)?,
        request: get(row, 1)?,
        created: micros(get(row, 2)?),
        used,
        votes: Vec::new(),
    })
}

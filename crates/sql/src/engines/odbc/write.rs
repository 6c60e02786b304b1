//! Running a judged write: inside a transaction whose fate is decided once it is known how many rows it changes.

use odbc_api::Connection;

use super::{
    Statement, errors,
    run::{Parameters, parameters, whole_seconds},
};
use crate::{Dialect, Refusal, Rule};

/// What becomes of a transaction.
pub(super) enum Fate {
    Keep,
    Undo,
}

/// What lets a session write, and what ends that.
#[derive(Clone, Copy)]
pub(super) struct Writable {
    before: Option<&'static str>,
    pub(super) after: Option<&'static str>,
}

impl Writable {
    pub(super) fn of(dialect: Dialect) -> Writable {
        let (before, after) = match dialect {
            // Holds for the transaction that it begins.
            Dialect::Postgres => (Some("SET TRANSACTION READ WRITE"), None),
            Dialect::Mysql => {
                (Some("SET SESSION TRANSACTION READ WRITE"), Some("SET SESSION TRANSACTION READ ONLY"))
            }
            Dialect::Sqlite => (Some("PRAGMA query_only = OFF"), Some("PRAGMA query_only = ON")),
            Dialect::Ansi | Dialect::Mssql | Dialect::Oracle => (None, None),
        };
        Writable { before, after }
    }
}

/// A write that has ended.
pub(super) struct Ended {
    /// How many rows it changed, if the driver counts; or why it changed none, or may have. What fails after a commit is no part of it.
    pub(super) changed: Result<Option<u64>, Refusal>,
    /// Whether the session is read-only again, as far as its dialect has that.
    pub(super) closed: bool,
}

/// Runs a write and keeps it or takes it back, as `decide` says by the number of rows that it changed, none if the driver does not count; an
/// error takes it back.
pub(super) fn change(
    connection: &Connection<'_>,
    writable: Writable,
    sql: &str,
    statement: &Statement<'_>,
    decide: impl FnOnce(Option<u64>) -> Result<Fate, Refusal>,
) -> Ended {
    let changed = transaction(connection, writable.before, sql, statement, decide);
    let closed = writable.after.is_none_or(|after| connection.execute(after, (), None).is_ok());
    Ended { changed, closed }
}

fn transaction(
    connection: &Connection<'_>,
    before: Option<&str>,
    sql: &str,
    statement: &Statement<'_>,
    decide: impl FnOnce(Option<u64>) -> Result<Fate, Refusal>,
) -> Result<Option<u64>, Refusal> {
    let failed = |error: odbc_api::Error| errors::running(&error);
    // INVARIANT: a transaction of its own: what lets it write must come before all else in it.
    connection.rollback().map_err(failed)?;
    if let Some(before) = before {
        connection.execute(before, (), None).map_err(failed)?;
    }
    let parameters = parameters(statement.params);
    let decided =
        run(connection, sql, &parameters, statement).and_then(|changed| Ok((changed, decide(changed)?)));
    // MUTATE(A17-odbc-undo): a rehearsal lasts
    match &decided {
        Ok((_, Fate::Keep)) => connection.commit().map_err(|error| errors::committing(&error))?,
        Ok((_, Fate::Undo)) | Err(_) => connection.rollback().map_err(failed)?,
    }
    decided.map(|(changed, _)| changed)
}

/// The refusal of a write that changes another number of rows than were shown.
pub(super) fn recounted(changed: Option<u64>, expected: u64) -> Refusal {
    let message = match changed {
        Some(changed) => format!(
            "the statement would change {changed} rows now, not the {expected} that were approved; nothing was changed"
        ),
        None => format!(
            "the driver does not say whether {expected} rows were changed, as was approved; nothing was changed"
        ),
    };
    Refusal::new(Rule::RowCount, message)
}

fn run(
    connection: &Connection<'_>,
    sql: &str,
    parameters: &Parameters,
    statement: &Statement<'_>,
) -> Result<Option<u64>, Refusal> {
    let failed = |error: odbc_api::Error| errors::running(&error);
    let mut prepared = connection.preallocate().map_err(failed)?;
    // Not every driver has timeouts; the master's deadline holds for all.
    let _ = prepared.set_query_timeout_sec(whole_seconds(statement.limits.time));
    let returned = prepared.execute(sql, parameters.as_slice()).map_err(failed)?.is_some();
    if returned {
        return Err(Refusal::new(Rule::NotAWrite, "the statement returned rows"));
    }
    let rows = prepared.row_count().map_err(failed)?;
    Ok(rows.and_then(|rows| u64::try_from(rows).ok()))
}

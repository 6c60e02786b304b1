//! Running a judged statement: under its grants, its limits and the schema it was judged under.

use std::time::Duration;

use rusqlite::{Statement as Raw, types::ValueRef};

use super::{
    Database, Sink, Statement, authorizer,
    catalog::Cookie,
    errors,
    prepare::{Prepared, columns, covered, stopped},
    projected,
};
use crate::{Done, Refusal, RowsDigest, Rule, Truncated, Value};

/// How long a statement waits for another process's lock.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(1);

pub(super) fn run<'db>(
    database: &'db Database,
    cookie: &mut Cookie<'db>,
    prepared: &mut Prepared<'_>,
    request: &Statement<'_>,
    sink: &mut dyn Sink,
) -> Result<Done, Refusal> {
    if !covered(&prepared.facts.accesses, request.granted) {
        return Err(authorizer::schema_changed());
    }
    bind(&mut prepared.statement, request.params)?;
    let wait = database.gate.remaining().map_or(LOCK_WAIT, |left| left.min(LOCK_WAIT));
    database.connection.busy_timeout(wait).map_err(|error| errors::running(&error))?;

    database.gate.enforce(std::mem::take(&mut prepared.permitted));
    let mut progress = Progress::default();
    let result = step(database, cookie, prepared, request, sink, &mut progress);
    prepared.permitted = database.gate.relax();
    match result {
        Ok(truncated) => Ok(progress.done(truncated)),
        Err(Ended::Refused(refusal)) => Err(database.gate.refused().unwrap_or(refusal)),
        Err(Ended::Failed(error)) => {
            if let Some(refused) = database.gate.refused() {
                return Err(refused);
            }
            match database.gate.stopped() {
                Some(Rule::Deadline) if progress.sent > 0 => Ok(progress.done(Some(Truncated::Time))),
                reason => Err(stopped(errors::running(&error), reason)),
            }
        }
    }
}

/// Why the rows ended before the end.
enum Ended {
    Refused(Refusal),
    Failed(rusqlite::Error),
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Ended {
        Ended::Refused(refusal)
    }
}

fn step<'db>(
    database: &'db Database,
    cookie: &mut Cookie<'db>,
    prepared: &mut Prepared<'_>,
    request: &Statement<'_>,
    sink: &mut dyn Sink,
    progress: &mut Progress,
) -> Result<Option<Truncated>, Ended> {
    let mut width = prepared.statement.column_count();
    let mut rows = prepared.statement.raw_query();
    loop {
        let next = rows.next();
        let row = next.map_err(Ended::Failed)?;
        if progress.seen == 0 {
            // INVARIANT: the schema that the first step ran under is the one judged. The step holds a read transaction as long as there
            // are rows, so it stays so; after the last row a newer version may be seen, which refuses in vain.
            // MUTATE(A8-schema): rows of a changed schema are handed out
            same_schema(database, cookie, prepared.schema)?;
        }
        let Some(row) = row else { break };
        if progress.seen == 0 {
            let statement: &Raw<'_> = row.as_ref();
            width = statement.column_count();
            progress.masked = projected::masks(statement, &prepared.facts, request.masked)?;
            sink.columns(columns(statement))?;
        }
        progress.seen = progress.seen.saturating_add(1);
        let skipped = progress.seen <= request.limits.skip;
        if !skipped && progress.sent >= request.limits.rows {
            return Ok(Some(Truncated::Rows));
        }
        let mut values = Vec::with_capacity(width);
        for (index, position) in (0..width).zip(0u32..) {
            // INVARIANT: a masked value is not even looked at.
            // MUTATE(A16-void): values of masked columns are returned
            let value = match progress.masked.contains(&position) {
                true => Value::Null,
                false => value(row.get_ref(index).map_err(Ended::Failed)?),
            };
            let size = if skipped { 0 } else { value.size() };
            progress.bytes = progress.bytes.saturating_add(size);
            // Before the row is complete, so that no row is held that cannot be sent.
            if progress.bytes > request.limits.bytes {
                return Ok(Some(Truncated::Bytes));
            }
            values.push(value);
        }
        if skipped {
            progress.skipped = progress.skipped.then(&values);
            continue;
        }
        sink.row(values)?;
        progress.sent = progress.sent.saturating_add(1);
    }
    drop(rows);
    if progress.seen == 0 {
        progress.masked = projected::masks(&prepared.statement, &prepared.facts, request.masked)?;
        sink.columns(columns(&prepared.statement))?;
    }
    Ok(None)
}

/// How far a run has come.
#[derive(Default)]
struct Progress {
    /// Rows of the result.
    seen: u64,
    /// Those handed over, and their bytes.
    sent: u64,
    bytes: u64,
    skipped: RowsDigest,
    masked: Vec<u32>,
}

impl Progress {
    fn done(self, truncated: Option<Truncated>) -> Done {
        Done { truncated, skipped: self.skipped, masked: self.masked }
    }
}

pub(super) fn same_schema<'db>(
    database: &'db Database,
    cookie: &mut Cookie<'db>,
    judged: i64,
) -> Result<(), Refusal> {
    let permitted = database.gate.relax();
    let now = cookie.read(&database.connection);
    database.gate.enforce(permitted);
    match now {
        Ok(now) if now == judged => Ok(()),
        Ok(_) => Err(authorizer::schema_changed()),
        Err(error) => Err(stopped(errors::running(&error), database.gate.stopped())),
    }
}

pub(super) fn bind(statement: &mut Raw<'_>, params: &[Value]) -> Result<(), Refusal> {
    let (takes, given) = (statement.parameter_count(), params.len());
    if takes != given {
        let message = format!("the statement takes {takes} parameters, and {given} were given");
        return Err(Refusal::new(Rule::Parameters, message));
    }
    for (param, index) in params.iter().zip(1..) {
        let bound = match param {
            Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null),
            Value::Integer(integer) => statement.raw_bind_parameter(index, integer),
            Value::Real(real) => statement.raw_bind_parameter(index, real),
            Value::Text(text) | Value::Decimal(text) => statement.raw_bind_parameter(index, text.as_str()),
            Value::Boolean(truth) => statement.raw_bind_parameter(index, i64::from(*truth)),
            Value::Blob(bytes) => statement.raw_bind_parameter(index, bytes.as_slice()),
        };
        bound.map_err(|error| errors::running(&error))?;
    }
    Ok(())
}

pub(super) fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

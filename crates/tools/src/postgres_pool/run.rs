//! One run: described by the server, masked by where its columns come from, stopped if it would cost too much.

use std::collections::BTreeSet;

use countersign_sql::{
    ColumnInfo, Object, Operation, Refusal, Rule, Run, Value,
    engines::postgres::client::{
        ClientError, Connection, Prepared, ReadLimits, ReadOutcome, ResultColumn, Schema,
    },
};

use super::{PostgresConfig, snapshot::Snapshot, tenant::Lease};
use crate::engine::{EngineError, EngineRows};

/// Runs a granted statement on one session, masked and within its limits.
pub(super) async fn run(
    lease: &mut Lease,
    config: &PostgresConfig,
    snapshot: &Snapshot,
    run: &Run,
    operation: Operation,
    name: &str,
) -> Result<EngineRows, Failed> {
    let connection = &mut lease.session()?.connection;
    let prepared = connection.prepare(&run.sql).await?;
    let masked = masked(&prepared, &run.masked, &snapshot.schema)?;
    let limits = ReadLimits {
        skip: run.limits.skip,
        rows: run.limits.rows,
        bytes: run.limits.bytes,
        time: run.limits.time.min(config.statement_timeout),
        application_name: name,
    };
    if let Some(limit) = config.cost_limit.filter(|_| operation == Operation::Select) {
        let cost = match snapshot.cost(&run.sql) {
            Some(cost) => cost,
            None => {
                let cost = estimate(connection, &run.sql, &run.params, limits).await?;
                snapshot.remember_cost(&run.sql, cost);
                cost
            }
        };
        // MUTATE(A9-pg-cost): statements of any estimated cost run
        if cost > limit {
            let message = "the planner expects it to cost more than is allowed: narrow it down";
            return Err(Refusal::new(Rule::TooComplex, message).into());
        }
    }
    let hidden: Vec<bool> = match masked.is_empty() {
        true => Vec::new(),
        false => (0..prepared.columns.as_ref().map_or(0, Vec::len)).map(|at| masked.contains(&at)).collect(),
    };
    let outcome = connection.read(&run.sql, &prepared, &run.params, &hidden, limits).await?;
    Ok(rows(&prepared, masked, outcome, &snapshot.schema))
}

/// Why a run failed: by the session, or before it had one.
pub(super) enum Failed {
    Client(ClientError),
    Engine(EngineError),
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Failed {
        Failed::Client(error)
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Failed {
        Failed::Engine(error)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::Engine(EngineError::Refused(refusal))
    }
}

/// The positions of masked columns in a result, found by where the server says each column comes from.
///
/// INVARIANT: a column to be masked that is not found is refused, never returned: the server then sees an expression where we saw a column.
fn masked(prepared: &Prepared, hidden: &BTreeSet<Object>, schema: &Schema) -> Result<Vec<usize>, Refusal> {
    if hidden.is_empty() {
        return Ok(Vec::new());
    }
    let columns = prepared.columns.as_deref().unwrap_or_default();
    let origins: Vec<Option<Object>> = columns
        .iter()
        .map(|column| schema.origin(column.table, column.column))
        .map(|origin| origin.map(|o| Object::Column { table: o.table, column: o.column }))
        .collect();
    // MUTATE(A16-pg-untraced): a masked column that comes as an expression is returned
    if hidden.iter().any(|object| !origins.iter().flatten().any(|origin| origin == object)) {
        let message = "a masked column is not a plain column of the result";
        return Err(Refusal::new(Rule::ForbiddenAction, message));
    }
    let of =
        |(at, origin): (usize, &Option<Object>)| origin.as_ref().filter(|o| hidden.contains(*o)).map(|_| at);
    Ok(origins.iter().enumerate().filter_map(of).collect())
}

/// What the planner expects a statement to cost. Nothing runs.
async fn estimate(
    connection: &mut Connection,
    sql: &str,
    params: &[Value],
    limits: ReadLimits<'_>,
) -> Result<f64, ClientError> {
    // INVARIANT: `sql` is one judged query, so this is one `EXPLAIN` of it.
    let explain = format!("EXPLAIN (FORMAT JSON) {sql}");
    let prepared = connection.prepare(&explain).await?;
    let plan = connection
        .read(&explain, &prepared, params, &[], ReadLimits { skip: 0, rows: 1, bytes: 4 << 20, ..limits })
        .await?;
    let text = match plan.values.first() {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let plan: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let cost = plan.pointer("/0/Plan/Total Cost").and_then(serde_json::Value::as_f64);
    cost.ok_or(ClientError::Protocol("the planner's estimate cannot be read"))
}

fn rows(prepared: &Prepared, masked: Vec<usize>, outcome: ReadOutcome, schema: &Schema) -> EngineRows {
    let columns = prepared.columns.iter().flatten();
    let info = |column: &ResultColumn| ColumnInfo {
        name: column.name.clone(),
        decl_type: Some(schema.type_name(column.type_oid).to_owned()),
    };
    EngineRows {
        columns: columns.map(info).collect(),
        masked,
        values: outcome.values,
        truncated: outcome.truncated,
        skipped: outcome.skipped,
    }
}

//! PostgreSQL as an engine: sessions bounded for each tenant, each under the tenant's own login.
//!
//! - **Judging.** The text is judged in worker processes, which hold no key and no connection: the parser is C and meets hostile text there
//!   alone. What the names mean is resolved here, by a snapshot of the schema that is read through the tenant's own login.
//! - **Running.** A statement runs only if what it does by the present snapshot is within what was granted; in a read-only transaction;
//!   under a login that is a member of no other tenant's role. The first two may fail, and the last still holds.
//! - **Stopping.** Past its deadline, or when its caller goes away, a statement is cancelled and its session is never used again. Its slot
//!   is free when the server is done with it, so that what ignores cancellation cannot pile up.
//! - **Failing.** A server that is gone is said to be gone, at once after a few attempts; when it is back, so are we.

mod config;
mod inspect;
mod report;
mod session;
mod snapshot;
mod stats;
mod tenant;
mod writer;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use countersign_sql::{
    ColumnInfo, Facts, Object, Open, Operation, Refusal, Rule, Run, TableDetail, TableInfo, Value,
    engines::postgres::{
        client::{ClientError, Prepared, ReadLimits, ReadOutcome, Schema},
        guard::{GuardConfig, Syntax},
    },
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    database::{Caller, Engine, EngineError, EngineRows, Purpose},
    table_stats::TableStats,
    worker_pool::{PoolConfig, WorkerPool},
};
pub use config::{GuardWorkers, PostgresConfig, PostgresLogin, PostgresLogins, PostgresTls};
pub use report::RoleReport;
use session::{Dialer, engine_error, is_lost};
use snapshot::Snapshot;
use tenant::{Lease, Tenant};
pub use writer::WriteSession;

/// The pool. Dropping it closes its connections and ends its guard processes.
pub struct PostgresPool {
    tenants: Tenants,
    guard: GuardConfig,
    judge: WorkerPool,
    /// Judgements of texts: they depend on nothing else, so tenants share them.
    judged: Mutex<HashMap<(Purpose, Box<str>), Arc<Syntax>>>,
    /// As many as there are guard processes.
    turns: Semaphore,
    dialer: Arc<Dialer>,
}

enum Tenants {
    Shared(Arc<Tenant>),
    PerTenant(BTreeMap<String, Arc<Tenant>>),
}

/// Judgements that are remembered; when full, all are forgotten.
const REMEMBERED: usize = 4096;

impl PostgresPool {
    /// Starts a pool. No connection is made ahead: a server that is down is an error of calls, not of the start.
    ///
    /// # Errors
    /// If the configuration cannot be used: no certificate authority to be read, no guard process to be started.
    pub async fn start(config: PostgresConfig) -> Result<PostgresPool, EngineError> {
        let guard = GuardConfig {
            functions: config.functions.iter().cloned().collect(),
            operators: config.operators.iter().cloned().collect(),
            types: config.types.iter().cloned().collect(),
            settings: config.settings.iter().cloned().collect(),
            ..GuardConfig::default()
        };
        let workers = PoolConfig {
            workers: config.guard.workers,
            limits: config.guard.limits.clone(),
            judging: config.judging,
            queue: config.queue.saturating_mul(4),
            queue_wait: config.queue_wait,
            ..PoolConfig::new(config.guard.program.clone(), config.guard.args.clone())
        };
        let turns = Semaphore::new(config.guard.workers.max(1));
        let judge = WorkerPool::start(workers, Open::PostgresGuard(guard.clone())).await?;
        let dialer = Arc::new(Dialer::new(config)?);
        let tenant = |login: &PostgresLogin, writer: Option<&PostgresLogin>| {
            let writer = writer.unwrap_or(login).clone();
            Arc::new(Tenant::new(login.clone(), writer, Arc::clone(&dialer)))
        };
        let writers = dialer.config.write_logins.as_ref();
        let tenants = match &dialer.config.logins {
            PostgresLogins::Shared(login) => Tenants::Shared(tenant(login, writers.and_then(|w| w.of("")))),
            PostgresLogins::PerTenant(logins) => {
                let one = |(name, login): (&String, &PostgresLogin)| {
                    (name.clone(), tenant(login, writers.and_then(|writers| writers.of(name))))
                };
                Tenants::PerTenant(logins.iter().map(one).collect())
            }
        };
        Ok(PostgresPool { tenants, guard, judge, judged: Mutex::default(), turns, dialer })
    }

    /// Logs in as each role and reads what it could do. In order of tenants.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses a login.
    pub async fn inspect(&self) -> Result<Vec<RoleReport>, EngineError> {
        let mut reports = Vec::new();
        match &self.tenants {
            Tenants::Shared(tenant) => reports.push(inspect::inspect(None, tenant).await?),
            Tenants::PerTenant(tenants) => {
                for (name, tenant) in tenants {
                    reports.push(inspect::inspect(Some(name), tenant).await?);
                }
            }
        }
        Ok(reports)
    }

    /// A session that may write, under the tenant's login for writes.
    ///
    /// # Errors
    /// If the tenant has no login or the server cannot be reached.
    pub async fn writer(&self, caller: Caller<'_>) -> Result<WriteSession, EngineError> {
        let lease = self.tenant(caller)?.lease_writer().await?;
        Ok(WriteSession::new(lease, application_name(caller)))
    }

    /// INVARIANT: the login follows from the verified identity alone.
    fn tenant(&self, caller: Caller<'_>) -> Result<&Arc<Tenant>, EngineError> {
        let found = match &self.tenants {
            Tenants::Shared(tenant) => Some(tenant),
            Tenants::PerTenant(tenants) => tenants.get(caller.tenant),
        };
        found.ok_or_else(|| EngineError::Refused(Refusal::new(Rule::Database, "this tenant has no login here")))
    }

    /// The judgement of a text.
    async fn syntax(&self, purpose: Purpose, sql: &str) -> Result<Arc<Syntax>, EngineError> {
        let key = (purpose, Box::from(sql));
        if let Some(syntax) = self.judged().get(&key) {
            return Ok(Arc::clone(syntax));
        }
        // Callers who ask the same at once wait for one judgement.
        let _turn = self.turns.acquire().await;
        if let Some(syntax) = self.judged().get(&key) {
            return Ok(Arc::clone(syntax));
        }
        let syntax = Arc::new(self.judge.judge(purpose, sql).await?);
        let mut judged = self.judged();
        if judged.len() >= REMEMBERED {
            judged.clear();
        }
        judged.insert(key, Arc::clone(&syntax));
        Ok(syntax)
    }

    fn judged(&self) -> std::sync::MutexGuard<'_, HashMap<(Purpose, Box<str>), Arc<Syntax>>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn facts(
        &self,
        caller: Caller<'_>,
        purpose: Purpose,
        sql: &str,
    ) -> Result<(Arc<Snapshot>, Arc<Facts>), EngineError> {
        let tenant = self.tenant(caller)?;
        let syntax = self.syntax(purpose, sql).await?;
        let snapshot = snapshot::of(tenant, &self.judge).await?;
        let facts = snapshot.facts(purpose, sql, &syntax, &self.guard)?;
        Ok((snapshot, facts))
    }

    async fn run_leased(
        &self,
        lease: &mut Lease,
        snapshot: &Snapshot,
        run: &Run,
        operation: Operation,
        name: &str,
    ) -> Result<(Arc<Prepared>, Vec<usize>, ReadOutcome), Failed> {
        let connection = &mut lease.session()?.connection;
        let prepared = connection.prepare(&run.sql).await?;
        let masked = masked(&prepared, &run.masked, &snapshot.schema)?;
        let limits = ReadLimits {
            rows: run.limits.rows,
            bytes: run.limits.bytes,
            time: run.limits.time.min(self.dialer.config.statement_timeout),
            application_name: name,
        };
        if let Some(limit) = self.dialer.config.cost_limit.filter(|_| operation == Operation::Select) {
            let cost = match snapshot.cost(&run.sql) {
                Some(cost) => cost,
                None => {
                    let cost = estimate(connection, &run.sql, &run.params, limits).await?;
                    snapshot.remember_cost(&run.sql, cost);
                    cost
                }
            };
            // MUTATE(I2-pg-cost): statements of any estimated cost run
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
        Ok((prepared, masked, outcome))
    }
}

/// Why a run failed: by the session, or before it had one.
enum Failed {
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

fn application_name(caller: Caller<'_>) -> String {
    caller.call.map_or_else(|| "countersign".to_owned(), |call| format!("countersign/{call}"))
}

/// The positions of masked columns in a result, found by where the server says each column comes from.
///
/// INVARIANT: a column to be masked that is not found is refused, never returned: the server then sees an expression where we saw a column.
fn masked(
    prepared: &Prepared,
    hidden: &std::collections::BTreeSet<Object>,
    schema: &Schema,
) -> Result<Vec<usize>, Refusal> {
    if hidden.is_empty() {
        return Ok(Vec::new());
    }
    let columns = prepared.columns.as_deref().unwrap_or_default();
    let origins: Vec<Option<Object>> = columns
        .iter()
        .map(|column| schema.origin(column.table, column.column))
        .map(|origin| origin.map(|o| Object::Column { table: o.table, column: o.column }))
        .collect();
    // MUTATE(C3-pg-untraced): a masked column that comes as an expression is returned
    if hidden.iter().any(|object| !origins.iter().flatten().any(|origin| origin == object)) {
        let message = "a masked column is not a plain column of the result";
        return Err(Refusal::new(Rule::ForbiddenAction, message));
    }
    let of = |(at, origin): (usize, &Option<Object>)| origin.as_ref().filter(|o| hidden.contains(*o)).map(|_| at);
    Ok(origins.iter().enumerate().filter_map(of).collect())
}

/// What the planner expects a statement to cost. Nothing runs.
async fn estimate(
    connection: &mut countersign_sql::engines::postgres::client::Connection,
    sql: &str,
    params: &[Value],
    limits: ReadLimits<'_>,
) -> Result<f64, ClientError> {
    // INVARIANT: `sql` is one judged query, so this is one `EXPLAIN` of it.
    let explain = format!("EXPLAIN (FORMAT JSON) {sql}");
    let prepared = connection.prepare(&explain).await?;
    let plan = connection.read(&explain, &prepared, params, &[], ReadLimits { rows: 1, bytes: 4 << 20, ..limits }).await?;
    let text = match plan.values.first() {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let plan: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let cost = plan.pointer("/0/Plan/Total Cost").and_then(serde_json::Value::as_f64);
    cost.ok_or(ClientError::Protocol("the planner's estimate cannot be read"))
}

#[async_trait]
impl Engine for PostgresPool {
    fn dialect(&self) -> &'static str {
        "PostgreSQL"
    }

    fn placeholder(&self) -> &'static str {
        "$1"
    }

    /// As it stands: a table is `schema.name`, and one without schema is looked up along the search path.
    fn fold(&self, name: &str) -> String {
        name.to_owned()
    }

    fn is_per_tenant(&self) -> bool {
        matches!(self.tenants, Tenants::PerTenant(_))
    }

    fn tenants(&self) -> Vec<String> {
        match &self.tenants {
            Tenants::Shared(_) => Vec::new(),
            Tenants::PerTenant(tenants) => tenants.keys().cloned().collect(),
        }
    }

    async fn prepare(&self, caller: Caller<'_>, purpose: Purpose, sql: &str) -> Result<Facts, EngineError> {
        self.facts(caller, purpose, sql).await.map(|(_, facts)| Facts::clone(&facts))
    }

    async fn run(&self, caller: Caller<'_>, run: Run) -> Result<EngineRows, EngineError> {
        let until = Instant::now() + run.limits.time;
        let stopped = until + self.dialer.config.grace;
        let name = application_name(caller);
        let ran = async {
            let tenant = self.tenant(caller)?;
            let (snapshot, facts) = self.facts(caller, Purpose::Read, &run.sql).await?;
            // INVARIANT: what runs is what was granted, by the schema as it is now.
            // MUTATE(B2-pg-granted): what was judged under another schema runs
            if !facts.accesses.is_subset(&run.granted) {
                return Err(EngineError::Refused(Refusal::new(Rule::SchemaChanged, "the schema changed")));
            }
            let mut lease = tenant.lease().await?;
            loop {
                let fresh = lease.session()?.fresh;
                let outcome = self.run_leased(&mut lease, &snapshot, &run, facts.operation, &name).await;
                let error = match outcome {
                    Ok((prepared, masked, outcome)) => {
                        return Ok(rows(&prepared, masked, outcome, &snapshot.schema));
                    }
                    Err(Failed::Engine(error)) => return Err(error),
                    Err(Failed::Client(error)) => error,
                };
                if !is_lost(&error) {
                    let error = engine_error(error);
                    if matches!(&error, EngineError::Refused(refusal) if refusal.rule == Rule::SchemaChanged) {
                        tenant.snapshots.doubt();
                    }
                    return Err(error);
                }
                // A session that died, now or while it was idle. Reading twice is reading once.
                tenant.forget_idle();
                lease.discard();
                if fresh {
                    return Err(engine_error(error));
                }
                lease.renew().await?;
            }
        };
        match timeout_at(stopped, ran).await {
            Ok(outcome) => outcome,
            Err(_) => Err(EngineError::Killed),
        }
    }

    fn explain(&self) -> Option<&'static str> {
        Some("EXPLAIN (FORMAT JSON)")
    }

    fn keeps_stats(&self) -> bool {
        true
    }

    async fn stats(&self, caller: Caller<'_>, table: &str) -> Result<(String, TableStats), EngineError> {
        let tenant = self.tenant(caller)?;
        let snapshot = snapshot::of(tenant, &self.judge).await?;
        let found = snapshot.schema.readable(table, &self.dialer.config.schemas);
        let relation = found.ok_or_else(|| EngineError::Refused(unknown_table()))?;
        let stats = stats::stats(tenant, relation.oid).await?;
        Ok((relation.key.written(), stats))
    }

    async fn tables(&self, caller: Caller<'_>) -> Result<Vec<TableInfo>, EngineError> {
        let snapshot = snapshot::of(self.tenant(caller)?, &self.judge).await?;
        Ok(snapshot.schema.tables(&self.dialer.config.schemas))
    }

    async fn describe(&self, caller: Caller<'_>, table: &str) -> Result<TableDetail, EngineError> {
        let snapshot = snapshot::of(self.tenant(caller)?, &self.judge).await?;
        let found = snapshot.schema.describe(table, &self.dialer.config.schemas);
        found.ok_or_else(|| EngineError::Refused(unknown_table()))
    }
}

fn unknown_table() -> Refusal {
    Refusal::new(Rule::UnknownTable, "no such table or view")
}

fn rows(prepared: &Prepared, masked: Vec<usize>, outcome: ReadOutcome, schema: &Schema) -> EngineRows {
    let columns = prepared.columns.iter().flatten();
    let info = |column: &countersign_sql::engines::postgres::client::ResultColumn| ColumnInfo {
        name: column.name.clone(),
        decl_type: Some(schema.type_name(column.type_oid).to_owned()),
    };
    EngineRows {
        columns: columns.map(info).collect(),
        masked,
        values: outcome.values,
        truncated: outcome.truncated,
    }
}

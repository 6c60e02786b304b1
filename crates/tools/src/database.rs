//! A configured database as its tools see it: statements are judged, remembered, and run under exactly what was granted.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, CallId, Cell, Column, Denied, Object, Permit, Preview, PreviewPermit, Principal, RowSet,
    Subsystem, ToolError, Truncation, denied::Failure,
};
use countersign_sql::{Facts, Refusal, Rule, Run, RunLimits, TableDetail, TableInfo, Truncated, Value};

use crate::table_stats::TableStats;

/// On whose behalf an engine works: engines with a login for each tenant choose it by this, and by nothing that a model wrote.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The tenant of the verified identity.
    pub tenant: &'a str,
    /// The call's id, for correlation in the engine's own log; none while a call is planned.
    pub call: Option<CallId>,
}

/// What a statement is judged for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Reading: one query with a result.
    Read,
    /// Writing: one `INSERT`, `UPDATE` or `DELETE`.
    Write,
}

/// Where statements run: a pool of worker processes, or of connections.
#[async_trait]
pub trait Engine: Send + Sync {
    /// The dialect's name, for descriptions.
    fn dialect(&self) -> &'static str;

    /// How placeholders are written: `?` or `$1`.
    fn placeholder(&self) -> &'static str;

    /// A name as the engine compares it, so that policy and engine mean the same object.
    fn fold(&self, name: &str) -> String;

    /// Whether different tenants see different schemas: judgements are then remembered for each tenant apart.
    fn is_per_tenant(&self) -> bool {
        false
    }

    /// The tenants that have a login, where each has its own.
    fn tenants(&self) -> Vec<String> {
        Vec::new()
    }

    /// Judges a statement: no row is read.
    async fn prepare(&self, caller: Caller<'_>, purpose: Purpose, sql: &str) -> Result<Facts, EngineError>;

    /// Runs a query under `run.granted`. Dropping the future stops it.
    async fn run(&self, caller: Caller<'_>, run: Run) -> Result<EngineRows, EngineError>;

    /// Whether it can write: then there is a write tool.
    fn takes_writes(&self) -> bool {
        false
    }

    /// Runs a write under `run.granted` and takes it back. Where not all of the effect can be tried out, `affected` is none.
    async fn rehearse(&self, _caller: Caller<'_>, _run: Run) -> Result<Rehearsed, EngineError> {
        Err(takes_no_writes())
    }

    /// Runs a write under `run.granted`; it lasts only if it changes `expected` rows, where that is said. Answers how many.
    async fn write(
        &self,
        _caller: Caller<'_>,
        _run: Run,
        _expected: Option<u64>,
    ) -> Result<u64, EngineError> {
        Err(takes_no_writes())
    }

    /// Lists tables and views.
    async fn tables(&self, caller: Caller<'_>) -> Result<Vec<TableInfo>, EngineError>;

    /// Describes one table or view.
    async fn describe(&self, caller: Caller<'_>, table: &str) -> Result<TableDetail, EngineError>;

    /// What makes a query its own explanation when it is put before it; none where there is no such thing.
    fn explain(&self) -> Option<&'static str> {
        None
    }

    /// Whether [`Engine::stats`] has something to tell.
    fn keeps_stats(&self) -> bool {
        false
    }

    /// The name and the statistics of a table or view that [`Engine::describe`] finds.
    async fn stats(&self, caller: Caller<'_>, table: &str) -> Result<(String, TableStats), EngineError> {
        Ok((self.describe(caller, table).await?.name, TableStats::default()))
    }
}

/// A whole result as an engine delivers it.
pub struct EngineRows {
    /// The columns.
    pub columns: Vec<countersign_sql::ColumnInfo>,
    /// Positions of the columns whose values are masked, in order; the values themselves are void.
    pub masked: Vec<usize>,
    /// All values, row by row.
    pub values: Vec<Value>,
    /// Why it was cut.
    pub truncated: Option<Truncated>,
}

/// What a write would do.
#[derive(Default)]
pub struct Rehearsed {
    /// Rows changed; none where not all of it can be tried out.
    pub affected: Option<u64>,
    /// Some of the rows as they are.
    pub before: Option<EngineRows>,
    /// The same as they would be.
    pub after: Option<EngineRows>,
    /// What else people should know before they approve it.
    pub warnings: Vec<String>,
}

pub(crate) fn takes_no_writes() -> EngineError {
    EngineError::Refused(Refusal::new(Rule::ForbiddenAction, "this database takes no writes"))
}

/// Why an engine has no answer.
#[derive(Debug)]
pub enum EngineError {
    /// The statement was refused or failed.
    Refused(Refusal),
    /// All workers are busy and the queue is full or the wait too long.
    Busy {
        /// When a retry may succeed.
        retry_after: Duration,
    },
    /// The worker did not end in time and was killed.
    Killed,
    /// No worker can be had, or it broke; the cause is for the log.
    Broken(String),
    /// The database's server cannot be reached or ended the session; the cause is for the log.
    Unreachable(String),
}

/// Where results are cut.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseLimits {
    /// Rows at most.
    pub rows: u64,
    /// Bytes of values at most.
    pub bytes: u64,
    /// How long a statement may run.
    pub time: Duration,
    /// Characters of statement text at most.
    pub query_chars: u32,
}

/// One configured database.
pub struct Database {
    name: Arc<str>,
    engine: Arc<dyn Engine>,
    limits: DatabaseLimits,
    raw: bool,
    judged: Mutex<HashMap<Judged, Arc<Facts>>>,
}

/// What a judgement holds for: a purpose, a tenant where that matters, and the exact text.
#[derive(PartialEq, Eq, Hash)]
struct Judged {
    purpose: Purpose,
    tenant: Option<Box<str>>,
    sql: Box<str>,
}

/// Statements whose facts are remembered; when full, all are forgotten.
const REMEMBERED: usize = 1024;

impl Database {
    /// A database under its configured name.
    pub fn new(name: &str, engine: Arc<dyn Engine>, limits: DatabaseLimits) -> Database {
        Database { name: name.into(), engine, limits, raw: true, judged: Mutex::default() }
    }

    /// Takes raw SQL away: no tool runs or explains a statement that a caller wrote, only queries of the catalog.
    #[must_use]
    pub fn catalog_only(self) -> Database {
        Database { raw: false, ..self }
    }

    /// Whether callers may send statements of their own.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// The configured name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where results are cut.
    pub fn limits(&self) -> DatabaseLimits {
        self.limits
    }

    /// The facts of a statement. Remembered ones may be stale, which is safe: the run enforces what was granted on them.
    pub(crate) async fn judge(
        &self,
        principal: &Principal,
        purpose: Purpose,
        sql: &str,
    ) -> Result<Arc<Facts>, ToolError> {
        let key = self.key(principal, purpose, sql);
        if let Some(facts) = self.judged().get(&key) {
            return Ok(Arc::clone(facts));
        }
        let judged = self.engine.prepare(planning(principal), purpose, sql).await;
        let facts = Arc::new(judged.map_err(|e| tool_error(e, "query"))?);
        let mut judged = self.judged();
        if judged.len() >= REMEMBERED {
            judged.clear();
        }
        judged.insert(key, Arc::clone(&facts));
        Ok(facts)
    }

    /// The tenants to judge a statement for ahead of all calls: each that has a login, or any one if they see the same.
    pub(crate) fn tenants(&self) -> Vec<String> {
        if self.engine.is_per_tenant() { self.engine.tenants() } else { vec![String::new()] }
    }

    /// Judges a statement of the catalog before anybody calls.
    pub(crate) async fn judge_ahead(
        &self,
        tenant: &str,
        purpose: Purpose,
        sql: &str,
    ) -> Result<Arc<Facts>, EngineError> {
        self.engine.prepare(Caller { tenant, call: None }, purpose, sql).await.map(Arc::new)
    }

    fn key(&self, principal: &Principal, purpose: Purpose, sql: &str) -> Judged {
        let tenant = self.engine.is_per_tenant().then(|| principal.tenant().into());
        Judged { purpose, tenant, sql: sql.into() }
    }

    /// The engine, for what it alone can say of itself.
    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Runs a judged statement under the granted accesses.
    pub(crate) async fn run(
        &self,
        permit: &Permit,
        sql: &str,
        params: Vec<Value>,
    ) -> Result<RowSet, ToolError> {
        self.run_rows(permit, sql, params, self.limits.rows).await
    }

    /// As [`Database::run`], cut at `rows` rows if that is less than the database's own limit.
    pub(crate) async fn run_rows(
        &self,
        permit: &Permit,
        sql: &str,
        params: Vec<Value>,
        rows: u64,
    ) -> Result<RowSet, ToolError> {
        let run = self.to_run(permit.granted(), sql, params);
        let limits = RunLimits { rows: rows.min(self.limits.rows), ..run.limits };
        let run = Run { limits, ..run };
        let principal = permit.principal();
        let caller = Caller { tenant: principal.tenant(), call: Some(permit.call()) };
        match self.engine.run(caller, run).await {
            Ok(rows) => Ok(row_set(rows)),
            Err(error) => {
                if matches!(&error, EngineError::Refused(refusal) if refusal.rule == Rule::SchemaChanged) {
                    self.judged().remove(&self.key(principal, Purpose::Read, sql));
                }
                Err(tool_error(error, "query"))
            }
        }
    }

    /// Tries a judged write out under the granted accesses.
    pub(crate) async fn rehearse(
        &self,
        permit: &PreviewPermit,
        sql: &str,
        params: Vec<Value>,
    ) -> Result<Preview, ToolError> {
        let run = self.to_run(permit.granted(), sql, params);
        let caller = Caller { tenant: permit.principal().tenant(), call: Some(permit.call()) };
        let rehearsed = self.engine.rehearse(caller, run).await;
        let Rehearsed { affected, before, after, warnings } =
            rehearsed.map_err(|e| tool_error(e, "statement"))?;
        Ok(Preview { affected, before: before.map(row_set), after: after.map(row_set), warnings })
    }

    /// Runs a judged write under the granted accesses. It lasts only if it changes as many rows as people approved.
    pub(crate) async fn write(
        &self,
        permit: &Permit,
        sql: &str,
        params: Vec<Value>,
    ) -> Result<u64, ToolError> {
        let run = self.to_run(permit.granted(), sql, params);
        let caller = Caller { tenant: permit.principal().tenant(), call: Some(permit.call()) };
        let expected = permit.approved().and_then(|approved| approved.request.preview.affected);
        let written = self.engine.write(caller, run, expected).await;
        if matches!(&written, Err(EngineError::Refused(refusal)) if refusal.rule == Rule::SchemaChanged) {
            self.judged().remove(&self.key(permit.principal(), Purpose::Write, sql));
        }
        written.map_err(|e| tool_error(e, "statement"))
    }

    fn to_run(&self, granted: &[Access], sql: &str, params: Vec<Value>) -> Run {
        Run {
            sql: sql.to_owned(),
            params,
            granted: granted.iter().filter_map(|access| self.to_engine(access)).collect(),
            masked: granted.iter().filter_map(|access| self.to_mask(access)).collect(),
            limits: RunLimits { rows: self.limits.rows, bytes: self.limits.bytes, time: self.limits.time },
        }
    }

    pub(crate) async fn tables(&self, principal: &Principal) -> Result<Vec<TableInfo>, ToolError> {
        self.engine.tables(planning(principal)).await.map_err(|e| tool_error(e, "database"))
    }

    pub(crate) async fn describe(
        &self,
        principal: &Principal,
        table: &str,
    ) -> Result<TableDetail, ToolError> {
        self.engine.describe(planning(principal), table).await.map_err(|e| tool_error(e, "table"))
    }

    pub(crate) async fn stats(
        &self,
        principal: &Principal,
        table: &str,
    ) -> Result<(String, TableStats), ToolError> {
        self.engine.stats(planning(principal), table).await.map_err(|e| tool_error(e, "table"))
    }

    /// The accesses of a statement in the pipeline's words.
    pub(crate) fn accesses(&self, facts: &Facts) -> Vec<Access> {
        facts.accesses.iter().map(|access| self.required(access, &facts.projected)).collect()
    }

    /// The table as policy names it.
    pub(crate) fn table(&self, table: &str) -> Object {
        Object::Table { database: Arc::clone(&self.name), table: self.engine.fold(table) }
    }

    /// The column as policy names it.
    pub(crate) fn column(&self, table: &str, column: &str) -> Object {
        Object::Column {
            database: Arc::clone(&self.name),
            table: self.engine.fold(table),
            column: self.engine.fold(column),
        }
    }

    fn required(
        &self,
        access: &countersign_sql::Access,
        projected: &BTreeSet<countersign_sql::Object>,
    ) -> Access {
        let database = Arc::clone(&self.name);
        use countersign_sql::{Action as Done, Object as Sql};
        let action = match access.action {
            Done::Read => Action::Read,
            Done::Write => Action::Write,
        };
        match access.object.clone() {
            Sql::Table { table } => Access::required(action, Object::Table { database, table }),
            Sql::Column { table, column } => {
                let object = Object::Column { database, table, column };
                match access.action == Done::Read && projected.contains(&access.object) {
                    true => Access::maskable(object),
                    false => Access::required(action, object),
                }
            }
            Sql::Function { name } => Access::required(Action::Use, Object::Function { database, name }),
        }
    }

    /// A column that the statement may project, but whose values are masked.
    fn to_mask(&self, access: &Access) -> Option<countersign_sql::Object> {
        match (access.action, &access.object) {
            (Action::Mask, Object::Column { database, table, column }) if *database == self.name => {
                Some(countersign_sql::Object::Column { table: table.clone(), column: column.clone() })
            }
            _ => None,
        }
    }

    /// INVARIANT: a grant on another database's object is no grant here.
    fn to_engine(&self, access: &Access) -> Option<countersign_sql::Access> {
        match (access.action, &access.object) {
            (Action::Write, Object::Table { database, table }) if *database == self.name => {
                Some(countersign_sql::Access::table(table.as_str()).written())
            }
            (Action::Write, Object::Column { database, table, column }) if *database == self.name => {
                Some(countersign_sql::Access::column(table.as_str(), column.as_str()).written())
            }
            // A masked column is read by the engine, which masks it.
            (Action::Mask, Object::Column { database, table, column }) if *database == self.name => {
                Some(countersign_sql::Access::column(table.as_str(), column.as_str()))
            }
            (Action::Read, Object::Table { database, table }) if *database == self.name => {
                Some(countersign_sql::Access::table(table.as_str()))
            }
            (Action::Read, Object::Column { database, table, column }) if *database == self.name => {
                Some(countersign_sql::Access::column(table.as_str(), column.as_str()))
            }
            (Action::Use, Object::Function { database, name }) if *database == self.name => {
                Some(countersign_sql::Access::function(name.as_str()))
            }
            _ => None,
        }
    }

    fn judged(&self) -> std::sync::MutexGuard<'_, HashMap<Judged, Arc<Facts>>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The databases of a tool that takes a `database` argument.
pub(crate) fn find<'d>(
    databases: &'d [Arc<Database>],
    name: Option<&str>,
) -> Result<&'d Arc<Database>, ToolError> {
    let known = || databases.iter().find(|database| Some(database.name.as_ref()) == name);
    known().ok_or_else(|| ToolError::invalid("/database", "must name a configured database"))
}

/// The JSON Schema of a `database` argument. It lists no names: another tenant's databases are nobody's business.
pub(crate) fn database_schema() -> serde_json::Value {
    serde_json::json!({
        "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$",
        "description": "a database's name: the NAME of a query_NAME tool"
    })
}

/// The caller of a plan: no call has an id in the engine before it is permitted.
fn planning(principal: &Principal) -> Caller<'_> {
    Caller { tenant: principal.tenant(), call: None }
}

fn row_set(rows: EngineRows) -> RowSet {
    let truncated = match rows.truncated {
        None => None,
        Some(Truncated::Rows) => Some(Truncation::Rows),
        Some(Truncated::Bytes) => Some(Truncation::Bytes),
        Some(Truncated::Time) => Some(Truncation::Time),
    };
    let columns = rows
        .columns
        .into_iter()
        .enumerate()
        .map(|(position, column)| Column {
            name: column.name,
            kind: column.decl_type.unwrap_or_default().to_ascii_lowercase(),
            masked: rows.masked.contains(&position),
        })
        .collect();
    let cell = |value| match value {
        Value::Null => Cell::Null,
        Value::Integer(n) => Cell::Integer(n),
        Value::Real(x) => Cell::Real(x),
        Value::Text(text) => Cell::Text(text),
        Value::Blob(bytes) => Cell::Blob(bytes),
        Value::Boolean(truth) => Cell::Boolean(truth),
        Value::Decimal(text) => Cell::Decimal(text),
    };
    RowSet { columns, cells: rows.values.into_iter().map(cell).collect(), truncated }
}

/// What an engine's refusal is to the caller. `field` is the argument to blame.
fn tool_error(error: EngineError, field: &str) -> ToolError {
    match error {
        EngineError::Refused(refusal) => refused(refusal, field),
        EngineError::Busy { retry_after } => Denied::Limited { limit: "workers", retry_after }.into(),
        EngineError::Killed => failed(Failure::Deadline, "stopped: the statement ran past its deadline"),
        EngineError::Broken(cause) => {
            ToolError { denied: Denied::Unavailable(Subsystem::Sandbox), cause: Some(cause), detail: None }
        }
        EngineError::Unreachable(cause) => {
            ToolError { denied: Denied::Unavailable(Subsystem::Database), cause: Some(cause), detail: None }
        }
    }
}

fn refused(refusal: Refusal, field: &str) -> ToolError {
    let Refusal { rule, message, detail } = refusal;
    let error = match rule {
        // `/params/N must …`: the argument to blame is one of the parameters.
        Rule::Parameters if message.starts_with("/params/") => match message.split_once(' ') {
            Some((field, must)) => ToolError::invalid(field, must),
            None => ToolError::invalid("/params", message),
        },
        Rule::Deadline => failed(Failure::Deadline, &message),
        Rule::Cancelled => failed(Failure::Cancelled, &message),
        Rule::SchemaChanged => ToolError::failed(format!("{message}; try again")),
        Rule::Locked | Rule::Memory | Rule::Failed | Rule::RowCount => ToolError::failed(message),
        Rule::Database => ToolError::internal(message),
        _ => ToolError::invalid(format!("/{field}"), format!("{message} [{}]", rule.code())),
    };
    error.with_detail(detail)
}

fn failed(failure: Failure, public: &str) -> ToolError {
    Denied::Failed { failure, public: public.to_owned() }.into()
}

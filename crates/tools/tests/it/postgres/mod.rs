//! PostgreSQL as an engine, on a real server: the shop of two tenants, and the corpus of attacks.

mod bench;
mod failing;
mod lanes;
mod pool;
mod sessions;
mod silent;
mod tls;
mod writes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use countersign_egress::Endpoint;
use countersign_sql::{Run, RunLimits, Value};
use countersign_testbed::{Login, Postgres};
use countersign_tools::{
    Caller, Engine, EngineError, EngineRows, GuardWorkers, PostgresConfig, PostgresLogin, PostgresLogins,
    PostgresPool, Purpose,
};

use crate::sqlite_pool::ROLE;

const WIDE: RunLimits = RunLimits { skip: 0, rows: 20_000, bytes: 64 << 20, time: Duration::from_secs(5) };

fn guard() -> GuardWorkers {
    // The test binary started again: libtest runs `worker_entry` and nothing else.
    let args = ["--exact", "sqlite_pool::worker_entry", "--nocapture", ROLE].map(Into::into);
    GuardWorkers::new(std::env::current_exe().unwrap(), args.to_vec())
}

fn login(login: &Login) -> PostgresLogin {
    PostgresLogin::new(&login.user, &login.password)
}

fn tcp(cluster: &Postgres) -> Endpoint {
    Endpoint::Tcp { host: "127.0.0.1".into(), port: cluster.port() }
}

/// The shop, with a login for each of two tenants.
fn shop(cluster: &Postgres) -> PostgresConfig {
    let logins = ["1", "2"].map(|tenant| (tenant.to_owned(), login(&cluster.shop(&format!("t{tenant}")))));
    PostgresConfig::new(tcp(cluster), "shop", PostgresLogins::PerTenant(BTreeMap::from(logins)), guard())
}

async fn start(config: PostgresConfig) -> Arc<PostgresPool> {
    Arc::new(PostgresPool::start(config).await.unwrap())
}

fn of(tenant: &str) -> Caller<'_> {
    Caller { tenant, call: None }
}

/// Judges and runs, as the query tool does when policy grants all.
async fn query(
    pool: &PostgresPool,
    caller: Caller<'_>,
    sql: &str,
    params: Vec<Value>,
    limits: RunLimits,
) -> Result<EngineRows, EngineError> {
    let granted = pool.prepare(caller, Purpose::Read, sql).await?.accesses;
    let run = Run { sql: sql.into(), params, granted, masked: Default::default(), limits };
    pool.run(caller, run).await
}

async fn ask(pool: &PostgresPool, tenant: &str, sql: &str) -> Result<EngineRows, EngineError> {
    query(pool, of(tenant), sql, Vec::new(), WIDE).await
}

fn refusal(result: Result<EngineRows, EngineError>) -> countersign_sql::Refusal {
    match result {
        Err(EngineError::Refused(refusal)) => refusal,
        Err(other) => panic!("{other:?}"),
        Ok(rows) => panic!("{:?}", rows.values),
    }
}

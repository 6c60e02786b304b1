//! ODBC sources behind worker processes, on real drivers: SQLite's, which has no timeouts, and PostgreSQL's, whose server goes away.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_sql::{ConnectionString, Dialect, OdbcSource, Rule, Run, RunLimits, Value};
use countersign_testbed::{Odbc, Postgres};
use countersign_tools::{
    Caller, Credentials, Engine, EngineError, EngineRows, OdbcConfig, OdbcPool, Purpose,
};
use tokio::time::sleep;

use crate::sqlite_pool::ROLE;

const CALLER: Caller<'_> = Caller { tenant: "acme", call: None };
const PASSWORD: &str = "correct horse battery";
/// No driver and no source stops this.
const ENDLESS: &str = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT SUM(n) FROM r";

fn config(odbc: &Odbc, connection: ConnectionString, dialect: Dialect) -> OdbcConfig {
    let args = ["--exact", "sqlite_pool::worker_entry", ROLE, "--nocapture"].map(Into::into).to_vec();
    let source = OdbcSource {
        connection,
        dialect,
        functions: BTreeSet::new(),
        connect: Duration::from_secs(10),
        writable: false,
    };
    let mut config = OdbcConfig::new(std::env::current_exe().unwrap(), args, source);
    config.pool.env = odbc.env().into_iter().map(|(name, value)| (name.into(), value)).collect();
    config.pool.workers = 2;
    config
}

struct Source {
    _odbc: Odbc,
    pool: Arc<OdbcPool>,
}

async fn sqlite() -> Source {
    let odbc = Odbc::new();
    let file = odbc.dir().join("t.db");
    for sql in ["CREATE TABLE t (x INTEGER, name VARCHAR(20))", "INSERT INTO t VALUES (1, 'Zoë'), (2, NULL)"]
    {
        odbc.isql(&odbc.sqlite(&file), sql).unwrap();
    }
    let connection = ConnectionString::new(odbc.sqlite(&file)).with("PWD", PASSWORD);
    let pool = OdbcPool::start(config(&odbc, connection, Dialect::Sqlite)).await;
    Source { pool: Arc::new(pool.map_err(|error| format!("{error:?}")).unwrap()), _odbc: odbc }
}

async fn run(pool: &OdbcPool, sql: &str, params: Vec<Value>, time: u64) -> Result<EngineRows, EngineError> {
    let facts = pool.prepare(CALLER, Purpose::Read, sql).await?;
    let limits = RunLimits { skip: 0, rows: 100, bytes: 1 << 20, time: Duration::from_millis(time) };
    let masked = Default::default();
    pool.run(CALLER, Run { sql: sql.into(), params, granted: facts.accesses, masked, limits }).await
}

async fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "it did not come about");
        sleep(Duration::from_millis(5)).await;
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_answers_and_its_password_is_nowhere() {
    let Source { pool, _odbc } = sqlite().await;
    let rows = run(
        &pool,
        "SELECT x, name FROM t WHERE x = ? OR name IS NULL ORDER BY x",
        vec![Value::Integer(1)],
        2_000,
    );
    let rows = rows.await.unwrap();
    assert_eq!(rows.values, [Value::Integer(1), Value::Text("Zoë".into()), Value::Integer(2), Value::Null]);
    assert_eq!(pool.tables(CALLER).await.unwrap()[0].name, "t");
    assert_eq!(pool.describe(CALLER, "T").await.unwrap().columns[1].name, "name");
    for pid in pool.pids() {
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!String::from_utf8_lossy(&text).contains("horse"), "{file}");
        }
    }
    for sql in
        ["DELETE FROM t", "SELECT load_extension('x')", "SELECT 1; SELECT 2", "SELECT * FROM sqlite_master"]
    {
        assert!(matches!(run(&pool, sql, vec![], 500).await, Err(EngineError::Refused(_))), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_nothing_stops_is_killed_at_its_deadline() {
    let Source { pool, _odbc } = sqlite().await;
    assert!(run(&pool, "SELECT x FROM t", vec![], 2_000).await.is_ok());
    let before = pool.pids();
    let started = Instant::now();
    let result = run(&pool, ENDLESS, vec![], 300).await;
    let took = started.elapsed();
    assert!(matches!(result, Err(EngineError::Killed)), "{:?}", result.err());
    assert!(took < Duration::from_millis(900), "{took:?}");
    let after = pool.pids();
    until(|| before.iter().any(|pid| !is_alive(*pid))).await;
    assert!(run(&pool, "SELECT x FROM t", vec![], 2_000).await.is_ok(), "{before:?} {after:?}");
}

/// What a driver does that gives up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_costs_one_call() {
    let Source { pool, _odbc } = sqlite().await;
    let hog = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { run(&pool, ENDLESS, vec![], 20_000).await }
    });
    sleep(Duration::from_millis(500)).await;
    let crashed = pool.pids();
    for pid in &crashed {
        let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    }
    let result = hog.await.unwrap();
    assert!(matches!(result, Err(EngineError::Broken(_))), "{:?}", result.err());
    // The one that was idle dies in its own time; nobody may have reaped it.
    let status = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    until(|| crashed.iter().all(|pid| status(pid).is_empty() || status(pid).contains(") Z "))).await;
    let rows = run(&pool, "SELECT COUNT(*) FROM t", vec![], 2_000).await;
    assert!(rows.is_ok(), "{:?}", rows.err());
    assert!(pool.pids().iter().all(|pid| !crashed.contains(pid)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_away_is_an_error_until_it_is_back() {
    let (cluster, odbc) = (Postgres::start(), Odbc::new());
    let login = cluster.shop("t1");
    let connection =
        ConnectionString::new(odbc.postgres(&cluster, &login, "shop")).with("Pwd", &login.password);
    let pool = OdbcPool::start(config(&odbc, connection, Dialect::Postgres)).await;
    let pool = pool.map_err(|error| format!("{error:?}")).unwrap();
    let sql = "SELECT COUNT(*) FROM customers";
    assert_eq!(run(&pool, sql, vec![], 5_000).await.unwrap().values, [Value::Integer(100)]);
    cluster.stop();
    let error = run(&pool, sql, vec![], 5_000).await.err().unwrap();
    let text = format!("{error:?}");
    assert!(!text.contains(&login.password) && !text.contains(&login.user), "{text}");
    cluster.restart();
    let mut back = Err(String::new());
    for _ in 0..5 {
        back = run(&pool, sql, vec![], 5_000)
            .await
            .map(|rows| rows.values)
            .map_err(|error| format!("{error:?}"));
        if back.is_ok() {
            break;
        }
    }
    assert_eq!(back.unwrap(), [Value::Integer(100)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_password_is_what_workers_connect_with_from_then_on() {
    let (cluster, odbc) = (Postgres::start(), Odbc::new());
    let login = cluster.shop("t1");
    let source =
        |password: &str| ConnectionString::new(odbc.postgres(&cluster, &login, "shop")).with("Pwd", password);
    let pool = OdbcPool::start(config(&odbc, source(&login.password), Dialect::Postgres)).await;
    let pool = Arc::new(pool.map_err(|error| format!("{error:?}")).unwrap());
    let sql = "SELECT COUNT(*) FROM customers";
    assert_eq!(run(&pool, sql, vec![], 5_000).await.unwrap().values, [Value::Integer(100)]);
    assert!(!pool.renew(&Credentials::Odbc(source(&login.password))), "nothing has changed");

    cluster.run("postgres", "ALTER ROLE t1 PASSWORD 'renewed-and-long'");
    // One statement is under way while the password changes: it ends well, and its connection with it.
    let slow = "SELECT COUNT(*) FROM customers a CROSS JOIN customers b CROSS JOIN customers c WHERE a.id + b.id + c.id > 0";
    let (busy, working) = (Arc::clone(&pool), cluster.connections("t1"));
    let busy = tokio::spawn(async move { run(&busy, slow, vec![], 20_000).await.unwrap().values });
    let active = "SELECT count(*) FROM pg_stat_activity WHERE usename = 't1' AND state = 'active'";
    until(|| cluster.run("postgres", active) == "1").await;
    assert!(working > 0 && pool.renew(&Credentials::Odbc(source("renewed-and-long"))));
    assert_eq!(busy.await.unwrap(), [Value::Integer(1_000_000)]);
    until(|| cluster.connections("t1") == 0).await;
    assert_eq!(run(&pool, sql, vec![], 5_000).await.unwrap().values, [Value::Integer(100)]);
    // A wrong one does not go on with what was open.
    assert!(pool.renew(&Credentials::Odbc(source("wrong"))));
    assert!(run(&pool, sql, vec![], 5_000).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_cannot_be_reached_says_so_and_no_more() {
    let odbc = Odbc::new();
    for text in
        ["Driver=Missing;", "DSN=nowhere;", "Driver=TestPostgres;Server=127.0.0.1;Port=1;Database=x;Uid=u;"]
    {
        let connection = ConnectionString::new(text).with("Pwd", PASSWORD);
        let error = OdbcPool::start(config(&odbc, connection, Dialect::Ansi)).await.err().unwrap();
        match &error {
            EngineError::Refused(refusal) => assert_eq!(refusal.rule, Rule::Database, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
        assert!(!format!("{error:?}").contains("horse"));
    }
}

/// A driver that loads and then writes to nowhere.
const CRASHING: &str = "
    short SQLAllocHandle(short kind, void *parent, void **handle) { *handle = (void *)16; return 0; }
    short SQLFreeHandle(short kind, void *handle) { return 0; }
    short SQLSetEnvAttr(void *handle, int attribute, void *value, int length) { return 0; }
    short SQLDriverConnect(void *c, void *w, void *in, short n, void *out, short m, short *got, unsigned short how) {
        *(volatile int *)0 = 1; return 0; }
    short SQLDriverConnectW(void *c, void *w, void *in, short n, void *out, short m, short *got, unsigned short how) {
        *(volatile int *)0 = 1; return 0; }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "the test compiles a driver")]
async fn a_driver_that_crashes_takes_its_worker_and_nobody_else() {
    let Source { pool, _odbc } = sqlite().await;
    let (code, driver) = (_odbc.dir().join("crash.c"), _odbc.dir().join("crash.so"));
    std::fs::write(&code, CRASHING).unwrap();
    let mut compiler = std::process::Command::new("cc");
    let compiled = compiler.args(["-shared", "-fPIC", "-w", "-o"]).arg(&driver).arg(&code).status();
    assert!(compiled.unwrap().success());
    let connection = ConnectionString::new(format!("Driver={};", driver.display())).with("PWD", PASSWORD);
    let error = OdbcPool::start(config(&_odbc, connection, Dialect::Ansi)).await.err().unwrap();
    assert!(matches!(&error, EngineError::Broken(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("horse"));
    assert!(run(&pool, "SELECT x FROM t", vec![], 2_000).await.is_ok());
}

//! The pool of worker processes: deadlines, cancellation, queueing, replacement. Workers are this test binary started again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_sql::{Rule, Run, RunLimits, Value};
use countersign_tools::{Caller, Engine, EngineError, EngineRows, PoolConfig, Purpose, SqlitePool};
use tokio::time::sleep;

/// Statements that no progress handler and no interrupt stops for seconds: each is one call of a C function.
const UNINTERRUPTIBLE: &[&str] = &[
    "SELECT instr(hex(zeroblob(490000)), hex(zeroblob(245000))||'1')",
    "SELECT instr(zeroblob(4000000), zeroblob(2000000)||x'01')",
    "SELECT replace(hex(zeroblob(2000000)), hex(zeroblob(1000000))||'1', 'x')",
    "SELECT rtrim(hex(zeroblob(500000)), replace(hex(zeroblob(150000)), '0', '1')||'0')",
    "SELECT trim(hex(zeroblob(500000)), replace(hex(zeroblob(150000)), '00', '12')||'0')",
    "SELECT ltrim(hex(zeroblob(500000)), replace(hex(zeroblob(150000)), '00', 'ab')||'0')",
];

/// Statements that take long or much, stopped by the handler, a limit or the kill.
const HEAVY: &[&str] = &[
    "SELECT hex(zeroblob(2000000)) LIKE '%0%0%0%0%0%0%0%0%0%0%0%1'",
    "SELECT hex(zeroblob(2000000)) GLOB '*0*0*0*0*0*0*0*0*0*0*[1-9]'",
    "SELECT hex(zeroblob(2000000)) LIKE replace(hex(zeroblob(120)),'00','%_') || '1'",
    "SELECT printf('%.900000000c', 'x')",
    "SELECT printf('%*d', 2000000000, 1)",
    "SELECT group_concat(hex(zeroblob(1000000))) FROM t, t, t, t",
    "SELECT count(*) FROM (SELECT hex(randomblob(100)) AS x FROM t a, t b, t c, t d, t e, t f, t g ORDER BY x)",
    "SELECT count(DISTINCT randomblob(16)) FROM t a, t b, t c, t d, t e, t f, t g, t h",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) SELECT sum(n) FROM r",
    "WITH RECURSIVE r(s) AS (SELECT 'x' UNION ALL SELECT s||s FROM r) SELECT max(length(s)) FROM r",
    "SELECT json_valid(replace(hex(zeroblob(2000000)), '0', '['))",
    "SELECT json_group_array(json(replace(hex(zeroblob(900)), '00', '[') || replace(hex(zeroblob(900)), '00', ']'))) FROM t a, t b, t c, t d, t e",
    "SELECT quote(zeroblob(4000000)) || quote(zeroblob(4000000))",
    "SELECT count(*) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j, t k, t l, t m, t n",
    "SELECT count(*) FROM t a NATURAL JOIN t b WHERE a.x || b.x LIKE '%' || (SELECT group_concat(x) FROM t) || '%'",
    "SELECT json_patch(j, j) FROM (SELECT json_group_object(hex(randomblob(8)), 1) AS j FROM t a, t b, t c, t d, t e)",
    "SELECT unhex(hex(zeroblob(1000000))||'-', replace(hex(zeroblob(1000000)), '00', 'yz')||'-')",
    "SELECT soundex(hex(zeroblob(2000000))), upper(hex(zeroblob(2000000))), unistr(hex(zeroblob(2000000)))",
    "SELECT strftime(replace(hex(zeroblob(1000000)), '00', '%J'), 'now')",
];

pub(crate) const ROLE: &str = "TOOLS_TEST_ROLE";

/// What a started process does: it serves on descriptor 0. The role is an argument, because workers get no environment.
#[test]
fn worker_entry() {
    let asked = std::env::args().any(|argument| argument == ROLE);
    if asked {
        let stream = countersign_sandbox::stream_of_this_process().unwrap();
        countersign_sql::worker::serve(stream).unwrap();
    }
    assert!(asked || std::env::args().all(|argument| argument != ROLE));
}

fn database(folder: &Path) -> PathBuf {
    let path = folder.join("pool.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let rows = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n < 60) INSERT INTO t SELECT n FROM r";
    connection.execute_batch(&format!("CREATE TABLE t (x INTEGER PRIMARY KEY); {rows}")).unwrap();
    path
}

struct Pool {
    _folder: tempfile::TempDir,
    pool: Arc<SqlitePool>,
}

impl Pool {
    async fn start(change: impl FnOnce(&mut PoolConfig)) -> Pool {
        let folder = tempfile::tempdir().unwrap();
        // libtest takes the role for one more filter; `--exact` keeps it from matching anything.
        let args = ["--exact", "sqlite_pool::worker_entry", ROLE, "--nocapture"].map(Into::into).to_vec();
        let mut config = PoolConfig::new(std::env::current_exe().unwrap(), args);
        change(&mut config);
        // All of them at once, so that tests can tell which were replaced.
        config.warm = config.workers;
        let wanted = config.workers + 1;
        let pool = Arc::new(SqlitePool::start(config, database(folder.path())).await.unwrap());
        until(|| pool.pids().len() == wanted).await;
        Pool { _folder: folder, pool }
    }
}

/// Waits for a condition, for at most five seconds.
async fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(5), "it did not come about");
        sleep(Duration::from_millis(2)).await;
    }
}

const CALLER: Caller<'_> = Caller { tenant: "acme", call: None };

/// What a tool does: judge, then run under all that was reported.
async fn run(pool: &SqlitePool, sql: &str, time: u64) -> Result<EngineRows, EngineError> {
    let facts = pool.prepare(CALLER, Purpose::Read, sql).await?;
    let limits = RunLimits { skip: 0, rows: 100, bytes: 1 << 20, time: Duration::from_millis(time) };
    let masked = Default::default();
    pool.run(CALLER, Run { sql: sql.into(), params: vec![], granted: facts.accesses, masked, limits }).await
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Children of this process that have ended and were not reaped.
fn zombies() -> usize {
    let us = format!(" {} ", std::process::id());
    let stats = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("stat")).ok());
    stats
        .filter(|stat| {
            stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z") && rest.contains(&us))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_ignores_interruption_is_killed_at_its_deadline() {
    let Pool { pool, _folder } = Pool::start(|_| {}).await;
    for sql in UNINTERRUPTIBLE {
        let before = pool.pids();
        let started = Instant::now();
        let result = run(&pool, sql, 300).await;
        let took = started.elapsed();
        assert!(matches!(result, Err(EngineError::Killed)), "{sql}: {:?}", result.err());
        assert!(took < Duration::from_millis(500), "{sql} took {took:?}");
        let after = pool.pids();
        let gone: Vec<_> = before.iter().filter(|pid| !after.contains(pid)).collect();
        assert_eq!(gone.len(), 1, "{sql}: one worker is given up");
        until(|| !is_alive(*gone[0])).await;
        assert!(
            started.elapsed() < Duration::from_millis(600),
            "{sql}: its process lived {:?}",
            started.elapsed()
        );
        until(|| pool.pids().len() == 5).await;
    }
    assert_eq!(zombies(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_statements_end_by_their_deadline() {
    let Pool { pool, _folder } = Pool::start(|_| {}).await;
    for sql in HEAVY {
        let started = Instant::now();
        let result = run(&pool, sql, 300).await;
        let took = started.elapsed();
        assert!(took < Duration::from_millis(500), "{sql} took {took:?}: {:?}", result.err());
        // Whatever happened to the worker, the next caller is served.
        assert!(run(&pool, "SELECT 1", 300).await.is_ok(), "after {sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_callers_are_not_delayed_meanwhile() {
    let Pool { pool, _folder } = Pool::start(|_| {}).await;
    let hog = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { run(&pool, UNINTERRUPTIBLE[0], 500).await }
    });
    sleep(Duration::from_millis(50)).await;
    let mut callers = Vec::new();
    for _ in 0..16 {
        let pool = Arc::clone(&pool);
        callers.push(tokio::spawn(async move {
            let mut times = Vec::new();
            for _ in 0..20 {
                let started = Instant::now();
                let rows = run(&pool, "SELECT count(*) FROM t", 1_000).await.unwrap();
                assert_eq!(rows.values, [Value::Integer(60)]);
                times.push(started.elapsed());
                sleep(Duration::from_millis(20)).await;
            }
            times
        }));
    }
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.unwrap());
    }
    times.sort();
    assert!(matches!(hog.await.unwrap(), Err(EngineError::Killed)));
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("16 callers beside a hung statement: p50 {median:?}, worst {worst:?}");
    assert!(median < Duration::from_millis(20), "{median:?}");
    assert!(worst < Duration::from_millis(200), "{worst:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_stops_its_statement() {
    let Pool { pool, _folder } = Pool::start(|config| config.workers = 1).await;
    // The first stops when interrupted and its process serves on; the others must be killed.
    let cross_join = "SELECT count(*) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j";
    for (sql, survives) in [(cross_join, true), (UNINTERRUPTIBLE[0], false), (UNINTERRUPTIBLE[3], false)] {
        let before = pool.pids();
        assert!(tokio::time::timeout(Duration::from_millis(150), run(&pool, sql, 10_000)).await.is_err());
        let dropped = Instant::now();
        // With one slot, the next statement runs only after the last has been settled.
        assert!(run(&pool, "SELECT 1", 1_000).await.is_ok());
        assert!(dropped.elapsed() < Duration::from_millis(200), "{sql}: {:?}", dropped.elapsed());
        let lost = before.iter().filter(|pid| !pool.pids().contains(pid)).count();
        assert_eq!(lost, usize::from(!survives), "{sql}");
        for pid in before.iter().filter(|pid| !pool.pids().contains(pid)) {
            until(|| !is_alive(*pid)).await;
        }
        assert!(
            dropped.elapsed() < Duration::from_millis(200),
            "{sql}: its process lived {:?}",
            dropped.elapsed()
        );
        until(|| pool.pids().len() == 2).await;
    }
    assert_eq!(zombies(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_beyond_the_queue_are_told_to_retry() {
    let Pool { pool, _folder } = Pool::start(|config| {
        config.workers = 1;
        config.queue = 2;
        config.queue_wait = Duration::from_millis(100);
    })
    .await;
    let hog = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { run(&pool, UNINTERRUPTIBLE[0], 600).await }
    });
    sleep(Duration::from_millis(100)).await;
    let mut callers = Vec::new();
    for _ in 0..5 {
        let pool = Arc::clone(&pool);
        callers.push(tokio::spawn(async move {
            let started = Instant::now();
            (pool.prepare(CALLER, Purpose::Read, "SELECT 1").await, started.elapsed())
        }));
    }
    let mut at_once = 0;
    for caller in callers {
        let (result, took) = caller.await.unwrap();
        assert!(matches!(result, Err(EngineError::Busy { .. })), "{result:?}");
        assert!(took < Duration::from_millis(250), "{took:?}");
        at_once += usize::from(took < Duration::from_millis(50));
    }
    assert_eq!(at_once, 3, "two wait, three are refused at once");
    assert!(matches!(hog.await.unwrap(), Err(EngineError::Killed)));
    assert!(run(&pool, "SELECT 1", 500).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_died_is_replaced_unnoticed() {
    let Pool { pool, _folder } = Pool::start(|config| config.workers = 2).await;
    let first = pool.pids();
    for pid in &first {
        let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    sleep(Duration::from_millis(50)).await;
    assert!(run(&pool, "SELECT 1", 500).await.is_ok());
    assert!(pool.pids().iter().all(|pid| !first.contains(pid)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_none_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.db");
    std::fs::write(&path, "no database at all, but long enough to be looked at ".repeat(100)).unwrap();
    for path in [path, folder.path().join("missing.db")] {
        let args = ["--exact", "sqlite_pool::worker_entry", ROLE, "--nocapture"].map(Into::into).to_vec();
        let config = PoolConfig::new(std::env::current_exe().unwrap(), args);
        match SqlitePool::start(config, path).await {
            Err(EngineError::Refused(refusal)) => assert_eq!(refusal.rule, Rule::Database),
            other => panic!("{:?}", other.err()),
        }
    }
    assert!(!folder.path().join("missing.db").exists());
}

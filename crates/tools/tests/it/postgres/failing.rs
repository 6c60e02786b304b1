//! Deadlines, callers that go away, servers that go away.

use std::time::Instant;

use super::*;

/// Runs past every deadline, in a loop that looks at cancellation.
const SLOW: &str = "SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e";

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_stops_a_statement() {
    let cluster = Postgres::start();
    let pool = start(shop(&cluster)).await;
    let limits = RunLimits { time: Duration::from_millis(500), ..WIDE };
    ask(&pool, "1", "SELECT 1").await.unwrap();
    for _ in 0..3 {
        let started = Instant::now();
        let stopped = query(&pool, of("1"), SLOW, vec![], limits).await;
        assert!(started.elapsed() < Duration::from_millis(700), "{:?}", started.elapsed());
        let stopped = stopped.err().unwrap();
        let deadline =
            matches!(&stopped, EngineError::Refused(r) if r.rule == countersign_sql::Rule::Deadline);
        assert!(deadline || matches!(stopped, EngineError::Killed), "{stopped:?}");
    }
    assert_eq!(ask(&pool, "1", "SELECT 1").await.unwrap().values, [Value::Integer(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_stops_its_statement() {
    let cluster = Postgres::start();
    let pool = start(shop(&cluster)).await;
    let running = || {
        cluster.run(
            "postgres",
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 't1' AND state = 'active'",
        )
    };
    for _ in 0..5 {
        let _ = tokio::time::timeout(Duration::from_millis(300), ask(&pool, "1", SLOW)).await;
    }
    // Long before the statement's own timeout.
    let cancelled = Instant::now();
    while running() != "0" {
        assert!(cancelled.elapsed() < Duration::from_secs(3), "it runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(cluster.connections("t1") <= 2, "{}", cluster.connections("t1"));
    assert_eq!(ask(&pool, "1", "SELECT 1").await.unwrap().values, [Value::Integer(1)]);
}

/// The guard refuses these statements; here they run, to show that what cannot be cancelled frees its caller and piles up no sessions.
#[tokio::test(flavor = "multi_thread")]
async fn callers_leave_what_cannot_be_cancelled() {
    let cluster = Postgres::start();
    cluster.shop("t1");
    cluster.run("shop", "CREATE FUNCTION burn() RETURNS int LANGUAGE sql STABLE AS $$ SELECT length(format('%400000000s', 'x')) $$");
    let config =
        PostgresConfig { functions: vec!["public.burn".into()], connections: 2, queue: 0, ..shop(&cluster) };
    let pool = start(config).await;
    ask(&pool, "1", "SELECT 1").await.unwrap();
    let limits = RunLimits { time: Duration::from_millis(300), ..WIDE };
    let sql = "SELECT public.burn()";
    let granted = pool.prepare(of("1"), Purpose::Read, sql).await.unwrap().accesses;
    for _ in 0..6 {
        let run = Run {
            sql: sql.into(),
            params: vec![],
            granted: granted.clone(),
            masked: Default::default(),
            limits,
        };
        let started = Instant::now();
        let result = pool.run(of("1"), run).await;
        assert!(result.is_err());
        // The statement takes many seconds; half a second is for a busy machine.
        assert!(started.elapsed() < Duration::from_millis(800), "{:?}", started.elapsed());
        assert!(cluster.connections("t1") <= 2, "{}", cluster.connections("t1"));
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while ask(&pool, "1", "SELECT 1").await.is_err() {
        assert!(Instant::now() < deadline, "the sessions never come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_told_and_found_again() {
    let cluster = Postgres::start();
    let pool = start(PostgresConfig { connect_timeout: Duration::from_secs(2), ..shop(&cluster) }).await;
    ask(&pool, "1", "SELECT 1").await.unwrap();
    let asking = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, "1", SLOW).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.stop();
    let started = Instant::now();
    assert!(matches!(asking.await.unwrap(), Err(EngineError::Unreachable(_))));
    for _ in 0..4 {
        assert!(matches!(ask(&pool, "1", "SELECT 1").await, Err(EngineError::Unreachable(_))));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let at_once = Instant::now();
    let Err(EngineError::Unreachable(cause)) = ask(&pool, "1", "SELECT 1").await else { panic!() };
    assert!(cause.starts_with("not tried again yet"), "{cause}");
    assert!(at_once.elapsed() < Duration::from_millis(20));
    cluster.restart();
    let back = Instant::now();
    while ask(&pool, "1", "SELECT 1").await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(20), "it never came back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(cluster.connections("t1") <= 10);
}

/// Sessions that died while they were idle cost nobody an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_calls_is_not_noticed() {
    let cluster = Postgres::start();
    let pool = start(shop(&cluster)).await;
    ask(&pool, "1", "SELECT 1").await.unwrap();
    cluster.restart();
    assert_eq!(ask(&pool, "1", "SELECT 1").await.unwrap().values, [Value::Integer(1)]);
    cluster.run("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 't1'");
    assert_eq!(ask(&pool, "1", "SELECT 1").await.unwrap().values, [Value::Integer(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_beyond_the_queue_are_told_to_retry() {
    let cluster = Postgres::shared();
    let config =
        PostgresConfig { connections: 1, queue: 1, queue_wait: Duration::from_millis(200), ..shop(cluster) };
    let pool = start(config).await;
    ask(&pool, "1", "SELECT 1").await.unwrap();
    let slow = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move {
            query(&pool, of("1"), SLOW, vec![], RunLimits { time: Duration::from_secs(1), ..WIDE }).await
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    let (one, two) = tokio::join!(ask(&pool, "1", "SELECT 1"), ask(&pool, "1", "SELECT 1"));
    assert!(matches!(one, Err(EngineError::Busy { .. })) && matches!(two, Err(EngineError::Busy { .. })));
    assert!(started.elapsed() < Duration::from_millis(400));
    // Another tenant has its own sessions.
    assert!(ask(&pool, "2", "SELECT 1").await.is_ok());
    assert!(slow.await.unwrap().is_err());
}

//! Sessions with the guard standing aside: what they refuse and forget by themselves.

use countersign_sql::engines::postgres::client::{
    ClientError, Connection, ReadLimits, SessionSettings, Startup,
};

use super::*;

/// A session that runs what nobody judged.
async fn unjudged(
    cluster: &Postgres,
    user: &str,
    writes: bool,
    confidential: bool,
) -> Result<Connection, ClientError> {
    let login = cluster.shop(user);
    let soon = tokio::time::Instant::now() + Duration::from_secs(5);
    let policy = countersign_egress::AddressPolicy::operator_named();
    let stream = countersign_egress::dial(&tcp(cluster), &policy, soon).await.unwrap().stream;
    let schemas = ["public".to_owned()];
    let settings = SessionSettings {
        schemas: &schemas,
        statement_timeout: Duration::from_secs(5),
        lock_timeout: Duration::from_secs(1),
        work_mem_kb: 4096,
        writes,
    };
    let startup = Startup {
        user: login.user,
        password: login.password,
        database: "shop".into(),
        settings: settings.list(),
        confidential,
    };
    Connection::open(Box::new(stream), &startup).await
}

/// The login may write and the session's default is to write: the transaction alone refuses.
#[tokio::test(flavor = "multi_thread")]
async fn reads_run_in_a_transaction_that_only_reads() {
    let mut connection = unjudged(Postgres::shared(), "w1", true, true).await.unwrap();
    let sql = "DELETE FROM order_items WHERE line = 99 RETURNING line";
    let prepared = connection.prepare(sql).await.unwrap();
    let limits = ReadLimits {
        skip: 0,
        rows: 10,
        bytes: 10_000,
        time: Duration::from_secs(5),
        application_name: "read",
    };
    let Err(ClientError::Refused(refusal)) = connection.read(sql, &prepared, &[], &[], limits).await else {
        panic!()
    };
    assert_eq!(refusal.message, "this transaction only reads (SQLSTATE 25006)");
}

/// A server that asks for the password itself gets it over a protected stream alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_sent_in_the_clear() {
    let cluster = Postgres::start();
    cluster.shop("t1");
    let file = cluster.socket_dir().join("data/pg_hba.conf");
    let rules = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, rules.replace("127.0.0.1/32 scram-sha-256", "127.0.0.1/32 password")).unwrap();
    cluster.run("postgres", "SELECT pg_reload_conf()");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(unjudged(&cluster, "t1", false, true).await.is_ok());
    assert!(matches!(unjudged(&cluster, "t1", false, false).await, Err(ClientError::Protocol(_))));
}

/// A session that holds many statements lets go of some, but never of one that is about to run.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_in_use_stays_prepared() {
    let mut connection = unjudged(Postgres::shared(), "t1", false, true).await.unwrap();
    let limits = ReadLimits {
        skip: 0,
        rows: 1,
        bytes: 10_000,
        time: Duration::from_secs(5),
        application_name: "many",
    };
    let sql = "SELECT 42";
    let prepared = connection.prepare(sql).await.unwrap();
    for number in 0..200 {
        connection.prepare(&format!("SELECT {number} AS n")).await.unwrap();
    }
    let outcome = connection.read(sql, &prepared, &[], &[], limits).await.unwrap();
    assert_eq!(outcome.values, [Value::Integer(42)]);
}

/// A caller whose statements all fail, each with a text of its own, does not fill the server's memory.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_failed_are_closed() {
    let mut connection = unjudged(Postgres::shared(), "t1", false, true).await.unwrap();
    let limits = ReadLimits {
        skip: 0,
        rows: 1,
        bytes: 10_000,
        time: Duration::from_secs(5),
        application_name: "failing",
    };
    for number in 0..300 {
        let sql = format!("SELECT 1 / 0 AS a{number}");
        let prepared = connection.prepare(&sql).await.unwrap();
        assert!(connection.read(&sql, &prepared, &[], &[], limits).await.is_err());
    }
    let sql = "SELECT count(*) FROM pg_catalog.pg_prepared_statements";
    let prepared = connection.prepare(sql).await.unwrap();
    let outcome = connection.read(sql, &prepared, &[], &[], limits).await.unwrap();
    let Some(Value::Integer(held)) = outcome.values.first() else { panic!("a count") };
    assert!(*held < 10, "{held}");
}

/// A session is given back as it was taken, even if nobody had judged what ran on it.
#[tokio::test(flavor = "multi_thread")]
async fn session_state_does_not_outlive_a_call() {
    let mut connection = unjudged(Postgres::shared(), "t1", false, true).await.unwrap();
    let limits = ReadLimits {
        skip: 0,
        rows: 10,
        bytes: 10_000,
        time: Duration::from_secs(5),
        application_name: "state",
    };
    let mut run = async |sql: &str| -> Result<Vec<Value>, ClientError> {
        let prepared = connection.prepare(sql).await?;
        connection.read(sql, &prepared, &[], &[], limits).await.map(|outcome| outcome.values)
    };
    for sql in [
        "SET search_path = restricted",
        "PREPARE cs_1 AS SELECT 1",
        "DEALLOCATE ALL",
        "DISCARD ALL",
        "LISTEN x",
        "BEGIN",
        "COMMIT",
        "SET TRANSACTION READ WRITE",
        "DO $$ BEGIN END $$",
        "LOCK customers",
        "CREATE TEMP TABLE t (x int)",
        "DELETE FROM customers",
        "COPY customers TO STDOUT",
    ] {
        assert!(matches!(run(sql).await, Err(ClientError::Refused(_))), "{sql}");
    }
    for sql in [
        "INSERT INTO customers (id) VALUES (1) RETURNING id",
        "SELECT 1 INTO pwned",
        "SELECT set_config('transaction_read_only', 'off', true)",
    ] {
        assert!(run(sql).await.is_err(), "{sql}");
    }
    let lasting = "SELECT set_config('search_path', 'restricted', false), set_config('app.tenant_id', '2', false), pg_advisory_lock(42)::text";
    run(lasting).await.unwrap();
    let after = "SELECT current_setting('search_path'), current_setting('app.tenant_id', true), current_setting('default_transaction_read_only'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')";
    let after = run(after).await.unwrap();
    assert_eq!(after[0], Value::Text("pg_catalog, \"public\"".into()));
    assert!(matches!(&after[1], Value::Null | Value::Text(_)) && after[1] != Value::Text("2".into()));
    assert_eq!(after[2..], [Value::Text("on".into()), Value::Integer(0)]);
}

//! The engine's ordinary life: rows, types, parameters, limits, tenants, masks.

use countersign_sql::{Access, Object, Rule, Truncated};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn values_arrive_exact() {
    let pool = start(shop(Postgres::shared())).await;
    let sql = "SELECT 1::int2, 9007199254740993::bigint, 0.1::float8, 'NaN'::float8, 12345678901234567890.123::numeric, true,
        'x'::text, '\\x00ff'::bytea, date '2026-02-03', timestamp '2026-02-03 04:05:06.789', interval '1 day 2 hours',
        '{1,2}'::int[], '{\"a\": 1}'::jsonb, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, null::text, int4range(1, 5)";
    let rows = ask(&pool, "1", sql).await.unwrap();
    let text = |text: &str| Value::Text(text.into());
    assert_eq!(
        rows.values,
        [
            Value::Integer(1),
            Value::Integer(9_007_199_254_740_993),
            Value::Real(0.1),
            text("NaN"),
            Value::Decimal("12345678901234567890.123".into()),
            Value::Boolean(true),
            text("x"),
            Value::Blob(vec![0, 255]),
            text("2026-02-03"),
            text("2026-02-03 04:05:06.789"),
            text("P1DT2H"),
            text("{1,2}"),
            text("{\"a\": 1}"),
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            Value::Null,
            text("[1,5)"),
        ]
    );
    let kinds: Vec<_> = rows.columns.iter().map(|column| column.decl_type.as_deref().unwrap()).collect();
    assert_eq!(kinds[..5], ["smallint", "bigint", "double precision", "double precision", "numeric"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound_by_the_servers_types() {
    let pool = start(shop(Postgres::shared())).await;
    let sql = "SELECT id FROM customers WHERE id = $1 AND name LIKE $2 AND balance >= $3 AND born > $4";
    let good = vec![
        Value::Integer(1),
        Value::Text("Acme%".into()),
        Value::Real(1.25),
        Value::Text("1979-12-31".into()),
    ];
    let rows = query(&pool, of("1"), sql, good.clone(), WIDE).await.unwrap();
    assert_eq!(rows.values, [Value::Integer(1)]);
    let wrong = [
        (0, Value::Text("one".into()), "/params/0 must be an integer of 32 bits"),
        (0, Value::Integer(1 << 40), "/params/0 must be an integer of 32 bits"),
        (1, Value::Integer(5), "/params/1 must be a string"),
        (2, Value::Boolean(true), "/params/2 must be a number"),
        (3, Value::Text("yesterday-ish".into()), "/params/3 must be in the form of its type"),
    ];
    for (position, value, message) in wrong {
        let mut params = good.clone();
        params[position] = value;
        let refusal = refusal(query(&pool, of("1"), sql, params, WIDE).await);
        assert_eq!(
            (refusal.rule, refusal.message.as_str(), refusal.detail),
            (Rule::Parameters, message, None)
        );
    }
    let few = refusal(query(&pool, of("1"), sql, good[..2].to_vec(), WIDE).await);
    assert_eq!(few.message, "the statement takes 4 parameters, 2 were given");
    // Values never become text of a statement.
    let injected =
        vec![Value::Integer(1), Value::Text("' OR true --".into()), good[2].clone(), good[3].clone()];
    assert!(query(&pool, of("1"), sql, injected, WIDE).await.unwrap().values.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_cut_at_rows_and_at_bytes() {
    let cluster = Postgres::start();
    let pool = start(shop(&cluster)).await;
    let limits = |rows, bytes| RunLimits { rows, bytes, ..WIDE };
    let sql = "SELECT id, name FROM customers ORDER BY id";
    let rows = query(&pool, of("1"), sql, vec![], limits(7, 1 << 20)).await.unwrap();
    assert_eq!((rows.values.len(), rows.truncated), (14, Some(Truncated::Rows)));
    let rows = query(&pool, of("1"), sql, vec![], limits(100, 1 << 20)).await.unwrap();
    assert_eq!((rows.values.len(), rows.truncated), (200, None));
    let rows = query(&pool, of("1"), sql, vec![], limits(1000, 100)).await.unwrap();
    assert_eq!((rows.values.len(), rows.truncated), (8, Some(Truncated::Bytes)));
    // Far more than fits, and a single value that does not: neither is read to its end, and no session is lost for good.
    for sql in [
        "SELECT a.name, b.email FROM customers a, customers b, customers c",
        "SELECT string_agg(a.name, b.name) FROM customers a, customers b",
    ] {
        let rows = query(&pool, of("1"), sql, vec![], limits(1_000_000, 10_000)).await.unwrap();
        assert_eq!(rows.truncated, Some(Truncated::Bytes), "{sql}");
    }
    for _ in 0..20 {
        assert_eq!(ask(&pool, "1", "SELECT 1").await.unwrap().values, [Value::Integer(1)]);
    }
    assert!(cluster.connections("t1") <= 4, "{}", cluster.connections("t1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_named_with_their_schema_and_as_the_login_sees_them() {
    let pool = start(shop(Postgres::shared())).await;
    let names: Vec<_> = pool.tables(of("1")).await.unwrap().into_iter().map(|table| table.name).collect();
    assert_eq!(
        names,
        [
            "public.customers",
            "public.open_orders",
            "public.order_items",
            "public.orders",
            "public.products",
            "public.users"
        ]
    );
    for name in ["orders", "public.orders"] {
        let table = pool.describe(of("1"), name).await.unwrap();
        assert_eq!(table.name, "public.orders");
        assert_eq!((table.columns[0].name.as_str(), table.columns[0].primary_key), ("id", 1));
        assert_eq!(table.columns[4].decl_type, "numeric(12,2)");
        assert_eq!(table.foreign_keys[0].table, "public.customers");
    }
    for hidden in ["restricted.salaries", "salaries", "pg_catalog.pg_authid", "no_such"] {
        assert!(pool.describe(of("1"), hidden).await.is_err(), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_reach_through_views() {
    let pool = start(shop(Postgres::shared())).await;
    let facts = pool.prepare(of("1"), Purpose::Read, "SELECT total FROM open_orders").await.unwrap();
    for access in [Access::column("public.open_orders", "total"), Access::column("public.orders", "status")] {
        assert!(facts.accesses.contains(&access), "{access:?} of {:?}", facts.accesses);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_granted_does_not_run() {
    let pool = start(shop(Postgres::shared())).await;
    let sql = "SELECT name FROM customers ORDER BY email";
    let mut granted = pool.prepare(of("1"), Purpose::Read, sql).await.unwrap().accesses;
    assert!(granted.remove(&Access::column("public.customers", "email")));
    let run = Run { sql: sql.into(), params: vec![], granted, masked: Default::default(), limits: WIDE };
    assert_eq!(refusal(pool.run(of("1"), run).await).rule, Rule::SchemaChanged);
}

/// A view that is redefined after a statement was judged reads something else: the grants of before do not cover it.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_view_is_judged_anew() {
    let cluster = Postgres::start();
    let pool = start(shop(&cluster)).await;
    let change = |column: &str| {
        let view = format!(
            "CREATE OR REPLACE VIEW report AS SELECT {column} AS who FROM users; GRANT SELECT ON report TO t1, t2;"
        );
        cluster.run("shop", &format!("SET ROLE shop_owner; {view}"));
    };
    change("login");
    let sql = "SELECT who FROM report";
    let granted = pool.prepare(of("1"), Purpose::Read, sql).await.unwrap().accesses;
    let run = || Run {
        sql: sql.into(),
        params: vec![],
        granted: granted.clone(),
        masked: Default::default(),
        limits: WIDE,
    };
    assert!(pool.run(of("1"), run()).await.is_ok());
    change("password_hash");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(refusal(pool.run(of("1"), run()).await).rule, Rule::SchemaChanged);
    let accesses = pool.prepare(of("1"), Purpose::Read, sql).await.unwrap().accesses;
    assert!(accesses.contains(&Access::column("public.users", "password_hash")));
}

#[tokio::test(flavor = "multi_thread")]
async fn masked_columns_are_void_whatever_they_are_called() {
    let pool = start(shop(Postgres::shared())).await;
    let email = Object::Column { table: "public.customers".into(), column: "email".into() };
    let masked = |sql: &'static str| {
        let (pool, email) = (Arc::clone(&pool), email.clone());
        async move {
            let granted = pool.prepare(of("1"), Purpose::Read, sql).await.unwrap().accesses;
            let run = Run { sql: sql.into(), params: vec![], granted, masked: [email].into(), limits: WIDE };
            pool.run(of("1"), run).await
        }
    };
    for sql in [
        "SELECT id, email AS city FROM customers WHERE id = 1",
        "SELECT c.id, c.email FROM customers c WHERE id = 1",
    ] {
        let rows = masked(sql).await.unwrap();
        assert_eq!((rows.values, rows.masked), (vec![Value::Integer(1), Value::Null], vec![1]), "{sql}");
    }
    for sql in [
        "SELECT lower(email) FROM customers",
        "SELECT email FROM customers UNION SELECT name FROM customers",
        "SELECT (SELECT email FROM customers LIMIT 1)",
    ] {
        assert_eq!(refusal(masked(sql).await).rule, Rule::ForbiddenAction, "{sql}");
    }
}

/// The guard stands aside here: what it would refuse is run, to see that the login alone keeps tenants apart.
#[tokio::test(flavor = "multi_thread")]
async fn settings_gain_nothing_across_tenants() {
    let cluster = Postgres::shared();
    let reads = |user: &str, sql: &str| cluster.psql_as(&cluster.shop(user), "shop", sql);
    let count = "SELECT count(*) FROM customers c WHERE tenant_id = 2";
    // First the mistake: one login that is a member of both roles.
    let both = "WITH s AS MATERIALIZED (SELECT set_config('role','t2',true)) SELECT count(*) FROM s, customers c WHERE tenant_id = 2";
    assert_eq!(reads("both_tenants", both).unwrap(), "100");
    for setting in [
        "role', 't2",
        "session_authorization', 't2",
        "app.tenant_id', '2",
        "row_security', 'off",
        "search_path', 'restricted",
    ] {
        for local in [true, false] {
            let sql = format!(
                "WITH s AS MATERIALIZED (SELECT set_config('{setting}', {local})) SELECT count(*) FROM s, customers c WHERE tenant_id = 2"
            );
            let answer = reads("t1", &sql);
            assert!(answer.as_ref().map_or(true, |rows| rows == "0"), "{sql}: {answer:?}");
        }
    }
    assert_eq!(reads("t1", count).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_two_tenants_never_meet() {
    let cluster = Postgres::start();
    let mut config = shop(&cluster);
    (config.connections, config.queue, config.queue_wait) = (4, 1000, Duration::from_secs(60));
    let pool = start(config).await;
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..400_u32 {
        let pool = Arc::clone(&pool);
        callers.spawn(async move {
            let tenant = if n % 3 == 0 { "1" } else { "2" };
            let sql = match n % 4 {
                0 => "SELECT tenant_id FROM customers",
                1 => "SELECT tenant_id FROM orders WHERE total > 10",
                2 => "SELECT c.tenant_id FROM customers c JOIN orders o ON o.customer_id = c.id",
                _ => "SELECT DISTINCT tenant_id FROM order_items",
            };
            if n % 11 == 0 {
                // Some go away in the middle.
                let _ = tokio::time::timeout(Duration::from_millis(3), ask(&pool, tenant, sql)).await;
                return 0;
            }
            let limits = RunLimits { time: Duration::from_secs(60), ..WIDE };
            let rows = query(&pool, of(tenant), sql, vec![], limits).await.unwrap();
            let own = Value::Integer(tenant.parse().unwrap());
            assert!(
                !rows.values.is_empty() && rows.values.iter().all(|value| *value == own),
                "{tenant}: {sql}"
            );
            rows.values.len()
        });
    }
    let mut rows = 0;
    while let Some(caller) = callers.join_next().await {
        rows += caller.unwrap();
    }
    assert!(rows > 10_000);
    assert!(cluster.connections("t1") <= 4 && cluster.connections("t2") <= 4);
    assert!(matches!(ask(&pool, "3", "SELECT 1").await, Err(EngineError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_reach_too_far_are_reported() {
    let cluster = Postgres::shared();
    let inspect = async |user: &str| {
        let mut config = shop(cluster);
        config.logins = PostgresLogins::Shared(login(&cluster.shop(user)));
        start(config).await.inspect().await.unwrap().remove(0)
    };
    let proper = inspect("t1").await;
    assert!(!proper.superuser && !proper.bypass_rls && !proper.tls && !proper.public_address);
    assert_eq!((proper.member_of.len(), proper.owned.len(), proper.writable.len()), (0, 0, 0));
    assert!(proper.server_version.starts_with("15."), "{}", proper.server_version);
    assert_eq!(proper.without_row_security, ["public.products"]);
    assert!(inspect("bypasser").await.bypass_rls);
    assert_eq!(inspect("file_reader").await.predefined_roles, ["pg_read_server_files"]);
    assert_eq!(inspect("both_tenants").await.member_of, ["t1", "t2"]);
    assert!(inspect("shop_owner").await.owned.contains(&"public.users".to_owned()));
    assert_eq!(inspect("w1").await.writable, ["public.customers", "public.order_items", "public.orders"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_planners_estimate_stops_a_statement_before_it_runs() {
    let cluster = Postgres::shared();
    let pool = start(PostgresConfig { cost_limit: Some(50_000.0), ..shop(cluster) }).await;
    assert!(ask(&pool, "1", "SELECT count(*) FROM customers").await.is_ok());
    let dear = "SELECT count(*) FROM orders a, orders b, orders c, orders d";
    assert_eq!(refusal(ask(&pool, "1", dear).await).rule, Rule::TooComplex);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_session_writes_and_undoes() {
    let cluster = Postgres::start();
    let mut config = shop(&cluster);
    config.write_logins =
        Some(PostgresLogins::PerTenant([("1".to_owned(), login(&cluster.shop("w1")))].into()));
    let pool = start(config).await;
    let count = || cluster.run("shop", "SELECT count(*) FROM customers WHERE status = 'gone'");
    let update = "UPDATE customers SET status = $1 WHERE city = $2 RETURNING id";
    let params = [Value::Text("gone".into()), Value::Text("Athens".into())];
    let mut session = pool.writer(of("1")).await.unwrap();
    session.begin(Duration::from_secs(5)).await.unwrap();
    let written = session.execute(update, &params, 3).await.unwrap();
    assert_eq!((written.affected, written.values.len()), (100, 3));
    session.rollback().await.unwrap();
    assert_eq!(count(), "0");
    let mut session = pool.writer(of("1")).await.unwrap();
    session.begin(Duration::from_secs(5)).await.unwrap();
    session.execute(update, &params, 0).await.unwrap();
    session.commit().await.unwrap();
    assert_eq!(count(), "100");
    // Dropped in the middle, it has not happened.
    let mut session = pool.writer(of("1")).await.unwrap();
    session.begin(Duration::from_secs(5)).await.unwrap();
    session.execute("DELETE FROM order_items", &[], 0).await.unwrap();
    drop(session);
    // Under the login for reading a write fails at the server, guard or not.
    let mut session = pool.writer(of("2")).await.unwrap();
    session.begin(Duration::from_secs(5)).await.unwrap();
    assert!(session.execute("DELETE FROM order_items", &[], 0).await.is_err());
    session.rollback().await.unwrap();
    assert_eq!(cluster.run("shop", "SELECT count(*) FROM order_items"), "600");
}

/// What a cast or a key could not take is not told: a caller who chooses the cast would read columns that way.
#[tokio::test(flavor = "multi_thread")]
async fn error_texts_carry_a_class_only() {
    let cluster = Postgres::shared();
    let pool = start(shop(cluster)).await;
    let cast = "SELECT email::int FROM customers WHERE id = 1";
    let unguarded = cluster.psql_as(&cluster.shop("t1"), "shop", cast).unwrap_err();
    assert!(unguarded.contains("c1@acme.test"), "{unguarded}");
    let refusal = refusal(ask(&pool, "1", cast).await);
    assert_eq!(refusal.message, "a value cannot be converted or is out of range (SQLSTATE 22P02)");
    assert_eq!((refusal.rule, refusal.detail), (Rule::Failed, None));
    let mut config = shop(cluster);
    config.write_logins =
        Some(PostgresLogins::PerTenant([("1".to_owned(), login(&cluster.shop("w1")))].into()));
    let mut session = start(config).await.writer(of("1")).await.unwrap();
    session.begin(Duration::from_secs(5)).await.unwrap();
    // Customer 2 is another tenant's: whether it exists is not to be seen, and what the key held is not told.
    let insert = "INSERT INTO customers (id, tenant_id, name, email) VALUES (2, 1, 'x', 'x')";
    let Err(EngineError::Refused(refusal)) = session.execute(insert, &[], 0).await else { panic!() };
    assert_eq!(
        (refusal.message.as_str(), refusal.detail),
        ("a constraint would be violated (SQLSTATE 23505)", None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_the_servers_own() {
    let pool = start(shop(Postgres::shared())).await;
    let (name, stats) = pool.stats(of("1"), "customers").await.unwrap();
    assert_eq!((name.as_str(), stats.rows), ("public.customers", Some(200)));
    assert!(stats.table_bytes.unwrap() > 0 && stats.index_bytes.unwrap() > 0);
    assert!(stats.last_analyze.unwrap().ends_with('Z'));
    assert!(pool.stats(of("1"), "restricted.salaries").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_made_without_running() {
    let pool = start(shop(Postgres::shared())).await;
    let sql = format!(
        "{} SELECT c.name FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.total > $1",
        pool.explain().unwrap()
    );
    let facts = pool.prepare(of("1"), Purpose::Read, &sql).await.unwrap();
    assert_eq!(facts.operation, countersign_sql::Operation::Explain);
    assert!(facts.accesses.contains(&Access::column("public.orders", "total")));
    assert!(facts.projected.is_empty());
    let rows = query(&pool, of("1"), &sql, vec![Value::Integer(5)], WIDE).await.unwrap();
    assert!(matches!(&rows.values[..], [Value::Text(plan)] if plan.contains("\"Plan Rows\"")));
}

//! Writes on a real server: tried out without a trace, run if they change what was approved, and never beyond the tenant or the grant.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_sql::{Refusal, Rule, Run, RunLimits, Value};
use countersign_testbed::Postgres;
use countersign_tools::{
    Engine as _, EngineError, EngineRows, PostgresConfig, PostgresLogins, PostgresPool, Purpose, Rehearsed,
};

use super::{WIDE, login, of, shop, start};

/// A pool that reads as `t1`, `t2` and writes as `w1`, `w2`.
async fn writing(cluster: &Postgres) -> Arc<PostgresPool> {
    let logins = ["1", "2"].map(|tenant| (tenant.to_owned(), login(&cluster.shop(&format!("w{tenant}")))));
    let write_logins = Some(PostgresLogins::PerTenant(BTreeMap::from(logins)));
    start(PostgresConfig { writes: true, write_logins, ..shop(cluster) }).await
}

/// What the tool asks for when policy grants all that the statement touches.
async fn granted(pool: &PostgresPool, sql: &str, params: Vec<Value>) -> Result<Run, EngineError> {
    let granted = pool.prepare(of("1"), Purpose::Write, sql).await?.accesses;
    Ok(Run { sql: sql.into(), params, granted, masked: Default::default(), limits: WIDE })
}

async fn rehearse(pool: &PostgresPool, sql: &str) -> Result<Rehearsed, EngineError> {
    pool.rehearse(of("1"), granted(pool, sql, Vec::new()).await?).await
}

async fn write(pool: &PostgresPool, sql: &str, expected: Option<u64>) -> Result<u64, EngineError> {
    pool.write(of("1"), granted(pool, sql, Vec::new()).await?, expected).await
}

fn refusal<T>(result: Result<T, EngineError>) -> Refusal {
    match result {
        Err(EngineError::Refused(refusal)) => refusal,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

/// A sample as `column=value` words, row by row.
fn rows(sample: &Option<EngineRows>) -> Vec<String> {
    let Some(sample) = sample else { return Vec::new() };
    let names = sample.columns.iter().map(|column| column.name.as_str());
    let names: Vec<&str> = names.collect();
    let word = |(name, value): (&&str, &Value)| match value {
        Value::Text(text) | Value::Decimal(text) => format!("{name}={text}"),
        Value::Integer(n) => format!("{name}={n}"),
        Value::Null => format!("{name}=null"),
        other => format!("{name}={other:?}"),
    };
    sample
        .values
        .chunks(names.len())
        .map(|row| names.iter().zip(row).map(word).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Waits until no session of the login for writes is left: each ends with its one transaction.
async fn until_no_writer(cluster: &Postgres) {
    let started = Instant::now();
    while cluster.connections("w1") > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "a session for writing is kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_out_is_counted_and_leaves_nothing() {
    let cluster = Postgres::start();
    let pool = writing(&cluster).await;
    let gone = || cluster.run("shop", "SELECT count(*) FROM customers WHERE status = 'gone'");
    let run = granted(
        &pool,
        "UPDATE customers SET status = $1 WHERE id < $2",
        vec![Value::Text("gone".into()), Value::Integer(10)],
    )
    .await
    .unwrap();
    let shown = pool.rehearse(of("1"), run.clone()).await.unwrap();
    assert_eq!((shown.affected, shown.warnings.len()), (Some(5), 0), "{:?}", shown.warnings);
    assert_eq!(gone(), "0");
    until_no_writer(&cluster).await;

    // It lasts only if it changes as many rows as were approved.
    for wrong in [4, 6] {
        let refused = refusal(pool.write(of("1"), run.clone(), Some(wrong)).await);
        assert_eq!(refused.rule, Rule::RowCount);
        assert!(refused.message.contains("would change 5 rows now"), "{}", refused.message);
        assert_eq!(gone(), "0");
    }
    assert_eq!(pool.write(of("1"), run, shown.affected).await.unwrap(), 5);
    assert_eq!(gone(), "5");
    until_no_writer(&cluster).await;

    let insert = "INSERT INTO orders (tenant_id, customer_id) VALUES (1, 1), (1, 3)";
    let shown = rehearse(&pool, insert).await.unwrap();
    assert_eq!(shown.affected, Some(2));
    assert_eq!((rows(&shown.before), rows(&shown.after).len()), (Vec::new(), 2));
    assert!(shown.warnings[0].contains("used up numbers of the sequences"), "{:?}", shown.warnings);
    assert_eq!(cluster.run("shop", "SELECT count(*) FROM orders"), "600");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_beyond_the_grant_or_the_tenant() {
    let cluster = Postgres::start();
    let pool = writing(&cluster).await;
    let sql = "UPDATE customers SET status = 'gone' WHERE id = 1";
    let all = granted(&pool, sql, Vec::new()).await.unwrap();
    for missing in &all.granted {
        let mut less = all.clone();
        less.granted.remove(missing);
        assert_eq!(refusal(pool.rehearse(of("1"), less.clone()).await).rule, Rule::SchemaChanged);
        assert_eq!(refusal(pool.write(of("1"), less, Some(1)).await).rule, Rule::SchemaChanged);
    }
    assert_eq!(cluster.run("shop", "SELECT count(*) FROM customers WHERE status = 'gone'"), "0");

    // Customer 2 is tenant 2's. Who is not bound by row security changes it; the login of tenant 1 does not, with every access granted.
    let sql = "UPDATE customers SET status = 'taken' WHERE id = 2";
    let owner = cluster.shop("shop_owner");
    let unguarded = cluster.psql_as(&owner, "shop", &format!("BEGIN; {sql} RETURNING id; ROLLBACK")).unwrap();
    assert_eq!(unguarded, "2");
    assert_eq!(rehearse(&pool, sql).await.unwrap().affected, Some(0));
    assert_eq!(write(&pool, sql, None).await.unwrap(), 0);
    let insert = "INSERT INTO customers (id, tenant_id, name, email) VALUES (1000, 2, 'x', 'x')";
    assert!(refusal(write(&pool, insert, None).await).message.contains("42501"));
    let moved = "UPDATE customers SET tenant_id = 2 WHERE id = 1";
    assert!(refusal(write(&pool, moved, None).await).message.contains("42501"));
    assert_eq!(
        cluster.run("shop", "SELECT count(*) FROM customers WHERE status = 'taken' OR id = 1000"),
        "0"
    );
    assert_eq!(cluster.run("shop", "SELECT tenant_id FROM customers WHERE id = 1"), "1");

    // A key that another tenant's row holds: a class, and nothing of the row.
    let insert = "INSERT INTO customers (id, tenant_id, name, email) VALUES (2, 1, 'x', 'x')";
    for refused in [refusal(rehearse(&pool, insert).await), refusal(write(&pool, insert, Some(1)).await)] {
        assert_eq!(
            (refused.message.as_str(), refused.detail),
            ("a constraint would be violated (SQLSTATE 23505)", None)
        );
    }
    // What failed keeps no session, and so no slot of the pool.
    until_no_writer(&cluster).await;
    // Rows are not returned by writing.
    let returning = "DELETE FROM order_items WHERE order_id = 1 RETURNING tenant_id";
    assert_eq!(refusal(rehearse(&pool, returning).await).rule, Rule::NotAWrite);
    assert_eq!(refusal(write(&pool, returning, None).await).rule, Rule::NotAWrite);
    assert_eq!(cluster.run("shop", "SELECT count(*) FROM order_items"), "600");
}

/// Tables whose changes act beyond what a rollback undoes or the server counts.
const COMPANIONS: &str = "
SET ROLE shop_owner;
CREATE TABLE plain (id int PRIMARY KEY, note text);
CREATE TABLE seen (id int);
CREATE TABLE triggered (id int PRIMARY KEY, note text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NEW; END';
CREATE TRIGGER tells AFTER UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE ruled (id int PRIMARY KEY, note text);
CREATE RULE also AS ON UPDATE TO ruled DO ALSO INSERT INTO seen VALUES (1);
CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parent (id int, note text);
CREATE TABLE child () INHERITS (parent);
CREATE TRIGGER tells AFTER UPDATE ON child FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE \"Mixed Case\" (id int PRIMARY KEY, note text);
INSERT INTO plain VALUES (1, '');
INSERT INTO triggered VALUES (1, '');
INSERT INTO ruled VALUES (1, '');
INSERT INTO parted VALUES (1, '');
INSERT INTO child VALUES (1, '');
INSERT INTO \"Mixed Case\" VALUES (1, '');
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO w1;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO t1;
";

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_beside_a_write_is_said_and_nothing_is_tried_out() {
    let cluster = Postgres::start();
    cluster.shop("w1");
    cluster.run("shop", COMPANIONS);
    let pool = writing(&cluster).await;
    let update = |table: &str| format!("UPDATE {table} SET note = 'x' WHERE id = 1");
    for table in ["plain", "\"Mixed Case\""] {
        let shown = rehearse(&pool, &update(table)).await.unwrap();
        assert_eq!((shown.affected, shown.warnings.len()), (Some(1), 0), "{table}: {:?}", shown.warnings);
    }
    for (sql, said) in [
        (update("triggered"), "triggers or rules of `public.triggered` act as well"),
        (update("ruled"), "triggers or rules of `public.ruled` act as well"),
        (update("parted"), "`public.parted` is not an ordinary table"),
        (update("parent"), "`public.parent` is not an ordinary table"),
        ("DELETE FROM orders WHERE id = 1".into(), "foreign keys may change rows of order_items"),
    ] {
        let shown = rehearse(&pool, &sql).await.unwrap();
        let warnings = shown.warnings.join("\n");
        assert_eq!(shown.affected, None, "{sql}: {warnings}");
        assert!(warnings.contains(said) && warnings.contains("was not tried out"), "{sql}: {warnings}");
        // An effect that was counted had no companions: one that came since stops the write.
        assert_eq!(refusal(write(&pool, &sql, Some(1)).await).rule, Rule::SchemaChanged, "{sql}");
    }
    assert_eq!(cluster.run("shop", "SELECT count(*) FROM seen"), "0");
    // People approved it without knowing the number: it runs.
    assert_eq!(write(&pool, &update("triggered"), None).await.unwrap(), 1);
    assert_eq!(cluster.run("shop", "SELECT count(*) FROM seen"), "1");
}

/// Tables as no other test needs them: keys of two columns, none at all, odd names, rows that their writer may not read.
const ODD: &str = "
SET ROLE shop_owner;
CREATE TABLE \"Odd \"\"One\"\"\" (\"A b\" int, k text, note text, amount numeric, made date, PRIMARY KEY (\"A b\", k));
INSERT INTO \"Odd \"\"One\"\"\" SELECT n, 'k', 'old ' || n, n + 0.50, '2026-01-02' FROM generate_series(1, 30) AS n;
CREATE TABLE keyless (id int, note text);
INSERT INTO keyless VALUES (1, 'old'), (2, 'old');
CREATE TABLE blind (id int PRIMARY KEY, note text);
INSERT INTO blind VALUES (1, 'old');
CREATE TABLE walled (id int PRIMARY KEY, note text);
ALTER TABLE walled ENABLE ROW LEVEL SECURITY;
CREATE POLICY reads ON walled FOR SELECT TO w1 USING (note = 'seen');
CREATE POLICY writes ON walled FOR INSERT TO w1 WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON \"Odd \"\"One\"\"\", keyless, walled TO w1;
GRANT SELECT (id), INSERT, UPDATE, DELETE ON blind TO w1;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO t1;
";

#[tokio::test(flavor = "multi_thread")]
async fn people_see_rows_before_and_after_a_write() {
    let cluster = Postgres::start();
    cluster.shop("w1");
    cluster.run("shop", ODD);
    let pool = writing(&cluster).await;
    let seen = async |sql: &str| {
        let shown = rehearse(&pool, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        (shown.affected.unwrap(), rows(&shown.before), rows(&shown.after), shown.warnings.join("; "))
    };
    let odd = r#""Odd ""One""""#;
    let one = |text: &str| vec![text.to_owned()];

    // The key and the columns that are touched, as they are and as they would be; the alias is the statement's own.
    let (affected, before, after, warned) = seen(&format!(
        r#"UPDATE {odd} AS "T t" SET note = 'new', amount = amount * 2 WHERE "T t"."A b" = 7;  "#
    ))
    .await;
    assert_eq!((affected, warned.as_str()), (1, ""));
    assert_eq!(before, one("A b=7 k=k note=old 7 amount=7.50"));
    assert_eq!(after, one("A b=7 k=k note=new amount=15.00"));
    // Other tables take part; a comment ends the text.
    let joined =
        format!(r#"UPDATE {odd} SET note = k.note FROM keyless k WHERE "A b" = k.id AND k.id = 2 -- so"#);
    let (affected, before, after, _) = seen(&joined).await;
    assert_eq!((affected, before, after), (1, one("A b=2 k=k note=old 2"), one("A b=2 k=k note=old")));
    let with = format!(
        r#"WITH few AS (SELECT 3 AS n) UPDATE {odd} SET note = '' WHERE "A b" IN (SELECT n FROM few)"#
    );
    assert_eq!(seen(&with).await.1, one("A b=3 k=k note=old 3"));

    // Ten rows at most, of as many as there are; all of them is worth a word.
    let (affected, before, after, warned) =
        seen(&format!(r#"UPDATE {odd} SET note = 'x' WHERE "A b" > 0"#)).await;
    assert_eq!((affected, before.len(), after.len()), (30, 10, 10));
    assert_eq!(warned, "every row that this login can see is changed");
    let (affected, before, after, warned) = seen(&format!(r#"DELETE FROM {odd} WHERE "A b" > 28"#)).await;
    assert_eq!((affected, after.len(), warned.as_str()), (2, 0, ""));
    assert_eq!(before[0], "A b=29 k=k note=old 29 amount=29.50 made=2026-01-02");

    // What replaces a row shows it; a new row shows itself. A long value shows its beginning.
    let upsert = |key: u32| {
        format!(
            r#"INSERT INTO {odd} ("A b", k, note) VALUES ({key}, 'k', repeat('long', 5000)) ON CONFLICT ("A b", k) DO UPDATE SET note = 'taken'"#
        )
    };
    let (_, before, after, _) = seen(&upsert(4)).await;
    assert_eq!(before, one("A b=4 k=k note=old 4"));
    assert_eq!(after, one("A b=4 k=k note=taken"));
    let (_, before, after, _) = seen(&upsert(99)).await;
    assert_eq!((before.len(), after[0].len()), (0, "A b=99 k=k note=".len() + 1_000));

    // Without a key that stays, only what comes.
    let (_, before, after, _) = seen("UPDATE keyless SET note = 'new' WHERE id = 1").await;
    assert_eq!((before.len(), after), (0, one("id=1 note=new")));
    let (_, before, after, _) =
        seen(&format!(r#"UPDATE {odd} SET "A b" = "A b" + 100 WHERE "A b" = 1"#)).await;
    assert_eq!((before.len(), after), (0, one("A b=101 k=k")));
    // What the login may not read is not shown, and is counted all the same.
    let (affected, before, after, _) = seen("UPDATE blind SET note = 'new' WHERE id = 1").await;
    assert_eq!((affected, before, after), (1, one("id=1"), one("id=1")));
    let (affected, before, after, warned) = seen("INSERT INTO walled VALUES (1, 'unseen')").await;
    assert_eq!((affected, before.len() + after.len()), (1, 0));
    assert!(warned.contains("cannot read what it writes"), "{warned}");
    // Nothing of a failure but its class.
    let failed = refusal(
        rehearse(&pool, "INSERT INTO keyless (id, note) SELECT 1 / (id - 1), note FROM keyless").await,
    );
    assert!(failed.message.contains("22012"), "{failed:?}");
    // Another tenant's rows are not seen by a write either.
    let (affected, before, after, _) = seen("UPDATE customers SET status = 'x' WHERE id IN (1, 2)").await;
    assert_eq!((affected, before.len(), after), (1, 1, one("id=1 status=x")));

    let kept = format!("SELECT count(*) FROM {odd} WHERE note LIKE 'old%'");
    assert_eq!(cluster.run("shop", &kept), "30");
    assert_eq!(cluster.run("shop", "SELECT count(*) FROM keyless WHERE note = 'old'"), "2");
    assert_eq!(cluster.run("shop", "SELECT count(*) FROM walled"), "0");
    until_no_writer(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_stopped_has_not_happened() {
    let cluster = Postgres::start();
    let pool = writing(&cluster).await;
    let slow = "UPDATE customers SET status = 'late' WHERE id < 200 AND
        (SELECT count(*) FROM orders a, orders b, orders c, orders d WHERE a.total + b.total + c.total + d.total > customers.id) > 0";
    let late = || cluster.run("shop", "SELECT count(*) FROM customers WHERE status = 'late'");
    // Past its time.
    let mut run = granted(&pool, slow, Vec::new()).await.unwrap();
    run.limits = RunLimits { time: Duration::from_millis(300), ..WIDE };
    let started = Instant::now();
    assert!(pool.write(of("1"), run.clone(), None).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(2));
    until_no_writer(&cluster).await;
    // Its caller goes away.
    run.limits = WIDE;
    let cut = tokio::time::timeout(Duration::from_millis(300), pool.write(of("1"), run, None)).await;
    assert!(cut.is_err(), "the statement was quick");
    until_no_writer(&cluster).await;
    assert_eq!(late(), "0");
    assert_eq!(write(&pool, "UPDATE customers SET status = 'late' WHERE id = 1", Some(1)).await.unwrap(), 1);
    assert_eq!(late(), "1");
}

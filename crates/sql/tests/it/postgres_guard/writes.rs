//! The write mode: one `INSERT`, `UPDATE` or `DELETE`, with what it reads and writes.

use countersign_sql::{
    Access, Facts, Operation, Refusal, Rule,
    engines::postgres::guard::{GuardConfig, judge_write, resolve},
};

use super::shop::{catalogue, config};

fn facts(sql: &str) -> Result<Facts, Refusal> {
    let config = config();
    resolve(&judge_write(sql, &config)?, &catalogue(), &config)
}

fn table() -> Access {
    Access::table("public.events")
}

fn column(name: &str) -> Access {
    Access::column("public.events", name)
}

#[test]
fn an_insert_writes_its_columns_and_reads_its_source() {
    let facts = facts("INSERT INTO events (kind, payload) SELECT name, profile FROM customers WHERE id = $1")
        .unwrap();
    assert_eq!((facts.operation, facts.parameters), (Operation::Insert, 1));
    for access in [
        table().written(),
        column("kind").written(),
        column("payload").written(),
        Access::column("public.customers", "profile"),
    ] {
        assert!(facts.accesses.contains(&access), "{access:?}");
    }
    for access in [table(), column("id").written(), column("kind"), column("id")] {
        assert!(!facts.accesses.contains(&access), "{access:?}");
    }
}

#[test]
fn an_insert_without_columns_writes_them_all() {
    for sql in [
        "INSERT INTO events VALUES (1, 'x')",
        "INSERT INTO events DEFAULT VALUES",
        "INSERT INTO events SELECT * FROM events",
    ] {
        let facts = facts(sql).unwrap();
        for name in ["id", "kind", "payload", "at"] {
            assert!(facts.accesses.contains(&column(name).written()), "{sql}: {name}");
        }
    }
}

#[test]
fn conflicts_count() {
    let facts = facts(
        "INSERT INTO events (id, kind) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET payload = excluded.payload WHERE events.kind = 'y'",
    )
    .unwrap();
    for access in [column("payload").written(), column("payload"), column("kind"), column("id"), table()] {
        assert!(facts.accesses.contains(&access), "{access:?}");
    }
    assert!(facts.projected.is_empty());
}

/// Rows that a write returns would be shown to its caller, and to nobody who approves it.
#[test]
fn a_write_that_returns_rows_is_refused() {
    for sql in [
        "DELETE FROM events WHERE id = 1 RETURNING *",
        "DELETE FROM events WHERE id = 1 RETURNING log_call(kind)",
        "DELETE FROM events WHERE id = 1 RETURNING (SELECT max(id) FROM customers)",
        "UPDATE events SET kind = 'x' WHERE id = 1 RETURNING id AS payload",
        "UPDATE events SET kind = 'x' WHERE id = 1 RETURNING WITH (OLD AS o, NEW AS n) o.kind, n.kind",
        "INSERT INTO events (id) VALUES (1) RETURNING 1",
        "INSERT INTO events (id) VALUES (1) ON CONFLICT (id) DO NOTHING RETURNING id",
        "WITH x AS (SELECT 1) INSERT INTO events (id) SELECT 1 RETURNING id",
    ] {
        let refusal = facts(sql).expect_err(sql);
        assert_eq!(refusal.rule, Rule::NotAWrite, "{sql}: {refusal}");
        assert!(refusal.message.contains("RETURNING"), "{refusal}");
    }
}

#[test]
fn updates_and_deletes_read_what_they_compare() {
    let facts =
        facts("UPDATE events e SET kind = c.name, payload = DEFAULT FROM customers c WHERE e.id = c.id")
            .unwrap();
    for access in [
        table().written(),
        table(),
        column("kind").written(),
        column("payload").written(),
        column("id"),
        Access::column("public.customers", "name"),
    ] {
        assert!(facts.accesses.contains(&access), "{access:?}");
    }
    assert!(!facts.accesses.contains(&column("kind")));
    let facts = self::facts("DELETE FROM events USING customers c WHERE events.id = c.id").unwrap();
    assert!(
        facts.accesses.contains(&table().written())
            && facts.accesses.contains(&Access::column("public.customers", "id"))
    );
    assert_eq!(facts.operation, Operation::Delete);
    let facts = self::facts(
        "UPDATE events SET (kind, at) = (SELECT name, created_at FROM customers LIMIT 1) WHERE id = 1",
    )
    .unwrap();
    assert!(facts.accesses.contains(&column("at").written()));
    let facts =
        self::facts("WITH c AS (SELECT id FROM customers) DELETE FROM events WHERE id IN (SELECT id FROM c)")
            .unwrap();
    assert!(facts.accesses.contains(&Access::column("public.customers", "id")));
    // A row that goes takes all its columns along.
    for name in ["id", "at", "kind", "payload"] {
        assert!(facts.accesses.contains(&column(name).written()), "{name}");
    }
    // What is written is the table, whatever expression has its name.
    let facts = self::facts("WITH events AS (SELECT 1 AS id) DELETE FROM events WHERE id = 1").unwrap();
    assert!(facts.accesses.contains(&table().written()));
}

#[test]
fn what_is_not_one_filtered_write_is_refused() {
    for (sql, rule) in [
        ("SELECT 1", Rule::NotAWrite),
        ("MERGE INTO events e USING customers c ON true WHEN MATCHED THEN DELETE", Rule::NotAWrite),
        ("TRUNCATE events", Rule::NotAWrite),
        ("COPY events FROM STDIN", Rule::NotAWrite),
        ("EXPLAIN ANALYZE DELETE FROM events WHERE id = 1", Rule::NotAWrite),
        ("DELETE FROM events WHERE id = 1; DELETE FROM events", Rule::OneStatement),
        ("DELETE FROM events", Rule::Unfiltered),
        ("UPDATE events SET kind = 'x'", Rule::Unfiltered),
        ("DELETE FROM events WHERE true", Rule::Unfiltered),
        ("UPDATE events SET kind = 'x' WHERE 1 = 1", Rule::Unfiltered),
        ("DELETE FROM events WHERE EXISTS (SELECT id FROM customers)", Rule::Unfiltered),
        ("UPDATE events SET kind = log_call('x') WHERE id = 1", Rule::ForbiddenFunction),
        ("INSERT INTO events (kind) VALUES (pg_read_file('x'))", Rule::ForbiddenFunction),
        (
            "INSERT INTO events (kind) VALUES ('x') ON CONFLICT (id) DO UPDATE SET kind = log_call('x')",
            Rule::ForbiddenFunction,
        ),
        (
            "INSERT INTO events (kind) VALUES ('x') ON CONFLICT ((log_call('x'))) DO NOTHING",
            Rule::ForbiddenFunction,
        ),
        (
            "WITH x AS (DELETE FROM customers RETURNING id) DELETE FROM events WHERE id IN (SELECT id FROM x)",
            Rule::DataModifyingCte,
        ),
        ("UPDATE events SET payload.x = 1 WHERE id = 1", Rule::FieldSelection),
        ("DELETE FROM events WHERE CURRENT OF c", Rule::Unfiltered),
        ("DELETE FROM events WHERE id = 1 OR CURRENT OF c", Rule::Syntax),
        ("INSERT INTO pg_class (relname) VALUES ('x')", Rule::SystemCatalog),
        ("DELETE FROM information_schema.tables WHERE table_name = 'x'", Rule::UnknownName),
        ("INSERT INTO active_customers (name) VALUES ('x')", Rule::ForbiddenAction),
        ("DELETE FROM ext.passwd WHERE line = 'x'", Rule::UnknownName),
        ("INSERT INTO events (nothing) VALUES (1)", Rule::UnknownName),
        ("INSERT INTO nowhere VALUES (1)", Rule::UnknownName),
        ("UPDATE events SET kind = 'x' WHERE events.touch = 'x'", Rule::FieldSelection),
        ("INSERT INTO events (kind) SELECT name FROM customers FOR UPDATE", Rule::RowLock),
    ] {
        let refusal = facts(sql).expect_err(sql);
        assert_eq!(refusal.rule, rule, "{sql}: {refusal}");
    }
    let config = GuardConfig { allow_unfiltered: true, ..config() };
    assert!(judge_write("DELETE FROM events", &config).is_ok());
}

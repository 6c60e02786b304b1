//! Writes to SQLite: one plain INSERT, UPDATE or DELETE, tried out without trace, and kept only if it does what was approved.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use countersign_sql::{
    Access, Facts, Object, Operation, Refusal, Rehearsal, Rule, RunLimits, Value,
    engines::sqlite::{Database, Never, Statement},
};
use rusqlite::Connection;

const SCHEMA: &str = "
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, credit INTEGER DEFAULT 0, secret TEXT);
INSERT INTO customers VALUES (1, 'Ann', 'ann@x', 5, 's1'), (2, 'Bob', 'bob@x', 7, 's2'), (3, 'Cem', 'cem@x', 9, 's3');
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers(id) ON DELETE CASCADE, total INTEGER);
INSERT INTO orders VALUES (10, 1, 100), (11, 1, 200), (12, 2, 300);
CREATE TABLE journal (at TEXT, what TEXT);
CREATE TABLE watched (id INTEGER PRIMARY KEY, v INTEGER);
INSERT INTO watched VALUES (1, 1), (2, 2);
CREATE TRIGGER watch AFTER UPDATE ON watched BEGIN INSERT INTO journal VALUES ('now', (SELECT secret FROM customers WHERE id = NEW.id)); END;
CREATE TABLE replacing (k TEXT UNIQUE ON CONFLICT REPLACE, v INTEGER);
CREATE TABLE keyed (k TEXT PRIMARY KEY, v INTEGER) WITHOUT ROWID;
INSERT INTO keyed VALUES ('a', 1);
CREATE VIEW rich AS SELECT * FROM customers WHERE credit > 6;
CREATE TRIGGER rich_delete INSTEAD OF DELETE ON rich BEGIN DELETE FROM customers WHERE id = OLD.id; END;
CREATE VIRTUAL TABLE notes USING fts5(body);
";

struct World {
    _folder: tempfile::TempDir,
    path: PathBuf,
    database: Database,
}

fn world() -> World {
    world_with(false)
}

fn world_with(unfiltered: bool) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    Connection::open(&path).unwrap().execute_batch(SCHEMA).unwrap();
    let database = Database::open_writer(&path, Never, unfiltered).unwrap();
    World { _folder: folder, path, database }
}

impl World {
    fn judge(&self, sql: &str) -> Result<Facts, Refusal> {
        self.database.session().prepare_write(sql, Duration::from_secs(5))
    }

    fn refused(&self, sql: &str) -> Rule {
        self.judge(sql).expect_err(sql).rule
    }

    fn rehearse(&self, sql: &str, params: &[Value]) -> Rehearsal {
        let granted = self.judge(sql).unwrap().accesses;
        self.database.session().rehearse(statement(sql, params, &granted)).unwrap()
    }

    fn write(&self, sql: &str, expected: Option<u64>) -> Result<u64, Refusal> {
        let granted = self.judge(sql)?.accesses;
        self.database.session().write(statement(sql, &[], &granted), expected)
    }

    /// What another connection sees.
    fn ask(&self, sql: &str) -> i64 {
        Connection::open(&self.path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

static NOTHING: BTreeSet<Object> = BTreeSet::new();

fn statement<'a>(sql: &'a str, params: &'a [Value], granted: &'a BTreeSet<Access>) -> Statement<'a> {
    let limits = RunLimits { skip: 0, rows: 10, bytes: 1 << 20, time: Duration::from_secs(5) };
    Statement { sql, params, granted, masked: &NOTHING, limits }
}

#[test]
fn facts_name_what_is_written_and_what_is_read() {
    let world = world();
    let facts = world.judge("UPDATE customers SET email = lower(name) WHERE id = ?").unwrap();
    assert_eq!((facts.operation, facts.parameters), (Operation::Update, 1));
    let c = |column: &str| Access::column("customers", column);
    let wanted = [
        Access::table("customers"),
        c("id"),
        c("name"),
        Access::function("lower"),
        Access::table("customers").written(),
        c("email").written(),
    ];
    assert_eq!(facts.accesses, wanted.into());
    // A row that comes or goes is written whole.
    for sql in ["INSERT INTO customers (name) VALUES ('x')", "DELETE FROM customers WHERE id = 9"] {
        let facts = world.judge(sql).unwrap();
        for column in ["id", "name", "email", "credit", "secret"] {
            assert!(facts.accesses.contains(&c(column).written()), "{sql}: {column}");
        }
    }
    let facts = world.judge("INSERT INTO orders (customer, total) SELECT id, credit FROM customers").unwrap();
    assert!(facts.accesses.contains(&c("credit")) && !facts.accesses.contains(&c("credit").written()));
}

#[test]
fn triggers_and_foreign_keys_count_with_the_statement() {
    let world = world();
    let facts = world.judge("UPDATE watched SET v = 2 WHERE id = 1").unwrap();
    assert!(facts.accesses.contains(&Access::table("journal").written()), "{facts:?}");
    assert!(
        facts.accesses.contains(&Access::column("customers", "secret")),
        "what the trigger reads: {facts:?}"
    );
    let facts = world.judge("DELETE FROM customers WHERE id = 1").unwrap();
    assert!(facts.accesses.contains(&Access::table("orders").written()), "the cascade: {facts:?}");
}

#[test]
fn what_a_trigger_joins_counts_too() {
    let world = world();
    let trigger = "CREATE TRIGGER joins AFTER INSERT ON orders BEGIN
        INSERT INTO journal SELECT 'x', 'y' FROM orders NATURAL JOIN (SELECT 's1' AS secret) NATURAL JOIN customers; END";
    Connection::open(&world.path).unwrap().execute_batch(trigger).unwrap();
    let facts = world.judge("INSERT INTO orders VALUES (99, 1, 1)").unwrap();
    assert!(facts.accesses.contains(&Access::column("customers", "secret")), "{facts:?}");
}

#[test]
fn only_one_plain_write_passes() {
    let world = world();
    for (sql, rule) in [
        ("SELECT 1", Rule::NotAWrite),
        ("", Rule::NotAWrite),
        ("EXPLAIN DELETE FROM customers WHERE id = 1", Rule::NotAWrite),
        ("DELETE FROM customers WHERE id = 1 RETURNING secret", Rule::NotAWrite),
        ("INSERT INTO journal VALUES (1, 2); DELETE FROM customers WHERE id = 1", Rule::OneStatement),
        ("REPLACE INTO customers (id) VALUES (1)", Rule::NotAWrite),
        ("INSERT OR REPLACE INTO customers (id) VALUES (1)", Rule::NotAWrite),
        ("UPDATE OR REPLACE customers SET id = 2 WHERE id = 1", Rule::NotAWrite),
        ("insert or/**/replace into customers (id) values (1)", Rule::NotAWrite),
        ("CREATE TABLE t (x)", Rule::ForbiddenAction),
        ("DROP TABLE customers", Rule::ForbiddenAction),
        ("ALTER TABLE customers ADD COLUMN x", Rule::ForbiddenAction),
        ("PRAGMA foreign_keys = OFF", Rule::ForbiddenAction),
        ("PRAGMA writable_schema = ON", Rule::ForbiddenAction),
        ("ATTACH ':memory:' AS m", Rule::ForbiddenAction),
        ("DELETE FROM rich WHERE id = 2", Rule::ForbiddenAction),
        ("INSERT INTO notes (body) VALUES ('x')", Rule::ForbiddenAction),
        ("INSERT INTO customers (name) VALUES (load_extension('x'))", Rule::ForbiddenFunction),
        ("DELETE FROM customers WHERE id = 1\0", Rule::NulCharacter),
    ] {
        assert_eq!(world.refused(sql), rule, "{sql}");
    }
    // Refused as well, by whichever layer sees them first.
    for sql in [
        "VACUUM INTO '/tmp/x'",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT s",
        "REINDEX",
        "DELETE FROM notes_content WHERE id = 1",
        "ANALYZE",
        "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 1, '')",
    ] {
        world.judge(sql).expect_err(sql);
    }
    for sql in [
        "WITH big AS (SELECT id FROM customers WHERE credit > 6) DELETE FROM customers WHERE id IN big",
        "INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        "INSERT OR IGNORE INTO customers (id) VALUES (1)",
        "UPDATE customers SET name = replace(name, 'a', 'b') WHERE id = 1 or replace(name, 'a', '') = ''",
        "INSERT INTO journal DEFAULT VALUES",
    ] {
        world.judge(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    }
}

#[test]
fn a_write_needs_a_where_that_looks_at_its_table() {
    let world = world();
    for sql in [
        "DELETE FROM customers",
        "UPDATE customers SET credit = 0",
        "DELETE FROM customers -- WHERE id = 1",
        "DELETE FROM customers WHERE 1",
        "DELETE FROM customers WHERE 1 = 1",
        "UPDATE customers SET name = 'where id = 1'",
        "UPDATE customers SET credit = (SELECT total FROM orders WHERE id = 10)",
        "DELETE FROM customers WHERE 'id'",
    ] {
        assert_eq!(world.refused(sql), Rule::Unfiltered, "{sql}");
    }
    world_with(true).judge("DELETE FROM customers").unwrap();
}

#[test]
fn a_rehearsal_shows_the_effect_and_leaves_no_trace() {
    let world = world();
    let before = std::fs::read(&world.path).unwrap();
    let sql = "UPDATE customers SET credit = credit + ? WHERE credit > ?";
    let rehearsal = world.rehearse(sql, &[Value::Integer(1), Value::Integer(6)]);
    assert_eq!(rehearsal.affected, Some(2));
    let names =
        |rows: &countersign_sql::Rows| rows.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let (was, would) = (rehearsal.before.unwrap(), rehearsal.after.unwrap());
    assert_eq!(names(&was), ["id", "credit"], "the key and what is touched, not the secret");
    let pair = |id, credit| vec![Value::Integer(id), Value::Integer(credit)];
    assert_eq!(was.rows, [pair(2, 7), pair(3, 9)]);
    assert_eq!(would.rows, [pair(2, 8), pair(3, 10)]);
    assert_eq!(std::fs::read(&world.path).unwrap(), before, "not a byte of the file changed");
    assert_eq!(world.ask("SELECT sum(credit) FROM customers"), 21);
    // The connection is free for the next.
    assert_eq!(world.write("UPDATE customers SET credit = 0 WHERE id = 1", Some(1)).unwrap(), 1);
}

#[test]
fn a_rehearsal_warns() {
    let world = world();
    let warned = |sql: &str| world.rehearse(sql, &[]).warnings.join("; ");
    assert!(warned("UPDATE watched SET v = 9 WHERE id = 1").contains("the trigger `watch`"));
    assert!(warned("UPDATE watched SET v = 9 WHERE id > 0").contains("every row of `watched`"));
    assert!(
        warned("DELETE FROM customers WHERE id = 1")
            .contains("2 of the rows are changed by triggers or foreign keys")
    );
    let delete = world.rehearse("DELETE FROM customers WHERE id = 1", &[]);
    assert_eq!(delete.affected, Some(3), "the cascade is counted");
    let replaced = world.rehearse("INSERT INTO replacing VALUES ('a', 1)", &[]);
    assert_eq!(replaced.affected, None, "what SQLite does not count is not claimed");
    // Without row ids there is no sample, but a count.
    let keyed = world.rehearse("UPDATE keyed SET v = 2 WHERE k = 'a'", &[]);
    assert!(keyed.affected == Some(1) && keyed.before.is_none());
}

#[test]
fn a_write_lasts_only_if_it_changes_what_was_approved() {
    let world = world();
    let sql = "DELETE FROM orders WHERE total > 150";
    let refusal = world.write(sql, Some(3)).unwrap_err();
    assert_eq!(refusal.rule, Rule::RowCount);
    assert_eq!(world.ask("SELECT count(*) FROM orders"), 3, "rolled back");
    assert_eq!(world.write(sql, Some(2)).unwrap(), 2);
    assert_eq!(world.ask("SELECT count(*) FROM orders"), 1);
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let world = world();
    for sql in [
        "INSERT INTO orders (customer, total) VALUES (1, 1), (99, 1)",
        "INSERT OR FAIL INTO customers (id) VALUES (50), (1)",
        "INSERT OR ROLLBACK INTO customers (id) VALUES (51), (1)",
    ] {
        assert_eq!(world.write(sql, None).expect_err(sql).rule, Rule::Failed, "{sql}");
    }
    assert_eq!(world.ask("SELECT count(*) FROM customers WHERE id > 9"), 0);
    assert_eq!(world.ask("SELECT count(*) FROM orders"), 3);
    assert_eq!(world.write("DELETE FROM orders WHERE id = 10", Some(1)).unwrap(), 1, "and the next one runs");
}

#[test]
fn what_was_not_granted_is_not_written() {
    let world = world();
    let sql = "UPDATE watched SET v = 2 WHERE id = 1";
    let mut granted = world.judge(sql).unwrap().accesses;
    granted.remove(&Access::table("journal").written());
    let refusal = world.database.session().write(statement(sql, &[], &granted), None).unwrap_err();
    assert_eq!(refusal.rule, Rule::SchemaChanged);
    // A trigger that came after the judgement.
    let sql = "UPDATE keyed SET v = 2 WHERE k = 'a'";
    let granted = world.judge(sql).unwrap().accesses;
    let trigger = "CREATE TRIGGER late AFTER UPDATE ON keyed BEGIN DELETE FROM orders; END";
    Connection::open(&world.path).unwrap().execute_batch(trigger).unwrap();
    let refusal = world.database.session().write(statement(sql, &[], &granted), None).unwrap_err();
    assert_eq!(refusal.rule, Rule::SchemaChanged);
    assert_eq!(world.ask("SELECT count(*) FROM orders"), 3);
}

#[test]
fn a_deadline_undoes_the_write() {
    let world = world();
    let sql = "UPDATE customers SET credit = (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100000000)
        SELECT count(*) FROM n) WHERE id = 1";
    let granted = world.judge(sql).unwrap().accesses;
    let limits = RunLimits { skip: 0, rows: 1, bytes: 1, time: Duration::from_millis(50) };
    let run = Statement { sql, params: &[], granted: &granted, masked: &NOTHING, limits };
    assert_eq!(world.database.session().write(run, None).unwrap_err().rule, Rule::Deadline);
    assert_eq!(world.ask("SELECT credit FROM customers WHERE id = 1"), 5);
}

#[test]
fn a_reader_writes_nothing() {
    let world = world();
    let reader = Database::open(&world.path, Never).unwrap();
    let mut session = reader.session();
    let refusal =
        session.prepare_write("DELETE FROM orders WHERE id = 10", Duration::from_secs(1)).unwrap_err();
    assert_eq!(refusal.rule, Rule::ForbiddenAction);
    let none = BTreeSet::new();
    assert!(session.write(statement("DELETE FROM orders WHERE id = 10", &[], &none), None).is_err());
    assert!(session.rehearse(statement("DELETE FROM orders WHERE id = 10", &[], &none)).is_err());
}

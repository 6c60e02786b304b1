//! The engine on psqlodbc and a real server: what attacks do without the guard, without the engine's settings, and with both.

mod masks;
mod writes;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use countersign_testbed::{Login, Odbc, Postgres};

use super::{Session, guard};
use crate::{
    Access, Action, ColumnInfo, ConnectionString, Dialect, Done, Object, OdbcSource, Refusal, Rule,
    RunLimits, Value,
    engines::{Session as _, Sink, Statement},
};

/// Attacks of the classes that the corpus samples, written for psqlodbc.
const ATTACKS: &[&str] = &[
    "SELECT * INTO pwned FROM users",
    "SELECT * INTO TEMP pwned FROM users",
    "SELECT log_call('x')",
    "SELECT touch(c) FROM customers c",
    "SELECT c.touch FROM customers c",
    "SELECT (c).touch FROM customers c",
    "SELECT * FROM customers WHERE name = log_call(name)",
    "SELECT * FROM customers ORDER BY log_call(name)",
    "SELECT count(*) FILTER (WHERE log_call(name) = '') FROM customers",
    "SELECT sum(id) OVER (ORDER BY log_call(name)) FROM customers",
    "SELECT 1 LIMIT length(log_call('x'))",
    "VALUES (log_call('x'))",
    "SELECT 'a' ### 'b'",
    "SELECT 'x'::text::money_tag",
    "WITH d AS (DELETE FROM events RETURNING *) SELECT * FROM d",
    "SELECT 1; DELETE FROM events",
    "SELECT 1 /* ; */; DELETE FROM events --",
    "SELECT '\\'; DELETE FROM events; --'",
    "SELECT $$a$$; DELETE FROM events",
    "{call purge_events()}",
    "{?=call purge_events()}",
    "SELECT {fn purge_events()}",
    "{fn purge_events()}",
    "INSERT INTO events(kind) VALUES ('x')",
    "UPDATE customers SET name = 'x'",
    "TRUNCATE events",
    "DROP TABLE events",
    "CREATE TABLE pwned (a int)",
    "COPY events TO '/dev/null'",
    "DO 'BEGIN DELETE FROM events; END'",
    "EXPLAIN ANALYZE DELETE FROM events",
    "SELECT nextval('invoice_seq')",
    "SELECT * FROM customers FOR UPDATE",
    "SELECT set_config('role', 'app_owner', false)",
    "SET ROLE app_owner",
    "COMMIT; DELETE FROM events",
    "SELECT run_sql('DELETE FROM events')",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT * FROM dblink('dbname=corpus', 'DELETE FROM events') AS t(a int)",
    "SELECT pg_advisory_lock(1)",
    "SELECT query_to_xml('DELETE FROM events', true, true, '')",
    "SELECT usename FROM pg_user",
    "SELECT rolname FROM pg_catalog.pg_roles",
    "SELECT amount FROM restricted.salaries",
    "SELECT lower_evil('x')",
    "PREPARE p AS DELETE FROM events",
    "LISTEN x",
    "CALL purge_events()",
];

/// One test at a time: they look at what others would change.
static ALONE: Mutex<()> = Mutex::new(());

struct Bed {
    cluster: &'static Postgres,
    odbc: Odbc,
    _alone: MutexGuard<'static, ()>,
}

impl Bed {
    fn new() -> Bed {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = Postgres::shared();
        // Loads the corpus, whoever logs in later.
        cluster.corpus("app_reader");
        Bed { cluster, odbc: Odbc::new(), _alone: alone }
    }

    /// A source whose driver is named by its file: this process has no driver manager's files.
    fn source(&self, login: &Login) -> OdbcSource {
        let text = by_file(&self.odbc, &self.odbc.postgres(self.cluster, login, "corpus"));
        OdbcSource {
            connection: ConnectionString::new(text).with("Pwd", &login.password),
            dialect: Dialect::Postgres,
            functions: BTreeSet::new(),
            connect: Duration::from_secs(10),
            writable: false,
        }
    }

    /// What attacks are after, as one text.
    fn state(&self) -> String {
        self.cluster.run(
            "corpus",
            "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM call_log), (SELECT (last_value, is_called)::text FROM invoice_seq),
                (SELECT count(*) FROM pg_class), (SELECT md5(string_agg(c::text, ',' ORDER BY id)) FROM customers c),
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')",
        )
    }
}

/// A connection string whose driver is named by its file.
fn by_file(odbc: &Odbc, connection: &str) -> String {
    let drivers = std::fs::read_to_string(odbc.dir().join("odbcinst.ini")).unwrap();
    let (_, named) = connection.split_once("Driver=").unwrap();
    let name = named.split(';').next().unwrap();
    let (_, section) = drivers.split_once(&format!("[{name}]")).unwrap();
    let file = section.lines().find_map(|line| line.strip_prefix("Driver=")).unwrap();
    connection.replace(&format!("Driver={name}"), &format!("Driver={file}"))
}

#[derive(Default)]
struct Rows(Vec<ColumnInfo>, Vec<Vec<Value>>);

impl Sink for Rows {
    fn columns(&mut self, columns: Vec<ColumnInfo>) -> Result<(), Refusal> {
        self.0 = columns;
        Ok(())
    }

    fn row(&mut self, row: Vec<Value>) -> Result<(), Refusal> {
        self.1.push(row);
        Ok(())
    }
}

const LIMITS: RunLimits = RunLimits { skip: 0, rows: 100, bytes: 1 << 20, time: Duration::from_secs(2) };

fn ask(session: &mut Session, sql: &str, params: &[Value]) -> Result<(Rows, Done), Refusal> {
    let facts = session.prepare(sql, false, Duration::from_secs(2))?;
    run(session, sql, params, &facts.accesses)
}

fn run(
    session: &mut Session,
    sql: &str,
    params: &[Value],
    granted: &BTreeSet<Access>,
) -> Result<(Rows, Done), Refusal> {
    let mut rows = Rows::default();
    let done = session.run(statement(sql, params, granted), &mut rows)?;
    Ok((rows, done))
}

static NOTHING: BTreeSet<Object> = BTreeSet::new();

fn statement<'a>(sql: &'a str, params: &'a [Value], granted: &'a BTreeSet<Access>) -> Statement<'a> {
    Statement { sql, params, granted, masked: &NOTHING, limits: LIMITS }
}

/// The guard alone, with the names that the source lists.
fn guarded(session: &mut Session, sql: &str) -> Result<BTreeSet<Access>, Refusal> {
    let judged = guard::judge(sql, Dialect::Postgres, false, &BTreeSet::new())?;
    session.on_connection(|connection, catalog| {
        catalog.load(connection, Dialect::Postgres, &judged.found)?;
        guard::resolve(&judged.found, |parts| catalog.look_up(parts))
    })
}

/// The statement goes to the driver as it is: the engine's settings are all that stands in its way.
fn unguarded(session: &mut Session, sql: &str) -> Result<Rows, Refusal> {
    session.on_connection(|connection, _| {
        let mut rows = Rows::default();
        let granted = BTreeSet::new();
        let statement = statement(sql, &[], &granted);
        super::run::read(connection, Dialect::Postgres, sql, &statement, Vec::new(), &mut rows).map(|_| rows)
    })
}

fn corpus(name: &str, engine: &str) -> Vec<(String, String)> {
    let path = format!("{}/../../corpora/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let items = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let items = items.filter(|item| item["engine"] == engine);
    items
        .map(|item| (item["id"].as_str().unwrap().to_owned(), item["sql"].as_str().unwrap().to_owned()))
        .collect()
}

/// What [`ATTACKS`] do to a server whose login may do everything, by the driver and nothing else.
#[test]
fn attacks_work_through_the_driver_alone() {
    let bed = Bed::new();
    let login = bed.cluster.superuser();
    let connection = format!("{}Pwd={};", bed.odbc.postgres(bed.cluster, login, "corpus"), login.password);
    let mut effective = 0;
    for (sql, undo) in [
        ("SELECT * INTO pwned FROM users", "DROP TABLE pwned"),
        ("SELECT log_call('x')", "DELETE FROM call_log"),
        ("SELECT 1; INSERT INTO call_log(what) VALUES ('x')", "DELETE FROM call_log"),
        ("{call log_call('x')}", "DELETE FROM call_log"),
        ("SELECT c.touch FROM customers c", "DELETE FROM call_log"),
        ("SELECT nextval('invoice_seq')", "ALTER SEQUENCE invoice_seq RESTART"),
    ] {
        let before = bed.state();
        let _ = bed.odbc.isql(&connection, sql);
        effective += usize::from(bed.state() != before);
        bed.cluster.run("corpus", undo);
    }
    assert_eq!(effective, 6);
}

#[test]
fn attacks_in_three_lanes() {
    let bed = Bed::new();
    let source = bed.source(&bed.cluster.corpus("app_reader"));
    let mut attacks = corpus("sql-attacks", "odbc");
    attacks.extend(ATTACKS.iter().map(|sql| ("own".to_owned(), (*sql).to_owned())));
    let (mut guard_only, mut engine_only, mut both) = (0, 0, 0);
    let before = bed.state();
    for (id, sql) in &attacks {
        let mut session = super::connect(&source).unwrap();
        let judged = guarded(&mut session, sql);
        if judged.is_ok() {
            println!("  through the guard: {id} {sql}");
        }
        guard_only += usize::from(judged.is_err());
        let mut session = super::connect(&source).unwrap();
        let ran = unguarded(&mut session, sql);
        drop(session);
        engine_only += usize::from(ran.is_err() || bed.state() == before);
        let mut session = super::connect(&source).unwrap();
        let refused = ask(&mut session, sql, &[]).is_err();
        both += usize::from(refused);
        assert!(refused, "{id}: {sql}");
        assert_eq!(bed.state(), before, "{id}: {sql}");
    }
    let count = attacks.len();
    println!(
        "psqlodbc, {count} attacks stopped: guard only {guard_only}, engine only {engine_only}, both {both}"
    );
    assert!(guard_only * 100 >= count * 97, "the guard alone refuses {guard_only} of {count}");
    // Other grammars meet the guard's first two steps alone: what passes names tables and columns that names or policy settle.
    for (engine, dialect, share) in [("postgres", Dialect::Postgres, 90), ("mysql", Dialect::Mysql, 90)] {
        let attacks = corpus("sql-attacks", engine);
        let through: Vec<_> = attacks
            .iter()
            .filter(|(_, sql)| guard::judge(sql, dialect, false, &BTreeSet::new()).is_ok())
            .collect();
        println!(
            "{engine} corpus, {} attacks: guard only refuses {}",
            attacks.len(),
            attacks.len() - through.len()
        );
        for (id, sql) in &through {
            println!("  through the guard: {id} {sql}");
        }
        assert!((attacks.len() - through.len()) * 100 >= attacks.len() * share, "{engine}");
    }
}

#[test]
fn benign_statements_pass() {
    let mut refused = Vec::new();
    let benign = corpus("sql-benign", "odbc");
    for (id, sql) in &benign {
        for dialect in [Dialect::Ansi, Dialect::Postgres] {
            if let Err(refusal) = guard::judge(sql, dialect, false, &BTreeSet::new()) {
                refused.push(format!("{id} {}: {refusal}", dialect.name()));
            }
        }
    }
    assert!(refused.is_empty() && !benign.is_empty(), "{refused:?}");
    for (engine, dialect) in [("mysql", Dialect::Mysql), ("postgres", Dialect::Postgres)] {
        let benign = corpus("sql-benign", engine);
        let count = benign.len();
        let refused = benign.iter().filter_map(|(id, sql)| {
            guard::judge(sql, dialect, false, &BTreeSet::new()).err().map(|refusal| format!("{id} {refusal}"))
        });
        let refused: Vec<_> = refused.collect();
        println!("{engine} corpus, {count} benign: {} allowed; {refused:#?}", count - refused.len());
    }
}

#[test]
fn values_keep_their_digits_and_letters() {
    let bed = Bed::new();
    let mut session = super::connect(&bed.source(&bed.cluster.corpus("app_reader"))).unwrap();
    let sql = "SELECT CAST('12345678901234567890.120' AS NUMERIC(30, 3)), CAST(? AS VARCHAR(50)), CAST(42 AS BIGINT), CAST(0.5 AS DOUBLE PRECISION),
               CAST('2026-02-03' AS DATE), NULL, CAST(? AS INTEGER)";
    let params = [Value::Text("Zoë ’s 漢字 \u{1f600}".into()), Value::Integer(7)];
    let (rows, done) = ask(&mut session, sql, &params).unwrap();
    assert_eq!(done.truncated, None);
    assert_eq!(
        rows.1,
        [vec![
            Value::Decimal("12345678901234567890.120".into()),
            params[0].clone(),
            Value::Integer(42),
            Value::Real(0.5),
            Value::Text("2026-02-03".into()),
            Value::Null,
            Value::Integer(7),
        ]]
    );
    let types: Vec<_> = rows.0.iter().map(|column| column.decl_type.as_deref().unwrap_or_default()).collect();
    assert_eq!(types[..5], ["decimal", "text", "integer", "real", "date"]);
    let wrong = ask(&mut session, "SELECT 1 WHERE 1 = ?", &[]).err().unwrap();
    assert_eq!(wrong.rule, Rule::Parameters);
}

#[test]
fn tables_have_one_name() {
    let bed = Bed::new();
    let mut session = super::connect(&bed.source(&bed.cluster.corpus("app_reader"))).unwrap();
    let tables = session.tables(Duration::from_secs(2)).unwrap();
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    assert!(names.contains(&"public.customers") && names.contains(&"public.active_customers"), "{names:?}");
    assert!(
        !names.iter().any(|name| name.contains("pg_") || name.contains("information_schema")),
        "{names:?}"
    );
    let table = session.describe("Customers", Duration::from_secs(2)).unwrap();
    assert_eq!((table.name.as_str(), table.columns[0].name.as_str()), ("public.customers", "id"));
    assert!(table.columns[4].nullable && !table.columns[0].nullable);
    for sql in
        ["SELECT name FROM customers", "SELECT name FROM public.customers", "SELECT NAME FROM \"customers\""]
    {
        let facts = session.prepare(sql, false, Duration::from_secs(2)).unwrap();
        let expected = [Access::table("public.customers"), Access::column("public.customers", "name")];
        assert_eq!(facts.accesses, BTreeSet::from(expected), "{sql}");
    }
    assert_eq!(
        session.describe("secrets_of_none", Duration::from_secs(2)).unwrap_err().rule,
        Rule::UnknownTable
    );
}

#[test]
fn what_was_not_granted_does_not_run() {
    let bed = Bed::new();
    let mut session = super::connect(&bed.source(&bed.cluster.corpus("app_reader"))).unwrap();
    let sql = "SELECT name FROM customers WHERE email IS NOT NULL";
    let facts = session.prepare(sql, false, Duration::from_secs(2)).unwrap();
    for access in &facts.accesses {
        let mut less = facts.accesses.clone();
        less.remove(access);
        assert_eq!(run(&mut session, sql, &[], &less).err().unwrap().rule, Rule::SchemaChanged, "{access:?}");
    }
    assert!(run(&mut session, sql, &[], &facts.accesses).is_ok());
}

#[test]
fn results_are_cut_and_errors_tell_no_values() {
    let bed = Bed::new();
    let mut session = super::connect(&bed.source(&bed.cluster.corpus("app_reader"))).unwrap();
    let sql = "SELECT a.id FROM products a, products b, products c, products d";
    let facts = session.prepare(sql, false, Duration::from_secs(2)).unwrap();
    let cut = |session: &mut Session, limits: RunLimits| {
        let mut rows = Rows::default();
        let granted = &facts.accesses;
        session
            .run(Statement { limits, ..statement(sql, &[], granted) }, &mut rows)
            .map(|done| (done.truncated, rows.1.len()))
    };
    let (by, rows) = cut(&mut session, RunLimits { rows: 3, ..LIMITS }).unwrap();
    assert_eq!((by, rows), (Some(crate::Truncated::Rows), 3));
    let (by, rows) = cut(&mut session, RunLimits { bytes: 40, ..LIMITS }).unwrap();
    assert_eq!((by, rows), (Some(crate::Truncated::Bytes), 5));
    let error = ask(&mut session, "SELECT CAST(name AS INTEGER) FROM products", &[]).err().unwrap();
    assert_eq!(error.rule, Rule::Failed);
    assert_eq!(error.to_string(), "failed: a value does not fit its type or the operation (SQLSTATE 22P02)");
    assert_eq!(error.detail, None);
}

#[test]
fn a_slow_statement_ends_by_the_source_own_timeout() {
    let bed = Bed::new();
    let mut session = super::connect(&bed.source(&bed.cluster.corpus("app_reader"))).unwrap();
    let started = Instant::now();
    let slow = unguarded(&mut session, "SELECT pg_sleep(30)");
    assert_eq!(slow.err().unwrap().rule, Rule::Deadline);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(ask(&mut session, "SELECT 1", &[]).is_ok());
}

#[test]
fn nothing_stays_of_a_statement_that_got_through() {
    let bed = Bed::new();
    // A login that may write: the engine alone must hold it back.
    let mut session = super::connect(&bed.source(bed.cluster.superuser())).unwrap();
    let before = bed.state();
    for sql in [
        "SELECT log_call('x')",
        "SELECT * INTO pwned FROM users",
        "DELETE FROM events",
        "SELECT purge_events()",
    ] {
        assert_eq!(
            unguarded(&mut session, sql).err().map(|refusal| refusal.rule),
            Some(Rule::ForbiddenAction),
            "{sql}"
        );
        assert_eq!(bed.state(), before, "{sql}");
    }
    // Were the transaction not read-only, the rollback would remain.
    session
        .on_connection(|connection, _| {
            Ok(connection
                .execute("SET TRANSACTION READ WRITE; INSERT INTO call_log(what) VALUES ('x')", (), None)
                .is_ok())
        })
        .unwrap();
    drop(session);
    assert_eq!(bed.state(), before);
}

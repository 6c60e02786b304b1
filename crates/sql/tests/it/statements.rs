//! Statements by class: each refused by its rule, or left to the policy by what it reports, or answered; none changes anything.

use countersign_sql::{Rule, RunLimits, Truncated, Value, engines::sqlite::ALLOWED_FUNCTIONS};

use crate::fixture::{Answer, Collected, Fixture, LIMITS, ask, is_restricted, run_unguarded};

/// Refused by the guard, whatever the policy.
const REFUSED: &[(Rule, &[&str])] = &[
    (
        Rule::ForbiddenAction,
        &[
            "INSERT INTO events(kind) VALUES ('x')",
            "REPLACE INTO tenants VALUES (1, 'x')",
            "INSERT INTO tenants VALUES (1, 'x') ON CONFLICT DO UPDATE SET name = 'x' RETURNING *",
            "UPDATE OR IGNORE tenants SET name = 'x'",
            "WITH x(i) AS (VALUES (1)) UPDATE tenants SET name = 'x' WHERE id IN (SELECT i FROM x)",
            "WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM x WHERE i < 3) INSERT INTO call_log SELECT i, 'x' FROM x",
            "DELETE FROM documents WHERE documents MATCH 'drop'",
            "INSERT INTO documents(documents) VALUES ('rebuild')",
            "INSERT INTO documents(documents) VALUES ('integrity-check')",
            "EXPLAIN DELETE FROM events",
            "EXPLAIN QUERY PLAN UPDATE users SET is_admin = 1",
            "CREATE TABLE pwned(x)",
            "CREATE TEMP VIEW v AS SELECT 1",
            "CREATE VIEW v AS SELECT password_hash AS p FROM users",
            "CREATE VIRTUAL TABLE temp.x USING fts5(y)",
            "CREATE VIRTUAL TABLE temp.x USING dbstat(main)",
            "CREATE UNIQUE INDEX i ON users(password_hash)",
            "CREATE TEMP TRIGGER t BEFORE DELETE ON events BEGIN SELECT 1; END",
            "ALTER TABLE users ADD COLUMN x",
            "ALTER TABLE users DROP COLUMN api_token",
            "DROP TABLE IF EXISTS users",
            "DROP VIEW active_customers",
            "DROP INDEX orders_customer",
            "DROP TRIGGER order_entry_upd",
            "REINDEX",
            "REINDEX users",
            "ANALYZE users",
            "ANALYZE sqlite_schema",
            "ATTACH ':memory:' AS m",
            "ATTACH 'file:x.db?mode=rwc' AS m",
            "ATTACH DATABASE (SELECT '/etc/passwd') AS m",
            "DETACH temp",
            "VACUUM",
            "VACUUM main INTO '/nonexistent/copy.db'",
            "BEGIN",
            "BEGIN EXCLUSIVE",
            "END",
            "ROLLBACK",
            "ROLLBACK TO x",
            "RELEASE x",
            "PRAGMA data_version",
            "PRAGMA main.table_info(users)",
            "PRAGMA writable_schema = ON",
            "PRAGMA journal_mode = DELETE",
            "PRAGMA hard_heap_limit = 1",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "PRAGMA trusted_schema = 1",
            "PRAGMA temp_store_directory",
            "PRAGMA optimize",
            "PRAGMA integrity_check",
            "PRAGMA function_list",
            "PRAGMA compile_options",
            "EXPLAIN PRAGMA database_list",
            "/* SELECT */ DELETE FROM events -- SELECT",
            "\u{feff}DELETE FROM events",
            ";;\t\n;DELETE FROM events",
        ],
    ),
    (
        Rule::ForbiddenFunction,
        &[
            "SELECT load_extension('x')",
            "SELECT LOAD_EXTENSION('x', 'y')",
            "SELECT \"load_extension\"('x')",
            "SELECT 1 ORDER BY load_extension('x')",
            "SELECT count(*) FILTER (WHERE load_extension('x')) FROM orders",
            "SELECT 1 LIMIT load_extension('x')",
            "SELECT * FROM json_each(load_extension('x'))",
            "VALUES (1), (load_extension('x'))",
            "SELECT fts3_tokenizer('simple')",
            "SELECT sqlite_compileoption_used('X')",
            "SELECT sqlite_source_id()",
            "SELECT sqlite_log(1, 'x')",
            "SELECT last_insert_rowid(), changes(), total_changes()",
            "SELECT rtreecheck('main', 'x')",
            "SELECT fts5_source_id()",
            "SELECT optimize(documents) FROM documents",
        ],
    ),
    (
        Rule::OneStatement,
        &[
            "SELECT 1; SELECT 2",
            "SELECT 1;\u{c}DELETE FROM events",
            "SELECT 1; -- c\n DELETE FROM events",
            "SELECT 1; /* c */ DELETE FROM events /* open",
            "SELECT ';'; DROP TABLE users",
        ],
    ),
    (Rule::NulCharacter, &["SELECT 1\0; DELETE FROM events", "\0"]),
    (Rule::Empty, &["", "  ", ";", "-- nothing", "/* nothing */", "/* open"]),
    (
        Rule::UnknownName,
        &[
            "SELECT * FROM other.users",
            "SELECT nope FROM users",
            "SELECT nope()",
            "SELECT sqlite_offset(id) FROM users",
            "SELECT readfile('/etc/passwd')",
            "SELECT edit('x')",
            "SELECT writefile('/x', 'y')",
            "SELECT * FROM sqlite_dbpage",
            "SELECT * FROM sqlite_stmt",
            "SELECT * FROM bytecode('SELECT 1')",
            "SELECT * FROM fsdir('/')",
            "SELECT * FROM generate_series(1, 5)",
        ],
    ),
    (
        Rule::Syntax,
        &[
            "SELECT",
            "SELEC 1",
            "SELECT * FROM users WHERE login = 'admin' OR '1'='1",
            "'; DROP TABLE users; --",
            "SHOW TABLES",
        ],
    ),
];

#[test]
fn each_class_is_refused_by_its_rule() {
    let fixture = Fixture::new();
    let digest = fixture.digest();
    for (rule, statements) in REFUSED {
        for sql in *statements {
            match fixture.ask(sql) {
                Answer::Refused(refusal) => {
                    // A second statement that is itself forbidden is refused for what it does.
                    // VACUUM is no query to SQLite's parser before it does anything to be authorized.
                    let also = match rule {
                        Rule::OneStatement => Rule::ForbiddenAction,
                        Rule::ForbiddenAction => Rule::NotAQuery,
                        rule => *rule,
                    };
                    let fits = refusal.rule == *rule || refusal.rule == also;
                    assert!(fits, "{sql}: {refusal:?}, not {rule:?}");
                    let quoted = sql.len() > 12 && refusal.message.contains(sql);
                    assert!(!quoted, "{sql} is quoted");
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
    }
    assert_eq!(fixture.digest(), digest);
}

/// Built-in virtual tables that would tell about the database or the connection: never answered.
#[test]
fn pragmas_and_statistics_in_from_are_refused() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT * FROM pragma_table_info('users')",
        "SELECT count(*) FROM pragma_table_list",
        "SELECT 1 FROM pragma_table_list NATURAL JOIN (SELECT 'users' AS name)",
        "SELECT file FROM pragma_database_list",
        "SELECT * FROM pragma_function_list",
        "SELECT 1 FROM users u, pragma_table_info(u.login)",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM pragma_compile_options)",
        "SELECT 'x' IN pragma_module_list",
        "SELECT * FROM pragma_query_only",
        "SELECT name, pageno FROM dbstat",
        "SELECT count(*) FROM dbstat",
        "SELECT 1 FROM dbstat NATURAL JOIN (SELECT 'users' AS name)",
        "SELECT token FROM fts3tokenize WHERE input = 'a b'",
        "SELECT sql FROM sqlite_master",
        "SELECT SQL FROM \"sqlite_schema\"",
        "SELECT * FROM temp.sqlite_temp_master",
        "SELECT seq FROM sqlite_sequence",
    ] {
        run_unguarded(&fixture.path, sql).unwrap_or_else(|error| panic!("{sql} does not work: {error}"));
        assert!(fixture.ask(sql).is_refused(), "{sql}");
    }
}

#[test]
fn classic_injections_as_values_and_as_queries() {
    let fixture = Fixture::new();
    let digest = fixture.digest();
    let classics = ["admin' OR '1'='1", "'; DROP TABLE users; --", "admin' UNION SELECT * FROM passwords--"];
    let database = fixture.open();
    let mut session = database.session();
    for classic in classics {
        // Pasted into a statement, as the victims of these strings do.
        let pasted = format!("SELECT login FROM users WHERE login = '{classic}'");
        match ask(&mut session, &pasted, &[], LIMITS) {
            Answer::Rows(collected) => assert!(!collected.rows.iter().flatten().any(is_restricted)),
            Answer::Refused(refusal) => assert!(
                matches!(refusal.rule, Rule::OneStatement | Rule::UnknownName | Rule::ForbiddenAction),
                "{refusal:?}"
            ),
            Answer::Forbidden(_) => {}
        }
        // As a value it is text that no row equals.
        let bound = ask(
            &mut session,
            "SELECT login FROM users WHERE login = ?",
            &[Value::Text(classic.into())],
            LIMITS,
        );
        assert!(bound.rows().is_empty());
        // As a whole query it is no statement.
        assert!(ask(&mut session, classic, &[], LIMITS).is_refused());
    }
    // Pasted, the first does return every login; that it returns nothing more is what the policy is for.
    let pasted = "SELECT login FROM users WHERE login = 'admin' OR '1'='1'";
    assert_eq!(ask(&mut session, pasted, &[], LIMITS).rows().len(), 2);
    assert_eq!(fixture.digest(), digest);
}

#[test]
fn results_are_cut_and_say_so() {
    let fixture = Fixture::new();
    let cut = |sql: &str, limits: RunLimits| -> Collected {
        match ask(&mut fixture.open().session(), sql, &[], limits) {
            Answer::Rows(collected) => collected,
            refused => panic!("{refused:?}"),
        }
    };
    let numbers =
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r";
    let whole = cut(numbers, RunLimits { rows: 5, ..LIMITS });
    assert_eq!((whole.rows.len(), whole.done.unwrap().truncated), (5, None));
    let rows = cut(numbers, RunLimits { rows: 4, ..LIMITS });
    assert_eq!((rows.rows.len(), rows.done.unwrap().truncated), (4, Some(Truncated::Rows)));
    let none = cut(numbers, RunLimits { rows: 0, ..LIMITS });
    assert_eq!((none.rows.len(), none.done.unwrap().truncated), (0, Some(Truncated::Rows)));
    let bytes = cut(numbers, RunLimits { bytes: 17, ..LIMITS });
    assert_eq!((bytes.rows.len(), bytes.done.unwrap().truncated), (2, Some(Truncated::Bytes)));
    let large = cut("SELECT hex(zeroblob(100))", RunLimits { bytes: 199, ..LIMITS });
    assert_eq!((large.rows.len(), large.done.unwrap().truncated), (0, Some(Truncated::Bytes)));
    let endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r WHERE n = 1 OR n < 0";
    let time = cut(endless, LIMITS);
    assert_eq!((time.rows.len(), time.done.unwrap().truncated), (1, Some(Truncated::Time)));
    assert!(time.took < LIMITS.time + std::time::Duration::from_millis(100), "{:?}", time.took);
}

#[test]
fn parameters_must_fit_and_leave_nothing_behind() {
    let fixture = Fixture::new();
    let database = fixture.open();
    let mut session = database.session();
    let sql = "SELECT ?1, :name";
    for given in [&[][..], &[Value::Null][..], &[Value::Null, Value::Null, Value::Null][..]] {
        match ask(&mut session, sql, given, LIMITS) {
            Answer::Refused(refusal) => assert_eq!(refusal.rule, Rule::Parameters),
            other => panic!("{other:?}"),
        }
    }
    let values = [Value::Blob(vec![0, 255]), Value::Real(0.5)];
    assert_eq!(ask(&mut session, sql, &values, LIMITS).rows(), [values.to_vec()]);
    let nulls = [Value::Null, Value::Null];
    assert_eq!(ask(&mut session, sql, &nulls, LIMITS).rows(), [nulls.to_vec()]);
    // Text that is not UTF-8 arrives as bytes.
    assert_eq!(
        ask(&mut session, "SELECT CAST(x'ff41' AS TEXT)", &[], LIMITS).rows(),
        [[Value::Blob(vec![0xff, b'A'])]]
    );
}

#[test]
fn limits_on_size_and_depth() {
    let fixture = Fixture::new();
    let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let nested = format!("SELECT {}1", "- ".repeat(5_000));
    let compound = vec!["SELECT 1"; 300].join(" UNION ALL ");
    let joins = format!("SELECT 1 FROM {}", vec!["tenants"; 70].join(","));
    let arguments = format!("SELECT max({})", vec!["1"; 200].join(","));
    for sql in [deep, nested, compound, joins, arguments, "SELECT ?5000".into()] {
        match fixture.ask(&sql) {
            Answer::Refused(refusal) => assert!(
                matches!(refusal.rule, Rule::TooComplex | Rule::Parameters | Rule::Syntax),
                "{refusal:?}"
            ),
            other => panic!("{other:?}"),
        }
    }
    match fixture.ask(&format!("SELECT '{}'", "x".repeat(300 << 10))) {
        Answer::Refused(refusal) => assert_eq!(refusal.rule, Rule::TooLong),
        other => panic!("{other:?}"),
    }
    // A long list is fine.
    let list = (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(
        fixture.ask(&format!("SELECT count(*) FROM orders WHERE id IN ({list})")).rows(),
        [[Value::Integer(3)]]
    );
}

#[test]
fn tables_and_columns_are_described() {
    let fixture = Fixture::new();
    let database = fixture.open();
    let mut session = database.session();
    let tables = session.tables(LIMITS.time).unwrap();
    let names: Vec<_> = tables.iter().map(|table| (table.name.as_str(), table.kind.name())).collect();
    assert!(
        names.contains(&("Order Details", "table"))
            && names.contains(&("salary_overview", "view"))
            && names.contains(&("documents", "virtual"))
    );
    assert!(!names.iter().any(|(name, _)| name.starts_with("sqlite_") || name.starts_with("documents_")));
    let users = session.describe("USERS", LIMITS.time).unwrap();
    assert_eq!(users.name, "users");
    assert_eq!((users.columns[0].name.as_str(), users.columns[0].primary_key), ("id", 1));
    assert_eq!((users.columns[4].name.as_str(), users.columns[4].nullable), ("password_hash", false));
    assert_eq!(
        (users.foreign_keys[0].column.as_str(), users.foreign_keys[0].table.as_str()),
        ("tenant_id", "tenants")
    );
    let index = session.describe("documents", LIMITS.time).unwrap();
    assert_eq!(index.columns.len(), 2);
    for hidden in ["sqlite_master", "documents_content", "sqlite_sequence", "nope", ""] {
        assert_eq!(session.describe(hidden, LIMITS.time).unwrap_err().rule, Rule::UnknownTable, "{hidden}");
    }
}

/// A new SQLite adds no function by itself, and the list holds no name twice or out of order.
#[test]
fn the_list_of_functions_is_sorted_and_closed() {
    assert!(ALLOWED_FUNCTIONS.windows(2).all(|pair| pair[0] < pair[1]));
    for dangerous in [
        "load_extension",
        "fts3_tokenizer",
        "sqlite_log",
        "edit",
        "readfile",
        "writefile",
        "last_insert_rowid",
    ] {
        assert!(!ALLOWED_FUNCTIONS.contains(&dangerous));
    }
}

//! The guard by itself: what passes, what is refused by which rule, and what the facts say.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::Access;

fn judged(sql: &str, dialect: Dialect) -> Result<Judged, Refusal> {
    judge(sql, dialect, false, &BTreeSet::new())
}

fn rule(sql: &str, dialect: Dialect) -> Option<Rule> {
    judged(sql, dialect).err().map(|refusal| refusal.rule)
}

#[test]
fn lists_are_sorted() {
    for list in [allowed::ALLOWED, functions::TYPES, words::OPENERS, words::OPERATORS] {
        assert!(list.is_sorted(), "{list:?}");
    }
    for word in ["DROP", "EXEC", "WAITFOR", "ALTER", "WRITETEXT"] {
        assert_eq!(words::kind(word), words::Word::Hard, "{word}");
    }
    for word in ["PRINT", "ADD", "XA", "OPEN"] {
        assert_eq!(words::kind(word), words::Word::Soft, "{word}");
    }
}

/// Statements that are one query to some reader and something else to another.
#[test]
fn what_dialects_read_differently_is_refused_by_all() {
    for sql in [
        "SELECT 1 DELETE FROM t",
        "SELECT 1 EXEC('DROP TABLE t')",
        "SELECT 1 SHUTDOWN",
        "SELECT * DELETE FROM t",
        "SELECT 1 WAITFOR DELAY '0:0:30'",
        "SELECT 1 CHECKPOINT",
        "SELECT a FROM t PRINT",
        "SELECT 1DELETE FROM t",
        "SELECT 1; DELETE FROM t",
        "SELECT 1;;",
        "SELECT 1 --1;DELETE FROM t",
        "SELECT 1 #\n",
        "SELECT /*! 1, SLEEP(5) */ 2",
        "SELECT /*M! 1 */ 2",
        "SELECT /*+ SET_VAR(x=1) */ 2",
        "SELECT 1 /* /* */ DELETE FROM t -- */",
        "SELECT 1 /* /*/ DELETE",
        "SELECT 1 /* /* */ + 2 -- */",
        "SELECT 1 /*/ 2",
        "SELECT 'a\\' , 'b'",
        "SELECT \"a.b\" FROM t",
        "SELECT {call count(1)}",
        "SELECT 'a\\'; DELETE FROM t; -- '",
        "SELECT 'a\\\\\\'' , 1 , '",
        "SELECT E'a\\' OR 1'",
        "SELECT U&'!0061' UESCAPE '!'",
        "SELECT U&\"!0061\" FROM t",
        "SELECT q'[a']'",
        "SELECT $$a$$",
        "SELECT \u{ff07}a\u{ff07}",
        "SELECT '\u{2019} OR 1=1 --'",
        "SELECT\u{a0}1",
        "SELECT 1 -- a\rDELETE FROM t",
        "SELECT \u{0}1",
        "SELECT @a := 1",
        "SELECT @@version",
        "SELECT a?b",
        "SELECT 1 ?? 2",
        "SELECT :name",
        "SELECT {fn user()}, {call f()}",
        "{call f()}",
        "{?=call f()}",
        "{ call f() }",
        "SELECT {fn ucase('a'); DELETE}",
        "SELECT {fn ucase('a') + f(1)}",
        "SELECT {d '2026-01-01' OR 1}",
        "SELECT {oj t}",
        "SELECT {escape '!'}",
        "SELECT {guid 'x'}",
        "SELECT {interval '1' day}",
        "SELECT 1 }",
        "SELECT ({fn ucase('a')) }",
    ] {
        for &dialect in Dialect::ALL {
            assert!(judged(sql, dialect).is_err(), "{sql} as {}", dialect.name());
        }
    }
    assert_eq!(rule("SELECT MATCH (a) AGAINST ('x') FROM t", Dialect::Mysql), Some(Rule::UnsupportedSyntax));
    assert!(rule("SELECT \"a\" FROM t", Dialect::Mysql).is_some());
    assert!(rule("SELECT [a] FROM t", Dialect::Ansi).is_some());
    assert!(rule("SELECT `a` FROM t", Dialect::Postgres).is_some());
}

#[test]
fn each_refusal_names_its_rule() {
    for (sql, expected) in [
        ("", Rule::Empty),
        ("-- nothing", Rule::Empty),
        (";", Rule::Empty),
        ("DELETE FROM t", Rule::NotAQuery),
        ("selectX", Rule::Syntax),
        ("SELECT * INTO pwned FROM users", Rule::SelectInto),
        ("SELECT * FROM t FOR UPDATE", Rule::RowLock),
        ("SELECT * FROM t FOR SHARE", Rule::RowLock),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", Rule::ForbiddenAction),
        ("SELECT pg_sleep(5)", Rule::ForbiddenFunction),
        ("SELECT log_call('x')", Rule::ForbiddenFunction),
        ("SELECT dbo.count(1)", Rule::ForbiddenFunction),
        ("SELECT * FROM OPENQUERY(linked, 'DELETE FROM t')", Rule::ForbiddenAction),
        ("SELECT * FROM generate_series(1, 10)", Rule::ForbiddenFunction),
        ("SELECT * FROM a.b.c.d", Rule::ForbiddenAction),
        ("SELECT * FROM sys.objects", Rule::SystemCatalog),
        ("SELECT * FROM information_schema.tables", Rule::SystemCatalog),
        ("SELECT NEXT VALUE FOR s", Rule::ForbiddenAction),
        ("SELECT s.nextval FROM t", Rule::ForbiddenAction),
        ("SELECT repeat('x', 100000000)", Rule::SizeArgument),
        ("SELECT repeat(repeat('x', 1000), 1000)", Rule::SizeArgument),
        ("SELECT CAST('users' AS regclass)", Rule::ForbiddenType),
        ("SELECT 1; SELECT 2", Rule::OneStatement),
    ] {
        let refusal = judged(sql, Dialect::Ansi).unwrap_err();
        assert_eq!(refusal.rule, expected, "{sql}: {refusal}");
        assert!(sql.is_empty() || sql == ";" || !refusal.message.contains(sql), "{refusal}");
    }
}

#[test]
fn ordinary_queries_pass() {
    for sql in [
        "SELECT 1",
        "SELECT 1;",
        "select 1 ; -- done",
        "(SELECT 1)",
        "/* note */ SELECT 1",
        "SELECT 'DROP; TABLE', 'it''s -- ok', 'C:\\temp\\x'",
        "SELECT a AS open, b FROM t ORDER BY 1 DESC",
        "SELECT * FROM daea_Mainframe_VSAM.dbo.CUSTOMERS_VSAM WHERE STATE = ? AND CITY = ?",
        "SELECT RTRIM(S) AS STATE, COUNT(*) AS N FROM t GROUP BY RTRIM(S) HAVING COUNT(*) > 1 ORDER BY N DESC",
        "SELECT * FROM t WHERE a IN (1, 2) AND b BETWEEN 1 AND 2 OR NOT c LIKE 'x%' AND d IS NULL",
        "SELECT CASE WHEN a = 1 THEN 'drop' ELSE 'x' END FROM t",
        "SELECT a, SUM(b) OVER (PARTITION BY c ORDER BY d) FROM t",
        "SELECT * FROM a LEFT JOIN b ON a.id = b.id, c",
        "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3",
        "WITH c AS (SELECT 1 AS x) SELECT x FROM c",
        "SELECT {fn UCASE(name)} FROM t WHERE d > {ts '2026-01-01 00:00:00'} AND e = { d '2026-01-01' }",
        "SELECT * FROM {oj customers c LEFT OUTER JOIN orders o ON o.customer_id = c.id}",
        "SELECT {fn SUBSTRING({fn UCASE(name)}, 1, 2)} FROM t",
        "SELECT CAST(a AS VARCHAR(10)), COALESCE(b, 0), CURRENT_DATE FROM t",
        "SELECT COUNT(DISTINCT a) FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
        "SELECT replace(a, 'x', 'y'), left(a, 2) FROM t",
        "SELECT updated_at, is_deleted, t.update, \"delete\" FROM t",
        "SELECT -1, +2, 3.5e-2, 0x1F, N'x', DATE '2026-01-01' FROM t",
    ] {
        let refusal = judged(sql, Dialect::Ansi).err();
        assert!(refusal.is_none(), "{sql}: {refusal:?}");
    }
    for (sql, dialect) in [
        ("SELECT TOP 10 [first name] FROM t WITH (NOLOCK)", Dialect::Mssql),
        ("SELECT DATEDIFF(day, a, b) FROM t", Dialect::Mssql),
        ("SELECT `a`, IF(b, 1, 2), INSERT('abc', 1, 1, 'x') FROM t LIMIT 5", Dialect::Mysql),
        ("SELECT a::text, b ->> 'x' FROM t WHERE a = ? LIMIT 5", Dialect::Postgres),
        ("SELECT NVL(a, 0) FROM t WHERE ROWNUM < 5", Dialect::Oracle),
        ("SELECT \"a\", [b] FROM t LIMIT 5", Dialect::Sqlite),
    ] {
        let refusal = judged(sql, dialect).err();
        assert!(refusal.is_none(), "{sql}: {refusal:?}");
    }
}

#[test]
fn what_runs_has_no_comments() {
    let judged = judged(
        "SELECT 'a -- b' /* c; d */ FROM t -- e\n WHERE x = {d '2026-01-01'} ; /* f */",
        Dialect::Ansi,
    );
    assert_eq!(judged.unwrap().run, "SELECT 'a -- b'   FROM t  \n WHERE x = {d '2026-01-01'}");
}

#[test]
fn writes_are_one_table_and_filtered() {
    let write = |sql: &str| judge(sql, Dialect::Ansi, true, &BTreeSet::new());
    for (sql, operation) in [
        ("INSERT INTO t (a, b) VALUES (?, 'x')", Operation::Insert),
        ("INSERT INTO t (a) SELECT b FROM u WHERE c = 1", Operation::Insert),
        ("UPDATE t SET a = a + 1, b = ? WHERE c = 2", Operation::Update),
        ("DELETE FROM t WHERE a = 1", Operation::Delete),
    ] {
        assert_eq!(write(sql).unwrap().operation, operation, "{sql}");
        assert!(judged(sql, Dialect::Ansi).is_err(), "{sql}");
    }
    for (sql, rule) in [
        ("DELETE FROM t", Rule::Unfiltered),
        ("UPDATE t SET a = 1", Rule::Unfiltered),
        ("UPDATE t SET a = b WHERE 1 = 1", Rule::Unfiltered),
        ("DELETE FROM t WHERE TRUE", Rule::Unfiltered),
        ("SELECT 1", Rule::NotAWrite),
        ("DROP TABLE t", Rule::NotAQuery),
        ("INSERT INTO t VALUES (1)", Rule::UnsupportedSyntax),
        ("DELETE FROM t WHERE a = 1; DELETE FROM u", Rule::OneStatement),
        ("UPDATE t SET a = 1 WHERE b = 2 DELETE FROM t", Rule::ForbiddenAction),
        ("UPDATE t SET a = log_call('x') WHERE b = 2", Rule::ForbiddenFunction),
        ("DELETE FROM t WHERE a = 1 RETURNING *", Rule::UnsupportedSyntax),
        ("INSERT INTO t (a) SELECT * INTO x FROM u", Rule::SelectInto),
    ] {
        let refusal = write(sql).unwrap_err();
        assert_eq!(refusal.rule, rule, "{sql}: {refusal}");
    }
}

#[test]
fn a_row_that_goes_takes_all_its_columns_along() {
    let judged = judge("DELETE FROM customers WHERE id = 1", Dialect::Ansi, true, &BTreeSet::new()).unwrap();
    let tables = tables();
    let found =
        resolve(&judged.found, |parts| Ok(tables.iter().find(|table| Some(&table.name) == parts.last())))
            .unwrap();
    for column in ["id", "name", "email"] {
        assert!(found.contains(&Access::column("customers", column).written()), "{column}: {found:?}");
    }
}

fn tables() -> Vec<Table> {
    let table = |name: &str, columns: &[&str]| Table {
        name: name.into(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    vec![table("customers", &["id", "name", "email"]), table("orders", &["id", "customer_id", "total"])]
}

fn accesses(sql: &str) -> Result<Vec<String>, Refusal> {
    accesses_in(sql, Dialect::Ansi)
}

fn accesses_in(sql: &str, dialect: Dialect) -> Result<Vec<String>, Refusal> {
    let judged = judged(sql, dialect)?;
    let tables = tables();
    let found =
        resolve(&judged.found, |parts| Ok(tables.iter().find(|table| Some(&table.name) == parts.last())))?;
    Ok(found
        .iter()
        .map(|access| match access {
            Access { object: crate::Object::Column { table, column }, .. } => format!("{table}.{column}"),
            Access { object: crate::Object::Table { table }, .. } => table.clone(),
            Access { object: crate::Object::Function { name }, .. } => format!("{name}()"),
        })
        .filter(|name| name.contains('.'))
        .collect())
}

#[test]
fn columns_are_never_fewer_than_those_that_are_read() {
    for (sql, expected) in [
        ("SELECT name FROM customers", "customers.name"),
        ("SELECT count(*) FROM customers", ""),
        ("SELECT c.name FROM customers c WHERE c.email = 'x'", "customers.email customers.name"),
        ("SELECT id FROM customers, orders", "customers.id orders.id"),
        (
            "SELECT o.* FROM customers c JOIN orders o ON o.customer_id = c.id",
            "customers.id orders.customer_id orders.id orders.total",
        ),
        ("SELECT * FROM customers", "customers.email customers.id customers.name"),
        ("SELECT c FROM customers c", "customers.email customers.id customers.name"),
        ("SELECT count(c) FROM customers c", "customers.email customers.id customers.name"),
        ("SELECT x FROM (SELECT email AS x FROM customers) s ORDER BY s.x", "customers.email"),
        (
            "SELECT 1 FROM customers NATURAL JOIN orders",
            "customers.email customers.id customers.name orders.customer_id orders.id orders.total",
        ),
        ("SELECT 1 FROM customers a JOIN orders b USING (id)", "customers.id orders.id"),
        (
            "WITH c (a, b, d) AS (SELECT * FROM customers) SELECT d FROM c",
            "customers.email customers.id customers.name",
        ),
        ("SELECT total AS n FROM orders ORDER BY n", "orders.total"),
        ("SELECT a.q FROM customers AS a (p, q, r)", "customers.email customers.id customers.name"),
    ] {
        let found = accesses(sql);
        match found {
            Ok(found) => assert_eq!(found.join(" "), expected, "{sql}"),
            // Renamed columns of a table: refused is as good as counted.
            Err(refusal) => assert!(sql.contains("(p, q, r)"), "{sql}: {refusal}"),
        }
    }
    for sql in [
        "SELECT c.touch FROM customers c",
        "SELECT touch FROM customers",
        "SELECT 1 AS touch, c.touch FROM customers c",
        "SELECT ctid FROM customers",
        "SELECT name FROM secrets",
        "SELECT user",
    ] {
        // The second is one of those where scopes are not looked into.
        for dialect in [Dialect::Ansi, Dialect::Mysql] {
            assert!(accesses_in(sql, dialect).is_err(), "{sql}");
        }
    }
}

/// What is a column elsewhere in the statement may be a function where it stands: some sources call one by its name alone.
#[test]
fn a_name_is_a_column_only_where_it_is_seen() {
    let both = [Dialect::Ansi, Dialect::Oracle];
    for sql in [
        "SELECT f AS f FROM customers",
        "SELECT 1 AS pkg, pkg.f AS f FROM customers",
        "SELECT s.f FROM (SELECT f AS f FROM customers) s",
        "SELECT total FROM customers WHERE EXISTS (SELECT 1 FROM orders)",
        "SELECT o.total FROM customers c WHERE EXISTS (SELECT 1 FROM orders o)",
        "SELECT 1 FROM (SELECT 1 AS f FROM customers) a, (SELECT f AS g FROM orders) b",
        "SELECT f FROM (SELECT 1 AS a FROM orders UNION SELECT 1 AS f FROM orders) s",
        "WITH c AS (SELECT 1 AS f FROM orders) SELECT f FROM customers",
        "SELECT s.f FROM (SELECT 1 AS f FROM orders) s (g)",
    ] {
        for dialect in both {
            let refusal = accesses_in(sql, dialect).expect_err(sql);
            assert_eq!(refusal.rule, Rule::UnknownName, "{sql}");
        }
    }
    // An item's name and a table's name are columns there only in part.
    for sql in ["SELECT max(id) AS f FROM orders GROUP BY f", "SELECT f FROM customers f"] {
        assert!(accesses_in(sql, Dialect::Oracle).is_err(), "{sql}");
        assert_eq!(accesses_in(sql, Dialect::Ansi).err(), None, "{sql}");
    }
    for sql in [
        "SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND email > 'x')",
        "SELECT x.name FROM (SELECT * FROM customers) x",
        "SELECT n FROM (SELECT * FROM (SELECT name AS n FROM customers) a) b ORDER BY n",
        "SELECT s.g FROM (SELECT 1 AS f FROM orders) s (g)",
        "WITH a AS (SELECT id, total AS t FROM orders), b AS (SELECT * FROM a) SELECT b.t, id FROM b",
        "WITH a (x) AS (SELECT id FROM orders UNION ALL SELECT x + 1 FROM a WHERE x < 5) SELECT x FROM a",
        "SELECT count(*) AS n, customer_id FROM orders GROUP BY customer_id HAVING count(*) > 1 ORDER BY n, customer_id",
        "SELECT id FROM customers UNION SELECT customer_id FROM orders ORDER BY id",
        "SELECT (SELECT max(total) FROM orders WHERE customer_id = customers.id) AS best FROM customers ORDER BY best",
        "SELECT x.total FROM customers c CROSS JOIN LATERAL (SELECT total FROM orders WHERE customer_id = c.id) x",
        "SELECT 1 FROM customers a JOIN (orders b JOIN customers c ON c.id = b.customer_id) ON a.id = b.id AND c.name = a.name",
    ] {
        for dialect in both {
            assert_eq!(accesses_in(sql, dialect).err(), None, "{sql}");
        }
    }
    let mut chain = "WITH c0 AS (SELECT * FROM customers)".to_owned();
    for number in 1..30 {
        let last = number - 1;
        chain.push_str(&format!(", c{number} AS (SELECT a.*, b.* FROM c{last} a, c{last} b)"));
    }
    let started = Instant::now();
    assert!(accesses(&format!("{chain} SELECT total FROM c29 WHERE EXISTS (SELECT 1 FROM orders)")).is_err());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// What costs a parser or a walk most. Each is decided or refused in time: 50 ms, and what unoptimised code on a busy machine needs.
#[test]
fn large_and_deep_texts_are_decided_in_time() {
    let budget = Duration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 50 });
    let repeat = |head: &str, part: &str, tail: &str| {
        let count = (limits() - head.len() - tail.len()) / part.len();
        format!("{head}{}{tail}", part.repeat(count))
    };
    for sql in [
        repeat("SELECT 1", " + 1", ""),
        repeat("SELECT ", "(", ""),
        format!("SELECT {}1{}", "(".repeat(32), ")".repeat(32)),
        format!("SELECT * FROM {}t{}", "(".repeat(32), ")".repeat(32)),
        format!("SELECT * FROM {}SELECT 1{}", "(".repeat(31), ")".repeat(31)),
        format!("{}SELECT 1{}", "(".repeat(32), ")".repeat(32)),
        repeat("SELECT a FROM t WHERE a IN (1", ", 1", ")"),
        repeat("SELECT 1", " UNION SELECT 1", ""),
        repeat("SELECT ", "NOT ", "1"),
        repeat("SELECT ", "- ", "1"),
        repeat("SELECT ", "CASE WHEN 1 THEN ", "1"),
        repeat("SELECT 'x", "''", "'"),
        repeat("SELECT '", "\\", "'"),
        repeat("SELECT 1 ", "/**/", ""),
        repeat("SELECT 1 ", "--\n", ""),
        repeat("SELECT ", "{fn ucase(", ""),
        repeat("SELECT a", ", a", " FROM t"),
        repeat("SELECT * FROM t", ", t", ""),
        repeat("SELECT * FROM t", " JOIN t", ""),
        format!("SELECT * FROM t{}", " JOIN t".repeat(100)),
        format!("SELECT * FROM t{} ON 1 = 1", " JOIN t".repeat(100)),
        format!("SELECT 1{}", " + 1".repeat(1000)),
        format!("SELECT * FROM t{}", " JOIN t ON 1 = 1".repeat(100)),
        repeat("SELECT f(", "f(", ""),
        repeat("WITH ", "a AS (SELECT 1), ", "b AS (SELECT 1) SELECT 1"),
        "x".repeat(limits()),
        "SELECT ".repeat(limits() / 7),
    ] {
        assert!(sql.len() <= limits());
        for &dialect in Dialect::ALL {
            // The best of three: the machine is shared.
            let mut took = Duration::MAX;
            for _ in 0..3 {
                let started = Instant::now();
                let _ = judged(&sql, dialect);
                took = took.min(started.elapsed());
                if took < budget {
                    break;
                }
            }
            let head: String = sql.chars().take(40).collect();
            assert!(took < budget, "{took:?} for {head}… as {}", dialect.name());
        }
    }
    assert_eq!(rule(&" ".repeat(limits() + 1), Dialect::Ansi), Some(Rule::TooLong));
}

fn limits() -> usize {
    text::limits::TEXT
}

fn pieces() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "SELECT ",
        "1",
        " a",
        " FROM ",
        "t",
        " WHERE ",
        "(",
        ")",
        "'",
        "\"",
        "\\",
        ";",
        "--",
        "/*",
        "*/",
        "{",
        "}",
        "{fn ",
        "{d '",
        "?",
        ",",
        ".",
        "*",
        " DELETE ",
        " INTO ",
        " UNION ",
        "\n",
        "é",
        "\u{ff07}",
        "`",
        "[",
        "]",
        "''",
        " AS ",
        "=",
        "count",
        " JOIN ",
        " ON ",
        "N'x'",
        "0x",
        "1e5",
        "$",
        "#",
        "@",
        ":",
        "CASE WHEN ",
        " THEN ",
        " END",
    ];
    proptest::collection::vec(proptest::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_decided_and_what_runs_passes_again(sql in pieces(), dialect in 0..Dialect::ALL.len(), write in any::<bool>()) {
        let dialect = Dialect::ALL[dialect];
        if let Ok(first) = judge(&sql, dialect, write, &BTreeSet::new()) {
            // INVARIANT: what runs is what was judged: the guard itself reads it the same, and it holds no second statement.
            let again = judge(&first.run, dialect, write, &BTreeSet::new());
            prop_assert!(again.is_ok(), "{} became {}", sql, first.run);
            let again = again.unwrap();
            prop_assert_eq!(format!("{:?}", again.found), format!("{:?}", first.found));
            prop_assert_eq!(again.run, first.run);
        }
    }
}

//! Mutated statements: judged and run by a session that must neither panic, hang, change anything nor reveal what is restricted.

use std::{cell::RefCell, time::Duration};

use countersign_sql::RunLimits;
use proptest::prelude::*;

use crate::fixture::{Answer, Fixture, ask, is_restricted};

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "NATURAL JOIN",
    "JOIN",
    "USING",
    "(",
    ")",
    ",",
    "*",
    "users",
    "customers",
    "password_hash",
    "restricted_salaries",
    "amount",
    "login",
    "salary_overview",
    "documents",
    "MATCH",
    "'x'",
    "1",
    "?",
    "AS",
    "WITH",
    "RECURSIVE",
    "UNION ALL",
    "VALUES",
    "IN",
    "EXISTS",
    "ORDER BY",
    "GROUP BY",
    "HAVING",
    "LIMIT",
    "OVER",
    "(SELECT",
    "json_each",
    "count(*)",
    "max(",
    "[users]",
    "`users`",
    "\"users\"",
    ";",
    "--",
    "/*",
    "*/",
    "DELETE",
    "INSERT INTO",
    "PRAGMA",
    "ATTACH",
    "sqlite_master",
    "main.",
    "EXPLAIN",
    "CASE WHEN",
    "THEN",
    "END",
    "CAST(",
    "COLLATE NOCASE",
    "LIKE",
    "||",
    "->>",
    "x'00'",
    "NOT",
    "NULL",
    "tenant_id",
    "é",
    "\u{feff}",
];

const SEEDS: &[&str] = &[
    "SELECT login, email FROM users WHERE tenant_id = 1 ORDER BY login",
    "SELECT c.name, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name",
    "WITH r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT n FROM r",
    "SELECT count(*) FROM users NATURAL JOIN customers",
    "SELECT title FROM documents WHERE documents MATCH 'drop'",
    "SELECT mean FROM salary_overview",
];

fn statements() -> impl Strategy<Value = String> {
    let words =
        proptest::collection::vec(proptest::sample::select(WORDS), 1..20).prop_map(|words| words.join(" "));
    let seed = (
        proptest::sample::select(SEEDS),
        proptest::collection::vec((any::<prop::sample::Index>(), proptest::sample::select(WORDS)), 0..3),
    )
        .prop_map(|(seed, changes)| {
            let mut parts: Vec<&str> = seed.split(' ').collect();
            for (at, word) in changes {
                let at = at.index(parts.len());
                parts[at] = word;
            }
            parts.join(" ")
        });
    prop_oneof![2 => words, 6 => seed, 1 => ".{0,60}"]
}

#[test]
fn mutated_statements_stay_contained() {
    let fixture = Fixture::new();
    let (digest, files) = (fixture.digest(), fixture.files());
    let database = fixture.open();
    let session = RefCell::new(database.session());
    let limits = RunLimits { skip: 0, rows: 50, bytes: 1 << 16, time: Duration::from_millis(200) };
    let answered = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() };
    let result = proptest::test_runner::TestRunner::new(config).run(&statements(), |sql| {
        if let Answer::Rows(collected) = ask(&mut session.borrow_mut(), &sql, &[], limits) {
            answered.set(answered.get() + 1);
            prop_assert!(!collected.rows.iter().flatten().any(is_restricted), "{} leaked", sql);
        }
        Ok(())
    });
    result.unwrap();
    assert!(answered.get() > 50, "the mutations are too wild to mean anything: {}", answered.get());
    assert_eq!((fixture.digest(), fixture.files()), (digest, files));
}

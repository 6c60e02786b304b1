//! Reads that the authorizer alone does not report: each is first shown to reveal something, then found among the facts.

use countersign_sql::{Access, Value};

use crate::fixture::{Answer, Fixture, unguarded};

const MORE: &str = "
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, secret TEXT, hint AS (substr(secret, 1, 2)));
    CREATE TABLE guests (name TEXT, secret TEXT, shout AS (upper(name)) STORED);
    INSERT INTO people(name, secret) VALUES ('ann', 'xyzzy');
    CREATE VIRTUAL TABLE people_index USING fts5(name, secret, content='people', content_rowid='id');
    INSERT INTO people_index(people_index) VALUES ('rebuild');
    CREATE VIRTUAL TABLE words USING fts5vocab('people_index', 'row');
    CREATE VIEW joined AS SELECT users.login FROM users JOIN (SELECT '$2b$12$aaaa' AS password_hash) USING (password_hash);
    CREATE VIEW nested AS SELECT login FROM joined;
    ANALYZE;";

/// (statement, what it must report)
fn oracles() -> Vec<(&'static str, Access)> {
    let hash = || Access::column("users", "password_hash");
    vec![
        ("SELECT login FROM users NATURAL JOIN (SELECT '$2b$12$aaaa' AS password_hash)", hash()),
        ("SELECT 1 FROM users NATURAL JOIN (SELECT '$2b$12$aaaa' AS password_hash)", hash()),
        ("SELECT 1 FROM users JOIN (SELECT '$2b$12$aaaa' AS password_hash) USING (password_hash)", hash()),
        ("SELECT 1 FROM users JOIN (SELECT '$2b$12$aaaa' AS password_hash) USING(\"PASSWORD_HASH\")", hash()),
        ("SELECT 1 FROM [users] natural/**/join (SELECT '$2b$12$aaaa' AS [Password_Hash])", hash()),
        ("SELECT 1 FROM 'users' AS a NATURAL LEFT JOIN (SELECT '$2b$12$aaaa' AS password_hash)", hash()),
        (
            "SELECT 1 FROM restricted_salaries NATURAL JOIN (SELECT 250000 AS amount)",
            Access::table("restricted_salaries"),
        ),
        (
            "SELECT 1 FROM main.restricted_salaries NATURAL JOIN (SELECT 250000.0 AS amount)",
            Access::table("restricted_salaries"),
        ),
        ("SELECT 1 FROM sqlite_master NATURAL JOIN (SELECT 'users' AS name)", Access::table("sqlite_schema")),
        (
            "SELECT 1 FROM sqlite_sequence NATURAL JOIN (SELECT 'events' AS name)",
            Access::table("sqlite_sequence"),
        ),
        ("SELECT login FROM joined", hash()),
        ("SELECT login FROM nested", hash()),
        ("SELECT count(*) FROM nested", hash()),
        ("WITH c AS (SELECT * FROM nested) SELECT 1 FROM c", hash()),
        ("SELECT hint FROM people", Access::column("people", "secret")),
        ("SELECT 1 FROM people WHERE hint = 'xy'", Access::column("people", "secret")),
        (
            "SELECT rowid FROM people_index WHERE people_index MATCH 'xyzzy'",
            Access::column("people", "secret"),
        ),
        (
            "SELECT rowid FROM people_index WHERE people_index MATCH 'xyzzy'",
            Access::column("people_index", "secret"),
        ),
        ("SELECT count(*) FROM people_index('xyzzy')", Access::table("people")),
        ("SELECT term FROM words", Access::column("people", "secret")),
        ("SELECT min(login) FILTER (WHERE password_hash LIKE '$2b%') OVER () FROM users", hash()),
        ("SELECT 1 FROM users WHERE (login, password_hash) > ('ann', '$2a')", hash()),
        ("SELECT 1 FROM customers WHERE 'x' IN (SELECT password_hash FROM users) OR 1", hash()),
        (
            "SELECT amount FROM (SELECT * FROM restricted_salaries)",
            Access::column("restricted_salaries", "amount"),
        ),
        ("SELECT 1 WHERE EXISTS (SELECT n FROM salary_overview)", Access::table("restricted_salaries")),
        ("SELECT sample FROM sqlite_stat4", Access::table("sqlite_stat4")),
        ("SELECT c0 FROM documents_content", Access::table("documents_content")),
        ("SELECT rowid FROM restricted_salaries", Access::column("restricted_salaries", "employee_id")),
        ("SELECT count(*) FROM restricted_salaries", Access::table("restricted_salaries")),
        ("SELECT 1 FROM tenants, restricted_salaries", Access::table("restricted_salaries")),
        ("SELECT group_concat(login ORDER BY password_hash) FROM users", hash()),
        ("SELECT login FROM users GROUP BY substr(password_hash, 1, 8)", hash()),
        ("SELECT sum(total) OVER (ORDER BY (SELECT max(password_hash) FROM users)) FROM orders", hash()),
        ("EXPLAIN QUERY PLAN SELECT * FROM users WHERE password_hash > 'a'", hash()),
        ("EXPLAIN SELECT amount FROM restricted_salaries", Access::table("restricted_salaries")),
        (
            "SELECT * FROM customers ORDER BY (SELECT amount FROM restricted_salaries LIMIT 1)",
            Access::table("restricted_salaries"),
        ),
        ("VALUES ((SELECT api_token FROM users LIMIT 1))", Access::column("users", "api_token")),
        (
            "SELECT 1 LIMIT (SELECT length(api_token) FROM users LIMIT 1)",
            Access::column("users", "api_token"),
        ),
        (
            "WITH RECURSIVE r(x) AS (SELECT api_token FROM users UNION SELECT x FROM r) SELECT count(x) FROM r",
            Access::column("users", "api_token"),
        ),
        (
            "SELECT 1 FROM json_each((SELECT json_group_array(api_token) FROM users))",
            Access::column("users", "api_token"),
        ),
        ("SELECT U.\"Api_Token\" FROM main.USERS AS U", Access::column("users", "api_token")),
    ]
}

#[test]
fn everything_revealed_is_reported() {
    let fixture = Fixture::with(MORE);
    for (sql, expected) in oracles() {
        let connection = unguarded(&fixture.path);
        let works = connection.prepare(sql).and_then(|mut statement| {
            let mut rows = statement.raw_query();
            rows.next().map(|row| row.is_some())
        });
        assert!(works.is_ok(), "not a working statement: {sql}: {works:?}");
        let facts = fixture.facts(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
        assert!(facts.accesses.contains(&expected), "{sql} hides {expected:?}: {:?}", facts.accesses);
        assert!(
            matches!(fixture.ask(sql), Answer::Forbidden(_))
                || expected == Access::table("documents_content")
                || expected == Access::table("people"),
            "{sql}"
        );
    }
}

/// An index with external content reads the table beneath it in statements of its own, which its readers were granted.
#[test]
fn an_index_with_external_content_is_answered() {
    let fixture = Fixture::with(
        "CREATE VIRTUAL TABLE found USING fts5(name, city, content='customers', content_rowid='id');
         INSERT INTO found(found) VALUES ('rebuild');",
    );
    let sql = "SELECT name, highlight(found, 0, '<', '>') FROM found WHERE found MATCH 'zed' ORDER BY rank";
    let rows = fixture.ask(sql).rows();
    assert_eq!(rows, [["Zed Shaw".into(), "<Zed> Shaw".into()].map(Value::Text)]);
    let facts = fixture.facts(sql).unwrap();
    assert!(facts.accesses.contains(&Access::column("customers", "city")));
    assert!(!facts.accesses.contains(&Access::column("customers", "phone")));
}

#[test]
fn a_quoted_quote_hides_no_table() {
    let odd =
        "CREATE TABLE \"odd \"\"name\" (password_hash TEXT); INSERT INTO \"odd \"\"name\" VALUES ('guess');";
    let fixture = Fixture::with(odd);
    let sql = "SELECT 1 FROM \"odd \"\"name\" NATURAL JOIN (SELECT 'guess' AS password_hash)";
    let facts = fixture.facts(sql).unwrap();
    assert!(facts.accesses.contains(&Access::column("odd \"name", "password_hash")));
}

#[test]
fn ordinary_joins_are_not_over_reported() {
    let fixture = Fixture::with(MORE);
    for sql in [
        "SELECT count(*) FROM orders JOIN customers USING (tenant_id)",
        "SELECT name FROM customers NATURAL JOIN tenants",
        "SELECT login FROM users JOIN tenants ON tenants.id = users.tenant_id",
        "SELECT users.login FROM users JOIN customers USING (tenant_id)",
        "WITH c AS (SELECT * FROM customers) SELECT count(*) FROM c",
        "WITH dbstuff AS (SELECT 1) SELECT count(*) FROM dbstuff",
        "SELECT shout FROM guests",
        "SELECT value FROM json_each('[1,2]')",
        "SELECT key, count(*) FROM customers, json_tree(profile) GROUP BY key",
        "SELECT title, snippet(documents, 0, '[', ']', '…', 5), bm25(documents) FROM documents WHERE documents MATCH 'drop' ORDER BY rank",
        "SELECT highlight(documents, 0, '<', '>') FROM documents('drop')",
    ] {
        let answer = fixture.ask(sql);
        assert!(matches!(answer, Answer::Rows(_)), "{sql}: {answer:?}");
    }
}

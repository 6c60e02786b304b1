//! Masked columns of SQLite: which columns a statement only projects, and that a masked one shows nothing; and rows that are passed over.

use std::{collections::BTreeSet, time::Duration};

use countersign_sql::{
    Done, Object, Refusal, RowsDigest, Rule, RunLimits, Truncated, Value, engines::sqlite::Statement,
};

use crate::fixture::{Collected, Fixture, LIMITS};

const MORE: &str = "
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, ssn TEXT, email TEXT);
INSERT INTO people VALUES (1, 'Ann', '111', 'a@x'), (2, 'Bob', '222', 'b@x'), (3, 'Cem', '333', 'c@x');
CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER, ssn TEXT);
INSERT INTO pets VALUES (7, 1, 'p1'), (8, 2, 'p2');
CREATE TABLE keyed (k TEXT PRIMARY KEY, ssn TEXT) WITHOUT ROWID;
CREATE TABLE made (id INTEGER PRIMARY KEY, ssn TEXT, tail TEXT AS (substr(ssn, -1)));
CREATE TABLE odd (\"order by\" TEXT, \"a b\" TEXT, [x\"y] TEXT);
CREATE INDEX by_ssn ON people (ssn);
CREATE VIEW everybody AS SELECT id, name, ssn FROM people;
CREATE VIRTUAL TABLE found USING fts5(ssn, name);
";

fn column(table: &str, column: &str) -> Object {
    Object::Column { table: table.into(), column: column.into() }
}

fn ssn() -> Object {
    column("people", "ssn")
}

fn masked(fixture: &Fixture, sql: &str, masked: &[Object]) -> Result<(Collected, Done), Refusal> {
    let database = fixture.open();
    let mut session = database.session();
    let granted = session.prepare(sql, Duration::from_secs(2))?.accesses;
    let masked: BTreeSet<Object> = masked.iter().cloned().collect();
    let statement = Statement { sql, params: &[], granted: &granted, masked: &masked, limits: LIMITS };
    let mut rows = Collected::default();
    let done = session.run(statement, &mut rows)?;
    Ok((rows, done))
}

#[test]
fn a_column_that_is_only_shown_can_be_masked() {
    let fixture = Fixture::with(MORE);
    for (sql, positions) in [
        ("SELECT ssn FROM people", vec![0]),
        ("SELECT id, ssn, name FROM people WHERE id < 3", vec![1]),
        ("SELECT * FROM people", vec![2]),
        ("SELECT p.*, p.ssn FROM people p ORDER BY p.name", vec![2, 4]),
        (
            "SELECT p.ssn AS number, p.name FROM people AS p WHERE p.name > 'A' ORDER BY p.name LIMIT 2",
            vec![0],
        ),
        ("SELECT (ssn), \"ssn\", [ssn], name FROM people", vec![0, 1, 2]),
        ("SELECT SSN FROM People", vec![0]),
        ("SELECT people.ssn, t.owner FROM people JOIN pets t ON t.owner = people.id", vec![0]),
        ("SELECT ssn, count(*) FROM people", vec![0]),
    ] {
        let facts = fixture.facts(sql).unwrap();
        assert!(facts.projected.contains(&ssn()), "{sql}: {:?}", facts.projected);
        let (rows, done) = masked(&fixture, sql, &[ssn()]).unwrap();
        assert_eq!(done.masked, positions, "{sql}");
        assert!(!rows.rows.is_empty(), "{sql}");
        for row in &rows.rows {
            for (position, value) in row.iter().enumerate() {
                let hidden = positions.contains(&u32::try_from(position).unwrap());
                assert_eq!(hidden, *value == Value::Null, "{sql}: {row:?}");
            }
        }
    }
    let (rows, _) = masked(&fixture, "SELECT name, ssn FROM people", &[]).unwrap();
    assert_eq!(rows.rows[0][1], Value::Text("111".into()));
    assert!(fixture.facts("SELECT ssn FROM keyed").unwrap().projected.contains(&column("keyed", "ssn")));
}

/// Each of these tells something of the value beside showing it.
#[test]
fn a_column_that_is_used_in_any_other_way_is_not_only_shown() {
    let fixture = Fixture::with(MORE);
    for sql in [
        "SELECT upper(ssn) FROM people",
        "SELECT ssn || '' FROM people",
        "SELECT +ssn FROM people",
        "SELECT CAST(ssn AS TEXT) FROM people",
        "SELECT CASE WHEN ssn > '2' THEN 1 END FROM people",
        "SELECT max(ssn), name FROM people",
        "SELECT (SELECT ssn) FROM people",
        "SELECT ssn FROM people WHERE ssn = '111'",
        "SELECT ssn FROM people WHERE people.'ssn' = '111'",
        "SELECT ssn AS s FROM people WHERE s = '111'",
        "SELECT ssn AS \"s t\" FROM people WHERE \"S T\" = '111'",
        "SELECT ssn AS 's' FROM people WHERE [s] > '1'",
        "SELECT ssn s FROM people ORDER BY s",
        "SELECT ssn s FROM people ORDER BY lower(s)",
        "SELECT ssn s FROM people ORDER BY (s) DESC",
        "SELECT ssn FROM people ORDER BY 1",
        "SELECT name, ssn FROM people ORDER BY name, +2",
        "SELECT name, ssn FROM people ORDER BY 0x2",
        "SELECT * FROM people ORDER BY 3",
        "SELECT ssn FROM people ORDER BY ssn",
        "SELECT ssn AS \u{e9}t\u{e9} FROM people ORDER BY [\u{e9}t\u{e9}]",
        "SELECT DISTINCT ssn FROM people",
        "SELECT ssn, count(*) FROM people GROUP BY 1",
        "SELECT ssn s, count(*) FROM people GROUP BY s",
        "SELECT ssn s, count(*) c FROM people GROUP BY id HAVING s > '1'",
        "SELECT ssn FROM people UNION SELECT '111'",
        "SELECT ssn FROM people INTERSECT SELECT '111'",
        "SELECT '111' EXCEPT SELECT ssn FROM people",
        "SELECT s FROM (SELECT ssn AS s FROM people) WHERE s = '111'",
        "SELECT s FROM (SELECT ssn AS s FROM people)",
        "WITH p AS (SELECT ssn AS s FROM people) SELECT s FROM p",
        "SELECT ssn FROM people WHERE id IN (SELECT id FROM people)",
        "SELECT ssn, row_number() OVER (ORDER BY name) FROM people",
        "SELECT ssn, row_number() OVER w FROM people WINDOW w AS (PARTITION BY name)",
        "SELECT people.ssn FROM people JOIN pets USING (ssn)",
        "SELECT people.ssn FROM people NATURAL JOIN pets",
        "SELECT people.ssn FROM people JOIN pets ON pets.ssn = people.ssn",
        "SELECT ssn FROM people WHERE '111' IN people",
        "SELECT ssn FROM people LIMIT (SELECT length(ssn) FROM people)",
        "EXPLAIN SELECT ssn FROM people",
        "EXPLAIN QUERY PLAN SELECT ssn FROM people",
        "SELECT ssn FROM everybody",
        "SELECT people.ssn FROM people, everybody",
        "SELECT people.ssn FROM people, found",
        "SELECT people.ssn, made.id FROM people, made",
        "SELECT ssn FROM people, json_each('[1]')",
        "VALUES ((SELECT ssn FROM people))",
    ] {
        let facts = match fixture.facts(sql) {
            Ok(facts) => facts,
            // What is no statement shows nothing.
            Err(refusal) => {
                assert!(matches!(refusal.rule, Rule::Syntax | Rule::UnknownName), "{sql}: {refusal}");
                continue;
            }
        };
        assert!(!facts.projected.contains(&ssn()), "{sql}");
        let reads = facts.accesses.iter().any(|access| access.object == ssn());
        if reads {
            let refused = masked(&fixture, sql, &[ssn()]).expect_err(sql);
            assert_eq!(refused.rule, Rule::ForbiddenAction, "{sql}: {refused}");
        }
    }
    // What a generated column, a view or a full-text index shows is never masked as something else.
    for (sql, object) in [
        ("SELECT tail FROM made", column("made", "ssn")),
        ("SELECT ssn, tail FROM made", column("made", "ssn")),
        ("SELECT ssn FROM everybody", column("everybody", "ssn")),
        ("SELECT ssn FROM found", column("found", "ssn")),
        ("SELECT \"order by\" AS x FROM odd ORDER BY x", column("odd", "order by")),
    ] {
        assert!(!fixture.facts(sql).unwrap().projected.contains(&object), "{sql}");
    }
    let odd = "SELECT \"order by\", \"a b\" FROM odd ORDER BY \"a b\"";
    let projected = fixture.facts(odd).unwrap().projected;
    assert!(projected.contains(&column("odd", "order by")) && !projected.contains(&column("odd", "a b")));
}

#[test]
fn rows_are_passed_over_and_their_digest_told() {
    let fixture = Fixture::with(MORE);
    let database = fixture.open();
    let mut session = database.session();
    let sql = "SELECT id, name FROM people ORDER BY id";
    let granted = session.prepare(sql, Duration::from_secs(2)).unwrap().accesses;
    let mut page = |skip, rows, bytes| {
        let limits = RunLimits { skip, rows, bytes, ..LIMITS };
        let statement = Statement { sql, params: &[], granted: &granted, masked: &BTreeSet::new(), limits };
        let mut rows = Collected::default();
        let done = session.run(statement, &mut rows).unwrap();
        let ids: Vec<Value> = rows.rows.iter().map(|row| row[0].clone()).collect();
        (ids, rows.columns.len(), done)
    };
    let person = |id, name: &str| [Value::Integer(id), Value::Text(name.into())];
    let one = RowsDigest::default().then(&person(1, "Ann"));
    let two = one.then(&person(2, "Bob"));
    let (ids, _, done) = page(0, 2, 1 << 20);
    assert_eq!((ids.len(), done.truncated, done.skipped), (2, Some(Truncated::Rows), RowsDigest::default()));
    let (ids, _, done) = page(1, 1, 1 << 20);
    assert_eq!((ids, done.truncated, done.skipped), (vec![Value::Integer(2)], Some(Truncated::Rows), one));
    // Rows that are passed over do not count for the bytes.
    let (ids, _, done) = page(2, 2, 16);
    assert_eq!((ids, done.truncated, done.skipped), (vec![Value::Integer(3)], None, two));
    let (ids, width, done) = page(9, 2, 1 << 20);
    assert_eq!((ids.len(), width, done.truncated), (0, 2, None));
    assert_eq!(done.skipped, two.then(&person(3, "Cem")));
}

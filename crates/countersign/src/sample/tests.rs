//! The sample is what the documentation says it is, and the same every time.

use rusqlite::Connection;

use super::*;

fn sample() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.db");
    create(&path).unwrap();
    let database = Connection::open(&path).unwrap();
    (dir, database)
}

fn number(database: &Connection, sql: &str) -> i64 {
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn it_has_a_few_thousand_rows_in_two_tenants() {
    let (_dir, database) = sample();
    let counts: Vec<(&str, i64)> =
        ["customers", "products", "orders", "order_items", "employees", "users", "restricted_salaries"]
            .into_iter()
            .map(|table| (table, number(&database, &format!("SELECT count(*) FROM {table}"))))
            .collect();
    insta::assert_snapshot!(format!("{counts:?}"), @r#"[("customers", 600), ("products", 160), ("orders", 2400), ("order_items", 5923), ("employees", 48), ("users", 48), ("restricted_salaries", 48)]"#);
    for table in ["customers", "orders", "employees", "users"] {
        assert_eq!(number(&database, &format!("SELECT count(DISTINCT tenant) FROM {table}")), 2, "{table}");
    }
    assert_eq!(number(&database, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_eq!(
        number(
            &database,
            "SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.tenant <> o.tenant"
        ),
        0
    );
}

#[test]
fn the_first_question_has_an_interesting_answer() {
    let (_dir, database) = sample();
    let mut statement = database
        .prepare("SELECT name, orders, spent FROM customer_spending ORDER BY spent DESC LIMIT 3")
        .unwrap();
    let top: Vec<(String, i64, f64)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    insta::assert_snapshot!(format!("{top:?}"), @r#"[("Grace Bauer", 16, 16686.8), ("Ivan Kaya", 12, 10865.4), ("Bruno Virtanen", 12, 10543.8)]"#);
    assert!(number(&database, "SELECT count(*) FROM products WHERE price > 100") > 10);
}

#[test]
fn there_is_something_to_steal() {
    let (_dir, database) = sample();
    let hashes =
        "SELECT count(*) FROM users WHERE password_hash LIKE '$2b$12$%' AND length(password_hash) = 60";
    assert_eq!(number(&database, hashes), 48);
    assert_eq!(number(&database, "SELECT count(*) FROM users WHERE api_token LIKE 'shop_%'"), 48);
    assert_eq!(number(&database, "SELECT count(*) FROM payroll WHERE yearly >= 38000"), 48);
}

#[test]
fn it_is_the_same_every_time() {
    let dump = |database: &Connection| {
        let mut text = String::new();
        for table in
            ["customers", "products", "orders", "order_items", "employees", "users", "restricted_salaries"]
        {
            let mut statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                (0..columns)
                    .for_each(|column| text.push_str(&format!("{:?}|", row.get_ref(column).unwrap())));
            }
        }
        text
    };
    let ((_a, first), (_b, second)) = (sample(), sample());
    assert_eq!(dump(&first), dump(&second));
}

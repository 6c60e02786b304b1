//! What is asked for: 1, 100 or 10,000 of the 100,000 customers of a database, by key, each call another part of the table.

use countersign_testbed::{Login, Postgres};
use serde_json::json;

use super::subject::Asked;
use crate::bench::question::Question;
use crate::e2e::http::Era;

pub(super) const ROWS: [usize; 3] = [1, 100, 10_000];
pub(super) const DATABASE: &str = "bench";

const CUSTOMERS: usize = 100_000;
/// Different statements that are asked in turns.
const STATEMENTS: usize = 100;

/// A cluster with the table, and the login that every server uses: it may read the table and nothing else.
pub(super) struct Database {
    pub(super) cluster: Postgres,
    pub(super) login: Login,
}

/// Starts the cluster and fills the table.
pub(super) fn load() -> Database {
    let cluster = Postgres::start();
    // Any login will do that owns nothing here; this one reads tenant 1 of the sample shop.
    let login = cluster.shop("t1");
    cluster.run("postgres", &format!("CREATE DATABASE {DATABASE}"));
    let table = format!(
        "CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, city text NOT NULL,
           status text NOT NULL, balance numeric(12,2) NOT NULL, created_at timestamptz NOT NULL);
         INSERT INTO customers SELECT n, 'Customer ' || lpad(n::text, 6, '0'), 'customer' || n || '@example.test',
           'City ' || n % 500, CASE n % 3 WHEN 0 THEN 'active' WHEN 1 THEN 'new' ELSE 'closed' END, n * 1.37,
           timestamptz '2026-01-01' + n * interval '1 minute' FROM generate_series(1, {CUSTOMERS}) AS n;
         GRANT SELECT ON customers TO {};
         VACUUM ANALYZE customers;",
        login.user
    );
    cluster.run(DATABASE, &table);
    Database { cluster, login }
}

/// Statements for so many rows each, and the name in the last row of each, which the answer must hold.
pub(super) fn question(asked: &Asked, rows: usize) -> Question {
    let list = (0..STATEMENTS)
        .map(|index| {
            let (first, last) = range(index, rows);
            let sql = format!(
                "SELECT id, name, email, city, status, balance, created_at FROM customers WHERE id BETWEEN {first} AND {last} ORDER BY id"
            );
            (json!({ asked.argument: sql }), format!("Customer {last:06}"))
        })
        .collect();
    Question::listed(Era::Session, asked.key.as_deref(), asked.tool, list)
}

/// The keys of part `index` of the table: spread over it, so that no page is asked for twice in a row.
pub(super) fn range(index: usize, rows: usize) -> (usize, usize) {
    let first = index * 7_919 % (CUSTOMERS - rows) + 1;
    (first, first + rows - 1)
}

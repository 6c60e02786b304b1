//! What PostgreSQL's guard costs a statement: parsing, the walk over every field, and looking names up. No server, one thread.
//!
//! `cargo run --release -p countersign-sql --example guard_cost`
#![allow(clippy::print_stdout, reason = "a measuring program prints its figures")]

use std::time::{Duration, Instant};

use countersign_sql::engines::postgres::guard::{
    Catalogue, Column, GuardConfig, Kind, RelationInfo, RelationKey, judge, resolve,
};

const RUN_FOR: Duration = Duration::from_millis(500);

const TABLES: [(&str, &[&str]); 3] = [
    ("customers", &["id", "tenant_id", "name", "email", "city", "status", "created_at"]),
    ("orders", &["id", "tenant_id", "customer_id", "status", "total", "placed_at"]),
    ("products", &["id", "sku", "name", "price"]),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (catalogue, config) = (shop(), GuardConfig::default());
    let list = (0..200).map(|n| format!("'City number {n:03}'")).collect::<Vec<_>>().join(", ");
    let statements = [
        ("one row by its key", "SELECT id, name FROM customers WHERE id = $1".to_owned()),
        (
            "typical: a join, a filter, a group",
            "SELECT c.city, count(*) AS orders, sum(o.total) AS total FROM customers c JOIN orders o ON o.customer_id = c.id \
             WHERE c.status = 'active' AND o.placed_at >= date '2026-01-01' GROUP BY c.city HAVING sum(o.total) > 100 ORDER BY total DESC LIMIT 20"
                .to_owned(),
        ),
        ("a list of 200 values", format!("SELECT id, name, email FROM customers WHERE city IN ({list}) ORDER BY id")),
    ];
    println!("| statement | bytes | guard, median µs | p99 µs |\n|---|---|---|---|");
    for (what, sql) in &statements {
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < RUN_FOR {
            let began = Instant::now();
            let syntax = judge(sql, &config).map_err(|refusal| refusal.message)?;
            let facts = resolve(&syntax, &catalogue, &config).map_err(|refusal| refusal.message)?;
            times.push(began.elapsed());
            assert!(!facts.accesses.is_empty(), "the guard saw no access");
        }
        times.sort_unstable();
        let quantile = |q: usize| times.get(times.len() * q / 100).map_or(0.0, |t| t.as_secs_f64() * 1e6);
        println!("| {what} | {} | {:.1} | {:.1} |", sql.len(), quantile(50), quantile(99));
    }
    Ok(())
}

fn shop() -> Catalogue {
    let relation = |columns: &[&str]| RelationInfo {
        oid: 1,
        kind: Kind::Table,
        columns: columns.iter().map(|name| Column::new(*name, "text")).collect(),
        body: None,
        owner_rights: false,
    };
    Catalogue {
        search_path: vec!["public".to_owned()],
        relations: TABLES
            .iter()
            .map(|(name, columns)| (RelationKey::new("public", *name), relation(columns)))
            .collect(),
        ..Catalogue::default()
    }
}

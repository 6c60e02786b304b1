//! What a judgement costs: printed, and bounded loosely enough for a busy machine.

use std::time::{Duration, Instant};

use countersign_sql::engines::postgres::guard::{judge, resolve};

use super::shop::{catalogue, config};

const TYPICAL: &str = "SELECT c.name, count(*) AS orders, sum(o.total) AS total FROM customers c JOIN orders o ON o.customer_id = c.id \
                       WHERE o.placed_at >= $1 AND c.city = 'Richmond' GROUP BY c.name HAVING sum(o.total) > 100 ORDER BY total DESC LIMIT 20";

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            let started = Instant::now();
            (0..10).for_each(|_| run());
            started.elapsed() / 10
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_typical_statement_is_judged_in_microseconds() {
    let (config, catalogue) = (config(), catalogue());
    let parsed = median(|| assert!(countersign_pg_parser::parse(TYPICAL).is_ok()));
    let judged = median(|| assert!(judge(TYPICAL, &config).is_ok()));
    let syntax = judge(TYPICAL, &config).unwrap();
    let resolved = median(|| assert!(resolve(&syntax, &catalogue, &config).is_ok()));
    println!(
        "{} bytes: judged in {judged:?} (of that, parsed to JSON in {parsed:?}), resolved in {resolved:?}",
        TYPICAL.len()
    );
    assert!(judged < Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 1 }));
}

#[test]
fn a_statement_of_100_kb_is_decided_soon() {
    // The goal of 50 ms is for optimised code on a quiet machine.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 5_000 } else { 50 });
    let config = config();
    let list = vec!["1"; 12_000].join(", ");
    let names: Vec<String> = (0..4_000).map(|number| format!("name AS column_{number}")).collect();
    for text in [
        format!("SELECT name FROM customers WHERE id IN ({list}, {list})"),
        format!("SELECT '{}'", "x".repeat(99_000)),
        format!("SELECT {} FROM customers", names.join(", ")),
        format!("SELECT 1{}", " + 1".repeat(24_000)),
        format!("SELECT {}1{}", "(".repeat(45_000), ")".repeat(45_000)),
        format!("SELECT 1{}", ",1".repeat(49_000)),
        format!("SELECT 1 FROM customers WHERE {}", vec!["id = 1"; 9_000].join(" OR ")),
        format!("SELECT {}", vec!["a.b.c.d.e"; 9_000].join(",")),
        ";".repeat(99_000),
        "SELECT ".repeat(14_000),
    ] {
        let started = Instant::now();
        let judged = judge(&text, &config);
        let took = started.elapsed();
        println!(
            "{:>7} bytes in {took:>9.1?}: {}",
            text.len(),
            judged.map_or_else(|refusal| refusal.rule.code(), |_| "allowed")
        );
        assert!(took < limit, "{text:.60}: {took:?}");
    }
}

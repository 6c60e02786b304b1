//! The SQL corpora on PostgreSQL through the whole server, under the default policy, twice: with the least-privilege login that the
//! corpus's schema makes, and with a superuser, where nothing but the guard, the policy and the read-only transaction is left.

use std::time::{Duration, Instant};

use countersign_testbed::Postgres;
use serde_json::{Value, json};

use crate::world::*;

fn cases(text: &str) -> Vec<Value> {
    let parsed = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.filter(|case| case["engine"] == "postgres").collect()
}

/// Anything of this in an answer is a leak of what the default policy restricts.
const RESTRICTED: [&str; 8] =
    ["250000", "120000", "185000", "$2b$", "tok_live", "password_hash", "api_token", "root:x:0"];

/// A digest of all rows, and the roles and settings that a statement could have changed.
const STATE: &str = "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM (
    SELECT users::text FROM users UNION ALL SELECT customers::text FROM customers UNION ALL SELECT products::text FROM products
    UNION ALL SELECT orders::text FROM orders UNION ALL SELECT events::text FROM events UNION ALL SELECT call_log::text FROM call_log
    UNION ALL SELECT documents::text FROM documents UNION ALL SELECT salaries::text FROM restricted.salaries
    UNION ALL SELECT secrets::text FROM restricted.secrets
    UNION ALL SELECT c.relname FROM pg_class c WHERE c.relnamespace::regnamespace::text IN ('public', 'restricted', 'ext')
    UNION ALL SELECT rolname FROM pg_roles UNION ALL SELECT setconfig::text FROM pg_db_role_setting
    UNION ALL SELECT oid::text FROM pg_largeobject_metadata) AS t";

fn world(cluster: &Postgres, user: &str) -> World {
    let reader = cluster.corpus("app_reader");
    let login = if user == "postgres" { cluster.superuser().clone() } else { reader };
    let extra = format!(
        "[databases.pg]\nurl = \"{}\"\npassword = \"file:pg.password\"\ntimeout = \"1s\"\n",
        cluster.url(&login, "corpus")
    );
    World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        std::fs::write(dir.join("pg.password"), login.password).unwrap();
    })
}

/// Runs every attack as this login; returns those that were answered.
fn attacked(user: &str) -> Vec<String> {
    let cluster = Postgres::start();
    let world = world(&cluster, user);
    let _server = world.serve();
    let before = cluster.run("corpus", STATE);
    let mut client = world.client(&world.ann);
    let attacks = cases(include_str!("../../../../corpora/sql-attacks.jsonl"));
    assert!(attacks.len() >= 150);
    let (mut answered, mut leaks) = (Vec::new(), Vec::new());
    for case in &attacks {
        let id = case["id"].as_str().unwrap();
        let started = Instant::now();
        let result = client.call("query_pg", json!({"query": case["sql"]}));
        assert!(started.elapsed() < Duration::from_millis(1_000 + 600), "{id} took {:?}", started.elapsed());
        let text = result.to_string();
        if result["isError"] != json!(true) {
            answered.push(id.to_owned());
            if let Some(word) = RESTRICTED.iter().find(|word| text.contains(**word)) {
                leaks.push(format!("{id} leaks {word}: {}", case["sql"]));
            }
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
    let alive = client.call("query_pg", json!({"query": "SELECT count(*) FROM customers"}));
    assert_ne!(alive["isError"], true, "refusals come from a server that still works: {alive}");
    assert_eq!(cluster.run("corpus", STATE), before, "an attack changed something");
    assert_eq!(cluster.run("corpus", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
    answered
}

#[test]
fn every_attack_is_refused_or_harmless() {
    let answered = attacked("app_reader");
    assert!(answered.iter().all(|id| HARMLESS.iter().any(|(known, _)| known == id)), "{answered:?}");
}

#[test]
fn the_policy_and_the_guard_hold_for_a_superuser_as_well() {
    let answered = attacked("postgres");
    assert!(answered.iter().all(|id| HARMLESS.iter().any(|(known, _)| known == id)), "{answered:?}");
}

/// Attacks that are answered, and why that is harmless: nothing changes and nothing restricted is in the answer.
const HARMLESS: [(&str, &str); 0] = [];

/// Benign statements that are refused, and by which documented rule.
const REFUSED: [(&str, &str); 2] = [
    ("pg-b132", "policy `engine-tables`: describe_table answers what callers may know of the catalogue"),
    ("pg-b166", "rule `forbidden_setting`: settings of the application's own are not the caller's business"),
];

#[test]
fn everything_benign_is_answered_but_for_documented_rules() {
    let cluster = Postgres::start();
    let world = world(&cluster, "app_reader");
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let mut wrong = Vec::new();
    let benign = cases(include_str!("../../../../corpora/sql-benign.jsonl"));
    assert!(benign.len() >= 80);
    for case in &benign {
        let id = case["id"].as_str().unwrap();
        let result = client.call("query_pg", json!({"query": case["sql"]}));
        let refused = result["isError"] == json!(true);
        if refused != REFUSED.iter().any(|(known, _)| *known == id) {
            wrong.push(format!("{id}: {} -> {}", case["sql"], text_of(&result)));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), benign.len(), wrong.join("\n"));
}

//! The SQL corpora through the whole server, under the default policy.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::*;

fn cases(text: &str) -> Vec<Value> {
    let parsed = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.filter(|case| case["engine"] == "sqlite").collect()
}

/// Anything of this in an answer is a leak of what the default policy restricts.
const RESTRICTED: [&str; 8] =
    ["250000", "120000", "185000", "$2b$", "tok_live", "password_hash", "api_token", "amount"];

/// Attacks that are answered, and why that is harmless: nothing changes and nothing restricted is in the answer.
const HARMLESS: [(&str, &str); 2] = [
    ("sl-a091", "the pattern is short: the match ends at once"),
    ("sl-a100", "the result is cut at the row limit and says so"),
];

/// Benign statements that are refused, and by which documented rule.
const REFUSED: [(&str, &str); 2] = [
    (
        "sl-b068",
        "policy `engine-functions`: what the engine is and how it was built is not the caller's business",
    ),
    ("sl-b069", "rule `forbidden_action`: pragmas are refused; describe_table answers instead"),
];

#[test]
fn every_attack_is_refused_or_harmless() {
    let world = World::new(Shape { shop: "timeout = \"1s\"".into(), ..Shape::default() });
    let _server = world.serve();
    let before = world.database_bytes();
    let attacks = cases(include_str!("../../../../corpora/sql-attacks.jsonl"));
    assert!(attacks.len() >= 50);
    let mut client = world.client(&world.ann);
    for case in &attacks {
        let id = case["id"].as_str().unwrap();
        let started = Instant::now();
        let result = client.query(case["sql"].as_str().unwrap());
        assert!(started.elapsed() < Duration::from_millis(1_000 + 600), "{id} took {:?}", started.elapsed());
        let text = text_of(&result);
        if result["isError"] != json!(true) {
            assert!(
                HARMLESS.iter().any(|(known, _)| *known == id),
                "{id} was answered: {}",
                &text[..text.len().min(300)]
            );
            for word in RESTRICTED {
                assert!(!text.contains(word), "{id} leaks {word}");
            }
        }
        assert_eq!(before, world.database_bytes(), "{id} changed the database");
    }
    assert!(!std::path::Path::new("/tmp/attack").exists());
}

#[test]
fn attacks_in_the_corpus_do_harm_without_countersign() {
    let dir = tempfile::tempdir().unwrap();
    let mut harmful = 0;
    for case in cases(include_str!("../../../../corpora/sql-attacks.jsonl")) {
        if case["effect"] == "dos"
            || case["needs"] != "any"
            || case["sql"].as_str().unwrap().contains("/tmp/")
        {
            continue;
        }
        let path = dir.path().join(case["id"].as_str().unwrap());
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(include_str!("../../../../corpora/schema_sqlite.sql")).unwrap();
        harmful += usize::from(connection.execute_batch(case["sql"].as_str().unwrap()).is_ok());
    }
    assert!(harmful >= 30, "only {harmful} attacks run unguarded");
}

#[test]
fn everything_benign_is_answered_but_for_documented_rules() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    for case in cases(include_str!("../../../../corpora/sql-benign.jsonl")) {
        let id = case["id"].as_str().unwrap();
        let result = client.query(case["sql"].as_str().unwrap());
        let refused = result["isError"] == json!(true);
        assert_eq!(refused, REFUSED.iter().any(|(known, _)| *known == id), "{id}: {}", text_of(&result));
    }
}

#[test]
fn the_classic_strings_do_nothing_as_values_and_as_queries() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    let before = world.database_bytes();
    let mut client = world.client(&world.ann);
    for classic in ["admin' OR '1'='1", "'; DROP TABLE users; --", "admin' UNION SELECT * FROM passwords--"] {
        let as_value = client.call(
            "query_shop",
            json!({"query": "SELECT id, login FROM users WHERE login = ?", "params": [classic]}),
        );
        assert_eq!(as_value["structuredContent"]["row_count"], 0, "{as_value}");
        let as_query = client.query(classic);
        assert_eq!(as_query["isError"], true, "{as_query}");
        let spliced = client.query(&format!("SELECT id FROM users WHERE login = '{classic}'"));
        let text = text_of(&spliced);
        assert!(RESTRICTED.iter().all(|word| !text.contains(word)), "{text}");
    }
    assert_eq!(before, world.database_bytes());
}

#[test]
fn metadata_tools_and_resources_show_only_what_may_be_read() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let tables = text_of(&client.call("list_tables", json!({"database": "shop"})));
    assert!(tables.contains("customers") && !tables.contains("restricted_salaries"), "{tables}");
    let users = text_of(&client.call("describe_table", json!({"database": "shop", "table": "USERS"})));
    assert!(
        users.contains("login") && !users.contains("password_hash") && !users.contains("api_token"),
        "{users}"
    );
    let hidden = client.call("describe_table", json!({"database": "shop", "table": "restricted_salaries"}));
    assert_eq!(hidden["isError"], true);
    let answer = client.modern("resources/read", json!({"uri": "schema://shop"})).json();
    let resource = answer["result"]["contents"][0]["text"].as_str().unwrap().to_owned();
    assert!(resource.contains("customers") && !resource.contains("restricted_salaries"), "{resource}");
    let answer = client.modern("resources/read", json!({"uri": "schema://shop/users"})).json();
    let resource = answer["result"]["contents"][0]["text"].as_str().unwrap().to_owned();
    assert!(resource.contains("login") && !resource.contains("password_hash"), "{resource}");
}

#[test]
fn a_statement_over_ten_thousand_characters_is_refused() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let fits = format!("SELECT 1 --{}", "x".repeat(9_989));
    assert_eq!(fits.len(), 10_000);
    assert_ne!(client.query(&fits)["isError"], true);
    let refused = text_of(&client.query(&format!("{fits}x")));
    assert!(refused.contains("/query") && refused.contains("at most 10000 characters"), "{refused}");
}

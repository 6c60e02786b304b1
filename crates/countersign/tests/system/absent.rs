//! A catalog whose database is down: the server starts, everything else works, and the entries do as soon as the database answers.

use std::time::{Duration, Instant};

use countersign_testbed::Postgres;
use serde_json::json;

use crate::world::*;

const CATALOG: &str = r#"
[query.pg_total]
description = "How many customers PostgreSQL has"
database = "pg"
sql = "SELECT count(*) AS total FROM customers"
expose = true
result = { key = "total", rows = "value" }

[query.pg_names]
description = "Customers by id"
database = "pg"
sql = "SELECT name FROM customers WHERE id = :id"
[query.pg_names.params.id]
type = "integer"

[query.pg_nothing]
description = "What is not there"
database = "pg"
sql = "SELECT id FROM no_such_table"
expose = true

[query.shop_total]
description = "How many customers SQLite has"
database = "shop"
sql = "SELECT count(*) AS total FROM customers"

[entity.buyers]
database = "pg"
table = "customers"
description = "Who buys"
"#;

#[test]
fn a_database_that_is_down_keeps_nothing_from_starting_and_its_queries_wait() {
    let cluster = Postgres::start();
    let login = cluster.shop("t1");
    let extra = format!(
        "[databases.pg]\nurl = \"postgres://{}@127.0.0.1:{}/shop\"\npassword = \"file:t1.password\"\n",
        login.user,
        cluster.port()
    );
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        std::fs::write(dir.join("t1.password"), &login.password).unwrap();
        std::fs::create_dir(dir.join("catalog")).unwrap();
        std::fs::write(dir.join("catalog/all.toml"), CATALOG).unwrap();
    });
    // A policy may name what waits.
    let named = "@id(\"not-eve\") forbid (principal, action == Action::\"pg_total\", resource) when { principal.subject == \"eve\" };\n";
    std::fs::write(world.dir.path().join("policies/named.cedar"), named).unwrap();
    cluster.stop();
    assert_eq!(world.try_command(&["catalog", "check"]).status.code(), Some(3), "a check is strict");

    let _server = world.serve();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let log = std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
        if log.contains("until their database answers") && log.contains("pg_total (database pg)") {
            break;
        }
        assert!(Instant::now() < deadline, "{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut ann = world.client(&world.ann);
    for refused in [
        ann.call("pg_total", json!({})),
        ann.call("run_catalog_query", json!({"name": "pg_names", "params": {"id": 3}})),
        ann.call("count_entities", json!({"entity": "buyers"})),
    ] {
        assert!(text_of(&refused).contains("the database is unavailable"), "{refused}");
    }
    let listed = ann.call("list_catalog", json!({})).to_string();
    assert!(listed.contains("shop_total") && !listed.contains("pg_names"), "{listed}");
    assert_ne!(ann.call("run_catalog_query", json!({"name": "shop_total"}))["isError"], true);

    cluster.restart();
    let deadline = Instant::now() + Duration::from_secs(40);
    let total = loop {
        let answer = ann.call("pg_total", json!({}));
        if answer["isError"] != true {
            break answer["structuredContent"]["total"].clone();
        }
        assert!(Instant::now() < deadline, "{answer}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(ann.call("count_entities", json!({"entity": "buyers"}))["structuredContent"]["total"], total);
    let named = ann.call("run_catalog_query", json!({"name": "pg_names", "params": {"id": 3}}));
    assert_eq!(named["structuredContent"]["row_count"], 1, "{named}");
    assert!(ann.call("list_catalog", json!({})).to_string().contains("pg_names"));
    let nothing = ann.call("pg_nothing", json!({}));
    assert!(
        text_of(&nothing).contains("the database is unavailable"),
        "what it refuses stays refused: {nothing}"
    );
}

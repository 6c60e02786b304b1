//! Two principals in two tenants: databases, sessions and requests stay apart; secrets and keys stay inside.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::*;

#[test]
fn a_tenants_database_is_unknown_to_another_tenant() {
    let extra = "[databases.ledger]\nurl = \"sqlite:ledger.db\"\ntenant = \"acme\"";
    let world = World::new_with(Shape { extra: extra.into(), ..Shape::default() }, |dir| {
        let database = rusqlite::Connection::open(dir.join("ledger.db")).unwrap();
        database
            .execute_batch("CREATE TABLE plans(name TEXT); INSERT INTO plans VALUES ('acme plan')")
            .unwrap();
    });
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let mut bob = world.client(&world.bob);
    let query = json!({"name": "query_ledger", "arguments": {"query": "SELECT name FROM plans"}});
    assert!(ann.modern("tools/call", query.clone()).body.contains("acme plan"));
    let refused = bob.modern("tools/call", query).json();
    let unknown =
        bob.modern("tools/call", json!({"name": "query_nothing", "arguments": {"query": "SELECT 1"}})).json();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert_eq!(refused["error"]["code"], unknown["error"]["code"]);
    let listed = bob.modern("tools/list", json!({})).body;
    assert!(listed.contains("query_shop") && !listed.contains("query_ledger"), "{listed}");
    let tables = text_of(&bob.call("list_tables", json!({"database": "ledger"})));
    assert!(!tables.contains("plans"), "{tables}");
    let described = text_of(&bob.call("describe_table", json!({"database": "ledger", "table": "plans"})));
    assert!(!described.contains("\"name\":\"name\""), "{described}");
    let explained =
        bob.call("explain_query", json!({"database": "ledger", "query": "SELECT name FROM plans"}));
    assert!(explained.to_string().contains("must name a configured database"), "{explained}");
    let resources = bob.modern("resources/list", json!({})).body;
    assert!(!resources.contains("schema://ledger"), "{resources}");
    assert!(!listed.contains("ledger"), "{listed}");
}

#[test]
fn no_key_wrong_key_and_a_key_in_the_query_string_are_refused_before_the_body() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    for key in ["", "wrong", "cs_0000000000000000000000000000000000000000000000000000"] {
        let answer = world.client(key).modern("tools/list", json!({}));
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.header("www-authenticate").is_some());
    }
    let key = world.bob.clone();
    let revoked = world.command(&["token", "key", "list", "--json"]);
    let list: Value = serde_json::from_str(&revoked).unwrap();
    let keys = list.as_array().unwrap();
    let id = keys.iter().find(|k| k["subject"] == "bob").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(world.client(&key).modern("tools/list", json!({})).status, 200);
    world.command(&["token", "key", "revoke", &id]);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(world.client(&key).modern("tools/list", json!({})).status, 401, "a revoked key still works");
}

#[test]
fn known_secrets_are_redacted_in_every_form() {
    let secret = "sk-prod-31415926535897";
    let encoded = "c2stcHJvZC0zMTQxNTkyNjUzNTg5Nw==";
    let extra = "[redact.secrets]\nPAYMENT = \"file:payment.key\"";
    let world = World::new_with(Shape { extra: extra.into(), ..Shape::default() }, |dir| {
        std::fs::write(dir.join("payment.key"), secret).unwrap();
    });
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    for sql in [
        format!("SELECT '{secret}'"),
        format!("SELECT '{encoded}'"),
        format!("SELECT hex('{secret}')"),
        format!("SELECT 1 AS \"{secret}\""),
        format!("SELECT * FROM \"{secret}\""),
    ] {
        let result = client.query(&sql);
        let text = result.to_string();
        assert!(
            !text.contains(secret)
                && !text.contains(encoded)
                && !text.to_lowercase().contains("736b2d70726f64"),
            "{text}"
        );
    }
    let log = world.command(&["audit", "search", "--json", "-n", "1000"]);
    assert!(!log.contains(secret) && !log.contains(encoded));
    let shown = std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
    assert!(!shown.contains(secret) && !shown.contains("SELECT"), "{shown}");
}

/// What a server opened with a secret goes on with it after the secret was replaced.
#[test]
fn a_secret_that_was_replaced_stays_one() {
    let (former, new) = ("sk-prod-31415926535897", "sk-prod-27182818284590");
    let extra = "[redact.secrets]\nPAYMENT = \"file:payment.key\"";
    let world = World::new_with(Shape { extra: extra.into(), ..Shape::default() }, |dir| {
        std::fs::write(dir.join("payment.key"), former).unwrap();
    });
    let server = world.serve();
    let mut client = world.client(&world.ann);
    let shown = |client: &mut Client, secret: &str| {
        client.query(&format!("SELECT 'a' || '{secret}' AS told")).to_string().contains(secret)
    };
    assert!(!shown(&mut client, former) && shown(&mut client, new));
    std::fs::write(world.dir.path().join("payment.key"), new).unwrap();
    server.signal("-HUP");
    let started = Instant::now();
    while shown(&mut client, new) {
        assert!(started.elapsed() < Duration::from_secs(30), "the new secret is not known");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!shown(&mut client, former));
}

#[test]
fn a_respawned_stdio_process_goes_on_with_the_same_limits() {
    let world = World::new(Shape::default());
    let config = std::fs::read_to_string(world.config()).unwrap();
    let slow = config.replace(
        "[limits.tool]\nper_minute = 6000000\nburst = 100000",
        "[limits.tool]\nper_minute = 6\nburst = 3",
    );
    assert_ne!(config, slow);
    std::fs::write(world.config(), slow).unwrap();
    let mut first = world.stdio();
    for _ in 0..3 {
        assert_ne!(first.query("SELECT 1").unwrap()["isError"], true);
    }
    drop(first);
    let mut second = world.stdio();
    let refused = text_of(&second.query("SELECT 1").unwrap());
    assert!(refused.contains("limit reached; retry after"), "{refused}");
}

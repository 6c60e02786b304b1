//! Policies on a running server: a reload is recorded, a bad one changes nothing, and each decision can be explained afterwards.

use std::time::Duration;

use serde_json::json;

use crate::world::*;

#[test]
fn a_reload_changes_decisions_and_a_bad_one_keeps_the_last_good_set() {
    let world = World::new(Shape::default());
    let server = world.serve();
    let mut client = world.client(&world.ann);
    let sql = "SELECT name FROM products";
    assert_ne!(client.query(sql)["isError"], true);

    let extra = world.dir.path().join("policies/extra.cedar");
    let forbid = "@id(\"no-products\")\nforbid(principal, action == Action::\"read\", resource is Table)\nwhen { resource.name == \"products\" };\n";
    std::fs::write(&extra, forbid).unwrap();
    server.signal("-HUP");
    std::thread::sleep(Duration::from_millis(500));
    let refused = text_of(&client.query(sql));
    assert!(refused.contains("table shop.products") && refused.contains("no-products"), "{refused}");

    std::fs::write(&extra, "permit(principal, action, resource").unwrap();
    server.signal("-HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(text_of(&client.query(sql)).contains("no-products"), "a bad reload loosened the policy");

    let log = world.command(&["audit", "search", "--json", "--decision", "event", "-n", "1000"]);
    assert!(log.contains("policy-reload") && log.contains("policy-rejected"), "{log}");
}

#[test]
fn a_refusal_can_be_explained_by_its_id() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    let result = world.client(&world.ann).query("SELECT amount FROM restricted_salaries");
    assert_eq!(result["isError"], true);
    let call = result["_meta"]["countersign/call"].as_str().unwrap();
    let why = world.command(&["why", call]);
    assert!(why.contains("restricted_salaries") && why.contains("restricted-tables"), "{why}");
}

#[test]
fn tools_that_no_policy_permits_are_neither_listed_nor_known() {
    let world = World::new(Shape::default());
    std::fs::write(world.dir.path().join("policies/default.cedar"), "").unwrap();
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let listed = client.modern("tools/list", json!({})).json();
    assert_eq!(listed["result"]["tools"], json!([]), "{listed}");
    let refused =
        client.modern("tools/call", json!({"name": "query_shop", "arguments": {"query": "SELECT 1"}})).json();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
}

//! Claims that the operator makes of a key's holder or of the local user, and the catalog parameters that are bound to them.

use serde_json::{Value, json};

use crate::world::*;

const CATALOG: &str = r#"
[query.my_branch]
description = "Customers of the caller's own state"
database = "shop"
sql = "SELECT id, name FROM customers WHERE state = :state ORDER BY id"
expose = true
[query.my_branch.params.state]
type = "string"
pattern = "^[A-Z]{2}$"
bind = "claim:state"
"#;

fn world() -> World {
    let extra = "[identity.local.claims]\nstate = \"NV\"".to_owned();
    World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        std::fs::create_dir(dir.join("catalog")).unwrap();
        std::fs::write(dir.join("catalog/shop.toml"), CATALOG).unwrap();
    })
}

fn create(world: &World, claims: &[&str]) -> std::process::Output {
    let mut args =
        vec!["token", "key", "create", "--for", "carol", "--tenant", "acme", "--role", "operator", "--json"];
    claims.iter().for_each(|claim| args.extend(["--claim", claim]));
    world.try_command(&args)
}

fn key(world: &World, claims: &[&str]) -> Value {
    let made = create(world, claims);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    serde_json::from_slice(&made.stdout).unwrap()
}

fn states(answer: &Value) -> usize {
    assert_ne!(answer["isError"], true, "{answer}");
    answer["structuredContent"]["rows"].as_array().unwrap().len()
}

#[test]
fn rows_are_those_of_the_claim_that_the_operator_made() {
    let world = world();
    let made = key(&world, &["state=VA", "team=blue"]);
    let odd = key(&world, &["state=' OR 1=1 --"]);
    let _server = world.serve();
    assert_eq!(made["claims"], json!({"state": "VA", "team": "blue"}));
    let mut carol = world.client(made["key"].as_str().unwrap());
    let answer = carol.call("my_branch", json!({}));
    assert_eq!(answer["structuredContent"]["rows"][0][1], "Zed Shaw", "{answer}");
    // The attack: saying what one's claim is.
    assert_eq!(carol.call("my_branch", json!({"state": "NV"}))["isError"], true);
    // The local user's claim is another; `ann` has none, and one that breaks the parameter's rule is as none.
    let local = world.stdio().request("tools/call", json!({"name": "my_branch", "arguments": {}})).unwrap();
    assert_ne!(states(&local["result"]), 0);
    assert_ne!(local["result"]["structuredContent"]["rows"], answer["structuredContent"]["rows"]);
    let refused = world.client(&world.ann).call("my_branch", json!({}));
    assert_eq!(refused["isError"], true, "{refused}");
    assert_eq!(world.client(odd["key"].as_str().unwrap()).call("my_branch", json!({}))["isError"], true);
}

#[test]
fn a_renewed_key_keeps_its_claims_and_bad_ones_are_refused() {
    let world = world();
    let made = key(&world, &["state=VA"]);
    let renewed = world.command(&["token", "key", "renew", made["id"].as_str().unwrap(), "--json"]);
    let renewed: Value = serde_json::from_str(&renewed).unwrap();
    assert_eq!(renewed["claims"], json!({"state": "VA"}));
    for bad in ["state", "=VA", "state=", "a b=VA", "state=a\nb"] {
        let refused = create(&world, &[bad]);
        assert_eq!(refused.status.code(), Some(2), "{bad}");
    }
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), config.replace("state = \"NV\"", "state = 7")).unwrap();
    let refused = world.try_command(&["config", "check"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("`identity.local.claims.state` must be text"), "{said}");
}

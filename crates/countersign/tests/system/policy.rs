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
    let until = |expected: &str| {
        let (log, started) = (world.dir.path().join("serve.log"), std::time::Instant::now());
        while !std::fs::read_to_string(&log).unwrap().contains(expected) {
            assert!(started.elapsed() < Duration::from_secs(20), "no {expected}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    server.signal("-HUP");
    until("policy-reload");
    let mut client = world.client(&world.ann);
    let refused = text_of(&client.query(sql));
    assert!(refused.contains("table shop.products") && refused.contains("no-products"), "{refused}");

    std::fs::write(&extra, "permit(principal, action, resource").unwrap();
    server.signal("-HUP");
    until("policy-rejected");
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

/// A file of the installation.
fn write(world: &World, name: &str, text: &str) {
    std::fs::write(world.dir.path().join(name), text).unwrap();
}

const OPEN: &str = "@id(\"open\")\npermit (principal in Role::\"stranger\", action, resource);\n";

#[test]
fn a_start_with_looser_policies_waits_for_the_operator() {
    let world = World::new(Shape::default());
    // The first start takes the policies as they are; the next one with the same, too.
    world.serve().stop();
    write(&world, "policies/open.cedar", OPEN);
    let checked = world.command(&["policy", "check"]);
    assert!(
        checked.contains("loosens: `user/open/open` permits") && checked.contains("policy accept"),
        "{checked}"
    );
    let refused = world.try_command(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("nobody has confirmed them"), "{said}");

    // A reload waits alike, and is let in once exactly this digest is confirmed.
    std::fs::remove_file(world.dir.path().join("policies/open.cedar")).unwrap();
    let server = world.serve();
    let log = || std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
    let hangup = |expected: &str| {
        server.signal("-HUP");
        let started = std::time::Instant::now();
        while !log().contains(expected) {
            assert!(started.elapsed() < Duration::from_secs(20), "{expected}: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    write(&world, "policies/open.cedar", OPEN);
    hangup("policy-held");
    assert!(!world.try_command(&["policy", "accept", "00"]).status.success(), "another digest is confirmed");
    world.accept();
    hangup("policy-reload");
    let events = world.command(&["audit", "search", "--json", "--decision", "event", "-n", "1000"]);
    assert!(events.contains("policy-held") && events.contains("policy-confirmed"), "{events}");
    server.stop();
    // What was let in is what the next start compares with.
    world.serve().stop();
}

#[test]
fn what_was_confirmed_once_and_tightened_since_needs_a_new_word() {
    let world = World::new(Shape::default());
    let server = world.serve();
    let log = || std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
    let hangup = |expected: &str, times: usize| {
        server.signal("-HUP");
        let started = std::time::Instant::now();
        while log().matches(expected).count() < times {
            assert!(started.elapsed() < Duration::from_secs(20), "{expected}: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    write(&world, "policies/open.cedar", OPEN);
    world.accept();
    hangup("policy-reload", 1);
    hangup("policy-unchanged", 1);
    // Tightening needs nobody. What it took away does not come back by itself: at a reload, and at a start.
    std::fs::remove_file(world.dir.path().join("policies/open.cedar")).unwrap();
    hangup("policy-reload", 2);
    write(&world, "policies/open.cedar", OPEN);
    hangup("policy-held", 1);
    server.stop();
    let refused = world.try_command(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("nobody has confirmed them"), "{said}");
    world.accept();
    world.serve().stop();
}

#[test]
fn expected_decisions_are_a_table() {
    let world = World::new(Shape::default());
    let cases = r#"[principals.ann]
tenant = "acme"
roles = ["reader"]

[[case]]
as = "ann"
tool = "query_shop"
arguments = { query = "SELECT amount FROM restricted_salaries" }
expect = "deny"
by = "user/default/restricted-tables"

[[case]]
as = "ann"
tool = "query_shop"
arguments = { query = "DROP TABLE products" }
expect = "refused"

[[case]]
as = "ann"
tool = "query_shop"
arguments = { query = "SELECT name FROM products" }
expect = "allow"
"#;
    write(&world, "good.toml", cases);
    let file = |name: &str| world.dir.path().join(name).display().to_string();
    assert!(
        world.command(&["policy", "test", &file("good.toml")]).contains("3 cases are decided as expected")
    );
    write(&world, "bad.toml", &cases.replace("\"allow\"", "\"deny\""));
    let differs = world.try_command(&["policy", "test", &file("bad.toml")]);
    let said = String::from_utf8_lossy(&differs.stdout).into_owned();
    assert_eq!(differs.status.code(), Some(1), "{said}");
    let case = format!("{}:19: query_shop as ann expected deny, decided allow", file("bad.toml"));
    assert!(said.contains(&case) && said.contains("by user/default/read-tables (default.cedar:"), "{said}");
    write(&world, "empty.toml", "");
    let empty = world.try_command(&["policy", "test", &file("empty.toml")]);
    assert_eq!(empty.status.code(), Some(3), "a file without a case passes");
    write(&world, "misspelt.toml", &cases.replace("query_shop", "query_shopp"));
    let misspelt = world.try_command(&["policy", "test", &file("misspelt.toml")]);
    let said = String::from_utf8_lossy(&misspelt.stderr).into_owned();
    assert!(said.contains("misspelt.toml:6: no tool is named `query_shopp`"), "{said}");
    assert!(said.contains("did you mean `query_shop`?"), "{said}");
}

#[test]
fn recorded_calls_are_decided_again_and_observed_policies_leave_their_mark() {
    let settings = "[policy]\ndir = \"policies\"\nobserve = \"observed\"\n".to_owned();
    let world = World::new_with(Shape { extra: settings, ..Shape::default() }, |dir| {
        std::fs::create_dir(dir.join("observed")).unwrap();
        for (name, text) in countersign_policy::DEFAULT_POLICIES {
            std::fs::write(dir.join("observed").join(name), text).unwrap();
        }
        let forbid = "@id(\"none\") forbid (principal, action == Action::\"read\", resource is Table) when { resource.name == \"products\" };";
        std::fs::write(dir.join("observed/none.cedar"), forbid).unwrap();
    });
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    assert_ne!(ann.query("SELECT name FROM products")["isError"], true, "what is only observed decides");
    assert_eq!(ann.query("SELECT amount FROM restricted_salaries")["isError"], true);
    server.stop();

    let said = world.try_command(&["policy", "observed", "--json"]);
    let observed: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(1), "{observed}");
    assert_eq!(observed["differences"].as_array().unwrap().len(), 1, "{observed}");
    assert_eq!(observed["differences"][0]["would"], "deny");
    assert_eq!(observed["differences"][0]["policies"], json!(["user/none/none"]));

    let dir = world.dir.path().join("observed").display().to_string();
    let said = world.try_command(&["policy", "replay", "--policies", &dir, "--json"]);
    let replayed: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(replayed["changes"][0]["change"], "newly denied", "{replayed}");
    assert_eq!(replayed["changes"][0]["policies"], json!(["user/none/none"]));
    assert_eq!(replayed["same"], 1, "{replayed}");
}

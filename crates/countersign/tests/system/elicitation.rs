//! Low-impact writes that the caller's own person confirms through the client, in both eras; and everything that is not confirmed that way.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::*;

const SCHEMA: &str = "
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, credit INTEGER);
INSERT INTO customers VALUES (1, 'Ann', 5), (2, 'Bob', 7), (3, 'Cem', 9);
";

const CATALOG: &str = r#"
[query.set_credit]
description = "Sets the credit of a customer"
database = "shop"
sql = "UPDATE customers SET credit = :credit WHERE id = :id"
write = true
power = "write-low"
expose = true
[query.set_credit.params.id]
type = "integer"
[query.set_credit.params.credit]
type = "integer"

[query.raise_from]
description = "Raises the credit of customers that have some"
database = "shop"
sql = "UPDATE customers SET credit = credit + 1 WHERE credit > :above"
write = true
power = "write-low"
expose = true
[query.raise_from.params.above]
type = "integer"

[query.drop_customer]
description = "Removes a customer"
database = "shop"
sql = "DELETE FROM customers WHERE id = :id"
write = true
expose = true
[query.drop_customer.params.id]
type = "integer"
"#;

const POLICIES: &str = r#"
@id("operators-write")
permit (principal in Role::"operator", action in [Action::"set_credit", Action::"raise_from", Action::"drop_customer"], resource);
@id("operators-write-tables")
permit (principal in Role::"operator", action == Action::"write", resource is Table);
@id("operators-write-columns")
permit (principal in Role::"operator", action == Action::"write", resource is Column);
@id("many-rows-need-two")
forbid (principal, action == Action::"raise_from", resource)
when { context has affected && context.affected > 2 && context.approvals < 2 };
"#;

fn world(elicitation: &str) -> World {
    let shape = Shape {
        schema: SCHEMA.into(),
        shop: "timeout = \"2s\"\nallow_writes = true".into(),
        extra: elicitation.into(),
        ..Shape::default()
    };
    let world = World::new_with(shape, |dir| {
        std::fs::create_dir(dir.join("catalog")).unwrap();
        std::fs::write(dir.join("catalog/shop.toml"), CATALOG).unwrap();
    });
    std::fs::write(world.dir.path().join("policies/writes.cedar"), POLICIES).unwrap();
    world
}

const ON: &str = "[approval]\nelicitation = true";

/// A stateless client whose program can ask its person.
fn client(world: &World) -> Client {
    let mut client = world.client(&world.ann);
    client.capabilities = json!({"elicitation": {}});
    client
}

fn stdio(world: &World) -> StdioClient {
    StdioClient::start_with(&world.config(), json!({"elicitation": {}}))
}

fn credits(world: &World) -> Vec<i64> {
    let database = rusqlite::Connection::open(world.dir.path().join("shop.db")).unwrap();
    let mut statement = database.prepare("SELECT credit FROM customers ORDER BY id").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn yes() -> Value {
    json!({"action": "accept", "content": {"confirm": true}})
}

/// The one question of a stateless result: its key, its message, and the state to come back with.
fn question(result: &Value) -> (String, String, String) {
    assert_eq!(result["resultType"], "input_required", "{result}");
    let (key, request) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(request["method"], "elicitation/create");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (key.clone(), text(&request["params"]["message"]), text(&result["requestState"]))
}

fn again(client: &mut Client, tool: &str, arguments: &Value, key: &str, state: &str, answer: Value) -> Value {
    let params =
        json!({"name": tool, "arguments": arguments, "requestState": state, "inputResponses": {key: answer}});
    client.modern("tools/call", params).json()["result"].clone()
}

/// Sends a call over stdio, and answers the question that comes back.
fn ask_stdio(
    client: &mut StdioClient,
    tool: &str,
    arguments: Value,
    answer: impl FnOnce(&Value) -> Value,
) -> Value {
    let id = client.send("tools/call", json!({"name": tool, "arguments": arguments})).unwrap();
    let question = client.read().unwrap();
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let answer = answer(&question["params"]);
    client.write(&json!({"jsonrpc": "2.0", "id": question["id"], "result": answer})).unwrap();
    let reply = client.read().unwrap();
    assert_eq!(reply["id"], json!(id), "{reply}");
    reply["result"].clone()
}

#[test]
fn a_low_write_is_confirmed_by_its_requester_once_in_rounds() {
    let world = world(ON);
    let _server = world.serve();
    let mut ann = client(&world);
    let arguments = json!({"id": 2, "credit": 70});
    let asked = ann.call("set_credit", arguments.clone());
    let (key, message, state) = question(&asked);
    for shown in
        ["`set_credit`", "  | credit: 70", "Tried out: 1 change", "write column shop.customers.credit"]
    {
        assert!(message.contains(shown), "{shown}: {message}");
    }
    assert_eq!(credits(&world), [5, 7, 9]);
    assert_eq!(affected(&again(&mut ann, "set_credit", &arguments, &key, &state, yes())), 1);
    assert_eq!(credits(&world), [5, 70, 9]);
    // The same yes again, and for other arguments.
    let replayed = again(&mut ann, "set_credit", &arguments, &key, &state, yes());
    assert_ne!(question(&replayed).0, key, "a further call needs a further yes");
    let other = json!({"id": 3, "credit": 70});
    let (other_key, _, other_state) = question(&ann.call("set_credit", other.clone()));
    let foreign = again(&mut ann, "set_credit", &other, &key, &other_state, yes());
    assert_eq!(question(&foreign).0, other_key, "an answer to another question");
    assert_eq!(credits(&world), [5, 70, 9]);

    let record = world.command(&["audit", "tail", "--json", "-n", "1000"]);
    let entries: Vec<Value> = record.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let intent = entries.iter().find(|e| e["kind"] == "intent" && e["effect"] == "write").unwrap();
    assert_eq!(intent["approval"]["id"], key.as_str());
    assert_eq!(intent["approval"]["confirmed"], json!({"by": "ann", "through": "elicitation"}));
    assert!(intent["approval"]["approvers"].is_null(), "nobody signed");
    let shown = world.command(&["approvals", "show", &key]);
    assert!(shown.contains("by ann, the requester, through the client"), "{shown}");
}

#[test]
fn a_low_write_is_confirmed_by_its_requester_in_mid_call() {
    let world = world(ON);
    let mut client = stdio(&world);
    let result = ask_stdio(&mut client, "set_credit", json!({"id": 1, "credit": 50}), |params| {
        assert!(params["message"].as_str().unwrap().contains("Tried out: 1 change"), "{params}");
        assert_eq!(params["requestedSchema"]["properties"]["confirm"]["default"], false);
        yes()
    });
    assert_eq!(affected(&result), 1);
    assert_eq!(credits(&world), [50, 7, 9]);
    // What was shown must still hold when it runs.
    let result = ask_stdio(&mut client, "raise_from", json!({"above": 8}), |params| {
        assert!(params["message"].as_str().unwrap().contains("Tried out: 2 changes"), "{params}");
        let database = rusqlite::Connection::open(world.dir.path().join("shop.db")).unwrap();
        database.execute("UPDATE customers SET credit = 8 WHERE id = 3", []).unwrap();
        yes()
    });
    assert!(text_of(&result).contains("would change 1 rows now, not the 2"), "{result}");
    assert_eq!(credits(&world), [50, 7, 8]);
}

#[test]
fn a_no_ends_the_request_and_no_answer_leaves_it_to_an_approver() {
    let world = world(ON);
    let _server = world.serve();
    let mut client = stdio(&world);
    let arguments = json!({"id": 1, "credit": 50});
    for no in [json!({"action": "decline"}), json!({"action": "accept", "content": {"confirm": false}})] {
        let result = ask_stdio(&mut client, "set_credit", arguments.clone(), |_| no);
        assert!(text_of(&result).contains("was asked and declined"), "{result}");
    }
    let states = world.command(&["approvals", "list", "--all", "--json"]);
    let states: Vec<Value> = serde_json::from_str(&states).unwrap();
    assert!(states.iter().all(|one| one["state"] == "declined"), "{states:?}");
    let mut id = String::new();
    for shrug in
        [json!({"action": "cancel"}), json!({"action": "accept"}), json!({"action": "accept", "content": {}})]
    {
        id = held(&ask_stdio(&mut client, "set_credit", arguments.clone(), |_| shrug));
    }
    assert_eq!(credits(&world), [5, 7, 9]);
    let key = world.dir.path().join("bob.operator-key");
    let key = key.to_str().unwrap();
    world.command(&["approvals", "enroll", "--name", "bob", "--out", key]);
    world.command(&["approvals", "approve", &id, "--key", key]);
    let result = client.request("tools/call", json!({"name": "set_credit", "arguments": arguments})).unwrap();
    assert_eq!(affected(&result["result"]), 1);
}

#[test]
fn clients_are_not_asked_unless_the_operator_said_so() {
    let world = world("");
    let _server = world.serve();
    let arguments = json!({"id": 1, "credit": 50});
    let mut ann = client(&world);
    let id = held(&ann.call("set_credit", arguments.clone()));
    let params = json!({"name": "set_credit", "arguments": arguments, "inputResponses": {id: yes()}});
    held(&ann.modern("tools/call", params).json()["result"]);
    let legacy = stdio(&world).request("tools/call", json!({"name": "set_credit", "arguments": arguments}));
    held(&legacy.unwrap()["result"]);
    assert_eq!(credits(&world), [5, 7, 9]);
}

#[test]
fn high_impact_and_two_people_are_never_confirmed_by_the_client() {
    let world = world(ON);
    let _server = world.serve();
    let (mut ann, mut operator) = (client(&world), stdio(&world));
    for (tool, arguments) in [("drop_customer", json!({"id": 1})), ("raise_from", json!({"above": 0}))] {
        let id = held(&ann.call(tool, arguments.clone()));
        let params = json!({"name": tool, "arguments": arguments, "inputResponses": {id: yes()}});
        held(&ann.modern("tools/call", params).json()["result"]);
        let legacy = operator.request("tools/call", json!({"name": tool, "arguments": arguments})).unwrap();
        held(&legacy["result"]);
    }
    // Two rows of the same query need one person only.
    question(&ann.call("raise_from", json!({"above": 6})));
    assert_eq!(credits(&world), [5, 7, 9]);
}

#[test]
fn a_client_that_cannot_ask_is_told_to_find_an_approver() {
    let world = world(ON);
    let _server = world.serve();
    held(&world.client(&world.ann).call("set_credit", json!({"id": 1, "credit": 50})));
    let arguments = json!({"name": "set_credit", "arguments": {"id": 1, "credit": 50}});
    held(&world.stdio().request("tools/call", arguments).unwrap()["result"]);
}

#[test]
fn a_yes_under_policies_that_were_replaced_meanwhile_counts_for_nothing() {
    let world = world(ON);
    let mut client = stdio(&world);
    let pid = client.child.id().to_string();
    let result = ask_stdio(&mut client, "set_credit", json!({"id": 1, "credit": 50}), |_| {
        let forbid = "@id(\"closed\") forbid (principal, action == Action::\"set_credit\", resource);\n";
        std::fs::write(world.dir.path().join("policies/closed.cedar"), forbid).unwrap();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !world.try_command(&["audit", "search", "policy-reload"]).status.success() {
            assert!(Instant::now() < deadline, "the policies are not reloaded");
            std::thread::sleep(Duration::from_millis(50));
        }
        yes()
    });
    held(&result);
    assert_eq!(credits(&world), [5, 7, 9]);
}

#[test]
fn a_yes_of_somebody_who_was_stopped_meanwhile_counts_for_nothing() {
    let world = world(ON);
    let mut client = stdio(&world);
    let result = ask_stdio(&mut client, "set_credit", json!({"id": 1, "credit": 50}), |_| {
        world.command(&["freeze", "--tool", "set_credit", "--reason", "incident 12"]);
        // It is noticed within a second.
        std::thread::sleep(Duration::from_millis(1_200));
        yes()
    });
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(credits(&world), [5, 7, 9]);
}

//! Writes, held for people: the caller asks over HTTP, operators answer from other processes, and the same call runs once.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::world::*;

const SCHEMA: &str = "
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, credit INTEGER);
INSERT INTO customers VALUES (1, 'Ann', 5), (2, 'Bob', 7), (3, 'Cem', 9);
CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT);
";

const POLICIES: &str = r#"
@id("operators-write")
permit (principal in Role::"operator", action == Action::"write_shop", resource);
@id("operators-write-tables")
permit (principal in Role::"operator", action == Action::"write", resource is Table);
@id("operators-write-columns")
permit (principal in Role::"operator", action == Action::"write", resource is Column);
@id("many-rows-need-two")
forbid (principal, action == Action::"write_shop", resource)
when { context has affected && context.affected > 2 && context.approvals < 2 };
"#;

fn world() -> World {
    let world = World::new(Shape {
        schema: SCHEMA.into(),
        shop: "timeout = \"2s\"\nallow_writes = true".into(),
        ..Shape::default()
    });
    std::fs::write(world.dir.path().join("policies/writes.cedar"), POLICIES).unwrap();
    world
}

/// What the tests do with a world that has writes.
pub trait Office {
    fn enroll(&self, name: &str) -> PathBuf;
    fn approve(&self, id: &str, key: &std::path::Path) -> std::process::Output;
    fn ask(&self, sql: &str) -> i64;
    fn state(&self) -> rusqlite::Connection;
    fn requests(&self) -> Vec<Value>;
}

impl Office for World {
    fn enroll(&self, name: &str) -> PathBuf {
        let file = self.dir.path().join(format!("{name}.operator-key"));
        self.command(&["approvals", "enroll", "--name", name, "--out", file.to_str().unwrap()]);
        file
    }

    fn approve(&self, id: &str, key: &std::path::Path) -> std::process::Output {
        self.try_command(&[
            "approvals",
            "approve",
            id,
            "--key",
            key.to_str().unwrap(),
            "--reason",
            "ticket 4711",
        ])
    }

    fn ask(&self, sql: &str) -> i64 {
        let database = rusqlite::Connection::open(self.dir.path().join("shop.db")).unwrap();
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn state(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("state/state.db")).unwrap()
    }

    fn requests(&self) -> Vec<Value> {
        serde_json::from_str(&self.command(&["approvals", "list", "--all", "--json"])).unwrap()
    }
}

fn write(client: &mut Client, sql: &str) -> Value {
    client.call("write_shop", json!({"statement": sql}))
}

const RAISE: &str = "UPDATE customers SET credit = credit + 1 WHERE id = 2";

#[test]
fn a_write_is_held_shown_approved_and_run_once() {
    let world = world();
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    let id = held(&write(&mut ann, RAISE));
    assert_eq!(held(&write(&mut ann, RAISE)), id, "the same call waits under the same request");
    assert_eq!(world.ask("SELECT credit FROM customers WHERE id = 2"), 7);

    let shown = world.command(&["approvals", "show", &id]);
    for text in [
        "ann (keys), tenant acme",
        "write_shop [write-high]",
        "floor/writes-need-approval",
        RAISE,
        "1 row changes",
        "write column shop.customers.credit",
        "0 of 1 approvals",
    ] {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    let listed = world.requests();
    assert_eq!((listed.len(), &listed[0]["state"], &listed[0]["have"]), (1, &json!("waiting"), &json!(0)));
    assert_eq!(listed[0]["preview"]["before"]["rows"], json!([[2, 7]]));
    assert_eq!(listed[0]["preview"]["after"]["rows"], json!([[2, 8]]));

    // Nobody approves their own call, and a key that is not enrolled signs nothing.
    let own = world.enroll("ann");
    assert!(!world.approve(&id, &own).status.success());
    let bob = world.enroll("bob");
    let approved = world.approve(&id, &bob);
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));

    assert_eq!(affected(&write(&mut ann, RAISE)), 1);
    assert_eq!(world.ask("SELECT credit FROM customers WHERE id = 2"), 8);
    assert_ne!(held(&write(&mut ann, RAISE)), id, "the second time needs a new approval");
    assert_eq!(world.ask("SELECT credit FROM customers WHERE id = 2"), 8);
    server.stop();

    // The record: what was tried out, who asked, who signed, what came of it; and nothing of the statement.
    let record = world.command(&["audit", "tail", "--json", "-n", "1000"]);
    let entries: Vec<Value> = record.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let intent = entries.iter().find(|e| e["kind"] == "intent" && e["effect"] == "write").unwrap();
    assert_eq!(intent["approval"]["id"], id.as_str());
    assert_eq!(intent["approval"]["approvers"][0]["name"], "bob");
    assert_eq!(intent["approval"]["approvers"][0]["signature"].as_str().unwrap().len(), 88);
    for kind in ["preview", "operator-enrol", "approval-vote"] {
        assert!(entries.iter().any(|e| e["kind"] == kind || e["event"] == kind), "{kind}");
    }
    assert!(!record.contains("credit + 1"));
    world.command(&["audit", "verify", world.audit().to_str().unwrap()]);
}

#[test]
fn a_write_that_would_change_other_rows_than_were_approved_is_taken_back() {
    let world = world();
    let server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), world.enroll("bob"));
    let sql = "DELETE FROM customers WHERE credit > 8";
    let id = held(&write(&mut ann, sql));
    assert!(world.approve(&id, &bob).status.success());
    let other = rusqlite::Connection::open(world.dir.path().join("shop.db")).unwrap();
    other.execute("UPDATE customers SET credit = 10 WHERE id = 2", []).unwrap();
    let text = text_of(&write(&mut ann, sql));
    assert!(text.contains("would change 2 rows now, not the 1 that were approved"), "{text}");
    assert_eq!(world.ask("SELECT count(*) FROM customers"), 3);
    assert_eq!(world.requests()[0]["state"], "undone", "the approval is used up");
    drop(server);
}

#[test]
fn an_approval_holds_for_this_call_under_these_policies_alone() {
    let world = world();
    let server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), world.enroll("bob"));
    let id = held(&write(&mut ann, RAISE));
    assert!(world.approve(&id, &bob).status.success());
    // Other arguments, and another caller with the same.
    assert_ne!(held(&write(&mut ann, &RAISE.replace("= 2", "= 3"))), id);
    assert_ne!(held(&write(&mut world.client(&world.bob), RAISE)), id);
    // Other policies.
    std::fs::write(world.dir.path().join("policies/more.cedar"), "// another text\n").unwrap();
    server.signal("-HUP");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let log = std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
        if log.contains("policy-") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::write(
        world.dir.path().join("policies/more.cedar"),
        "@id(\"more\") forbid (principal, action == Action::\"write_shop\", resource) when { principal.subject == \"nobody\" };\n",
    )
    .unwrap();
    server.signal("-HUP");
    std::thread::sleep(Duration::from_secs(1));
    assert_ne!(held(&write(&mut ann, RAISE)), id);
    assert_eq!(world.ask("SELECT sum(credit) FROM customers"), 21);
}

#[test]
fn many_rows_need_two_people_and_one_person_twice_is_not_two() {
    let world = world();
    let _server = world.serve();
    let (mut ann, bob, carol) = (world.client(&world.ann), world.enroll("bob"), world.enroll("carol"));
    let sql = "UPDATE customers SET credit = 0 WHERE id > 0";
    let id = held(&write(&mut ann, sql));
    let shown = world.command(&["approvals", "show", &id]);
    assert!(
        shown.contains("many-rows-need-two") && shown.contains("every row of `customers` is changed"),
        "{shown}"
    );
    for _ in 0..2 {
        assert!(world.approve(&id, &bob).status.success());
        assert_eq!(held(&write(&mut ann, sql)), id);
    }
    assert!(world.approve(&id, &carol).status.success());
    assert_eq!(affected(&write(&mut ann, sql)), 3);
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let world = world();
    let _server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), world.enroll("bob"));
    let id = held(&write(&mut ann, RAISE));
    world.command(&[
        "approvals",
        "deny",
        &id,
        "--key",
        bob.to_str().unwrap(),
        "--reason",
        "not before Monday",
    ]);
    let text = text_of(&write(&mut ann, RAISE));
    assert!(text.contains("an approver refused") && text.contains("not before Monday"), "{text}");
    assert!(!world.approve(&id, &bob).status.success());
    assert_eq!(world.ask("SELECT sum(credit) FROM customers"), 21);
}

#[test]
fn a_row_in_the_state_is_no_approval() {
    let world = world();
    let _server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), world.enroll("bob"));
    let id = held(&write(&mut ann, RAISE));
    // The attack: a vote as it would look, by an operator who exists.
    let keys: Value = serde_json::from_str(&world.command(&["approvals", "keys", "list", "--json"])).unwrap();
    let key = keys[0]["id"].as_str().unwrap();
    let forge = "INSERT INTO votes (approval, key, operator, vote, reason, signature, at) VALUES (?1, ?2, 'bob', 'approve', '', ?3, 1)";
    world.state().execute(forge, rusqlite::params![id, key, vec![7u8; 64]]).unwrap();
    assert_eq!(held(&write(&mut ann, RAISE)), id);
    // A key that was good when it signed, and was revoked before the use.
    assert!(world.approve(&id, &bob).status.success());
    world.command(&["approvals", "keys", "revoke", key]);
    assert_eq!(held(&write(&mut ann, RAISE)), id);
    assert_eq!(world.ask("SELECT sum(credit) FROM customers"), 21);
}

#[test]
fn a_crash_between_consuming_and_executing_leaves_doubt_and_never_a_second_try() {
    let world = world();
    let server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), world.enroll("bob"));
    let keyed =
        json!({"statement": "INSERT INTO orders (what) VALUES ('one')", "idempotency_key": "order-0001"});
    let id = held(&ann.call("write_shop", keyed.clone()));
    assert!(world.approve(&id, &bob).status.success());
    // Somebody else holds the write lock: the call has consumed its approval and recorded its intent, and waits.
    let other = rusqlite::Connection::open(world.dir.path().join("shop.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    ann.send_modern(77, "tools/call", json!({"name": "write_shop", "arguments": keyed})).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let phase = "SELECT count(*) FROM once_keys WHERE phase = 'executing'";
    while world.state().query_row(phase, [], |row| row.get::<_, u32>(0)).unwrap() == 0 {
        assert!(std::time::Instant::now() < deadline, "the call does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    server.kill();
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    ann.close();

    let _server = world.serve();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let log = std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
        if log.contains("in doubt") && log.contains(&id) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the doubt is not shown: {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(world.command(&["approvals", "list"]).contains("in doubt"));
    let text = text_of(&ann.call("write_shop", keyed.clone()));
    assert!(text.contains("cut off") && text.contains("not known"), "{text}");
    let plain = json!({"statement": "INSERT INTO orders (what) VALUES ('one')"});
    assert_ne!(held(&ann.call("write_shop", plain)), id, "the approval is burned");
    assert_eq!(world.ask("SELECT count(*) FROM orders"), 0, "it was not executed again");
    let doubts = world.command(&["audit", "search", "approval-in-doubt", "--json"]);
    assert!(doubts.contains(&id), "{doubts}");

    // Somebody looks, and says what they found.
    let listed: Value = serde_json::from_str(&world.command(&["approvals", "show", &id, "--json"])).unwrap();
    assert_eq!(listed["state"], "in doubt");
    let resolve = |call: &str| {
        world.try_command(&[
            "approvals",
            "resolve",
            call,
            "--outcome",
            "did-not-run",
            "--note",
            "no such order in the table",
        ])
    };
    assert!(!resolve("019ab3c4-7d2e-7f00-8a11-2233445566aa").status.success(), "no such call");
    assert!(resolve(&id).status.success());
    assert!(!resolve(&id).status.success(), "it is settled");
    let record = world.command(&["audit", "search", "approval-resolved", "--json"]);
    assert!(record.contains("did-not-run") && record.contains("no such order in the table"), "{record}");
    assert!(!world.command(&["approvals", "list"]).contains("in doubt"));
    // The key is free again; the approval is not.
    let anew = held(&ann.call("write_shop", keyed.clone()));
    assert_ne!(anew, id);
    assert!(world.approve(&anew, &bob).status.success());
    assert_eq!(affected(&ann.call("write_shop", keyed)), 1);
}

#[test]
fn a_retried_write_runs_once_however_many_retry() {
    let world = world();
    let _server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), world.enroll("bob"));
    let keyed =
        json!({"statement": "INSERT INTO orders (what) VALUES ('one')", "idempotency_key": "order-0001"});
    let id = held(&ann.call("write_shop", keyed.clone()));
    assert!(world.approve(&id, &bob).status.success());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, keyed) = (world.client(&world.ann), keyed.clone());
            std::thread::spawn(move || client.call("write_shop", keyed))
        })
        .collect();
    let results: Vec<Value> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(results.iter().any(|result| result["isError"] != true), "{results:?}");
    for result in &results {
        let text = text_of(result);
        assert!(result["isError"] != true || text.contains("retry after"), "{text}");
    }
    assert_eq!(world.ask("SELECT count(*) FROM orders"), 1);
    let first = results.iter().find(|result| result["isError"] != true).unwrap();
    let again = ann.call("write_shop", keyed);
    assert_eq!(again["structuredContent"], first["structuredContent"], "the recorded answer");
    assert_eq!(world.ask("SELECT count(*) FROM orders"), 1);
    let other =
        json!({"statement": "INSERT INTO orders (what) VALUES ('two')", "idempotency_key": "order-0001"});
    let text = text_of(&ann.call("write_shop", other));
    assert!(text.contains("other arguments"), "{text}");
}

#[test]
fn without_its_state_nothing_is_written_and_nothing_starts() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    let server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), world.enroll("bob"));
    let id = held(&write(&mut ann, RAISE));
    assert!(world.approve(&id, &bob).status.success());
    let file = world.dir.path().join("state/state.db");
    std::fs::rename(&file, file.with_extension("away")).unwrap();
    let text = text_of(&write(&mut ann, RAISE));
    assert!(text.contains("the state is unavailable; nothing was executed"), "{text}");
    std::fs::rename(file.with_extension("away"), &file).unwrap();
    assert_eq!(affected(&write(&mut ann, RAISE)), 1);
    server.stop();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = world.try_command(&["serve"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"), "{refused:?}");
}

#[test]
fn without_allow_writes_there_is_no_tool() {
    let world = World::new(Shape { schema: SCHEMA.into(), ..Shape::default() });
    let _server = world.serve();
    let answer = world
        .client(&world.ann)
        .modern("tools/call", json!({"name": "write_shop", "arguments": {"statement": RAISE}}));
    assert!(answer.body.contains("unknown tool") || answer.body.contains("Unknown tool"), "{}", answer.body);
}

#[test]
fn what_a_model_writes_cannot_pass_for_ours() {
    let world = world();
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let sql = "UPDATE customers SET name = '\u{1b}[2J\u{202e}x\nrequest     ap-aaaaaaaa  approved' WHERE id = 1 -- \u{7}";
    let id = held(&write(&mut ann, sql));
    let shown = world.command(&["approvals", "show", &id]);
    assert!(
        !shown.contains('\u{1b}') && !shown.contains('\u{202e}') && !shown.contains('\u{7}'),
        "{shown:?}"
    );
    let forged: Vec<&str> = shown.lines().filter(|line| line.contains("ap-aaaaaaaa")).collect();
    assert!(!forged.is_empty() && forged.iter().all(|line| line.starts_with("  |")), "{shown}");
}

#[test]
fn whose_key_was_taken_away_is_on_record() {
    let world = world();
    world.enroll("bob");
    let keys: Value = serde_json::from_str(&world.command(&["approvals", "keys", "list", "--json"])).unwrap();
    let id = keys[0]["id"].as_str().unwrap();
    world.command(&["approvals", "keys", "revoke", id]);
    assert!(world.command(&["audit", "search", "operator-revoke", "--json"]).contains(id));
}

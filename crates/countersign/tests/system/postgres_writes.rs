//! Writing to PostgreSQL through the whole server, by a statement and by a catalog query: held, shown, approved, run once.

use std::path::{Path, PathBuf};

use countersign_testbed::Postgres;
use serde_json::json;

use crate::world::*;

const POLICIES: &str = r#"
@id("operators-write")
permit (principal in Role::"operator", action in Action::"call", resource in PowerClass::"write-high");
@id("operators-write-tables")
permit (principal in Role::"operator", action == Action::"write", resource is Table)
when { resource.name == "public.customers" };
@id("operators-write-columns")
permit (principal in Role::"operator", action == Action::"write", resource is Column)
when { resource.table == "public.customers" };
"#;

const CATALOG: &str = r#"
[query.set_status]
description = "Sets the status of a customer"
database = "pg"
sql = "UPDATE customers SET status = :status WHERE id = :id"
write = true
expose = true
[query.set_status.params.id]
type = "integer"
[query.set_status.params.status]
type = "string"
"#;

/// A world with the database `pg`: ann's tenant logs in as w1, bob's as w2.
fn world(cluster: &Postgres) -> World {
    let logins = [("acme", cluster.shop("w1")), ("globex", cluster.shop("w2"))];
    let mut extra = format!(
        "[databases.pg]\nurl = \"postgres://127.0.0.1:{}/shop\"\nallow_writes = true\n",
        cluster.port()
    );
    for (tenant, login) in &logins {
        extra.push_str(&format!(
            "[databases.pg.tenants.{tenant}]\nuser = \"{0}\"\npassword = \"file:{0}.password\"\n",
            login.user
        ));
    }
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        for (_, login) in &logins {
            std::fs::write(dir.join(format!("{}.password", login.user)), &login.password).unwrap();
        }
        std::fs::create_dir(dir.join("catalog")).unwrap();
        std::fs::write(dir.join("catalog/pg.toml"), CATALOG).unwrap();
    });
    std::fs::write(world.dir.path().join("policies/writes.cedar"), POLICIES).unwrap();
    world
}

fn enroll(world: &World, name: &str) -> PathBuf {
    let file = world.dir.path().join(format!("{name}.operator-key"));
    world.command(&["approvals", "enroll", "--name", name, "--out", file.to_str().unwrap()]);
    file
}

fn approve(world: &World, id: &str, key: &Path) {
    let key = key.to_str().unwrap();
    world.command(&["approvals", "approve", id, "--key", key, "--reason", "ticket 4711"]);
}

/// Customers whose status is not the usual one, in order: `id status` each.
fn changed(cluster: &Postgres) -> String {
    let sql =
        "SELECT string_agg(id || ' ' || status, ',' ORDER BY id) FROM customers WHERE status <> 'active'";
    cluster.run("shop", sql)
}

#[test]
fn a_write_is_held_shown_approved_and_run_once() {
    let cluster = Postgres::start();
    let world = world(&cluster);
    let _server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), enroll(&world, "bob"));
    let call =
        json!({"statement": "UPDATE customers SET status = $1 WHERE id IN (3, 4, 5)", "params": ["late"]});
    let id = held(&ann.call("write_pg", call.clone()));
    assert_eq!(changed(&cluster), "");
    let shown = world.command(&["approvals", "show", &id]);
    // Customer 4 is another tenant's.
    for text in ["ann (keys), tenant acme", "write_pg [write-high]", "2 rows change", "0 of 1 approvals"] {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    let tables = shown.split_once("before").unwrap().1;
    let (before, after) = tables.split_once("after").unwrap();
    assert!(before.contains("active") && after.contains("late") && !shown.contains("globex"), "{shown}");
    approve(&world, &id, &bob);
    assert_eq!(affected(&ann.call("write_pg", call.clone())), 2);
    assert_eq!(changed(&cluster), "3 late,5 late");
    assert_ne!(held(&ann.call("write_pg", call)), id, "the second time needs a new approval");

    // What no policy permits is refused, not held.
    let other = json!({"statement": "DELETE FROM order_items WHERE order_id = 1"});
    let refused = text_of(&ann.call("write_pg", other));
    assert!(!refused.contains("ap-") && refused.contains("public.order_items"), "{refused}");
}

#[test]
fn an_approved_write_changes_as_many_rows_as_were_shown_or_none() {
    let cluster = Postgres::start();
    let world = world(&cluster);
    let _server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), enroll(&world, "bob"));
    let call = json!({"statement": "UPDATE customers SET status = 'late' WHERE city = 'Oslo'"});
    cluster.run("shop", "UPDATE customers SET city = 'Oslo' WHERE id = 7");
    let id = held(&ann.call("write_pg", call.clone()));
    approve(&world, &id, &bob);
    cluster.run("shop", "UPDATE customers SET city = 'Oslo' WHERE id = 9");
    let text = text_of(&ann.call("write_pg", call));
    assert!(text.contains("would change 2 rows now, not the 1 that were approved"), "{text}");
    assert_eq!(changed(&cluster), "");
}

#[test]
fn a_catalog_query_that_writes_goes_the_same_road() {
    let cluster = Postgres::start();
    let world = world(&cluster);
    let _server = world.serve();
    let (mut ann, bob) = (world.client(&world.ann), enroll(&world, "bob"));
    let call = json!({"id": 11, "status": "closed"});
    let id = held(&ann.call("set_status", call.clone()));
    let shown = world.command(&["approvals", "show", &id]);
    assert!(shown.contains("set_status [write-high]") && shown.contains("1 row changes"), "{shown}");
    approve(&world, &id, &bob);
    // The approval is for these values.
    assert_ne!(held(&ann.call("set_status", json!({"id": 13, "status": "closed"}))), id);
    assert_eq!(changed(&cluster), "");
    assert_eq!(affected(&ann.call("set_status", call)), 1);
    assert_eq!(changed(&cluster), "11 closed");
}

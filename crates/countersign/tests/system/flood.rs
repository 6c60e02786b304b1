//! Who floods the approvers: what nobody will be asked about is not tried out either.

use serde_json::json;

use crate::world::*;

const SCHEMA: &str =
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO orders VALUES (1, 'tea');";

const POLICIES: &str = r#"
@id("operators-write")
permit (principal in Role::"operator", action == Action::"write_shop", resource);
@id("operators-write-tables")
permit (principal in Role::"operator", action == Action::"write", resource is Table);
@id("operators-write-columns")
permit (principal in Role::"operator", action == Action::"write", resource is Column);
"#;

#[test]
fn a_call_beyond_what_approvers_are_asked_is_not_tried_out() {
    let world = World::new(Shape {
        schema: SCHEMA.into(),
        shop: "timeout = \"2s\"\nallow_writes = true".into(),
        ..Shape::default()
    });
    std::fs::write(world.dir.path().join("policies/writes.cedar"), POLICIES).unwrap();
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    let mut write = |n: u32| {
        ann.call("write_shop", json!({"statement": format!("UPDATE orders SET what = 'x{n}' WHERE id = 1")}))
    };
    let first = held(&write(0));
    for n in 1..20 {
        held(&write(n));
    }
    for n in 20..23 {
        let refused = text_of(&write(n));
        assert!(refused.contains("approvals") && refused.contains("retry after"), "{refused}");
    }
    assert_eq!(held(&write(0)), first, "what waits goes on waiting");
    server.stop();
    let record = world.command(&["audit", "tail", "--json", "-n", "1000"]);
    let previews = record.lines().filter(|line| line.contains("\"kind\":\"preview\"")).count();
    assert_eq!(previews, 20, "three were not tried out");
}

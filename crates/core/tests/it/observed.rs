//! Policies that are only observed decide nothing, and what they would have decided differently is on record.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use countersign_core::{Access, Action};
use serde_json::{Value, json};

use crate::support::*;

const GOOD: &str = r#"{"text":"hello"}"#;

fn observing(rules: Rules) -> World {
    let world = world();
    *world.policy.observed.lock().unwrap() = Some(Arc::new(rules));
    let accesses = vec![Access::required(Action::Read, table("a")), Access::filter(Action::Read, table("b"))];
    *world.tool.accesses.lock().unwrap() = accesses;
    world
}

fn denying(object: &str) -> Rules {
    let rules = Rules::default();
    rules.deny.lock().unwrap().push(object.into());
    rules
}

async fn recorded(world: &World) -> Value {
    let _ = world.pipeline.run(probe(GOOD)).await;
    world.entries()[0]["observed"].clone()
}

#[tokio::test]
async fn what_observed_policies_would_deny_runs_and_is_on_record() {
    let world = observing(denying("table shop.a"));
    world.pipeline.run(probe(GOOD)).await.expect("the set in force decides");
    let entries = world.entries();
    let observed = json!({"policy": "policy-digest", "decision": "deny", "policies": ["rule"]});
    assert_eq!((&entries[0]["decision"], &entries[0]["observed"]), (&json!("allow"), &observed));
}

#[tokio::test]
async fn what_they_would_only_hide_is_on_record_too() {
    let lost = recorded(&observing(denying("table shop.b"))).await;
    assert_eq!((&lost["decision"], &lost["lost"]), (&json!("allow"), &json!(["read table shop.b"])));
}

#[tokio::test]
async fn what_they_would_allow_is_still_refused() {
    let world = observing(Rules::default());
    world.policy.deny.lock().unwrap().push("table shop.a".into());
    world.pipeline.run(probe(GOOD)).await.expect_err("the set in force decides");
    assert_eq!(world.entries()[0]["observed"]["decision"], "allow");
    // A tool that is hidden, and would not have been.
    let world = observing(Rules::default());
    world.policy.hidden.store(true, SeqCst);
    world.pipeline.run(probe(GOOD)).await.expect_err("the set in force decides");
    assert_eq!(world.entries()[0]["observed"]["decision"], "show");
}

#[tokio::test]
async fn where_they_agree_nothing_is_said() {
    assert_eq!(recorded(&observing(Rules::default())).await, Value::Null);
    let world = observing(denying("table shop.a"));
    world.policy.deny.lock().unwrap().push("table shop.a".into());
    assert_eq!(recorded(&world).await, Value::Null);
}

//! The kill switch: what an operator freezes or revokes stops in every process within a second, and goes on when it is thawed.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::*;

/// Asks until the answer holds `text`; fails if it takes longer than the two seconds that are promised.
fn within_two_seconds(mut ask: impl FnMut() -> String, text: &str) {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if answer.contains(text) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "no `{text}` in {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_frozen_stops_in_every_process_and_thaws() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    let (mut ann, mut bob, mut local) = (world.client(&world.ann), world.client(&world.bob), world.stdio());
    let sql = "SELECT 41 + 1";
    {
        let mut ask_all = |expected: &str| {
            within_two_seconds(|| text_of(&ann.query(sql)), expected);
            within_two_seconds(|| text_of(&bob.query(sql)), expected);
            within_two_seconds(|| text_of(&local.query(sql).unwrap()), expected);
        };
        ask_all("42");
        world.command(&["freeze", "--tool", "query_shop", "--reason", "incident 12"]);
        ask_all("an operator has frozen this tool");
        assert!(world.command(&["thaw", "--list"]).contains("incident 12"));
        world.command(&["thaw", "--tool", "query_shop"]);
        ask_all("42");
    }

    world.command(&["freeze", "--tenant", "globex"]);
    let mut bob_lists = || bob.modern("tools/list", json!({})).body;
    within_two_seconds(&mut bob_lists, "an operator has frozen this tenant");
    assert!(text_of(&ann.query(sql)).contains("42"), "another tenant goes on");
    world.command(&["freeze"]);
    within_two_seconds(|| ann.modern("tools/list", json!({})).body, "an operator has frozen everything");
    world.command(&["thaw"]);
    world.command(&["thaw", "--tenant", "globex"]);
    within_two_seconds(&mut bob_lists, "query_shop");
    let record = world.command(&["audit", "search", "--decision", "event", "--json"]);
    for event in ["freeze", "thaw"] {
        assert!(record.contains(&format!("\"{event}\"")), "{event} is not on record: {record}");
    }
}

#[test]
fn who_is_revoked_is_out_and_stays_out() {
    let world = World::new(Shape::default());
    let _server = world.serve();
    let (mut ann, mut bob) = (world.client(&world.ann), world.client(&world.bob));
    assert!(text_of(&ann.query("SELECT 41 + 1")).contains("42"));
    world.command(&["revoke", "--principal", "keys", "ann", "--reason", "left"]);
    let status = |client: &mut Client| client.modern("tools/list", json!({})).status.to_string();
    within_two_seconds(|| status(&mut ann), "401");
    assert_eq!(status(&mut bob), "200");
    assert!(!world.try_command(&["thaw", "--principal", "keys", "ann"]).status.success());
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(status(&mut ann), "401");
}

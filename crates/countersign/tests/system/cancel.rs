//! Cancelling stops a running query within 200 ms, in each era and on each transport; a legacy disconnect does not cancel.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::*;

/// Would run for hours.
const ENDLESS: &str = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) SELECT max(n) FROM r";
const ENDLESS_TIMEOUT: &str = "timeout = \"30s\"\nworkers = 1";

fn world() -> World {
    World::new(Shape { shop: ENDLESS_TIMEOUT.into(), ..Shape::default() })
}

/// The only worker answers again: whatever ran before has stopped.
fn stopped_within(world: &World, limit: Duration) {
    let started = Instant::now();
    let result = world.client(&world.bob).query("SELECT 1");
    assert_eq!(result["structuredContent"]["rows"], json!([[1]]), "{result}");
    assert!(started.elapsed() < limit, "still running after {:?}", started.elapsed());
}

fn outcomes(world: &World) -> Vec<Value> {
    // Exit code 1 means that nothing was found.
    let found = world.try_command(&["audit", "search", "--json", "--decision", "outcome", "-n", "1000"]);
    String::from_utf8(found.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn has_cancelled_outcome(world: &World) -> bool {
    std::thread::sleep(Duration::from_millis(300));
    outcomes(world).iter().any(|entry| entry.to_string().contains("\"result\":\"cancelled\""))
}

#[test]
fn modern_closing_the_connection_cancels() {
    let world = world();
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    client.query("SELECT 1");
    client
        .send_modern(7, "tools/call", json!({"name": "query_shop", "arguments": {"query": ENDLESS}}))
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    client.close();
    stopped_within(&world, Duration::from_millis(250));
    assert!(has_cancelled_outcome(&world));
}

#[test]
fn legacy_notification_cancels_and_a_disconnect_does_not() {
    let world = world();
    let _server = world.serve();
    let mut client = world.client(&world.ann);
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    client.send(&[], &hello.to_string()).unwrap();
    let answer = client.receive().unwrap();
    let session = answer.header("mcp-session-id").unwrap().to_owned();
    let headers =
        vec![("Mcp-Session-Id".to_owned(), session), ("MCP-Protocol-Version".to_owned(), LEGACY.to_owned())];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    client.send(&headers, &ready.to_string()).unwrap();
    assert_eq!(client.receive().unwrap().status, 202);

    let call = json!({"jsonrpc": "2.0", "id": 42, "method": "tools/call",
        "params": {"name": "query_shop", "arguments": {"query": ENDLESS}}});
    client.send(&headers, &call.to_string()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    client.close();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!has_cancelled_outcome(&world), "a legacy disconnect is no cancellation");

    let mut other = world.client(&world.ann);
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 42}});
    other.send(&headers, &cancel.to_string()).unwrap();
    assert_eq!(other.receive().unwrap().status, 202);
    stopped_within(&world, Duration::from_millis(250));
    assert!(has_cancelled_outcome(&world));
}

#[test]
fn stdio_notification_cancels() {
    let world = world();
    let mut client = world.stdio();
    let id =
        client.send("tools/call", json!({"name": "query_shop", "arguments": {"query": ENDLESS}})).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    client
        .write(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}))
        .unwrap();
    let result = client.query("SELECT 2").unwrap();
    assert_eq!(result["structuredContent"]["rows"], json!([[2]]), "{result}");
    assert!(started.elapsed() < Duration::from_millis(250), "{:?}", started.elapsed());
    assert!(has_cancelled_outcome(&world));
}

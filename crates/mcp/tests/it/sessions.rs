//! Legacy sessions: bound to their owner, counted, expiring, never chosen by the client.

use std::{collections::HashSet, time::Duration};

use countersign_mcp::Config;
use serde_json::json;

use crate::site::{Http, Site};

#[tokio::test]
async fn item_17_session_ids_are_unguessable_and_ours() {
    let site = Site::start().await;
    let mut seen = HashSet::new();
    for _ in 0..8 {
        let id = site.session("alice", json!({})).await;
        assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        assert!(seen.insert(id));
    }
    // An id that the client brings along is not taken over.
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let reply = site.send(&Http::post("alice").session("chosen-by-me").call(1, "initialize", params)).await;
    assert_ne!(reply.headers["mcp-session-id"], "chosen-by-me");
    assert_eq!(
        site.send(&Http::post("alice").session("chosen-by-me").call(1, "ping", json!({}))).await.status,
        404
    );
    assert_eq!(
        site.send(&Http::post("alice").call(1, "ping", json!({}))).await.status,
        400,
        "no session at all"
    );
}

#[tokio::test]
async fn item_16_a_session_of_another_principal_does_not_exist() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let attempts = [
        Http::post("bob").session(&session).call(
            1,
            "tools/call",
            json!({"name": "echo", "arguments": {"text": "x"}}),
        ),
        Http::post("bob").session(&session).call(1, "tools/list", json!({})),
        Http::get("bob").session(&session),
        Http::delete("bob").session(&session),
        Http::post("bob").session(&session).body(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        Http::post("bob").session(&session).body(r#"{"jsonrpc":"2.0","id":"countersign-1","result":{}}"#),
    ];
    let unknown = site.send(&Http::post("bob").session("ab").call(1, "tools/list", json!({}))).await;
    for attempt in attempts {
        let reply = site.send(&attempt).await;
        assert_eq!(reply.status, 404, "{attempt:?}", attempt = attempt.body);
        assert_eq!(
            reply.json()["error"]["message"],
            unknown.json()["error"]["message"],
            "the two must look alike"
        );
    }
    assert_eq!(site.ran(), 0);
    assert!(site.logged("session-of-another-principal"));
    assert_eq!(
        site.send(&Http::post("alice").session(&session).call(1, "ping", json!({}))).await.status,
        200
    );
}

#[tokio::test]
async fn item_17_a_session_ends_by_delete_and_stops_what_runs() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let call = Http::post("alice").session(&session).call(7, "tools/call", json!({"name": "slow"}));
    let under_way = site.raw(&call.bytes()).await;
    site.seen.started.notified().await;
    assert_eq!(site.send(&Http::delete("alice").session(&session)).await.status, 202);
    tokio::time::timeout(Duration::from_millis(200), site.seen.stopped.notified()).await.expect("it went on");
    assert_eq!(
        site.send(&Http::post("alice").session(&session).call(1, "ping", json!({}))).await.status,
        404
    );
    assert_eq!(site.send(&Http::delete("alice").session(&session)).await.status, 404);
    drop(under_way);
}

#[tokio::test]
async fn sessions_expire_when_idle() {
    let site = Site::with(Config { session_idle: Duration::from_millis(300), ..Config::default() }).await;
    let session = site.session("alice", json!({})).await;
    let ping = Http::post("alice").session(&session).call(1, "ping", json!({}));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(site.send(&ping).await.status, 200, "use keeps it alive");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(site.send(&ping).await.status, 404);
}

#[tokio::test]
async fn a_principal_has_few_sessions_and_never_pushes_out_anothers() {
    let site = Site::with(Config { sessions_per_principal: 2, sessions_total: 3, ..Config::default() }).await;
    let bobs = site.session("bob", json!({})).await;
    let first = site.session("alice", json!({})).await;
    let second = site.session("alice", json!({})).await;
    let ping = |who: &str, session: &str| Http::post(who).session(session).call(1, "ping", json!({}));
    assert_eq!(site.send(&ping("alice", &first)).await.status, 200);
    let third = site.session("alice", json!({})).await;
    assert_eq!(
        site.send(&ping("alice", &second)).await.status,
        404,
        "the one that was idle longest makes room"
    );
    for (who, session) in [("alice", &first), ("alice", &third), ("bob", &bobs)] {
        assert_eq!(site.send(&ping(who, session)).await.status, 200);
    }
    // All of alice's sessions are busy: nothing makes room.
    for session in [&first, &third] {
        let call = Http::post("alice").session(session).call(1, "tools/call", json!({"name": "slow"}));
        let stream = site.raw(&call.bytes()).await;
        site.seen.started.notified().await;
        std::mem::forget(stream);
    }
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let reply = site.send(&Http::post("alice").call(1, "initialize", params.clone())).await;
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (429, "1"));
    // The server is full: bob's second session is refused, nobody's is ended for it.
    let reply = site.send(&Http::post("bob").call(1, "initialize", params)).await;
    assert_eq!(reply.status, 429);
    assert_eq!(site.send(&ping("alice", &first)).await.status, 200);
}

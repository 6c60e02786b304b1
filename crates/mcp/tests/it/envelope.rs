//! Hostile messages get the right code, and nothing runs.

use serde_json::json;

use crate::site::{Http, LEGACY, Site};

/// `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{…}}}` with something wrong in it.
#[tokio::test]
async fn hostile_envelopes_are_refused_and_nothing_runs() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}{}}}"#,
        "{\"a\":".repeat(100),
        "1".to_owned() + &"}".repeat(100)
    );
    let cases: Vec<(String, i64)> = [
        // Not JSON, or JSON that two readers read differently.
        ("", -32700),
        ("{", -32700),
        ("nonsense", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"wipe","arguments":{"text":"x"}}}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x","text":"y"}}}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"wipe","arguments":{"text":"x"}}}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"wipe"}}"#, -32700),
        // JSON, but no message.
        (r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wipe","arguments":{}}}]"#, -32600),
        ("[]", -32600),
        ("\"ping\"", -32600),
        (r#"{"id":1,"method":"tools/call","params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":2.0,"id":1,"method":"tools/call","params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1e2,"method":"tools/call","params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":true,"method":"tools/call","params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[{"name":"wipe"}]}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7,"params":{"name":"wipe"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wipe"},"result":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wipe"},"extra":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        // A message whose parameters are wrong.
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":[]}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":"{}"}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":null}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"},"_meta":{"progressToken":{}}}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nobody"}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/kall","params":{"name":"wipe"}}"#, -32601),
    ]
    .into_iter()
    .map(|(body, code)| (body.to_owned(), code))
    .chain([(deep, -32700), (format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(300)), -32600)])
    .collect();
    for (body, code) in cases {
        let reply = site.send(&Http::post("alice").session(&session).body(body.clone())).await;
        let answered = reply.json();
        assert_eq!(answered["error"]["code"], code, "{body}: {}", reply.body);
        let expected = if matches!(code, -32700 | -32600) { 400 } else { 200 };
        assert_eq!(reply.status, expected, "{body}: {}", reply.body);
        assert_ne!(answered.get("id"), Some(&serde_json::Value::Null), "{body}: an id is never null");
    }
    assert_eq!(site.ran(), 0, "a refused message ran something");
}

#[tokio::test]
async fn ids_go_back_exactly_as_they_came() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    for id in [
        "0",
        "-7",
        "9007199254740992",
        "9007199254740993",
        "123456789012345678901234567890",
        r#""a-b""#,
        r#""""#,
        r#""ü\"""#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let reply = site.send(&Http::post("alice").session(&session).body(body)).await;
        assert_eq!(reply.body, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
}

#[tokio::test]
async fn neighbours_of_two_to_the_53_are_two_requests() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let call = |id: &str| {
        Http::post("alice").session(&session).body(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"slow"}}}}"#
        ))
    };
    let first = site.raw(&call("9007199254740992").bytes()).await;
    site.seen.started.notified().await;
    let same = site.send(&call("9007199254740992")).await;
    assert_eq!(same.refusal(), (400, -32600), "an id that is in use was taken");
    let other = site.raw(&call("9007199254740993").bytes()).await;
    site.seen.started.notified().await;
    drop((first, other));
}

#[tokio::test]
async fn messages_over_the_limit_are_refused_before_or_while_they_are_read() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let big = "x".repeat(1 << 20);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{big}"}}}}}}"#
    );
    let post = Http::post("alice").session(&session);
    assert_eq!(site.send(&post.clone().body(body.clone())).await.status, 413);
    // Announced but never sent: the refusal does not wait for it.
    assert_eq!(site.send(&post.clone().header("Content-Length", "999999999999")).await.status, 413);
    // Not announced.
    let mut chunked = post.header("Transfer-Encoding", "chunked").header("Content-Length", "0").bytes();
    let text = String::from_utf8(chunked.clone()).unwrap().replace("Content-Length: 0\r\n", "");
    chunked = text.into_bytes();
    chunked.extend(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes());
    assert_eq!(site.send_bytes(&chunked).await.status, 413);
    assert_eq!(site.ran(), 0);
}

#[tokio::test]
async fn batching_of_2025_03_26_is_not_offered() {
    let site = Site::start().await;
    let params = json!({"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let reply = site.send(&Http::post("alice").call(1, "initialize", params)).await;
    assert_eq!(reply.json()["result"]["protocolVersion"], "2025-03-26");
    let session = &reply.headers["mcp-session-id"];
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#;
    let reply = site.send(&Http::post("alice").header("Mcp-Session-Id", session).body(batch)).await;
    assert_eq!(reply.refusal(), (400, -32600));
}

#[tokio::test]
async fn versions_are_negotiated_as_each_era_asks() {
    let site = Site::start().await;
    for (asked, agreed) in [
        (LEGACY, LEGACY),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", LEGACY),
        ("2026-07-28", LEGACY),
        ("junk", LEGACY),
    ] {
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let reply = site.send(&Http::post("alice").call(1, "initialize", params)).await;
        assert_eq!(reply.json()["result"]["protocolVersion"], agreed, "{asked}");
    }
    let reply = site.send(&Http::modern("alice", 1, "server/discover", json!({}))).await;
    assert_eq!(reply.json()["result"]["supportedVersions"][0], "2026-07-28");
}

//! The stateless era's checks of headers, `_meta` and methods.

use serde_json::json;

use crate::site::{Http, MODERN, Site};

#[tokio::test]
async fn item_04_version_header_and_meta_must_agree_and_be_ours() {
    let site = Site::start().await;
    let call = || Http::modern("alice", 1, "tools/call", json!({"name": "wipe"}));
    assert_eq!(
        site.send(&call().header("MCP-Protocol-Version", "2025-11-25")).await.refusal(),
        (400, -32020)
    );
    assert_eq!(site.send(&call().header("MCP-Protocol-Version", "v999")).await.refusal(), (400, -32020));
    assert_eq!(site.send(&call().without("MCP-Protocol-Version")).await.refusal(), (400, -32020));
    let both = call().header("MCP-Protocol-Version", "v999");
    let both = Http { body: both.body.replace(MODERN, "v999"), ..both };
    let reply = site.send(&both).await;
    assert_eq!(reply.refusal(), (400, -32022));
    assert_eq!(reply.json()["error"]["data"]["requested"], "v999");
    assert_eq!(reply.json()["error"]["data"]["supported"][0], MODERN);
    assert_eq!(site.ran(), 0);
}

#[tokio::test]
async fn item_05_required_meta_and_capabilities() {
    let site = Site::start().await;
    let head = Http::post("alice")
        .header("MCP-Protocol-Version", MODERN)
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", "wipe");
    for params in [
        json!({"name": "wipe"}),
        json!({"name": "wipe", "_meta": {}}),
        json!({"name": "wipe", "_meta": []}),
        json!({"name": "wipe", "_meta": {"io.modelcontextprotocol/clientCapabilities": {}}}),
        json!({"name": "wipe", "_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}),
    ] {
        assert_eq!(
            site.send(&head.clone().call(1, "tools/call", params.clone())).await.refusal(),
            (400, -32602),
            "{params}"
        );
    }
    assert_eq!(site.ran(), 0);
    let reply = site.send(&Http::modern("alice", 1, "tools/call", json!({"name": "ask"}))).await;
    assert_eq!(reply.refusal(), (400, -32021));
    assert_eq!(reply.json()["error"]["data"]["requiredCapabilities"], json!({"elicitation": {}}));
}

#[tokio::test]
async fn item_06_mirrored_headers_must_equal_the_body() {
    let site = Site::start().await;
    let call = || Http::modern("alice", 1, "tools/call", json!({"name": "wipe"}));
    for request in [
        call().without("Mcp-Method"),
        call().header("Mcp-Method", "tools/list"),
        call().header("Mcp-Method", "TOOLS/CALL"),
        call().without("Mcp-Name"),
        call().header("Mcp-Name", "echo"),
        call().header("Mcp-Name", "=?base64?ZWNobw==?="),
        call().header("Mcp-Name", "=?base64?d2lwZQ?="),
    ] {
        assert_eq!(site.send(&request).await.refusal(), (400, -32020), "{:?}", request.headers);
    }
    let mut twice = call();
    twice.headers.push(("Mcp-Name".into(), "wipe".into()));
    assert_eq!(site.send(&twice).await.refusal(), (400, -32020));
    assert_eq!(site.ran(), 0);
    for name in ["wipe", "  wipe  ", "=?base64?d2lwZQ==?="] {
        assert_eq!(site.send(&call().header("Mcp-Name", name)).await.text(), "gone", "{name}");
    }
}

#[tokio::test]
async fn item_06_parameters_in_headers_must_equal_the_arguments() {
    let site = Site::start().await;
    let call =
        |arguments| Http::modern("alice", 1, "tools/call", json!({"name": "region", "arguments": arguments}));
    for request in [
        call(json!({"region": "eu"})),
        call(json!({"region": "eu"})).header("Mcp-Param-Region", "us"),
        call(json!({"region": "eu"})).header("Mcp-Param-Region", "=?base64?ZXU?="),
        call(json!({})).header("Mcp-Param-Region", "eu"),
        call(json!({"count": 42})).header("Mcp-Param-Count", "43"),
        call(json!({"count": 42})).header("Mcp-Param-Count", "forty-two"),
    ] {
        assert_eq!(
            site.send(&request).await.refusal(),
            (400, -32020),
            "{:?} {}",
            request.headers,
            request.body
        );
    }
    assert_eq!(site.ran(), 0);
    for request in [
        call(json!({})),
        call(json!({"region": "eu"})).header("mcp-param-region", "eu"),
        call(json!({"region": "eu"})).header("Mcp-Param-Region", "=?base64?ZXU=?="),
        call(json!({"region": "=?base64?x"})).header("Mcp-Param-Region", "=?base64?x"),
        call(json!({"count": 42})).header("Mcp-Param-Count", "42.0"),
    ] {
        assert_eq!(site.send(&request).await.text(), "gone", "{:?}", request.headers);
    }
    // Item 7: headers that belong to no parameter are let through.
    let unknown = Http::modern("alice", 1, "tools/call", json!({"name": "echo", "arguments": {"text": "x"}}))
        .header("Mcp-Param-Else", "y");
    assert_eq!(site.send(&unknown).await.text(), "x");
    // A tool that is hidden from bob gives no sign that it has such headers.
    let hidden =
        Http::modern("bob", 1, "tools/call", json!({"name": "region", "arguments": {"region": "eu"}}));
    assert_eq!(site.send(&hidden).await.refusal(), (200, -32602));
}

#[tokio::test]
async fn item_09_unknown_methods_and_the_ways_of_older_revisions() {
    let site = Site::start().await;
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "roots/list",
        "unknown/method",
        "completion/complete",
    ] {
        let reply = site.send(&Http::modern("alice", 5, method, json!({}))).await;
        assert_eq!(reply.refusal(), (404, -32601), "{method}");
        assert_eq!(reply.json()["id"], 5);
    }
    for request in
        [Http::get("alice"), Http::delete("alice"), Http::get("alice").header("MCP-Protocol-Version", MODERN)]
    {
        let reply = site.send(&request).await;
        assert_eq!((reply.status, reply.headers["allow"].as_str()), (405, "POST"));
    }
    // A session id or an event id means nothing here, and none is given out.
    let request = Http::modern("alice", 1, "tools/list", json!({}))
        .header("Mcp-Session-Id", "chosen")
        .header("Last-Event-ID", "1");
    let reply = site.send(&request).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.headers.contains_key("mcp-session-id"));
    // Nor are there responses from clients.
    let answer = Http::post("alice")
        .header("MCP-Protocol-Version", MODERN)
        .body(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(site.send(&answer).await.refusal(), (400, -32600));
}

#[tokio::test]
async fn unsupported_versions_of_the_legacy_era_are_refused() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let ping = Http::post("alice").session(&session).call(1, "ping", json!({}));
    assert_eq!(site.send(&ping.clone().header("MCP-Protocol-Version", "2024-11-05")).await.status, 400);
    assert_eq!(site.send(&ping.clone().without("MCP-Protocol-Version")).await.status, 200);
    assert_eq!(
        site.send(&Http::delete("alice").session(&session).header("MCP-Protocol-Version", "junk"))
            .await
            .status,
        400
    );
    assert_eq!(site.send(&ping).await.status, 200);
}

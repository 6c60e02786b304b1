//! What a client without the right credential is told, so that it finds out where to get one.

use countersign_mcp::{Config, OAuth};
use serde_json::json;

use crate::site::{Http, Site};

const URL: &str = "https://mcp.bank.example/.well-known/oauth-protected-resource/mcp";

fn oauth() -> Config {
    let document = json!({"resource": "https://mcp.bank.example/mcp", "authorization_servers": ["https://login.bank.example"]});
    let oauth =
        OAuth { document: document.to_string(), url: URL.into(), scope: "tools:read tools:list".into() };
    Config { oauth: Some(oauth), ..Config::default() }
}

fn call(who: &str) -> Http {
    Http::modern(who, 1, "tools/call", json!({"name": "echo", "arguments": {"text": "hi"}}))
}

#[tokio::test]
async fn item_22_the_metadata_is_at_both_places_and_needs_no_credential() {
    let site = Site::with(oauth()).await;
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let reply = site.send(&Http::get("").path(path)).await;
        assert_eq!(
            (reply.status, reply.headers["content-type"].as_str()),
            (200, "application/json"),
            "{path}"
        );
        assert_eq!(reply.json()["authorization_servers"], json!(["https://login.bank.example"]));
    }
    for path in [
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/x",
    ] {
        assert_eq!(site.send(&Http::get("").path(path)).await.status, 404, "{path}");
    }
    let plain = Site::start().await;
    let reply = plain.send(&Http::get("").path("/.well-known/oauth-protected-resource")).await;
    assert_eq!(reply.status, 404, "without issuers there is nothing to find");
}

#[tokio::test]
async fn item_24_a_challenge_names_metadata_and_scopes() {
    let site = Site::with(oauth()).await;
    let challenge = |error: &str| {
        format!(
            r#"Bearer realm="countersign"{error}, scope="tools:read tools:list", resource_metadata="{URL}""#
        )
    };
    let reply = site.send(&call("")).await;
    assert_eq!((reply.status, &reply.headers["www-authenticate"]), (401, &challenge("")));
    let reply = site.send(&call("mallory")).await;
    assert_eq!(
        (reply.status, &reply.headers["www-authenticate"]),
        (401, &challenge(r#", error="invalid_token""#))
    );
    let plain = Site::start().await;
    let reply = plain.send(&call("")).await;
    assert_eq!(reply.headers["www-authenticate"], r#"Bearer realm="countersign""#);
}

#[tokio::test]
async fn item_23_a_token_without_the_scope_is_403_with_a_challenge() {
    let site = Site::with(oauth()).await;
    let reply = site.send(&call("narrow")).await;
    let challenge = &reply.headers["www-authenticate"];
    assert_eq!(reply.status, 403);
    for part in [r#"error="insufficient_scope""#, r#"scope="tools:read tools:list""#, URL] {
        assert!(challenge.contains(part), "{challenge}");
    }
    assert!(site.logged("insufficient-scope") && site.logged("token-scope"));
    assert_eq!(site.ran(), 0);
}

#[tokio::test]
async fn proofs_of_possession_have_challenges_of_their_own() {
    let site = Site::with(oauth()).await;
    let reply = site.send(&call("unproved")).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.headers["www-authenticate"], r#"DPoP realm="countersign", error="invalid_dpop_proof""#);
    let reply = site.send(&call("old-nonce")).await;
    assert_eq!(reply.headers["www-authenticate"], r#"DPoP realm="countersign", error="use_dpop_nonce""#);
    assert_eq!(reply.headers["dpop-nonce"], "n1");
    let mut twice = call("alice");
    twice.headers.extend([("DPoP".into(), "a.b.c".into()), ("DPoP".into(), "d.e.f".into())]);
    assert_eq!(site.send(&twice).await.status, 400);
}

fn call_tool(who: &str, tool: &str) -> Http {
    Http::modern(who, 1, "tools/call", json!({"name": tool, "arguments": {}}))
}

/// SPEC: MCP 2025-11-25 and 2026-07-28 authorization, Runtime Insufficient Scope Errors.
#[tokio::test]
async fn item_24_a_call_beyond_the_tokens_scopes_is_403_and_names_them_all() {
    let site = Site::with(oauth()).await;
    let challenge = format!(
        r#"Bearer realm="countersign", error="insufficient_scope", scope="tools:list tools:read tools:wipe tools:write", resource_metadata="{URL}""#
    );
    let session = site.session("carol", json!({})).await;
    let legacy = Http::post("carol").session(&session);
    let progress = json!({"name": "wipe", "arguments": {}, "_meta": {"progressToken": 1}});
    for request in [
        call_tool("carol", "wipe"),
        legacy.clone().call(2, "tools/call", json!({"name": "wipe", "arguments": {}})),
        legacy.clone().call(3, "tools/call", progress.clone()),
        legacy.header("Accept", "text/event-stream").call(4, "tools/call", progress),
    ] {
        let reply = site.send(&request).await;
        assert_eq!((reply.status, &reply.headers["www-authenticate"]), (403, &challenge), "{}", reply.body);
        let error = &reply.json()["error"];
        assert_eq!(error["data"]["code"], "insufficient-scope", "{error}");
        assert_eq!(error["data"]["scopes"], json!(["tools:wipe", "tools:write"]));
    }
    assert_eq!(site.ran(), 0);
    assert!(site.logged(r#""code":"insufficient-scope""#) && site.logged("`tools:wipe` and `tools:write`"));
    // With the scopes, and by way of a resource.
    assert_eq!(site.send(&call_tool("erin", "wipe")).await.status, 200);
    let read = |who| Http::modern(who, 1, "resources/read", json!({"uri": "note://one"}));
    assert_eq!(site.send(&read("carol")).await.status, 403);
    assert_eq!(site.send(&read("erin")).await.status, 200);
    // A credential without scopes is bounded by policy alone.
    assert_eq!(site.send(&call_tool("alice", "wipe")).await.status, 200);
}

#[tokio::test]
async fn who_may_not_know_of_a_tool_is_told_of_no_scope() {
    let site = Site::with(oauth()).await;
    let hidden = site.send(&call_tool("dave", "wipe")).await;
    let absent = site.send(&call_tool("dave", "wipeout")).await;
    assert_eq!((hidden.status, &hidden.body), (absent.status, &absent.body));
    assert!(!hidden.headers.contains_key("www-authenticate"));
    // Whoever may know of it is shown it, so that a client finds out what it could ask for.
    let listed = site.send(&Http::modern("carol", 1, "tools/list", json!({}))).await;
    assert!(listed.body.contains(r#""name":"wipe""#), "{}", listed.body);
}

#[tokio::test]
async fn what_is_published_can_be_replaced() {
    let (server, ..) = crate::site::server(oauth());
    server.replace_oauth(None);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let served = tokio::spawn(countersign_mcp::serve_http(listener, server.clone(), shutdown.clone()));
    let ask = async || {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let bytes = Http::get("").path("/.well-known/oauth-protected-resource").bytes();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.unwrap();
        crate::site::Reply::read(stream).await.status
    };
    assert_eq!(ask().await, 404);
    server.replace_oauth(oauth().oauth);
    assert_eq!(ask().await, 200);
    shutdown.cancel();
    served.await.unwrap().unwrap();
}

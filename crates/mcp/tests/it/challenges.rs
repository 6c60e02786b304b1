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

//! What the head of a request must show before anything else of it counts.

use std::time::{Duration, Instant};

use countersign_mcp::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::site::{Http, Reply, Site};

fn call(who: &str) -> Http {
    Http::modern(who, 1, "tools/call", json!({"name": "echo", "arguments": {"text": "hi"}}))
}

#[tokio::test]
async fn item_01_an_invalid_origin_is_403() {
    let site = Site::start().await;
    for origin in [
        "http://evil.example.com",
        "null",
        "http://localhost.evil.example.com",
        "file://",
        "http://127.0.0.1@evil.example.com",
        "http://[::1].evil.example.com",
        "",
    ] {
        let reply = site.send(&call("alice").header("Origin", origin)).await;
        assert_eq!(reply.status, 403, "{origin}");
    }
    for origin in ["http://localhost", "http://127.0.0.1:6274", "https://localhost:3000", "http://[::1]:80"] {
        let reply = site.send(&call("alice").header("Origin", origin)).await;
        assert_eq!(reply.status, 200, "{origin}: {}", reply.body);
    }
    let mut twice = call("alice");
    twice.headers.push(("Origin".into(), "http://localhost".into()));
    twice.headers.push(("Origin".into(), "http://evil.example.com".into()));
    assert_eq!(site.send(&twice).await.status, 403);
    assert_eq!(site.ran(), 4);
    assert!(site.logged("origin-refused"));
}

#[tokio::test]
async fn item_03_an_unknown_host_is_refused_before_the_credential() {
    let site = Site::start().await;
    for host in [
        "evil.example.com",
        "localhost.evil.example.com",
        "127.0.0.1.evil.example.com",
        "169.254.169.254",
        "localhost:80:80",
        "127.0.0.1@evil",
        "",
        "0.0.0.0",
    ] {
        let reply = site.send(&call("").header("Host", host)).await;
        assert_eq!(reply.status, 421, "{host:?}");
    }
    for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:1"] {
        assert_eq!(site.send(&call("alice").header("Host", host)).await.status, 200, "{host}");
    }
    assert!(site.logged(r#""event":"host-refused""#));
    // The target of an absolute-form request counts as well.
    let absolute = call("alice").path("http://evil.example.com/mcp");
    assert_eq!(site.send(&absolute).await.status, 421);
    assert_eq!(site.ran(), 4);
}

#[tokio::test]
async fn configured_hosts_and_origins_are_served() {
    let config = Config {
        hosts: vec!["mcp.bank.example".into()],
        origins: vec!["https://app.bank.example".into()],
        ..Config::default()
    };
    let site = Site::with(config).await;
    let request =
        call("alice").header("Host", "mcp.bank.example:443").header("Origin", "https://app.bank.example");
    assert_eq!(site.send(&request).await.status, 200);
    assert_eq!(site.send(&request.header("Origin", "http://app.bank.example")).await.status, 403);
}

#[tokio::test]
async fn item_16_and_23_every_request_needs_its_own_credential_before_its_body() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    for request in [
        call(""),
        call("mallory"),
        Http::post("").session(&session).call(1, "ping", json!({})),
        Http::get("").session(&session),
        Http::delete("mallory").session(&session),
    ] {
        let presented = request.headers.iter().any(|(name, _)| name == "Authorization");
        let reply = site.send(&request).await;
        assert_eq!(reply.status, 401);
        let challenge = &reply.headers["www-authenticate"];
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        assert_eq!(challenge.contains("invalid_token"), presented);
    }
    // The body is announced and never sent: the answer comes all the same, so it was not waited for.
    let head = call("mallory").header("Content-Length", "1000").body("").bytes();
    let asked = Instant::now();
    assert_eq!(Reply::read(site.raw(&head).await).await.status, 401);
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert_eq!(site.ran(), 0);
}

#[tokio::test]
async fn the_record_says_why_a_login_failed_and_the_caller_is_not_told() {
    let site = Site::start().await;
    for (who, code, event) in [("mallory", "unknown", "wrong-credential"), ("", "missing", "no-credential")] {
        let reply = site.send(&call(who)).await;
        assert_eq!(reply.status, 401);
        assert!(site.logged(&format!(r#""event":"{event}""#)), "{event}");
        assert!(!format!("{}{:?}", reply.body, reply.headers).contains(code), "{}", reply.body);
        assert!(site.logged(&format!(r#""detail":"{code}""#)), "{code}");
    }
    assert!(!site.logged("mallory"));
}

#[tokio::test]
async fn two_credentials_at_once_are_refused() {
    let site = Site::start().await;
    let mut both = call("alice");
    both.headers.push(("Authorization".into(), "Bearer bob".into()));
    assert_eq!(site.send(&both).await.status, 400);
}

#[tokio::test]
async fn item_26_a_token_in_the_query_string_is_refused() {
    let site = Site::start().await;
    for path in ["/mcp?access_token=alice", "/mcp?token=alice", "/mcp?"] {
        assert_eq!(site.send(&call("").path(path)).await.status, 400, "{path}");
        assert_eq!(site.send(&call("alice").path(path)).await.status, 400, "{path}");
    }
    assert!(site.logged(r#""event":"query-refused""#) && !site.logged("access_token"));
}

#[tokio::test]
async fn an_address_that_keeps_failing_is_told_when_to_retry_and_valid_callers_still_pass() {
    let site = Site::with(Config { failures_per_minute: 5, failures_burst: 5, ..Config::default() }).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(site.send(&call("mallory")).await);
    }
    let refused: Vec<u16> = statuses.iter().map(|reply| reply.status).collect();
    assert_eq!(refused, [401, 401, 401, 401, 401, 429, 429, 429]);
    let wait: u64 = statuses[7].headers["retry-after"].parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(site.logged(r#""event":"too-many-failures""#));
    assert_eq!(site.send(&call("alice")).await.status, 200);
}

#[tokio::test]
async fn connections_without_credentials_are_few_per_address() {
    let site = Site::with(Config { anonymous_connections: 3, ..Config::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(site.raw(b"").await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut fourth = site.raw(b"").await;
    let mut answer = Vec::new();
    fourth.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After"), "{answer}");
    assert!(site.logged(r#""event":"connections""#));
    // A connection on which somebody authenticates gives its place back.
    silent[0].write_all(&call("alice").without("Connection").bytes()).await.unwrap();
    let mut some = [0; 64];
    assert!(silent[0].read(&mut some).await.unwrap() > 0);
    assert_eq!(site.send(&call("alice")).await.status, 200);
}

#[tokio::test]
async fn item_13_slow_heads_and_bodies_are_cut_off() {
    let config = Config {
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        ..Config::default()
    };
    let site = Site::with(config).await;
    let mut slow = site.raw(b"POST /mcp HTTP/1.1\r\nHost: 127").await;
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut rest))
        .await
        .expect("the head was waited for")
        .unwrap();
    let mut idle = site.raw(b"").await;
    tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest))
        .await
        .expect("an idle connection stays")
        .unwrap();
    let half = call("alice").header("Content-Length", "1000").bytes();
    let reply = tokio::time::timeout(Duration::from_secs(5), Reply::read(site.raw(&half).await)).await;
    assert_eq!(reply.expect("the body was waited for").status, 408);
}

#[tokio::test]
async fn heads_are_limited_in_count_and_size() {
    let site = Site::start().await;
    let mut many = call("alice");
    many.headers.extend((0..100).map(|n| (format!("X-{n}"), "1".into())));
    assert_eq!(site.send(&many).await.status, 431);
    let long = call("alice").header("X-Long", &"x".repeat(100_000));
    assert_eq!(site.send(&long).await.status, 431);
    assert_eq!(site.ran(), 0);
}

#[tokio::test]
async fn media_types_are_checked() {
    let site = Site::start().await;
    for media in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""]
    {
        assert_eq!(site.send(&call("alice").header("Content-Type", media)).await.status, 415, "{media}");
    }
    assert_eq!(site.send(&call("alice").without("Content-Type")).await.status, 415);
    assert_eq!(
        site.send(&call("alice").header("Content-Type", "Application/JSON; charset=utf-8")).await.status,
        200
    );
    for accept in ["text/html", "application/json;q=0", "image/*"] {
        assert_eq!(site.send(&call("alice").header("Accept", accept)).await.status, 406, "{accept}");
    }
    for accept in ["*/*", "application/json", "application/json, text/event-stream", "application/*;q=0.5"] {
        let reply = site.send(&call("alice").header("Accept", accept)).await;
        assert_eq!(
            (reply.status, reply.headers["content-type"].as_str()),
            (200, "application/json"),
            "{accept}"
        );
    }
    let reply = site.send(&call("alice").header("Accept", "text/event-stream")).await;
    assert_eq!(reply.events()[0]["result"]["content"][0]["text"], "hi");
    assert_eq!(site.ran(), 6);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let site = Site::start().await;
    assert_eq!(site.send(&call("alice").path("/")).await.status, 404);
    assert_eq!(site.send(&call("alice").path("/mcp/")).await.status, 404);
    let mut put = call("alice");
    put.method = "PUT";
    assert_eq!(site.send(&put).await.status, 405);
    let mut preflight = Http::get("");
    preflight.method = "OPTIONS";
    let reply = site.send(&preflight).await;
    assert_eq!(reply.status, 405);
    assert!(!reply.headers.keys().any(|name| name.starts_with("access-control")));
}

#[tokio::test]
async fn health_needs_no_credential_and_a_drain_lets_calls_finish() {
    let site = Site::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(site.send(&Http::get("").path(path)).await.status, 200);
    }
    let slow = Http::modern("alice", 1, "tools/call", json!({"name": "slow"}));
    let under_way = site.raw(&slow.bytes()).await;
    site.seen.started.notified().await;
    site.shutdown.cancel();
    let reply = Reply::read(under_way).await;
    assert_eq!(reply.text(), "slept");
    site.served.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(site.address).await.is_err(), "still accepting");
}

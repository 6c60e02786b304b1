//! Cancellation: by the era's own sign, within 200 ms, and only of one's own requests.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::site::{Http, Reply, Site};

const SOON: Duration = Duration::from_millis(200);

fn cancel(who: &str, session: &str, id: &str) -> Http {
    let body =
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
    Http::post(who).session(session).body(body)
}

#[tokio::test]
async fn item_10_a_stateless_client_that_goes_away_has_cancelled() {
    let site = Site::start().await;
    for accept in ["application/json, text/event-stream", "text/event-stream"] {
        let call = Http::modern("alice", 1, "tools/call", json!({"name": "slow"})).header("Accept", accept);
        let stream = site.raw(&call.bytes()).await;
        site.seen.started.notified().await;
        let gone = Instant::now();
        drop(stream);
        tokio::time::timeout(SOON, site.seen.stopped.notified()).await.expect("it went on");
        assert!(gone.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(
            site.logged(r#""result":"cancelled""#) || site.logged(r#""code":"cancelled""#),
            "no record of the outcome"
        );
    }
    assert_eq!(site.seen.finished.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn item_10_a_legacy_client_that_goes_away_has_not_cancelled() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let call = Http::post("alice").session(&session).call(1, "tools/call", json!({"name": "slow"}));
    let stream = site.raw(&call.bytes()).await;
    site.seen.started.notified().await;
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), site.seen.stopped.notified()).await.unwrap();
    assert_eq!(site.seen.finished.load(Ordering::SeqCst), 1, "the call was stopped");
}

#[tokio::test]
async fn a_legacy_client_cancels_by_notification() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let call = Http::post("alice")
        .session(&session)
        .body(r#"{"jsonrpc":"2.0","id":"job-1","method":"tools/call","params":{"name":"slow"}}"#);
    let stream = site.raw(&call.bytes()).await;
    site.seen.started.notified().await;
    assert_eq!(
        site.send(&cancel("alice", &session, "\"job-2\"")).await.status,
        202,
        "unknown ids are ignored"
    );
    assert_eq!(site.send(&cancel("alice", &session, "\"job-1\"")).await.status, 202);
    tokio::time::timeout(SOON, site.seen.stopped.notified()).await.expect("it went on");
    let reply = Reply::read(stream).await;
    assert_eq!(reply.json()["result"]["isError"], true);
}

#[tokio::test]
async fn nobody_cancels_the_request_of_another() {
    let site = Site::start().await;
    let alices = site.session("alice", json!({})).await;
    let second = site.session("alice", json!({})).await;
    let bobs = site.session("bob", json!({})).await;
    let call = Http::post("alice").session(&alices).call(7, "tools/call", json!({"name": "slow"}));
    let stream = site.raw(&call.bytes()).await;
    site.seen.started.notified().await;
    assert_eq!(site.send(&cancel("bob", &bobs, "7")).await.status, 202);
    assert_eq!(site.send(&cancel("bob", &alices, "7")).await.status, 404);
    assert_eq!(site.send(&cancel("alice", &second, "7")).await.status, 202);
    assert_eq!(Reply::read(stream).await.text(), "slept");
}

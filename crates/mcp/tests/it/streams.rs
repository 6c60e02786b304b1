//! Event streams: only when there is something to say, only what was asked for, closed when they should be.

use std::time::Duration;

use countersign_mcp::{Change, Config};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::site::{Http, Site};

/// Reads a stream event by event.
struct Listener {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
    head: String,
}

impl Listener {
    async fn open(site: &Site, request: &Http) -> Listener {
        let mut lines = BufReader::new(site.raw(&request.bytes()).await).lines();
        let mut head = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.is_empty() {
                break;
            }
            head.push_str(&line.to_ascii_lowercase());
            head.push('\n');
        }
        Listener { lines, head }
    }

    /// The next event; `None` at the end of the stream.
    async fn event(&mut self) -> Option<Value> {
        while let Some(line) = self.lines.next_line().await.unwrap_or_default() {
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
        None
    }

    async fn silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.event()).await.is_err()
    }
}

fn listen(notifications: Value) -> Http {
    Http::modern("alice", 77, "subscriptions/listen", json!({"notifications": notifications}))
}

#[tokio::test]
async fn item_11_a_subscription_acknowledges_first_tags_everything_and_keeps_to_what_was_asked() {
    let site = Site::start().await;
    let mut tools =
        Listener::open(&site, &listen(json!({"toolsListChanged": true, "unknownKind": true}))).await;
    let acknowledged = tools.event().await.unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"], json!({"toolsListChanged": true}));
    assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 77);
    let mut notes = Listener::open(&site, &listen(json!({"resourceSubscriptions": ["note://one"]}))).await;
    notes.event().await.unwrap();
    site.changes.announce(Change::Prompts);
    site.changes.announce(Change::Resource("note://two".into()));
    assert!(tools.silent().await && notes.silent().await, "something that nobody asked for");
    site.changes.announce(Change::Tools);
    let told = tools.event().await.unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 77);
    site.changes.announce(Change::Resource("note://one".into()));
    assert_eq!(notes.event().await.unwrap()["params"]["uri"], "note://one");
    // A server that stops says so.
    site.shutdown.cancel();
    let last = tools.event().await.unwrap();
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(77), &json!("complete")));
    assert_eq!(tools.event().await, None);
}

#[tokio::test]
async fn item_14_streams_are_not_buffered_and_stay_alive() {
    let site = Site::with(Config { keep_alive: Duration::from_millis(100), ..Config::default() }).await;
    let mut stream = Listener::open(&site, &listen(json!({"toolsListChanged": true}))).await;
    assert!(
        stream.head.contains("x-accel-buffering: no") && stream.head.contains("text/event-stream"),
        "{}",
        stream.head
    );
    stream.event().await.unwrap();
    let comment = async {
        loop {
            let line = stream.lines.next_line().await.unwrap().unwrap();
            if line.starts_with(':') {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(2), comment).await.expect("no comment came");
}

#[tokio::test]
async fn open_streams_are_few_per_principal() {
    let site = Site::with(Config { streams_per_principal: 1, ..Config::default() }).await;
    let first = Listener::open(&site, &listen(json!({"toolsListChanged": true}))).await;
    let second = listen(json!({"toolsListChanged": true}));
    let refused = tokio::time::timeout(Duration::from_secs(2), site.send(&second)).await;
    let reply = refused.expect("a second stream was opened");
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (429, "1"));
    let bobs = Http::modern("bob", 1, "subscriptions/listen", json!({"notifications": {}}));
    assert!(
        Listener::open(&site, &bobs).await.head.contains(" 200 "),
        "one caller's streams are not another's"
    );
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(Listener::open(&site, &listen(json!({"toolsListChanged": true}))).await.head.contains(" 200 "));
}

#[tokio::test]
async fn a_stream_ends_with_its_credential() {
    let site = Site::start().await;
    let mut stream = Listener::open(&site, &listen(json!({"toolsListChanged": true}))).await;
    stream.event().await.unwrap();
    assert!(stream.silent().await);
    site.revoke("alice");
    let ended = tokio::time::timeout(Duration::from_secs(2), stream.event()).await;
    assert_eq!(ended.expect("the stream went on"), None);
}

/// The credential is as good as before, but an operator stopped its owner.
#[tokio::test]
async fn a_stream_ends_when_its_principal_is_revoked() {
    let site = Site::start().await;
    let mut stream = Listener::open(&site, &listen(json!({"toolsListChanged": true}))).await;
    stream.event().await.unwrap();
    assert!(stream.silent().await);
    site.revoke_principal("alice");
    let ended = tokio::time::timeout(Duration::from_secs(2), stream.event()).await;
    assert_eq!(ended.expect("the stream went on"), None);
    let again = site.send(&Http::modern("alice", 1, "tools/list", json!({}))).await;
    assert_eq!(again.status, 401);
}

#[tokio::test]
async fn a_stream_that_is_never_quiet_ends_with_its_credential() {
    let site = Site::start().await;
    let mut stream = Listener::open(&site, &listen(json!({"toolsListChanged": true}))).await;
    stream.event().await.unwrap();
    site.revoke("alice");
    let busy = async {
        loop {
            site.changes.announce(Change::Tools);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = async { while stream.event().await.is_some() {} };
    let ended = async { tokio::time::timeout(Duration::from_secs(2), ended).await };
    tokio::select! {
        ended = ended => ended.expect("the stream went on"),
        () = busy => {}
    }
}

#[tokio::test]
async fn a_legacy_session_has_one_standalone_stream() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let get = Http::get("alice").session(&session);
    let mut stream = Listener::open(&site, &get).await;
    assert_eq!(site.send(&get).await.status, 409);
    site.changes.announce(Change::Tools);
    assert_eq!(stream.event().await.unwrap()["method"], "notifications/tools/list_changed");
    site.changes.announce(Change::Resource("note://one".into()));
    assert!(stream.silent().await);
    let subscribe =
        Http::post("alice").session(&session).call(1, "resources/subscribe", json!({"uri": "note://one"}));
    assert_eq!(site.send(&subscribe).await.json()["result"], json!({}));
    site.changes.announce(Change::Resource("note://one".into()));
    assert_eq!(stream.event().await.unwrap()["params"]["uri"], "note://one");
    assert_eq!(site.send(&Http::delete("alice").session(&session)).await.status, 202);
    assert_eq!(stream.event().await, None, "the stream outlived its session");
}

#[tokio::test]
async fn progress_comes_only_for_a_token_and_carries_it() {
    let site = Site::start().await;
    let talk = |meta: Value| Http::modern("alice", 1, "tools/call", json!({"name": "talk", "_meta": meta}));
    let quiet = site.send(&talk(json!({}))).await;
    assert_eq!(quiet.headers["content-type"], "application/json");
    for token in [json!("t-1"), json!(42)] {
        let events = site.send(&talk(json!({"progressToken": token}))).await.events();
        let progress: Vec<&Value> =
            events.iter().filter(|event| event["method"] == "notifications/progress").collect();
        assert_eq!(progress.len(), 3);
        assert!(progress.iter().all(|event| event["params"]["progressToken"] == token));
        assert_eq!(events.last().unwrap()["result"]["content"][0]["text"], "said it all");
        assert_eq!(events.len(), 4, "log messages that nobody asked for: {events:?}");
    }
    let json_only = site.send(&talk(json!({"progressToken": 1})).header("Accept", "application/json")).await;
    assert_eq!(json_only.text(), "said it all");
}

#[tokio::test]
async fn item_45_log_messages_come_only_at_the_level_that_was_asked_for() {
    let site = Site::start().await;
    let levels = |events: Vec<Value>| -> Vec<String> {
        let logs = events.into_iter().filter(|event| event["method"] == "notifications/message");
        logs.map(|event| event["params"]["level"].as_str().unwrap().to_owned()).collect()
    };
    let talk = |level: &str| {
        Http::modern(
            "alice",
            1,
            "tools/call",
            json!({"name": "talk", "_meta": {"io.modelcontextprotocol/logLevel": level}}),
        )
    };
    assert_eq!(
        levels(site.send(&talk("debug")).await.events()),
        ["info", "error", "info", "error", "info", "error"]
    );
    assert_eq!(levels(site.send(&talk("warning")).await.events()), ["error", "error", "error"]);
    assert_eq!(site.send(&talk("emergency")).await.text(), "said it all");
    assert_eq!(site.send(&talk("loud")).await.refusal(), (400, -32602));
    let session = site.session("alice", json!({})).await;
    let legacy = Http::post("alice").session(&session);
    assert_eq!(
        site.send(&legacy.clone().call(1, "tools/call", json!({"name": "talk"}))).await.text(),
        "said it all"
    );
    site.send(&legacy.clone().call(2, "logging/setLevel", json!({"level": "error"}))).await;
    assert_eq!(
        levels(site.send(&legacy.call(3, "tools/call", json!({"name": "talk"}))).await.events()).len(),
        3
    );
}

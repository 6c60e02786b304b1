//! Questions to the client in mid-call, in both eras.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::site::{Http, Site};

fn round(who: &str, id: i64, params: Value) -> Http {
    Http::modern_with(who, id, "tools/call", params, json!({"elicitation": {}}))
}

fn answer(name: &str) -> Value {
    json!({"who": {"action": "accept", "content": {"name": name}}})
}

async fn state(site: &Site) -> String {
    let reply = site.send(&round("alice", 1, json!({"name": "ask"}))).await;
    let result = &reply.json()["result"];
    assert_eq!(result["resultType"], "input_required");
    assert_eq!(result["inputRequests"]["who"]["method"], "elicitation/create");
    result["requestState"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn item_18_request_state_is_bound_and_tampering_is_refused() {
    let site = Site::start().await;
    let state = state(&site).await;
    let with = |state: &str| json!({"name": "ask", "inputResponses": answer("Ada"), "requestState": state});
    let reply = site.send(&round("alice", 2, with(&state))).await;
    assert_eq!(reply.text(), "answered Ada");
    let ran = site.ran();
    let mut flipped = state.clone().into_bytes();
    flipped[3] = if flipped[3] == b'A' { b'B' } else { b'A' };
    let foreign_call = json!({"name": "echo", "arguments": {"text": "x"}, "requestState": state});
    let attempts = [
        round("alice", 3, with(&format!("{state}-TAMPERED"))),
        round("alice", 3, with(&String::from_utf8(flipped).unwrap())),
        round("alice", 3, with(state.split('.').next().unwrap())),
        round("alice", 3, with("")),
        // Of another principal, and for another call.
        round("bob", 3, with(&state)),
        round("alice", 3, foreign_call),
        round("alice", 3, json!({"name": "ask", "requestState": 7})),
        round("alice", 3, json!({"name": "ask", "inputResponses": null})),
        round("alice", 3, json!({"name": "ask", "inputResponses": [1]})),
    ];
    for attempt in attempts {
        assert_eq!(site.send(&attempt).await.refusal(), (200, -32602), "{}", attempt.body);
    }
    assert_eq!(site.ran(), ran, "a refused state ran something");
}

#[tokio::test]
async fn item_18_a_state_of_another_process_is_refused() {
    let (site, other) = (Site::start().await, Site::start().await);
    let state = state(&other).await;
    let reply = site
        .send(&round(
            "alice",
            2,
            json!({"name": "ask", "inputResponses": answer("Ada"), "requestState": state}),
        ))
        .await;
    assert_eq!(reply.refusal(), (200, -32602));
}

#[tokio::test]
async fn item_19_missing_answers_are_asked_for_again_and_unknown_ones_ignored() {
    let site = Site::start().await;
    for given in [
        json!({}),
        json!({"else": {"action": "accept"}}),
        json!({"who": 12345}),
        json!({"who": {"action": "maybe"}}),
    ] {
        let reply = site.send(&round("alice", 1, json!({"name": "ask", "inputResponses": given}))).await;
        assert_eq!(reply.json()["result"]["resultType"], "input_required", "{given}");
    }
    let mut more = answer("Ada");
    more["unknown"] = json!({"action": "accept"});
    assert_eq!(
        site.send(&round("alice", 1, json!({"name": "ask", "inputResponses": more}))).await.text(),
        "answered Ada"
    );
    // Without the capability there is no question at all.
    let reply = site.send(&Http::modern("alice", 1, "tools/call", json!({"name": "ask"}))).await;
    assert_eq!(reply.refusal(), (400, -32021));
}

#[tokio::test]
async fn a_legacy_question_is_answered_by_a_message_of_the_same_session_only() {
    let site = Site::start().await;
    let session = site.session("alice", json!({"elicitation": {}})).await;
    let second = site.session("alice", json!({"elicitation": {}})).await;
    let call = Http::post("alice").session(&session).call(1, "tools/call", json!({"name": "ask"}));
    let mut lines = BufReader::new(site.raw(&call.bytes()).await).lines();
    let mut next = async || loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str::<Value>(data).unwrap();
        }
    };
    let question = next().await;
    assert_eq!(question["method"], "elicitation/create");
    let respond = |session: &str, name: &str| {
        let result = json!({"action": "accept", "content": {"name": name}});
        Http::post("alice")
            .session(session)
            .body(json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string())
    };
    assert_eq!(site.send(&respond(&second, "Mallory")).await.status, 400, "another session answered");
    assert_eq!(site.send(&respond(&session, "Ada")).await.status, 202);
    assert_eq!(next().await["result"]["content"][0]["text"], "answered Ada");
    assert_eq!(site.send(&respond(&session, "Eve")).await.status, 400, "answered twice");
}

#[tokio::test]
async fn a_legacy_client_that_refuses_or_cannot_answer_gets_a_result() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    let reply =
        site.send(&Http::post("alice").session(&session).call(1, "tools/call", json!({"name": "ask"}))).await;
    assert!(reply.text().contains("Unsupported"), "{}", reply.body);
}

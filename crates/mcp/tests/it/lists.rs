//! Lists and results: what they say, to whom, and in which order.

use countersign_mcp::Config;
use serde_json::{Value, json};

use crate::site::{Http, Site};

fn names(reply: &Value) -> Vec<&str> {
    reply["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn item_15_and_38_lists_differ_by_principal_only_and_are_ordered() {
    let site = Site::start().await;
    let list = |who: &str| Http::modern(who, 1, "tools/list", json!({}));
    let alice = site.send(&list("alice")).await;
    let all = ["ask", "echo", "fails", "note", "region", "rows", "slow", "talk", "wipe"];
    assert_eq!(names(&alice.json()), all);
    assert_eq!(site.send(&list("alice")).await.body, alice.body);
    assert_eq!(
        names(&site.send(&list("bob")).await.json()),
        ["ask", "echo", "fails", "note", "rows", "slow", "talk"]
    );
    // A tool that is hidden answers as one that does not exist.
    let call = |who: &str, name: &str| Http::modern(who, 1, "tools/call", json!({"name": name}));
    let hidden = site.send(&call("bob", "wipe")).await;
    assert_eq!(hidden.refusal(), (200, -32602));
    assert_eq!(hidden.body, site.send(&call("bob", "nonsense")).await.body);
    assert_eq!(site.ran(), 0);
    assert_eq!(site.send(&call("alice", "wipe")).await.text(), "gone");
}

#[tokio::test]
async fn item_21_lists_are_private_and_say_for_how_long() {
    let site = Site::start().await;
    for method in
        ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover"]
    {
        let result = site.send(&Http::modern("alice", 1, method, json!({}))).await.json()["result"].clone();
        assert_eq!((&result["cacheScope"], result["ttlMs"].is_u64()), (&json!("private"), true), "{method}");
        assert_eq!(result["resultType"], "complete");
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "countersign");
    }
    let read =
        site.send(&Http::modern("alice", 1, "resources/read", json!({"uri": "note://one"}))).await.json();
    assert_eq!(read["result"]["cacheScope"], "private");
    assert_eq!(read["result"]["contents"][0]["mimeType"], "text/plain");
}

#[tokio::test]
async fn pages_follow_each_other_and_foreign_cursors_are_refused() {
    let site = Site::with(Config { page_size: 4, ..Config::default() }).await;
    let session = site.session("alice", json!({})).await;
    let mut seen = Vec::new();
    let mut params = json!({});
    for _ in 0..3 {
        let reply = site
            .send(&Http::post("alice").session(&session).call(1, "tools/list", params.clone()))
            .await
            .json();
        seen.extend(names(&reply).into_iter().map(str::to_owned));
        match reply["result"].get("nextCursor") {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => break,
        }
    }
    assert_eq!(seen.len(), 9);
    assert!(seen.is_sorted());
    for cursor in [json!("!"), json!(7), json!("a\u{e9}")] {
        let reply = site
            .send(&Http::post("alice").session(&session).call(1, "tools/list", json!({"cursor": cursor})))
            .await;
        assert_eq!(reply.refusal(), (200, -32602), "{cursor}");
    }
}

#[tokio::test]
async fn titles_and_annotations_follow_the_class_of_harm() {
    let site = Site::start().await;
    let reply = site.send(&Http::modern("alice", 1, "tools/list", json!({}))).await.json();
    let tool = |name: &str| {
        reply["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone()
    };
    let (wipe, rows) = (tool("wipe"), tool("rows"));
    assert_eq!(wipe["title"], "wipe [write-high]");
    assert_eq!(
        (&wipe["annotations"]["readOnlyHint"], &wipe["annotations"]["destructiveHint"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (&rows["annotations"]["readOnlyHint"], &rows["annotations"]["destructiveHint"]),
        (&json!(true), &json!(false))
    );
    assert!(rows["outputSchema"].is_object());
    let open = |tool: &Value| tool["annotations"]["openWorldHint"].clone();
    assert_eq!((open(&tool("talk")), open(&rows)), (json!(true), json!(false)));
}

#[tokio::test]
async fn item_35_structured_content_comes_with_its_text_and_untrusted_data_is_delimited() {
    let site = Site::start().await;
    let reply = site.send(&Http::modern("alice", 1, "tools/call", json!({"name": "rows"}))).await;
    let result = &reply.json()["result"];
    // A neighbour of 2^53 stays exact, as a string.
    assert_eq!(result["structuredContent"]["rows"], json!([[1], ["9007199254740993"]]));
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("<untrusted-data id=") && text.contains("9007199254740993"), "{text}");
    assert_eq!(result["_meta"]["countersign/untrusted"], true);
    let call = result["_meta"]["countersign/call"].as_str().unwrap();
    assert!(site.logged(call), "the record does not know the call {call}");
}

#[tokio::test]
async fn item_37_what_a_model_can_correct_is_a_result_and_what_does_not_exist_an_error() {
    let site = Site::start().await;
    let call = |name: &str, arguments: Value| {
        Http::modern("alice", 1, "tools/call", json!({"name": name, "arguments": arguments}))
    };
    let reply = site.send(&call("echo", json!({"text": 7}))).await;
    let result = &reply.json()["result"];
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!((reply.status, &result["isError"]), (200, &json!(true)));
    let id = result["_meta"]["countersign/call"].as_str().unwrap();
    assert!(text.contains("/text") && text.contains("must be of type string") && text.contains(id), "{text}");
    assert_eq!(result["_meta"]["countersign/code"], "invalid");
    for arguments in [json!({}), json!({"text": "x", "more": 1})] {
        assert_eq!(site.send(&call("echo", arguments)).await.json()["result"]["isError"], true);
    }
    assert_eq!(site.ran(), 0);
    let reply = site.send(&call("fails", json!({}))).await;
    assert!(reply.text().contains("the disk is round"));
    assert_eq!(reply.json()["result"]["isError"], true);
}

#[tokio::test]
async fn item_39_a_resource_that_does_not_exist_is_an_error_of_its_era() {
    let site = Site::start().await;
    for uri in ["note://two", "note://one/../two", "file:///etc/passwd", "note://ONE"] {
        let reply = site.send(&Http::modern("alice", 1, "resources/read", json!({"uri": uri}))).await;
        assert_eq!(reply.refusal(), (200, -32602), "{uri}");
        assert_eq!(reply.json()["error"]["data"]["uri"], uri);
    }
    let session = site.session("alice", json!({})).await;
    let reply = site
        .send(&Http::post("alice").session(&session).call(1, "resources/read", json!({"uri": "note://two"})))
        .await;
    assert_eq!(reply.refusal(), (200, -32002));
    assert_eq!(site.ran(), 0);
}

#[tokio::test]
async fn legacy_results_have_no_members_of_the_newer_revision() {
    let site = Site::start().await;
    let session = site.session("alice", json!({})).await;
    for method in ["tools/list", "resources/list", "prompts/list", "ping"] {
        let result = site
            .send(&Http::post("alice").session(&session).call(1, method, json!({})))
            .await
            .json()["result"]
            .clone();
        for member in ["resultType", "ttlMs", "cacheScope", "_meta"] {
            assert!(result.get(member).is_none(), "{method}: {member}");
        }
    }
}

//! Lines of the operator's view: readable, one each, and nothing that a caller sends can forge one.

use countersign_core::{AuthMethod, CallId, Principal, PrincipalKind};
use countersign_redact::SecretSet;

use super::*;

fn view() -> View {
    let secrets = SecretSet::new([("DB", "correct horse battery")]).unwrap();
    View::new(Redactor::new(secrets), Printer::new(false, true))
}

struct Decision<'a> {
    tool: &'a str,
    result: &'a str,
    message: &'a str,
    touched: &'a [String],
}

fn shown(decision: &Decision<'_>, cause: Option<&str>) -> (String, String) {
    let principal = Principal::new("keys", "alice", PrincipalKind::Person, "north", AuthMethod::ApiKey);
    let policies = ["user/default/secret-columns".to_owned()];
    let summary = Summary {
        call: CallId::new(1_795_000_000_000, [7; 10]),
        principal: &principal,
        tool: decision.tool,
        touched: decision.touched,
        result: decision.result,
        message: decision.message,
        policies: &policies,
        rows: 12,
        micros: 3_140,
        at: 1_795_000_000_000_000,
    };
    let view = view();
    (view.line(&summary, cause), view.json(&summary, cause))
}

#[test]
fn an_answer_and_a_refusal() {
    let touched: Vec<String> =
        ["read table shop.orders", "read column shop.orders.id", "a", "b"].map(str::to_owned).into();
    let (line, json) =
        shown(&Decision { tool: "query_shop", result: "ok", message: "", touched: &touched }, None);
    insta::assert_snapshot!(line, @"11:06:40Z ✓ alice@north  query_shop  read table shop.orders  12 rows  3.1 ms  01a1ee56-5e00-7707-8707-070707070707");
    insta::assert_snapshot!(json, @r#"{"t":1795000000000000,"call":"01a1ee56-5e00-7707-8707-070707070707","issuer":"keys","subject":"alice","tenant":"north","tool":"query_shop","result":"ok","message":"","touched":["read table shop.orders","read column shop.orders.id","a","b"],"policies":["user/default/secret-columns"],"rows":12,"micros":3140,"cause":null}"#);
    let message = "policy refuses column shop.users.password_hash (user/default/secret-columns)";
    let (line, _) = shown(&Decision { tool: "query_shop", result: "forbidden", message, touched: &[] }, None);
    insta::assert_snapshot!(line, @"11:06:40Z ✗ alice@north  query_shop  forbidden: policy refuses column shop.users.password_hash (user/default/secret-columns)  3.1 ms  01a1ee56-5e00-7707-8707-070707070707");
}

#[test]
fn nothing_a_caller_sends_forges_a_line() {
    let tool = "x\n11:00:00Z ✓ root@north  query_shop  ok\r\u{1b}[2J\u{202e}";
    let touched = ["a\nb".to_owned()];
    let (line, json) = shown(
        &Decision { tool, result: "unknown-tool", message: "a\u{7}b\nc", touched: &touched },
        Some("d\ne"),
    );
    for text in [&line, &json] {
        assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let message = "password correct horse battery refused";
    let (line, json) =
        shown(&Decision { tool: "t", result: "internal", message, touched: &[] }, Some(message));
    for text in [line, json] {
        assert!(!text.contains("correct horse") && text.contains("[redacted:DB]"), "{text}");
    }
}

#[test]
fn long_texts_are_cut() {
    let (line, _) =
        shown(&Decision { tool: &"x".repeat(5000), result: "unknown-tool", message: "", touched: &[] }, None);
    assert!(line.chars().count() < 400 && line.contains('…'), "{line}");
}

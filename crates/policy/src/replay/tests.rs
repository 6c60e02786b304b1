//! Records decided again.

use std::{sync::Arc, time::Duration};

use countersign_core::{Digest, PowerClass, Sensitivity};
use serde_json::Value;

use super::*;
use crate::{
    facts::{DatabaseFact, RegistryFacts, ToolFact},
    source::PolicyFile,
};

fn spec() -> Arc<ToolSpec> {
    let spec = ToolSpec {
        name: "query_shop".into(),
        server: "countersign".into(),
        title: "t".into(),
        description: "d".into(),
        purpose: "tests",
        input_schema: json!({ "type": "object", "properties": { "query": { "type": "string" } } }),
        output_schema: None,
        power: PowerClass::ReadLow,
        permissions: Vec::new(),
        sensitivity: Sensitivity::Private,
        deadline: Duration::from_secs(1),
        digest: Digest::of(b""),
    };
    Arc::new(spec.pinned())
}

fn set(cedar: &str) -> Policies {
    let facts = RegistryFacts {
        tools: vec![ToolFact { spec: spec(), tenant: None }],
        databases: vec![DatabaseFact { name: "shop".into(), tenant: None }],
        ..RegistryFacts::default()
    };
    Policies::from_files(&[PolicyFile { name: "a.cedar".into(), text: cedar.into() }], &facts)
        .expect("valid policies")
}

/// A record of a call by a reader that was let through.
fn record(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut record = json!({
        "v": 1, "kind": "intent", "call": "c-1", "t": 1_800_000_000_000_000_u64, "tool": "query_shop", "plan": "00",
        "who": {"issuer": "keys", "subject": "ann", "kind": "person", "tenant": "acme", "auth": "api-key", "roles": ["reader"]},
        "accesses": ["read table shop.users", "read column shop.users.email"], "decision": "allow",
        "policies": [], "args": "00",
    });
    change(&mut record);
    record.to_string().into_bytes()
}

fn replayed(cedar: &str, record: Vec<u8>) -> Replayed {
    let recorded = Recorded::parse(&record).expect("a decided call");
    set(cedar).replay(&recorded, Some(&spec()))
}

const OPEN: &str = r#"@id("all") permit (principal in Role::"reader", action, resource);"#;

#[test]
fn what_would_change_is_said_with_its_policies() {
    assert_eq!(replayed(OPEN, record(|_| ())), Replayed::Same);
    let mails = format!(
        r#"{OPEN}@id("mails") forbid (principal, action, resource is Column) when {{ resource.name == "email" }};"#
    );
    let denied = Reasons { decision: "deny", policies: vec!["user/a/mails".into()] };
    assert_eq!(replayed(&mails, record(|_| ())), Replayed::NewlyDenied(denied));
    let without_role = record(|r| r["who"]["roles"] = json!([]));
    let by_nobody = Reasons { decision: "deny", policies: vec![] };
    assert_eq!(replayed(OPEN, without_role), Replayed::NewlyDenied(by_nobody));
    let refused = record(|r| {
        r["kind"] = "refusal".into();
        r["decision"] = "deny".into();
        r["code"] = "forbidden".into();
    });
    let allowed = Reasons { decision: "allow", policies: vec!["user/a/all".into()] };
    assert_eq!(replayed(OPEN, refused), Replayed::NewlyAllowed(allowed));
}

#[test]
fn what_is_only_hidden_or_masked_does_not_deny_again() {
    let mails =
        format!(r#"{OPEN}@id("mails") forbid (principal, action == Action::"read", resource is Column);"#);
    assert_eq!(replayed(&mails, record(|r| r["may_hide"] = json!([1]))), Replayed::Same);
    // The permit of everything permits the mask.
    assert_eq!(replayed(&mails, record(|r| r["may_mask"] = json!([1]))), Replayed::Same);
    assert!(matches!(replayed(&mails, record(|_| ())), Replayed::NewlyDenied(_)));
}

#[test]
fn what_the_record_does_not_say_is_not_made_up() {
    let looks = format!(
        r#"{OPEN}@id("long") forbid (principal, action == Action::"query_shop", resource) when {{ context has input.query && context.input.query like "*x*" }};"#
    );
    assert!(matches!(replayed(&looks, record(|_| ())), Replayed::Unknown(_)));
    let more = record(|r| r["accesses"] = json!(["read table shop.users", "… and 3 more"]));
    assert!(matches!(replayed(OPEN, more), Replayed::Unknown(_)));
    // What is denied already stays denied, whatever else there was.
    let users = format!(r#"{OPEN}@id("no") forbid (principal, action, resource == Table::"shop.users");"#);
    let more = record(|r| r["accesses"] = json!(["read table shop.users", "… and 3 more"]));
    assert!(matches!(replayed(&users, more), Replayed::NewlyDenied(_)));
    // A decision that rests on claims, on the call or on an object, is not guessed at without them.
    for action in ["query_shop", "read"] {
        let claims = format!(
            r#"{OPEN}@id("claims") forbid (principal, action == Action::"{action}", resource) unless {{ principal.hasTag("branch") }};"#
        );
        assert!(matches!(replayed(&claims, record(|_| ())), Replayed::Unknown(_)), "{action}");
    }
    let gone = Recorded::parse(&record(|_| ())).expect("a decided call");
    assert!(matches!(set(OPEN).replay(&gone, None), Replayed::Unknown(_)));
}

#[test]
fn what_the_run_had_read_counts_as_it_did() {
    let private = format!(
        r#"{OPEN}@id("private") forbid (principal, action == Action::"read", resource) when {{ context.confidentiality == "private" }};"#
    );
    assert!(
        matches!(replayed(&private, record(|_| ())), Replayed::Unknown(_)),
        "an older record does not say"
    );
    let read = |label: Value| record(|r| r["label"] = label);
    let clean = json!({"integrity": "trusted", "confidentiality": "public"});
    assert_eq!(replayed(&private, read(clean)), Replayed::Same);
    let tainted = json!({"integrity": "untrusted", "confidentiality": "private"});
    assert!(matches!(replayed(&private, read(tainted)), Replayed::NewlyDenied(_)));
    assert_eq!(replayed(OPEN, record(|_| ())), Replayed::Same, "no policy asks");
}

#[test]
fn people_and_approvals_count_as_they_did() {
    let held = format!(
        r#"{OPEN}@id("one") forbid (principal, action == Action::"query_shop", resource) unless {{ context.approvals >= 1 }};"#
    );
    let one = Reasons { decision: "hold 1", policies: vec!["user/a/one".into()] };
    assert_eq!(replayed(&held, record(|_| ())), Replayed::HeldOtherwise(one));
    assert_eq!(replayed(&held, record(|r| r["approval"] = json!({"needed": 1}))), Replayed::Same);
}

#[test]
fn refusals_for_other_reasons_are_passed_over() {
    for code in ["invalid", "limited", "failed", "unavailable"] {
        let refused = record(|r| {
            r["kind"] = "refusal".into();
            r["code"] = code.into();
        });
        assert!(Recorded::parse(&refused).is_none(), "{code}");
    }
    assert!(Recorded::parse(&record(|r| r["kind"] = "outcome".into())).is_none());
}

//! For which calls a caller's own word is enough, what the question shows, and which answers are a yes.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    call::Arguments,
    ids::Digest,
    plan::Planned,
    principal::AuthMethod,
    tool::{Sensitivity, ToolSpec},
};

fn person(kind: PrincipalKind) -> Principal {
    Principal::new("keys", "ann", kind, "acme", AuthMethod::ApiKey)
}

fn plan(power: PowerClass, effect: Effect, destination: Option<&str>, arguments: &str) -> Plan {
    let spec = ToolSpec {
        name: "note".into(),
        server: "countersign".into(),
        title: String::new(),
        description: String::new(),
        purpose: "tests",
        input_schema: json!({}),
        output_schema: None,
        power,
        permissions: Vec::new(),
        sensitivity: Sensitivity::Private,
        deadline: Duration::from_secs(1),
        digest: Digest([0; 32]),
    };
    let parsed = crate::json::parse(arguments.as_bytes(), crate::json::Limits::default()).unwrap();
    let destinations = destination.into_iter().map(str::to_owned).collect();
    let planned = Planned { effect, destinations, ..Planned::nothing() };
    Plan::seal(Arc::new(spec), Arguments::from_json(&parsed).unwrap(), planned)
}

fn low() -> Plan {
    plan(PowerClass::WriteLow, Effect::Write, None, "{}")
}

#[test]
fn only_one_low_write_of_a_known_person_is_confirmed_by_its_requester() {
    let ann = person(PrincipalKind::Person);
    assert!(may_confirm(&ann, &low(), 1));
    assert!(may_confirm(&person(PrincipalKind::Service).with_owner("ann"), &low(), 1));
    for kind in [PrincipalKind::Service, PrincipalKind::Shared, PrincipalKind::Anonymous] {
        assert!(!may_confirm(&person(kind), &low(), 1), "{kind:?}");
    }
    assert!(!may_confirm(&person(PrincipalKind::Shared).with_owner("ann"), &low(), 1));
    for needed in [0, 2, 3] {
        assert!(!may_confirm(&ann, &low(), needed), "{needed}");
    }
    for power in [PowerClass::ReadLow, PowerClass::ReadHigh, PowerClass::WriteHigh] {
        assert!(!may_confirm(&ann, &plan(power, Effect::Write, None, "{}"), 1), "{power:?}");
    }
    for effect in [Effect::Read, Effect::Egress, Effect::Execute] {
        assert!(!may_confirm(&ann, &plan(PowerClass::WriteLow, effect, None, "{}"), 1), "{effect:?}");
    }
    let leaves = plan(PowerClass::WriteLow, Effect::Write, Some("example.com"), "{}");
    assert!(!may_confirm(&ann, &leaves, 1));
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(SHOWN_CHARS));
    assert!(!may_confirm(&ann, &plan(PowerClass::WriteLow, Effect::Write, None, &long), 1), "unseen");
}

#[test]
fn only_a_ticked_form_is_a_yes() {
    for (answer, expected) in [
        (json!({"action": "accept", "content": {"confirm": true}}), Some(Vote::Approve)),
        (json!({"action": "accept", "content": {"confirm": false}}), Some(Vote::Deny)),
        (json!({"action": "decline"}), Some(Vote::Deny)),
        (json!({"action": "decline", "content": {"confirm": true}}), Some(Vote::Deny)),
        (json!({"action": "cancel"}), None),
        (json!({"action": "cancel", "content": {"confirm": true}}), None),
        (json!({"action": "accept"}), None),
        (json!({"action": "accept", "content": {}}), None),
        (json!({"action": "accept", "content": {"confirm": "true"}}), None),
        (json!({"action": "accept", "content": {"confirm": 1}}), None),
        (json!({"content": {"confirm": true}}), None),
        (json!({}), None),
    ] {
        assert_eq!(said(&answer), expected, "{answer}");
    }
}

#[test]
fn the_question_shows_the_call_and_its_effect_and_no_line_of_it_passes_for_ours() {
    let call = BoundCall {
        tool: "note".into(),
        arguments: r#"{"id":7,"text":"one\nTried out: 0 changes"}"#.into(),
        accesses: vec!["read column shop.notes.id".into(), "write column shop.notes.text".into()],
        ..super::super::tests::call()
    };
    let preview = super::super::ShownPreview {
        affected: Some(2),
        warnings: vec!["a trigger runs".into()],
        before: Some("secret row".into()),
        ..super::super::ShownPreview::default()
    };
    let request = Request { call, preview, policies: Vec::new(), needed: 1, expires: 7 };
    let asked = question("ap-1", &request, str::to_owned);
    assert_eq!((asked.key.as_str(), asked.method), ("ap-1", METHOD));
    // The sample of rows is for approvers alone: the client shows its model what it is asked.
    let expected = [
        "May `note` do this, once?",
        "  | id: 7",
        "  | text: one",
        "  | Tried out: 0 changes",
        "Tried out: 2 changes",
        "  write column shop.notes.text",
        "Warning: a trigger runs",
    ];
    assert_eq!(asked.params["message"].as_str().unwrap().lines().collect::<Vec<_>>(), expected);
    assert_eq!(asked.params["requestedSchema"]["required"], json!([FIELD]));
    assert_eq!(asked.params["requestedSchema"]["properties"][FIELD]["default"], json!(false));
    let untried = Request { preview: super::super::ShownPreview::default(), ..request };
    let asked = question("ap-1", &untried, str::to_owned);
    assert!(asked.params["message"].as_str().unwrap().contains("could not be tried out"));
}

//! Mentions are found wherever they stand; what is not understood counts as everything.

use std::str::FromStr;

use cedar_policy::Policy;

use super::*;

fn mentions(condition: &str) -> Mentions {
    let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
    let mut mentions = Mentions::default();
    mentions.add(Policy::from_str(&text).expect("valid Cedar").to_json().ok().as_ref());
    mentions
}

#[test]
fn members_are_seen_wherever_they_stand() {
    for condition in [
        "context.input.query like \"x\"",
        "context has input",
        "context has input.query",
        "principal.kind == \"x\" && (if context[\"input\"] has q then true else false)",
        "[1, 2].contains(context.input.n)",
        "{a: context.input}.a.b",
        "context has input && context.input.query == \"x\"",
        "!(1 < context.input.n)",
        "resource.name == \"x\" || resource in context.input.x",
    ] {
        assert!(mentions(condition).has("input"), "{condition}");
        assert!(!mentions(condition).has("approvals"), "{condition}");
    }
}

#[test]
fn a_member_of_something_else_is_not_the_contexts() {
    let seen =
        mentions("resource.input == \"context\" && principal has input && context.method == \"input\"");
    assert!(!seen.has("input"));
    assert!(seen.has("method"));
}

#[test]
fn the_context_as_a_whole_is_anything() {
    for condition in [
        "context == {approvals: 1}",
        "{c: context}.c.input.q == 1",
        "(if true then context else {a: 1}).a == 1",
    ] {
        assert!(mentions(condition).has("input"), "{condition}");
    }
}

//! Deny by default, errors that close, holds, typed input, tenants, caching.

use std::str::FromStr;

use countersign_core::{
    Access, Action, CallQuestion, Object, Phase, PowerClass, PrincipalKind, Verdict, decision::PolicySet,
};
use countersign_policy::Policies;
use serde_json::json;

use crate::support::*;

const MAY_REFUND: &str = r#"
@id("refund")
permit (principal in Role::"operator", action == Action::"refund_order", resource);
"#;

#[test]
fn nothing_is_permitted_without_a_policy() {
    let policies = Policies::from_files(&[], &facts()).expect("an empty set is valid");
    for tool in &facts().tools {
        let decision = listed(&policies, &operator(), &tool.spec.name);
        assert_eq!((decision.verdict, decision.error), (Verdict::Deny, None), "{}", tool.spec.name);
    }
    assert_eq!(listed(&policies, &operator(), "query_shop").policies, Vec::<String>::new());
    assert_eq!(reads(&policies, table("customers")), Verdict::Deny);
}

#[test]
fn a_forbid_that_errs_denies_where_cedar_would_allow() {
    let policy = r#"
@id("overflow")
forbid (principal, action == Action::"query_shop", resource)
when { context.approvals + 9223372036854775807 + 1 > 0 };
"#;
    // First the attack: Cedar alone skips the forbid and allows.
    let permit = r#"permit (principal, action, resource);"#;
    let set = cedar_policy::PolicySet::from_str(&format!("{permit}{policy}")).expect("valid Cedar");
    let uid = |text: &str| cedar_policy::EntityUid::from_str(text).expect("an identifier");
    let request = cedar_policy::Request::new(
        uid(r#"User::"ann""#),
        uid(r#"Action::"query_shop""#),
        uid(r#"Tool::"query_shop""#),
        cedar_policy::Context::from_pairs([(
            "approvals".to_owned(),
            cedar_policy::RestrictedExpression::new_long(0),
        )])
        .expect("a context"),
        None,
    )
    .expect("a request");
    let response =
        cedar_policy::Authorizer::new().is_authorized(&request, &set, &cedar_policy::Entities::empty());
    assert_eq!(response.decision(), cedar_policy::Decision::Allow);
    assert_eq!(response.diagnostics().errors().count(), 1);

    // Then the same behind the decision point.
    let decision = call(&with_defaults(policy), &operator(), "query_shop", NO_ARGUMENTS);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert_eq!(decision.error.as_deref(), Some("could not evaluate `user/more/overflow`"));
}

#[test]
fn an_error_does_not_quote_the_arguments() {
    let policies = with_defaults(&format!(
        r#"{MAY_REFUND}
@id("overflow")
forbid (principal, action == Action::"refund_order", resource)
when {{ context has input.cents && context.input.cents * 1000 > 5 }};
"#
    ));
    let arguments = json!({ "order": 1, "cents": 9_007_199_254_740_993_000_i64 });
    let decision = call(&policies, &operator(), "refund_order", &arguments);
    assert_eq!(decision.error.as_deref(), Some("could not evaluate `user/more/overflow`"));
}

#[test]
fn a_write_is_held_for_one_and_an_opaque_high_write_for_two() {
    let policies = with_defaults(&format!(
        r#"{MAY_REFUND}
@id("note")
permit (principal in Role::"operator", action == Action::"add_note", resource);
"#
    ));
    let note = call(&policies, &operator(), "add_note", NO_ARGUMENTS);
    assert_eq!(note.verdict, Verdict::Hold { approvals: 1 });
    assert_eq!(note.policies, ["floor/writes-need-approval"]);
    let clear = call(&policies, &operator(), "refund_order", &json!({ "order": 1, "cents": 5 }));
    assert_eq!(clear.verdict, Verdict::Hold { approvals: 1 });
    let opaque =
        call(&policies, &operator(), "refund_order", &json!({ "order": 1, "cents": 5, "extra": 0.5 }));
    assert_eq!(opaque.verdict, Verdict::Hold { approvals: 2 });
    // What approval could unlock is listed.
    assert_eq!(listed(&policies, &operator(), "refund_order").verdict, Verdict::Allow);
}

#[test]
fn a_policy_can_decide_on_an_argument() {
    let policies = with_defaults(
        r#"
@id("small-refunds")
permit (principal in Role::"operator", action == Action::"refund_order", resource)
when { context.listing || (context has input.cents && context.input.cents <= 5000) };
"#,
    );
    let refund = |cents: i64| {
        call(&policies, &operator(), "refund_order", &json!({ "order": 1, "cents": cents })).verdict
    };
    // Asked alternately: a cached answer for one amount is not the answer for another.
    assert_eq!(refund(5000), Verdict::Hold { approvals: 1 });
    assert_eq!(refund(5001), Verdict::Deny);
    assert_eq!(refund(5000), Verdict::Hold { approvals: 1 });
    assert_eq!(listed(&policies, &operator(), "refund_order").verdict, Verdict::Allow);
}

#[test]
fn shared_and_anonymous_principals_do_not_write_much() {
    let policies = with_defaults(r#"@id("all") permit (principal, action in Action::"call", resource);"#);
    let arguments = &json!({ "order": 1, "cents": 5 });
    let verdict = |kind, tool| call(&policies, &of_kind(kind, &[]), tool, arguments).verdict;
    assert_eq!(verdict(PrincipalKind::Person, "refund_order"), Verdict::Hold { approvals: 1 });
    assert_eq!(verdict(PrincipalKind::Shared, "refund_order"), Verdict::Deny);
    assert_eq!(verdict(PrincipalKind::Shared, "add_note"), Verdict::Hold { approvals: 1 });
    assert_eq!(verdict(PrincipalKind::Anonymous, "refund_order"), Verdict::Deny);
    assert_eq!(verdict(PrincipalKind::Anonymous, "add_note"), Verdict::Deny);
}

#[test]
fn a_read_tool_does_not_write() {
    let policies = with_defaults(r#"@id("all") permit (principal, action, resource);"#);
    let write = Access::required(Action::Write, table("customers"));
    assert_eq!(access(&policies, &operator(), "query_shop", &write).verdict, Verdict::Deny);
    assert_eq!(access(&policies, &operator(), "add_note", &write).verdict, Verdict::Allow);
}

#[test]
fn another_tenants_tools_and_data_do_not_exist() {
    // Even for a policy that permits everything.
    let policies = with_defaults(r#"@id("all") permit (principal, action, resource);"#);
    let (ours, theirs) = (person("globex", &["operator"]), person("acme", &["operator"]));
    let ledger = Object::Table { database: "ledger".into(), table: "entries".into() };
    let read = Access::required(Action::Read, ledger);
    assert_eq!(listed(&policies, &ours, "query_ledger").verdict, Verdict::Allow);
    assert_eq!(access(&policies, &ours, "query_shop", &read).verdict, Verdict::Allow);
    // The same person by key, in another tenant, asked after the answer above was cached.
    assert_eq!(listed(&policies, &theirs, "query_ledger").verdict, Verdict::Deny);
    assert_eq!(access(&policies, &theirs, "query_shop", &read).verdict, Verdict::Deny);
}

#[test]
fn roles_are_part_of_the_cached_question() {
    let policies = defaults();
    let ask = |roles: &[&str]| call(&policies, &person("acme", roles), "query_shop", NO_ARGUMENTS).verdict;
    assert_eq!(ask(&["operator"]), Verdict::Allow);
    assert_eq!(ask(&[]), Verdict::Deny);
    assert_eq!(ask(&["operator"]), Verdict::Allow);
}

#[test]
fn what_the_policies_were_not_validated_for_is_denied() {
    let policies = with_defaults(r#"@id("all") permit (principal, action, resource);"#);
    let principal = &operator();
    // The same name with another schema: a tool that changed after the policies were loaded.
    let changed = &tool("query_shop", PowerClass::ReadHigh, json!({ "type": "object" }));
    let question = CallQuestion::new(principal, changed, Phase::Listing, AT);
    let decision = policies.decide_call(&question);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert!(decision.error.is_some());
    let read = Access::required(Action::Read, table("customers"));
    assert_eq!(policies.decide_access(&question, &read).verdict, Verdict::Deny);
    // A database that is not configured, and an action that no object takes.
    let unknown = Object::Table { database: "other".into(), table: "customers".into() };
    assert_eq!(reads(&policies, unknown), Verdict::Deny);
    let connect = Access::required(Action::Connect, table("customers"));
    let decision = access(&policies, principal, "query_shop", &connect);
    assert_eq!(decision.error.as_deref(), Some("policies do not speak of `connect` on a Table"));
}

#[test]
fn names_that_look_like_policy_text_stay_names() {
    let policies = defaults();
    for name in
        ["\" || true", "a\\", "a\u{0}b", "x\"].y", "restricted_\"; permit(principal,action,resource);"]
    {
        let expected = if name.starts_with("restricted_") { Verdict::Deny } else { Verdict::Allow };
        assert_eq!(reads(&policies, table(name)), expected, "{name:?}");
    }
}

#[test]
fn a_full_cache_still_answers_correctly() {
    let policies = defaults();
    for n in 0..6_000 {
        let name = if n % 2 == 0 { format!("restricted_{n}") } else { format!("t{n}") };
        let expected = if n % 2 == 0 { Verdict::Deny } else { Verdict::Allow };
        assert_eq!(reads(&policies, table(&name)), expected, "{name}");
    }
}

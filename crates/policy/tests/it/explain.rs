//! What an operator reads when asking why.

use countersign_core::{Access, Action, Verdict};
use countersign_policy::Unlock;
use serde_json::json;

use crate::support::*;

#[test]
fn a_refused_statement() {
    let accesses = [
        Access::required(Action::Read, table("users")),
        Access::required(Action::Read, column("users", "password_hash")),
        Access::filter(Action::Read, table("restricted_salaries")),
    ];
    let explanation =
        explained(&defaults(), &operator(), &spec("query_shop"), Some(&json!({ "query": "x" })), &accesses);
    assert_eq!(explanation.verdict, Verdict::Deny);
    insta::assert_snapshot!(explanation);
}

#[test]
fn a_role_that_would_unlock_it() {
    let explanation = explained(
        &defaults(),
        &person("acme", &[]),
        &spec("query_shop"),
        Some(&json!({ "query": "x" })),
        &[],
    );
    assert_eq!(explanation.verdict, Verdict::Deny);
    assert_eq!(
        explanation.questions[0].unlock,
        ["admin", "analyst", "operator"].map(|role| Unlock::Role(role.into()))
    );
    insta::assert_snapshot!(explanation, @r"
    verdict: deny
    call query_shop: deny
      because: no policy permits it
      would unlock it: the role `admin`
      would unlock it: the role `analyst`
      would unlock it: the role `operator`
    ");
}

#[test]
fn a_held_call() {
    let policies =
        with_defaults(r#"@id("r") permit (principal, action == Action::"refund_order", resource);"#);
    let arguments = json!({ "order": 1, "cents": 5, "extra": 0.5 });
    let explanation = explained(&policies, &operator(), &spec("refund_order"), Some(&arguments), &[]);
    assert_eq!(explanation.verdict, Verdict::Hold { approvals: 2 });
    insta::assert_snapshot!(explanation);
}

#[test]
fn what_is_only_hidden_does_not_deny_the_call() {
    let accesses = [Access::filter(Action::Read, table("restricted_salaries"))];
    let explanation = explained(&defaults(), &operator(), &spec("list_tables"), Some(&json!({})), &accesses);
    assert_eq!(explanation.verdict, Verdict::Allow);
    assert_eq!(explanation.questions[1].decision.verdict, Verdict::Deny);
}

#[test]
fn a_tool_that_is_not_listed() {
    let explanation = explained(&defaults(), &operator(), &spec("refund_order"), None, &[]);
    assert_eq!(explanation.questions[0].unlock, [Unlock::Role("admin".into())]);
    // No role helps with a tool of another tenant.
    let explanation = explained(&defaults(), &operator(), &spec("query_ledger"), None, &[]);
    assert_eq!(explanation.questions[0].unlock, [Unlock::Policy(vec!["floor/tenant-tools".into()])]);
}

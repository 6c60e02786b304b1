//! Deny by default, errors that close, holds, typed input, tenants, caching.

use std::str::FromStr;

use countersign_core::{
    Access, Action, CallQuestion, Effect, Object, Phase, PlanFacts, PowerClass, Principal, PrincipalKind,
    Verdict, decision::PolicySet,
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

#[test]
fn a_permission_is_a_group_of_tools() {
    let policies = only(
        r#"
@id("readers") permit (principal, action in Action::"call", resource in Permission::"read-database")
when { ["read-database"].containsAll(resource.permissions) };
"#,
    );
    let verdicts =
        ["list_tables", "query_shop", "add_note"].map(|tool| listed(&policies, &operator(), tool).verdict);
    assert_eq!(verdicts, [Verdict::Deny, Verdict::Allow, Verdict::Deny]);
}

#[test]
fn an_agent_is_no_user_and_names_its_owner() {
    let policies = only(
        r#"
@id("users") permit (principal is User, action in Action::"call", resource == Tool::"query_shop");
@id("anns") permit (principal is Agent, action in Action::"call", resource == Tool::"list_tables") when { principal.owner == "ann" };
"#,
    );
    let ask = |principal: &Principal| {
        ["query_shop", "list_tables"].map(|tool| listed(&policies, principal, tool).verdict)
    };
    // One after the other, so that a cached answer for the one would show as an answer to the other.
    assert_eq!(ask(&operator()), [Verdict::Allow, Verdict::Deny]);
    assert_eq!(ask(&operator().with_owner("ann")), [Verdict::Deny, Verdict::Allow]);
    assert_eq!(ask(&operator().with_owner("bob")), [Verdict::Deny, Verdict::Deny]);
    assert_eq!(ask(&operator()), [Verdict::Allow, Verdict::Deny]);
}

#[test]
fn scopes_and_the_time_decide_and_are_not_remembered_for_others() {
    let policies = only(
        r#"
@id("day") permit (principal, action in Action::"call", resource == Tool::"query_shop")
when { context.now.toTime() >= duration("8h") && context.now.toTime() < duration("18h") };
@id("scoped") permit (principal, action in Action::"call", resource == Tool::"list_tables")
when { context has scopes && context.scopes.contains("shop:read") };
@id("tables-by-day") permit (principal, action == Action::"read", resource is Table)
when { context.now < datetime("2027-01-15T09:00:00Z") };
"#,
    );
    let (tool, principal) = (&spec("query_shop"), &operator());
    let hour = 3_600_000_000;
    let read = Access::required(Action::Read, table("customers"));
    for (at, day, tables) in [
        (AT, Verdict::Allow, Verdict::Allow),
        (AT + 10 * hour, Verdict::Deny, Verdict::Deny),
        (AT - hour, Verdict::Deny, Verdict::Allow),
        (AT + hour, Verdict::Allow, Verdict::Deny),
    ] {
        let question = CallQuestion::new(principal, tool, Phase::Listing, at);
        assert_eq!(policies.decide_call(&question).verdict, day, "{at}");
        assert_eq!(policies.decide_access(&question, &read).verdict, tables, "{at}");
    }
    let scoped = |scopes: &[&str]| {
        let principal = operator().with_scopes(scopes.iter().map(|one| (*one).to_owned()));
        listed(&policies, &principal, "list_tables").verdict
    };
    assert_eq!(listed(&policies, &operator(), "list_tables").verdict, Verdict::Deny);
    assert_eq!(scoped(&["shop:read", "x"]), Verdict::Allow);
    assert_eq!(scoped(&["shop:write"]), Verdict::Deny);
    assert_eq!(scoped(&[]), Verdict::Deny);
}

#[test]
fn a_policy_can_look_at_everything_that_a_call_touches() {
    let policies = only(
        r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("not-together") forbid (principal, action == Action::"query_shop", resource)
when { context has plan && context.plan.tables.containsAll(["shop.customers", "shop.salaries"]) };
@id("nowhere-else") forbid (principal, action == Action::"query_shop", resource)
when { context has plan && !["reports.example.com:443"].containsAll(context.plan.hosts) };
"#,
    );
    let ask = |objects: &[Object]| {
        let accesses: Vec<Access> =
            objects.iter().map(|one| Access::required(Action::Read, one.clone())).collect();
        explained(&policies, &operator(), &spec("query_shop"), Some(&json!({ "query": "x" })), &accesses)
            .questions[0]
            .decision
            .verdict
    };
    let host = |host: &str| Object::Host { host: host.into(), port: 443 };
    assert_eq!(ask(&[table("Customers")]), Verdict::Allow);
    assert_eq!(ask(&[table("Customers"), table("Salaries")]), Verdict::Deny);
    assert_eq!(ask(&[host("reports.example.com")]), Verdict::Allow);
    assert_eq!(ask(&[host("reports.example.com"), host("evil.example")]), Verdict::Deny);
}

#[test]
fn a_role_is_what_it_includes() {
    let files = [
        file(
            "a.cedar",
            r#"@id("readers") permit (principal in Role::"reader", action in Action::"call", resource);"#,
        ),
        file("roles.toml", "[roles]\nreader = []\nchief = [\"head\"]\nhead = [\"reader\"]\n"),
    ];
    let policies = Policies::from_files(&files, &facts()).expect("valid policies");
    let ask = |role: &str| listed(&policies, &person("acme", &[role]), "query_shop").verdict;
    assert_eq!((ask("reader"), ask("chief"), ask("clerk")), (Verdict::Allow, Verdict::Allow, Verdict::Deny));
}

/// Thousands of policies for others change nothing, and are not asked.
#[test]
fn policies_of_other_roles_tenants_and_tables_are_not_asked() {
    let mut text = String::from(
        r#"@id("mine") permit (principal in Role::"operator", action in Action::"call", resource);"#,
    );
    for n in 0..500 {
        text.push_str(&format!(
            "@id(\"r{n}\") forbid (principal in Role::\"r{n}\", action in Action::\"call\", resource);
             @id(\"t{n}\") permit (principal in Tenant::\"t{n}\", action == Action::\"read\", resource == Table::\"shop.t{n}\");\n"
        ));
    }
    let policies = only(&text);
    assert_eq!(listed(&policies, &operator(), "query_shop").policies, ["user/only/mine"]);
    assert_eq!(
        listed(&policies, &person("acme", &["operator", "r7"]), "query_shop").policies,
        ["user/only/r7"]
    );
    let read = |tenant: &str, name: &str| {
        let access_to = Access::required(Action::Read, table(name));
        access(&policies, &person(tenant, &[]), "query_shop", &access_to).verdict
    };
    assert_eq!(
        (read("t7", "t7"), read("t7", "t8"), read("acme", "t7")),
        (Verdict::Allow, Verdict::Deny, Verdict::Deny)
    );
}

fn connects(policies: &Policies, host: &str, port: u16) -> Verdict {
    let host = Access::required(Action::Connect, Object::Host { host: host.into(), port });
    access(policies, &operator(), "query_shop", &host).verdict
}

#[test]
fn policies_see_which_destinations_are_trusted() {
    let policies = only(
        r#"
@id("trusted-hosts")
permit (principal, action == Action::"connect", resource is Host) when { resource.trusted };
@id("calls")
permit (principal, action in Action::"call", resource) when { context has plan && context.plan.allTrusted };
"#,
    );
    assert_eq!(connects(&policies, "files.example.com", 443), Verdict::Allow);
    assert_eq!(connects(&policies, "files.example.com", 8443), Verdict::Deny);
    assert_eq!(connects(&policies, "example.com", 443), Verdict::Deny);
    let asked = |hosts: &[&str]| {
        let object = |host: &&str| Object::Host { host: (*host).into(), port: 443 };
        let accesses: Vec<Access> =
            hosts.iter().map(object).map(|host| Access::required(Action::Connect, host)).collect();
        let (spec, arguments) = (spec("query_shop"), json!({}));
        let phase = Phase::Calling { arguments: &arguments };
        let facts = std::collections::BTreeMap::new();
        let plan =
            PlanFacts { effect: Effect::Egress, accesses: &accesses, destinations: &[], facts: &facts };
        policies.decide_call(&CallQuestion::new(&operator(), &spec, phase, AT).planned(plan)).verdict
    };
    assert_eq!(asked(&[]), Verdict::Allow);
    assert_eq!(asked(&["files.example.com"]), Verdict::Allow);
    assert_eq!(asked(&["files.example.com", "example.com"]), Verdict::Deny);
}

#[test]
fn policies_see_the_claims_of_the_caller_as_they_are_now() {
    let policies = only(
        r#"
@id("branch")
permit (principal, action in Action::"call", resource)
when { principal.hasTag("branch") && principal.getTag("branch") == "4711" };
"#,
    );
    let ask = |principal: &Principal| call(&policies, principal, "query_shop", NO_ARGUMENTS).verdict;
    assert_eq!(ask(&operator()), Verdict::Deny);
    assert_eq!(ask(&operator().with_claim("branch", "4711")), Verdict::Allow);
    // The same person with another token.
    assert_eq!(ask(&operator().with_claim("branch", "0815")), Verdict::Deny);
    assert_eq!(ask(&operator()), Verdict::Deny);
}

//! The examples decide as their tables of cases say, and each of their policies is needed for that.

use std::{collections::BTreeMap, fs};

use countersign_core::{CallQuestion, Effect, Permission, Phase, PlanFacts, PowerClass, ToolSpec, Verdict};
use countersign_policy::{
    Case, DatabaseFact, Expected, Policies, PolicyFile, RegistryFacts, ToolFact, cases,
};
use serde_json::json;

use crate::support::*;

fn example(name: &str) -> PolicyFile {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies");
    file(name, &fs::read_to_string(format!("{folder}/{name}")).expect("an example"))
}

/// What the examples speak of.
fn world() -> RegistryFacts {
    let tool = |name: &str, power, permission, tenant: Option<&str>| {
        let spec = ToolSpec {
            permissions: vec![permission],
            ..(*tool(name, power, json!({ "type": "object" }))).clone()
        };
        ToolFact { spec: spec.pinned().into(), tenant: tenant.map(Into::into) }
    };
    let database =
        |name: &str, tenant: Option<&str>| DatabaseFact { name: name.into(), tenant: tenant.map(Into::into) };
    RegistryFacts {
        tools: vec![
            tool("query_reference", PowerClass::ReadLow, Permission::ReadDatabase, None),
            tool("query_ledger", PowerClass::ReadLow, Permission::ReadDatabase, Some("acme")),
            tool("query_shop", PowerClass::ReadLow, Permission::ReadDatabase, None),
            tool("write_shop", PowerClass::WriteHigh, Permission::WriteDatabase, None),
            tool("fetch", PowerClass::ReadLow, Permission::Network, None),
        ],
        databases: vec![
            database("reference", None),
            database("ledger", Some("acme")),
            database("shop", None),
        ],
        ..RegistryFacts::default()
    }
}

fn decided(policies: &Policies, facts: &RegistryFacts, case: &Case) -> (Expected, Vec<String>) {
    let tool =
        &facts.tools.iter().find(|fact| *fact.spec.name == *case.tool).expect("a tool of the example").spec;
    let (nothing, arguments) = (BTreeMap::new(), json!({}));
    let plan =
        PlanFacts { effect: Effect::Read, accesses: &case.accesses, destinations: &[], facts: &nothing };
    let listing = matches!(case.expected, Expected::Listed | Expected::Hidden);
    let phase = if listing { Phase::Listing } else { Phase::Calling { arguments: &arguments } };
    let explained = policies.explain(&CallQuestion::new(&case.principal, tool, phase, case.at).planned(plan));
    let expected = match (listing, explained.verdict) {
        (false, verdict) => Expected::Decided(verdict),
        (true, Verdict::Deny) => Expected::Hidden,
        (true, _) => Expected::Listed,
    };
    (expected, explained.deciding())
}

fn holds(name: &str) {
    let (cedar, facts) = (example(&format!("{name}.cedar")), world());
    let table = cases(&example(&format!("{name}.test.toml"))).expect("valid cases");
    let load =
        |file: &PolicyFile| Policies::from_files(std::slice::from_ref(file), &facts).expect("valid policies");
    let whole = load(&cedar);
    for case in &table {
        let (expected, mut by) = (case.expected, case.by.clone().unwrap_or_default());
        by.sort();
        let (decision, policies) = decided(&whole, &facts, case);
        assert_eq!(decision, expected, "line {}: {} as {}", case.line, case.tool, case.who);
        assert!(case.by.is_none() || by == policies, "line {}: by {policies:?}", case.line);
    }
    for id in ids_of(&cedar) {
        let less = load(&without(&cedar, &id));
        let flipped = table.iter().any(|case| decided(&less, &facts, case).0 != case.expected);
        assert!(flipped, "no case of {name} notices that `{id}` is gone");
    }
}

#[test]
fn multi_tenant() {
    holds("multi-tenant");
}

#[test]
fn agents() {
    holds("agents");
}

#[test]
fn problems_of_a_table_are_said_with_their_place() {
    let text = r#"[principals.ann]
tenant = "acme"
kind = "robot"

[[case]]
as = "bob"
tool = "query_shop"
expect = "allow"

[[case]]
as = "ann"
tool = "query_shop"
access = "read shop.users"
expect = "maybe"
at = 2026-11-21
"#;
    let errors = cases(&file("x.toml", text)).expect_err("refused").to_string();
    insta::assert_snapshot!(errors);
    assert!(cases(&file("x.toml", "[[case]]\nas = 'a'\n")).is_err());
    assert!(cases(&file("x.toml", "[[cases]]\n")).is_err(), "an unknown key is passed over");
}

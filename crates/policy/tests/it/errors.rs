//! The exact texts that a policy writer reads, and the schema they write against.

use countersign_core::PowerClass;
use countersign_policy::{DatabaseFact, Policies, PolicyFile, RegistryFacts, ToolFact};
use serde_json::json;

use crate::support::*;

fn errors_of(files: &[PolicyFile]) -> String {
    match Policies::from_files(files, &facts()) {
        Ok(_) => "accepted".into(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn all_problems_of_all_files_are_reported_at_once() {
    let files = [
        file(
            "a.cedar",
            r#"// Mistakes in scope and attributes.
permit (principal, action == Action::"call", resource);

@id("twice")
permit (principal, action == Action::"query_shp", resource);

@id("twice")
forbid (principal, action == Action::"read", resource is Column)
when { resource.nmae == "x" };

@id("class")
permit (principal, action in Action::"call", resource in PowerClass::"read-lo");

@id("tool")
forbid (principal, action in Action::"call", resource == Tool::"query_shp");

@id("input")
forbid (principal, action == Action::"query_shop", resource)
when { context.input.query like "*;*" };

@id("with space")
permit (principal, action, resource);

@id("template")
permit (principal == ?principal, action, resource);
"#,
        ),
        file(
            "b.cedar",
            r#"@id("syntax")
permit (principal, action, resource)
when { resource.name = "customers" };
"#,
        ),
        file("c d.cedar", ""),
    ];
    insta::assert_snapshot!(errors_of(&files));
}

#[test]
fn input_must_be_asked_for_before_it_is_read() {
    let guarded = r#"@id("input")
forbid (principal, action == Action::"query_shop", resource)
when { context has input && context.input.query like "*;*" };"#;
    assert_eq!(errors_of(&[file("a.cedar", guarded)]), "accepted");
    let unguarded = guarded.replace("context has input && ", "");
    assert_ne!(errors_of(&[file("a.cedar", &unguarded)]), "accepted");
}

#[test]
fn a_policy_that_can_never_apply_is_a_warning() {
    let policies = only(
        r#"@id("never")
permit (principal, action == Action::"use", resource is Table);"#,
    );
    let warnings: Vec<String> = policies.report().warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"));
}

#[test]
fn the_shipped_policies_have_no_warnings() {
    assert_eq!(defaults().report().warnings, []);
}

#[test]
fn generated_schema() {
    let mut facts = facts();
    let rich = json!({
        "type": "object", "additionalProperties": false, "required": ["to", "urgent", "count", "tags"],
        "properties": {
            "to": { "type": "string" }, "urgent": { "type": "boolean" }, "count": { "type": "integer" },
            "tags": { "type": "array", "items": { "type": "string" } },
            "address": { "type": "object", "required": ["city"], "properties": {
                "city": { "type": "string" }, "deeper": { "type": "object" },
            }},
            "maybe": { "type": ["string", "null"] },
            "either": { "type": ["string", "integer"] },
            "ratio": { "type": "number" },
            "odd \"name\"": { "type": "string" },
        },
    });
    facts.tools.push(ToolFact { spec: tool("send", PowerClass::WriteHigh, rich), tenant: None });
    let policies = Policies::from_files(&[], &facts).expect("valid");
    insta::assert_snapshot!(policies.report().schema);
}

#[test]
fn names_that_two_things_would_share_are_refused() {
    let database = |name: &str| DatabaseFact { name: name.into(), tenant: None };
    let facts = RegistryFacts {
        tools: ["read", "call", "echo", "echo"]
            .map(|name| ToolFact { spec: tool(name, PowerClass::ReadLow, json!({})), tenant: None })
            .into(),
        databases: vec![database("a.b"), database("shop"), database("shop")],
        ..RegistryFacts::default()
    };
    let errors = Policies::from_files(&[], &facts).err().expect("refused");
    insta::assert_snapshot!(errors, @r"
    registry: the tool name `read` is taken, or reserved for an action
    registry: the tool name `call` is taken, or reserved for an action
    registry: the tool name `echo` is taken, or reserved for an action
    registry: the database name `a.b` must be 1-64 characters of A-Z, a-z, 0-9, `_` or `-`
    registry: two databases are named `shop`
    ");
}

#[test]
fn no_tools_and_no_databases_are_no_error() {
    assert!(Policies::from_files(&default_files(), &RegistryFacts::default()).is_ok());
}

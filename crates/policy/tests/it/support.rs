//! Principals, tools and questions that the tests share.

use std::{collections::BTreeMap, str::FromStr, sync::Arc, time::Duration};

use countersign_core::{
    Access, Action, AuthMethod, CallQuestion, Decision, Digest, Effect, Object, Permission, Phase, PlanFacts,
    PowerClass, Principal, PrincipalKind, Sensitivity, ToolSpec, Verdict, decision::PolicySet,
};
use countersign_policy::{
    DEFAULT_POLICIES, DatabaseFact, Explanation, Policies, PolicyFile, RegistryFacts, RootFact, ToolFact,
    TrustedHosts,
};
use serde_json::{Value, json};

/// When the questions of these tests are asked: 2027-01-15 08:00 UTC, a Friday.
pub(crate) const AT: u64 = 1_800_000_000_000_000;
pub(crate) const NO_ARGUMENTS: &Value = &Value::Null;

pub(crate) fn tool(name: &str, power: PowerClass, input_schema: Value) -> Arc<ToolSpec> {
    let spec = ToolSpec {
        name: name.into(),
        server: "countersign".into(),
        title: name.into(),
        description: "a tool".into(),
        purpose: "tests",
        input_schema,
        output_schema: None,
        power,
        permissions: if name.starts_with("query") { vec![Permission::ReadDatabase] } else { Vec::new() },
        sensitivity: Sensitivity::Private,
        deadline: Duration::from_secs(1),
        digest: Digest::of(b""),
    };
    Arc::new(spec.pinned())
}

pub(crate) fn query_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["query"],
        "properties": { "query": { "type": "string" }, "params": { "type": "array" } },
    })
}

pub(crate) fn refund_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["order", "cents"],
        "properties": {
            "order": { "type": "integer" }, "cents": { "type": "integer" },
            "note": { "type": "string" }, "extra": { "type": "number" },
        },
    })
}

/// A shop whose tools cover all power classes, and a database of tenant `globex`.
pub(crate) fn facts() -> RegistryFacts {
    let shared = |spec| ToolFact { spec, tenant: None };
    RegistryFacts {
        tools: vec![
            shared(tool("list_tables", PowerClass::ReadLow, json!({ "type": "object" }))),
            shared(tool("query_shop", PowerClass::ReadHigh, query_schema())),
            shared(tool("add_note", PowerClass::WriteLow, json!({ "type": "object" }))),
            shared(tool("refund_order", PowerClass::WriteHigh, refund_schema())),
            ToolFact {
                spec: tool("query_ledger", PowerClass::ReadHigh, query_schema()),
                tenant: Some("globex".into()),
            },
        ],
        databases: vec![
            DatabaseFact { name: "shop".into(), tenant: None },
            DatabaseFact { name: "ledger".into(), tenant: Some("globex".into()) },
        ],
        roots: vec![
            RootFact { name: "docs".into(), tenant: None },
            RootFact { name: "vault".into(), tenant: Some("globex".into()) },
        ],
        trusted: TrustedHosts::new(|host, port| (host, port) == ("files.example.com", 443)),
    }
}

pub(crate) fn spec(name: &str) -> Arc<ToolSpec> {
    facts().tools.into_iter().find(|tool| &*tool.spec.name == name).expect("a tool of the tests").spec
}

pub(crate) fn default_files() -> Vec<PolicyFile> {
    let file = |(name, text): &(&str, &str)| PolicyFile { name: (*name).into(), text: (*text).into() };
    DEFAULT_POLICIES.iter().map(file).collect()
}

pub(crate) fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile { name: name.into(), text: text.into() }
}

/// The default policies, and others beside them.
pub(crate) fn with_defaults(text: &str) -> Policies {
    let mut files = default_files();
    files.push(file("more.cedar", text));
    Policies::from_files(&files, &facts()).expect("valid policies")
}

pub(crate) fn only(text: &str) -> Policies {
    Policies::from_files(&[file("only.cedar", text)], &facts()).expect("valid policies")
}

pub(crate) fn defaults() -> Policies {
    Policies::from_files(&default_files(), &facts()).expect("the default policies are valid")
}

/// The default policies less the one with this id.
pub(crate) fn defaults_without(id: &str) -> Policies {
    let files: Vec<PolicyFile> = default_files().iter().map(|file| without(file, id)).collect();
    assert_ne!(files, default_files(), "no default policy has the id `{id}`");
    Policies::from_files(&files, &facts()).expect("still valid")
}

pub(crate) fn without(from: &PolicyFile, id: &str) -> PolicyFile {
    if from.name == "roles.toml" {
        return from.clone();
    }
    let set = cedar_policy::PolicySet::from_str(&from.text).expect("valid Cedar");
    let kept = set.policies().filter(|policy| policy.annotation("id") != Some(id));
    file(&from.name, &kept.map(|policy| policy.to_cedar().expect("static")).collect::<Vec<_>>().join("\n"))
}

pub(crate) fn default_ids() -> Vec<String> {
    let files = default_files().into_iter().filter(|file| file.name != "roles.toml");
    let mut ids: Vec<String> = files.flat_map(|file| ids_of(&file)).collect();
    ids.sort();
    ids
}

/// The ids of the policies of a file.
pub(crate) fn ids_of(file: &PolicyFile) -> Vec<String> {
    let set = cedar_policy::PolicySet::from_str(&file.text).expect("valid Cedar");
    set.policies().map(|policy| policy.annotation("id").expect("an id").to_owned()).collect()
}

pub(crate) fn person(tenant: &str, roles: &[&str]) -> Principal {
    Principal::new("local", "ann", PrincipalKind::Person, tenant, AuthMethod::LocalUser)
        .with_roles(roles.iter().map(|role| (*role).to_owned()))
}

pub(crate) fn of_kind(kind: PrincipalKind, roles: &[&str]) -> Principal {
    let method = if kind == PrincipalKind::Anonymous { AuthMethod::Anonymous } else { AuthMethod::ApiKey };
    Principal::new("keys", "key-1", kind, "acme", method)
        .with_roles(roles.iter().map(|role| (*role).to_owned()))
}

pub(crate) fn operator() -> Principal {
    person("acme", &["operator"])
}

pub(crate) fn path(root: &str, path: &str) -> Object {
    Object::File { root: root.into(), path: path.into() }
}

pub(crate) fn call(policies: &Policies, principal: &Principal, name: &str, arguments: &Value) -> Decision {
    let tool = &spec(name);
    let arguments = if arguments.is_null() { &json!({}) } else { arguments };
    policies.decide_call(&CallQuestion::new(principal, tool, Phase::Calling { arguments }, AT))
}

pub(crate) fn listed(policies: &Policies, principal: &Principal, name: &str) -> Decision {
    policies.decide_call(&CallQuestion::new(principal, &spec(name), Phase::Listing, AT))
}

pub(crate) fn access(policies: &Policies, principal: &Principal, name: &str, access: &Access) -> Decision {
    let arguments = &json!({});
    let tool = &spec(name);
    let question = CallQuestion::new(principal, tool, Phase::Calling { arguments }, AT);
    policies.decide_access(&question, access)
}

/// Why a call with these accesses would end as it would; without arguments, why the tool is listed or not.
pub(crate) fn explained(
    policies: &Policies,
    principal: &Principal,
    tool: &ToolSpec,
    arguments: Option<&Value>,
    accesses: &[Access],
) -> Explanation {
    let facts = BTreeMap::new();
    let phase = arguments.map_or(Phase::Listing, |arguments| Phase::Calling { arguments });
    let plan = PlanFacts { effect: Effect::Read, accesses, destinations: &[], facts: &facts };
    policies.explain(&CallQuestion::new(principal, tool, phase, AT).planned(plan))
}

/// May an operator read this?
pub(crate) fn reads(policies: &Policies, object: Object) -> Verdict {
    access(policies, &operator(), "query_shop", &Access::required(Action::Read, object)).verdict
}

pub(crate) fn table(name: &str) -> Object {
    Object::Table { database: "shop".into(), table: name.into() }
}

pub(crate) fn column(table: &str, name: &str) -> Object {
    Object::Column { database: "shop".into(), table: table.into(), column: name.into() }
}

pub(crate) fn function(name: &str) -> Object {
    Object::Function { database: "shop".into(), name: name.into() }
}

//! The floor policy by policy; slices against the whole set; types; panics.

mod same;

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use cedar_policy_core::ast;
use countersign_core::{
    AuthMethod, Confidentiality, Digest, Effect, Foreseen, Label, Permission, PlanFacts, PowerClass,
    PrincipalKind, Sensitivity, ToolSpec,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    facts::{DatabaseFact, RootFact, ToolFact},
    mentions::Mentions,
    schema,
};

/// When the questions of these tests are asked.
const AT: u64 = 1_800_000_000_000_000;

fn tool(name: &str, power: PowerClass, tenant: Option<&str>) -> ToolFact {
    let spec = ToolSpec {
        name: name.into(),
        server: "countersign".into(),
        title: name.into(),
        description: String::new(),
        purpose: "tests",
        input_schema: json!({ "type": "object", "properties": {
            "x": { "type": "integer" }, "y": { "type": "number" },
        }}),
        output_schema: None,
        power,
        permissions: vec![Permission::ReadDatabase],
        sensitivity: Sensitivity::Internal,
        deadline: Duration::from_secs(1),
        digest: Digest::of(b""),
    };
    ToolFact { spec: Arc::new(spec.pinned()), tenant: tenant.map(Arc::from) }
}

fn facts() -> RegistryFacts {
    RegistryFacts {
        tools: vec![
            tool("look", PowerClass::ReadLow, None),
            tool("note", PowerClass::WriteLow, None),
            tool("pay", PowerClass::WriteHigh, None),
            tool("theirs", PowerClass::ReadHigh, Some("globex")),
        ],
        databases: vec![
            DatabaseFact { name: "shop".into(), tenant: None },
            DatabaseFact { name: "ledger".into(), tenant: Some("globex".into()) },
        ],
        roots: vec![
            RootFact { name: "docs".into(), tenant: None },
            RootFact { name: "vault".into(), tenant: Some("globex".into()) },
        ],
        ..RegistryFacts::default()
    }
}

const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

/// An entity as Cedar's public interface has it.
fn public(entity: &crate::judge::Entity) -> cedar_policy::Entity {
    ast::Entity::clone(entity).into()
}

/// Everything permitted by the user, under the shipped floor or one that lacks a policy.
fn under_floor(without: Option<&str>) -> Policies {
    let floor = load::floor();
    let set = cedar_policy::PolicySet::from_str(&floor.text).expect("valid Cedar");
    let kept: Vec<String> = set
        .policies()
        .filter(|policy| without.is_none() || policy.annotation("id") != without)
        .map(|policy| policy.to_cedar().expect("static"))
        .collect();
    if let Some(id) = without {
        assert_eq!(kept.len() + 1, set.num_of_policies(), "the floor has no `{id}`");
    }
    let floor = PolicyFile { name: floor.name, text: kept.join("\n") };
    Policies::assemble(&floor, &[PolicyFile { name: "all.cedar".into(), text: ALL.into() }], &facts())
        .expect("valid policies")
}

fn principal(kind: PrincipalKind) -> Principal {
    Principal::new("keys", "ann", kind, "acme", AuthMethod::ApiKey).with_roles(["r".to_owned()])
}

fn calls(policies: &Policies, kind: PrincipalKind, name: &str, arguments: &Value) -> Verdict {
    let tool = &facts().tools.into_iter().find(|tool| &*tool.spec.name == name).expect("a tool").spec;
    let principal = &principal(kind);
    let question = CallQuestion::new(principal, tool, Phase::Calling { arguments }, AT);
    policies.decide_call(&question).verdict
}

fn foresees(policies: &Policies, name: &str, affected: Option<u64>) -> Verdict {
    let tool = &facts().tools.into_iter().find(|tool| &*tool.spec.name == name).expect("a tool").spec;
    let arguments = &json!({});
    let phase = Phase::Previewed { arguments, foreseen: Foreseen { affected } };
    policies.decide_call(&CallQuestion::new(&principal(PrincipalKind::Person), tool, phase, AT)).verdict
}

/// A policy may look at what a preview found; the answer is not remembered for the next preview.
#[test]
fn what_a_preview_found_decides() {
    let user = format!(
        "{ALL}\n@id(\"many\") forbid (principal, action == Action::\"pay\", resource)
         when {{ context has affected && context.affected > 10 && context.approvals < 2 }};"
    );
    let user = [PolicyFile { name: "all.cedar".into(), text: user }];
    let policies = Policies::assemble(&load::floor(), &user, &facts()).expect("valid policies");
    for (affected, approvals) in [(Some(3), 1), (Some(11), 2), (Some(3), 1), (None, 2), (Some(u64::MAX), 2)] {
        assert_eq!(foresees(&policies, "pay", affected), Verdict::Hold { approvals }, "{affected:?}");
    }
}

fn touches(policies: &Policies, action: Action, database: &str) -> Verdict {
    accesses(policies, action, Object::Table { database: database.into(), table: "t".into() })
}

fn accesses(policies: &Policies, action: Action, object: Object) -> Verdict {
    let arguments = &json!({});
    let tool = &facts().tools[0].spec;
    let principal = &principal(PrincipalKind::Person);
    let question = CallQuestion::new(principal, tool, Phase::Calling { arguments }, AT);
    policies.decide_access(&question, &Access::required(action, object)).verdict
}

/// A run that has read so much connects to a host, by a tool that may.
fn sends(policies: &Policies, confidentiality: Confidentiality) -> Verdict {
    let arguments = &json!({});
    let facts = facts();
    let tool = facts.tools.iter().find(|tool| &*tool.spec.name == "pay").expect("a tool");
    let principal = &principal(PrincipalKind::Person);
    let label = Label { confidentiality, ..Label::default() };
    let question = CallQuestion::new(principal, &tool.spec, Phase::Calling { arguments }, AT).labelled(label);
    let host = Object::Host { host: "example.com".into(), port: 443 };
    policies.decide_access(&question, &Access::required(Action::Connect, host)).verdict
}

/// The same question from a run that has read more is another question.
#[test]
fn private_data_leaves_with_a_persons_word() {
    let policies = under_floor(None);
    assert_eq!(sends(&policies, Confidentiality::Public), Verdict::Allow);
    assert_eq!(sends(&policies, Confidentiality::Private), Verdict::Hold { approvals: 1 });
    assert_eq!(sends(&policies, Confidentiality::Secret), Verdict::Hold { approvals: 1 });
    assert_eq!(sends(&policies, Confidentiality::Internal), Verdict::Allow);
}

/// The owner of a root owns the files below it; of a root that is not configured nothing is known, which denies.
#[test]
fn files_belong_to_the_tenant_of_their_root() {
    let policies = under_floor(None);
    let read = |root: &str| {
        accesses(&policies, Action::Read, Object::File { root: root.into(), path: "a/b.md".into() })
    };
    assert_eq!(read("docs"), Verdict::Allow);
    assert_eq!(read("vault"), Verdict::Deny);
    assert_eq!(read("elsewhere"), Verdict::Deny);
}

#[test]
fn every_floor_policy_decides_something() {
    use PrincipalKind::{Anonymous, Person, Shared};
    type Ask = fn(&Policies) -> Verdict;
    let flips: [(&str, Ask, Verdict, Verdict); 10] = [
        ("tenant-tools", |p| calls(p, Person, "theirs", &json!({})), Verdict::Deny, Verdict::Allow),
        ("tenant-data", |p| touches(p, Action::Read, "ledger"), Verdict::Deny, Verdict::Allow),
        (
            "writes-need-approval",
            |p| calls(p, Person, "note", &json!({})),
            Verdict::Hold { approvals: 1 },
            Verdict::Allow,
        ),
        (
            "opaque-high-writes-need-two",
            |p| calls(p, Person, "pay", &json!({ "y": 0.5 })),
            Verdict::Hold { approvals: 2 },
            Verdict::Hold { approvals: 1 },
        ),
        (
            "unpreviewed-high-writes-need-two",
            |p| foresees(p, "pay", None),
            Verdict::Hold { approvals: 2 },
            Verdict::Hold { approvals: 1 },
        ),
        (
            "shared-no-high-writes",
            |p| calls(p, Shared, "pay", &json!({})),
            Verdict::Deny,
            Verdict::Hold { approvals: 1 },
        ),
        (
            "anonymous-no-writes",
            |p| calls(p, Anonymous, "note", &json!({})),
            Verdict::Deny,
            Verdict::Hold { approvals: 1 },
        ),
        ("read-tools-only-read", |p| touches(p, Action::Write, "shop"), Verdict::Deny, Verdict::Allow),
        (
            "low-reads-stay-inside",
            |p| accesses(p, Action::Connect, Object::Host { host: "example.com".into(), port: 443 }),
            Verdict::Deny,
            Verdict::Allow,
        ),
        (
            "private-data-stays",
            |p| sends(p, Confidentiality::Private),
            Verdict::Hold { approvals: 1 },
            Verdict::Allow,
        ),
    ];
    let whole = under_floor(None);
    let floor_size = whole.report().policies.iter().filter(|info| info.id.starts_with("floor/")).count();
    assert_eq!(floor_size, flips.len(), "a floor policy has no question here");
    for (id, ask, with, without) in flips {
        assert_eq!(ask(&whole), with, "with {id}");
        assert_eq!(ask(&under_floor(Some(id))), without, "without {id}");
    }
}

/// Policies with every kind of scope, so that slicing has something to get wrong.
fn objects() -> Vec<Object> {
    let mut objects = Vec::new();
    for database in ["shop", "ledger"] {
        let database: Arc<str> = database.into();
        for name in ["t", "u", "f"] {
            objects.push(Object::Table { database: database.clone(), table: name.into() });
            objects.push(Object::Function { database: database.clone(), name: name.into() });
            let table = name.to_owned();
            objects.push(Object::Column { database: database.clone(), table, column: "c".into() });
        }
    }
    objects
}

#[test]
fn entities_and_requests_have_the_types_that_policies_were_checked_against() {
    let (schema, _) = schema::generate(&facts()).expect("a schema");
    let policies = Policies::from_files(
        &[PolicyFile {
            name: "x.cedar".into(),
            text: r#"@id("x") permit (principal, action in Action::"call", resource) when { context.inputOpaque };"#.into(),
        }],
        &facts(),
    )
    .expect("valid policies");
    let person =
        principal(PrincipalKind::Person).with_scopes(["read".to_owned()]).with_claim("branch", "4711");
    for principal in [&person, &person.clone().with_owner("ann")] {
        let user = policies.names.principal(principal, &policies.roles);
        let everything = &Mentions::everything();
        let accesses = [Access::required(Action::Read, objects().remove(0))];
        let nothing = BTreeMap::new();
        let plan = PlanFacts {
            effect: Effect::Read,
            accesses: &accesses,
            destinations: &["example.com:443".to_owned()],
            facts: &nothing,
        };
        let arguments = &json!({ "x": 1, "y": 0.5 });
        for fact in &facts().tools {
            let tool = &policies.tools[&fact.spec.name];
            let entities = tool.entities.iter().chain([&user.entity]).map(public);
            cedar_policy::Entities::from_entities(entities, Some(&schema))
                .expect("entities of the declared types");
            for phase in [Phase::Listing, Phase::Calling { arguments }] {
                let question = CallQuestion::new(principal, &fact.spec, phase, AT).planned(plan);
                let context = context::of_call(&question, &tool.shape, everything, &policies.trusted, 0)
                    .expect("a context");
                Request::new(
                    user.uid.clone(),
                    tool.action.clone(),
                    tool.resource.clone(),
                    context,
                    Some(&schema),
                )
                .expect("a request of the declared types");
            }
        }
        let tool = &facts().tools[0].spec;
        for object in objects() {
            for ((_, kind), access) in &policies.accesses {
                if *kind != object.kind() {
                    continue;
                }
                let entity = policies.names.object(&object, Some(&"globex".into()), &policies.trusted);
                let question = CallQuestion::new(principal, tool, Phase::Listing, AT);
                let context = context::of_access(&question, everything, 2).expect("a context");
                Request::new(
                    user.uid.clone(),
                    access.action.clone(),
                    entity.uid.clone(),
                    context,
                    Some(&schema),
                )
                .expect("a request of the declared types");
                let entities = [&entity.entity, &user.entity, &access.entity].map(public);
                cedar_policy::Entities::from_entities(entities, Some(&schema))
                    .expect("entities of the declared types");
            }
        }
    }
}

#[test]
fn a_panic_in_the_engine_denies() {
    let decision = closed(|| panic!("the engine broke"));
    assert_eq!(decision.verdict, Verdict::Deny);
    assert_eq!(decision.error.as_deref(), Some("the policy engine failed"));
}

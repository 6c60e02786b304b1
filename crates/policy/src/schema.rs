//! The Cedar schema, generated from the registry: what a policy may say, and of what type each fact is.
//!
//! It is built as data, never as text: names come from upstreams and from configuration.

use std::{collections::BTreeSet, sync::Arc};

use cedar_policy::{Schema, SchemaFragment};
use countersign_core::{Action, Permission, PowerClass};
use serde_json::{Map, Value, json};

use crate::{
    error::{PolicyError, PolicyErrors},
    facts::RegistryFacts,
    input::InputShape,
};

/// The group of all tools' actions.
pub(crate) const CALL: &str = "call";
/// The group of all actions on objects.
pub(crate) const ACCESS: &str = "access";
/// All power classes.
pub(crate) const POWER_CLASSES: [PowerClass; 4] =
    [PowerClass::ReadLow, PowerClass::ReadHigh, PowerClass::WriteLow, PowerClass::WriteHigh];
/// All actions on objects, each with the entity types that it can be done to.
pub(crate) const ACCESSES: [(Action, &[&str]); 6] = [
    (Action::Read, &["Table", "Column", "File"]),
    (Action::Write, &["Table", "Column", "File", "Host"]),
    (Action::Connect, &["Host"]),
    (Action::Execute, &["Command", "Interpreter"]),
    (Action::Use, &["Function", "Query"]),
    (Action::Mask, &["Column"]),
];

/// Who may ask.
pub(crate) const PRINCIPALS: [&str; 2] = ["User", "Agent"];
/// The sets of `context.plan` that say what a call touches, each with the kind of object in it.
pub(crate) const TOUCHED: [(&str, &str); 8] = [
    ("tables", "Table"),
    ("columns", "Column"),
    ("functions", "Function"),
    ("queries", "Query"),
    ("files", "File"),
    ("hosts", "Host"),
    ("commands", "Command"),
    ("interpreters", "Interpreter"),
];

/// What problems with the facts themselves are reported under.
const REGISTRY: &str = "registry";

/// The schema for these facts, compiled and as readable text.
pub(crate) fn generate(facts: &RegistryFacts) -> Result<(Schema, String), PolicyErrors> {
    check_names(facts)?;
    let broken = |cause: String| PolicyErrors::from(PolicyError::whole(REGISTRY, cause));
    let json = to_json(facts);
    let fragment = SchemaFragment::from_json_value(json.clone())
        .map_err(|cause| broken(format!("the generated schema is not valid: {cause}")))?;
    let text = fragment
        .to_cedarschema()
        .map_err(|cause| broken(format!("the generated schema cannot be printed: {cause}")))?;
    // For people: the built-in types need no prefix, since no entity type of ours is called like one.
    let text = text.replace("__cedar::", "");
    let schema = Schema::from_json_value(json)
        .map_err(|cause| broken(format!("the generated schema is not valid: {cause}")))?;
    Ok((schema, text))
}

/// Refuses names that two things would share.
fn check_names(facts: &RegistryFacts) -> Result<(), PolicyErrors> {
    let mut errors = Vec::new();
    let mut complain = |message: String| errors.push(PolicyError::whole(REGISTRY, message));
    // INVARIANT: a tool's action is never one of the actions on objects, or a group: a permit for one would be a permit for the other.
    let mut taken: BTreeSet<&str> = ACCESSES.iter().map(|(action, _)| action.name()).collect();
    taken.extend([CALL, ACCESS]);
    for tool in &facts.tools {
        let name: &Arc<str> = &tool.spec.name;
        if !taken.insert(name) {
            complain(format!("the tool name `{name}` is taken, or reserved for an action"));
        }
    }
    let databases = facts.databases.iter().map(|database| ("database", &database.name));
    let roots = facts.roots.iter().map(|root| ("root", &root.name));
    let mut taken = BTreeSet::new();
    for (kind, name) in databases.chain(roots) {
        // INVARIANT: no dot and no slash in these names, so that `database.table` names one table and `root/path` one file.
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !fits {
            complain(format!(
                "the {kind} name `{name}` must be 1-64 characters of A-Z, a-z, 0-9, `_` or `-`"
            ));
        }
        if !taken.insert((kind, name)) {
            complain(format!("two {kind}s are named `{name}`"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(PolicyErrors { errors }) }
}

/// The schema in Cedar's JSON form.
fn to_json(facts: &RegistryFacts) -> Value {
    let optional = || json!({ "type": "String", "required": false });
    let record = |attributes: Value| json!({ "type": "Record", "attributes": attributes });
    let permissions = Permission::ALL.iter().map(|permission| permission.name()).collect();
    let powers: Vec<&str> = POWER_CLASSES.iter().map(|power| power.name()).collect();
    let servers: BTreeSet<&str> = facts.tools.iter().map(|tool| &*tool.spec.server).collect();
    let databases: BTreeSet<&str> = facts.databases.iter().map(|database| &*database.name).collect();
    let roots: BTreeSet<&str> = facts.roots.iter().map(|root| &*root.name).collect();
    let entity_types = json!({
        "User": {
            "memberOfTypes": ["Role", "Tenant"],
            "shape": record(json!({
                "issuer": string(), "subject": string(), "kind": string(), "tenant": string(),
            })),
            // Verified claims, by their names.
            "tags": string(),
        },
        // Acts for a person, its owner.
        "Agent": {
            "memberOfTypes": ["Role", "Tenant"],
            "shape": record(json!({
                "issuer": string(), "subject": string(), "kind": string(), "tenant": string(), "owner": string(),
            })),
            "tags": string(),
        },
        "Role": {},
        "Tenant": {},
        "Server": enumerated(servers.into_iter().collect()),
        "PowerClass": enumerated(powers),
        "Permission": enumerated(permissions),
        "Tool": {
            "memberOfTypes": ["Server", "PowerClass", "Permission"],
            "shape": record(json!({
                "name": string(), "server": string(), "power": string(), "sensitivity": string(), "tenant": optional(),
                "permissions": texts(),
            })),
        },
        "Database": enumerated(databases.into_iter().collect()),
        "Table": {
            "memberOfTypes": ["Database"],
            "shape": record(json!({ "database": string(), "name": string(), "tenant": optional() })),
        },
        "Column": {
            "memberOfTypes": ["Table", "Database"],
            "shape": record(json!({
                "database": string(), "table": string(), "name": string(), "tenant": optional(),
            })),
        },
        "Function": {
            "memberOfTypes": ["Database"],
            "shape": record(json!({ "database": string(), "name": string(), "tenant": optional() })),
        },
        "Query": {
            "memberOfTypes": ["Database"],
            "shape": record(json!({ "database": string(), "name": string(), "tenant": optional() })),
        },
        "Root": enumerated(roots.into_iter().collect()),
        "File": {
            "memberOfTypes": ["Root"],
            "shape": record(json!({ "root": string(), "path": string(), "name": string(), "tenant": optional() })),
        },
        "Host": {
            "shape": record(json!({ "name": string(), "port": { "type": "Long" }, "trusted": boolean() })),
        },
        "Command": { "shape": record(json!({ "name": string() })) },
        "Interpreter": { "shape": record(json!({ "name": string() })) },
    });
    json!({ "": { "entityTypes": entity_types, "actions": actions(facts) } })
}

/// One action for each tool in the group `call`, and the actions on objects in the group `access`.
fn actions(facts: &RegistryFacts) -> Map<String, Value> {
    let mut actions = Map::new();
    actions.insert(CALL.into(), json!({}));
    actions.insert(ACCESS.into(), json!({}));
    for (action, kinds) in ACCESSES {
        let mut declared = json!({ "memberOf": [{ "id": ACCESS }] });
        if let (Value::Object(declared), false) = (&mut declared, kinds.is_empty()) {
            let context = json!({ "type": "Record", "attributes": {
                "approvals": { "type": "Long" }, "method": { "type": "String" },
                "now": time(), "scopes": scopes(), "integrity": string(), "confidentiality": string(),
                "tool": { "type": "String" }, "power": { "type": "String" },
            }});
            declared.insert(
                "appliesTo".into(),
                json!({ "principalTypes": PRINCIPALS, "resourceTypes": kinds, "context": context }),
            );
        }
        actions.insert(action.name().into(), declared);
    }
    for tool in &facts.tools {
        let mut input = InputShape::of_schema(&tool.spec.input_schema).cedar_type();
        if let Value::Object(input) = &mut input {
            // Absent while tools are listed: a policy must write `context has input`.
            input.insert("required".into(), Value::Bool(false));
        }
        let context = json!({ "type": "Record", "attributes": {
            "approvals": { "type": "Long" }, "method": { "type": "String" }, "listing": boolean(),
            "now": time(), "scopes": scopes(), "plan": plan(),
            "integrity": string(), "confidentiality": string(),
            "input": input, "inputOpaque": boolean(),
            // What a preview found: how many objects change, or that nothing could be tried out.
            "affected": { "type": "Long", "required": false }, "unpreviewed": boolean(),
        }});
        actions.insert(
            tool.spec.name.to_string(),
            json!({
                "memberOf": [{ "id": CALL }],
                "appliesTo": { "principalTypes": PRINCIPALS, "resourceTypes": ["Tool"], "context": context },
            }),
        );
    }
    actions
}

fn string() -> Value {
    json!({ "type": "String" })
}

fn boolean() -> Value {
    json!({ "type": "Boolean" })
}

fn texts() -> Value {
    json!({ "type": "Set", "element": { "type": "String" } })
}

fn time() -> Value {
    json!({ "type": "Extension", "name": "datetime" })
}

/// Absent for credentials that have none.
fn scopes() -> Value {
    json!({ "type": "Set", "element": { "type": "String" }, "required": false })
}

/// What the call would do, by its plan; absent while listing.
fn plan() -> Value {
    let mut attributes = json!({
        "effect": { "type": "String" },
        "operation": { "type": "String", "required": false },
        "destinations": texts(),
        "allTrusted": boolean(),
    });
    if let Value::Object(attributes) = &mut attributes {
        attributes.extend(TOUCHED.iter().map(|(name, _)| ((*name).to_owned(), texts())));
    }
    json!({ "type": "Record", "attributes": attributes, "required": false })
}

/// An entity type with these members only, so that a misspelt one in a policy is an error; open when there are none.
fn enumerated(names: Vec<&str>) -> Value {
    if names.is_empty() { json!({}) } else { json!({ "enum": names }) }
}

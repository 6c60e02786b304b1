//! Policies as a solver needs them: roles spelled out, properties turned into what they describe, conditions added. On Cedar's JSON form, in
//! which each of these is a member.

use std::collections::BTreeSet;

use cedar_policy::{Policy, PolicyId};
use serde_json::{Map, Value, json};

use super::ProveError;
use crate::roles::Roles;

/// A policy on its way to the solver.
pub(super) struct Rewritten {
    id: PolicyId,
    json: Map<String, Value>,
}

impl Rewritten {
    /// A policy as it stands.
    pub(super) fn of(policy: &Policy) -> Result<Rewritten, ProveError> {
        match policy.to_json() {
            Ok(Value::Object(json)) => Ok(Rewritten { id: policy.id().clone(), json }),
            Ok(_) => Err(ProveError::Internal(format!("`{}` has no form in JSON", policy.id()))),
            Err(cause) => Err(ProveError::Internal(cause.to_string())),
        }
    }

    /// With `principal in Role::"reader"` as `principal in` every role that includes `reader`: a solver knows the roles that somebody was
    /// given, and not which others these include.
    pub(super) fn with_roles(mut self, roles: &Roles) -> Result<Rewritten, ProveError> {
        let scope = self.json.get("principal").cloned().unwrap_or_default();
        // `principal in Role::"r"`, and `principal is User in Role::"r"`.
        let group = scope.get("entity").or_else(|| scope.pointer("/in/entity"));
        if let Some(role) = group.and_then(role_of) {
            let kind = scope.get("entity_type").cloned();
            let open = kind.map(|kind| json!({ "op": "is", "entity_type": kind }));
            self.json.insert("principal".into(), open.unwrap_or_else(|| json!({ "op": "All" })));
            let right = set_of(including(&[role], roles));
            let body = json!({ "in": { "left": { "Var": "principal" }, "right": right } });
            self = self.within(vec![json!({ "kind": "when", "body": body })]);
        }
        if self.json.get_mut("conditions").is_none_or(|conditions| widen(conditions, roles)) {
            return Ok(self);
        }
        let id = &self.id;
        Err(ProveError::Unsupported(format!(
            "`{id}` names a role elsewhere than in `in Role::\"…\"` or `in [Role::\"…\", …]`"
        )))
    }

    /// A `forbid` as the `permit` of exactly what it forbids.
    pub(super) fn permitting(mut self) -> Rewritten {
        self.json.insert("effect".into(), "permit".into());
        self
    }

    /// Only where these conditions hold as well; they are asked first.
    pub(super) fn within(mut self, mut conditions: Vec<Value>) -> Rewritten {
        if let Some(Value::Array(own)) = self.json.remove("conditions") {
            conditions.extend(own);
        }
        self.json.insert("conditions".into(), conditions.into());
        self
    }

    /// Whether it has any of the operations that can fail in a policy that is valid: those that overflow.
    pub(super) fn reckons(&self) -> bool {
        self.json.get("conditions").is_some_and(reckons)
    }

    /// The conditions alone.
    pub(super) fn conditions(mut self) -> Vec<Value> {
        match self.json.remove("conditions") {
            Some(Value::Array(conditions)) => conditions,
            _ => Vec::new(),
        }
    }

    /// The policy, under the id that it had.
    pub(super) fn policy(self) -> Result<Policy, ProveError> {
        Policy::from_json(Some(self.id), self.json.into())
            .map_err(|cause| ProveError::Internal(cause.to_string()))
    }
}

/// The operations of Cedar on numbers and times that can overflow, as its JSON form calls them.
const RECKONING: [&str; 8] = ["+", "-", "*", "neg", "offset", "durationSince", "toDate", "toTime"];

fn reckons(node: &Value) -> bool {
    match node {
        Value::Object(object) => {
            object.iter().any(|(key, value)| RECKONING.contains(&key.as_str()) || reckons(value))
        }
        Value::Array(items) => items.iter().any(reckons),
        _ => false,
    }
}

/// Replaces each `in Role::"r"` by `in` the roles that include it; says whether no role is named elsewhere.
fn widen(node: &mut Value, roles: &Roles) -> bool {
    match node {
        Value::Object(object) => {
            if let Some(group) = group_of(object)
                && let Some(named) = named(group)
            {
                *group = Value::Null;
                let rest = object.values_mut().all(|value| widen(value, roles));
                if let Some(group) = group_of(object) {
                    *group = set_of(including(&named, roles));
                }
                return rest;
            }
            role_of(object.get("__entity").unwrap_or(&Value::Null)).is_none()
                && object.values_mut().all(|value| widen(value, roles))
        }
        Value::Array(items) => items.iter_mut().all(|item| widen(item, roles)),
        _ => true,
    }
}

/// What stands on the right of `x in y` and of `x is User in y`.
fn group_of(object: &mut Map<String, Value>) -> Option<&mut Value> {
    if object.contains_key("is") {
        object.get_mut("is")?.get_mut("in")
    } else {
        object.get_mut("in")?.get_mut("right")
    }
}

/// The roles of `Role::"r"`, or of `[Role::"r", …]`; none if it is anything else.
fn named(operand: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| role_of(value.pointer("/Value/__entity")?);
    match operand.get("Set").and_then(Value::as_array) {
        Some(members) if members.is_empty() => None,
        Some(members) => members.iter().map(one).collect(),
        None => Some(vec![one(operand)?]),
    }
}

/// The name, if this is a role.
fn role_of(entity: &Value) -> Option<String> {
    let text = |member: &str| entity.get(member).and_then(Value::as_str);
    Some(text("id")?.to_owned()).filter(|_| text("type") == Some("Role"))
}

/// These roles, and all that include one of them.
fn including(named: &[String], roles: &Roles) -> BTreeSet<String> {
    // MUTATE(H5-roles): the solver takes every role for one that no other includes
    let wider = roles.included().iter().filter(|(_, all)| named.iter().any(|name| all.contains(name)));
    wider.map(|(role, _)| role.clone()).chain(named.iter().cloned()).collect()
}

fn set_of(roles: BTreeSet<String>) -> Value {
    let value = |role: String| json!({ "Value": { "__entity": { "type": "Role", "id": role } } });
    json!({ "Set": roles.into_iter().map(value).collect::<Vec<_>>() })
}

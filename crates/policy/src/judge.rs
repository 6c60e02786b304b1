//! One request against the policies of a slice: what Cedar's `Authorizer` does, less what it does again for every request. Conditions are built
//! once, entities are shared, and which entity is a member of which is known when entities are made.
//!
//! INVARIANT: the answer is that of `cedar_policy::Authorizer` on the same policies, request and entities, of which a test makes sure.

use std::{collections::HashSet, sync::Arc};

use cedar_policy::{EntityUid, Policy, Request};
use cedar_policy_core::{
    ast::{self, Expr, Literal, PartialValue, SlotEnv, Value, ValueKind},
    entities::{Entities, NoEntitiesSchema, TCComputation},
    evaluator::Evaluator,
    extensions::Extensions,
};

/// A policy, ready to be evaluated.
pub(crate) struct Rule {
    id: String,
    permits: bool,
    condition: Expr,
}

impl Rule {
    pub(crate) fn new(policy: &Policy) -> Rule {
        Rule {
            id: policy.id().to_string(),
            permits: policy.effect() == cedar_policy::Effect::Permit,
            condition: policy.as_ref().condition(),
        }
    }
}

/// The answer to one request.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Judgement {
    pub(crate) allowed: bool,
    /// The policies that forbid it, or else those that permit it. Sorted.
    pub(crate) reasons: Vec<String>,
    /// The policies that could not be evaluated. Sorted.
    pub(crate) errors: Vec<String>,
}

/// An entity with everything that it is a member of.
pub(crate) type Entity = Arc<ast::Entity>;

/// Makes an entity. INVARIANT: `parents` are all that it is a member of, also by way of others.
pub(crate) fn entity(
    uid: EntityUid,
    attributes: impl IntoIterator<Item = (&'static str, Value)>,
    parents: HashSet<EntityUid>,
    tags: impl IntoIterator<Item = (String, Value)>,
) -> Entity {
    let attributes = attributes.into_iter().map(|(name, value)| (name.into(), PartialValue::Value(value)));
    let tags = tags.into_iter().map(|(name, value)| (name.into(), PartialValue::Value(value)));
    let parents = parents.into_iter().map(Into::into).collect();
    Arc::new(ast::Entity::new_with_attr_partial_value(uid.into(), attributes, HashSet::new(), parents, tags))
}

/// These entities, and nothing else.
///
/// # Errors
/// If two of them share an identity.
pub(crate) fn store(entities: impl IntoIterator<Item = Entity>) -> Result<Entities, String> {
    let closed = TCComputation::AssumeAlreadyComputed;
    let extensions = Extensions::all_available();
    let store = Entities::new().add_entities(entities, None::<&NoEntitiesSchema>, closed, extensions);
    store.map_err(|cause| cause.to_string())
}

/// Evaluates every rule.
pub(crate) fn judge(rules: &[Rule], request: &Request, entities: &Entities) -> Judgement {
    let evaluator = Evaluator::new(request.as_ref().clone(), entities, Extensions::all_available());
    let slots = SlotEnv::new();
    let (mut permits, mut forbids, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for rule in rules {
        match evaluator.interpret(&rule.condition, &slots).map(|value| value.value) {
            Ok(ValueKind::Lit(Literal::Bool(false))) => {}
            Ok(ValueKind::Lit(Literal::Bool(true))) if rule.permits => permits.push(rule.id.clone()),
            Ok(ValueKind::Lit(Literal::Bool(true))) => forbids.push(rule.id.clone()),
            // No condition has another type after validation; one that has is as one that errs.
            Ok(_) | Err(_) => errors.push(rule.id.clone()),
        }
    }
    let allowed = forbids.is_empty() && !permits.is_empty();
    let mut reasons = if forbids.is_empty() { permits } else { forbids };
    reasons.sort();
    errors.sort();
    Judgement { allowed, reasons, errors }
}

//! The policies that can matter for one kind of question. Cedar tries every policy of a set, so the others are left out at load.
//!
//! INVARIANT: a policy is left out only when its scope alone (action and resource, before any `when`) excludes the question.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use cedar_policy::{
    ActionConstraint, Entity, EntityTypeName, EntityUid, Policy, PolicySet, ResourceConstraint,
};
use countersign_core::{Action, Digest};

use crate::{
    entities::Names, facts::RegistryFacts, input::InputShape, load::Checked, mentions::Mentions, schema,
};

/// All that is known about a tool before a question is asked.
pub(crate) struct ToolSlice {
    /// The policies that can matter.
    pub(crate) slice: Slice,
    /// The tool's action.
    pub(crate) action: EntityUid,
    /// The tool.
    pub(crate) resource: EntityUid,
    /// Tool and action with what they are members of.
    pub(crate) entities: [Entity; 2],
    /// What policies see of arguments.
    pub(crate) shape: InputShape,
    /// The tool as the policies were validated for it.
    pub(crate) pin: Digest,
}

/// All that is known about an action on a kind of object.
pub(crate) struct AccessSlice {
    /// The policies that can matter.
    pub(crate) slice: Slice,
    /// The action.
    pub(crate) action: EntityUid,
    /// The action with its group.
    pub(crate) entity: Entity,
}

/// Policies for one action and one tool, or one action and one kind of object.
pub(crate) struct Slice {
    /// The policies.
    pub(crate) set: PolicySet,
    /// What they look at.
    pub(crate) mentions: Mentions,
}

/// What is known about the resource before a question is asked.
pub(crate) enum Scope<'a> {
    /// Exactly this entity, with all that it is a member of.
    Entity { uid: &'a EntityUid, parents: &'a HashSet<EntityUid> },
    /// Any entity of this type.
    Type(&'a EntityTypeName),
}

impl Slice {
    /// The policies whose scope admits `action` (of `group`) on the resource.
    pub(crate) fn of(
        policies: &[Policy],
        action: &EntityUid,
        group: &EntityUid,
        resource: &Scope<'_>,
    ) -> Result<Slice, String> {
        let mut set = PolicySet::new();
        let mut mentions = Mentions::default();
        for policy in policies {
            let admitted = match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => uid == *action,
                ActionConstraint::In(uids) => uids.iter().any(|uid| uid == action || uid == group),
            };
            if admitted && resource.admits(&policy.resource_constraint()) {
                mentions.add(policy);
                set.add(policy.clone()).map_err(|cause| cause.to_string())?;
            }
        }
        Ok(Slice { set, mentions })
    }

    /// Whether a policy may look at the arguments of a call.
    pub(crate) fn reads_arguments(&self) -> bool {
        self.mentions.has("input") || self.mentions.has("inputOpaque")
    }
}

impl Scope<'_> {
    fn admits(&self, constraint: &ResourceConstraint) -> bool {
        match (self, constraint) {
            (_, ResourceConstraint::Any) => true,
            (Scope::Entity { uid, .. }, ResourceConstraint::Eq(wanted)) => *uid == wanted,
            (Scope::Entity { uid, parents }, ResourceConstraint::In(group)) => {
                *uid == group || parents.contains(group)
            }
            (Scope::Entity { uid, .. }, ResourceConstraint::Is(wanted)) => uid.type_name() == wanted,
            (Scope::Entity { uid, parents }, ResourceConstraint::IsIn(wanted, group)) => {
                uid.type_name() == wanted && (*uid == group || parents.contains(group))
            }
            (Scope::Type(name), ResourceConstraint::Eq(wanted)) => *name == wanted.type_name(),
            // Which groups an object is in is known only with the object.
            (Scope::Type(_), ResourceConstraint::In(_)) => true,
            (Scope::Type(name), ResourceConstraint::Is(wanted) | ResourceConstraint::IsIn(wanted, _)) => {
                *name == wanted
            }
        }
    }
}

/// The slice and the entities of every tool.
pub(crate) fn slice_tools(
    checked: &Checked,
    facts: &RegistryFacts,
    names: &Names,
) -> Result<BTreeMap<Arc<str>, ToolSlice>, String> {
    let mut tools = BTreeMap::new();
    for fact in &facts.tools {
        let (action, resource) = (names.action(&fact.spec.name), names.tool(&fact.spec.name));
        let parents = names.tool_parents(fact);
        let scope = Scope::Entity { uid: &resource, parents: &parents };
        let slice = Slice::of(&checked.policies, &action, &names.action(schema::CALL), &scope)?;
        let entities = [names.tool_entity(fact)?, names.action_entity(&fact.spec.name, schema::CALL)];
        let shape = InputShape::of_schema(&fact.spec.input_schema);
        let tool = ToolSlice { slice, action, resource, entities, shape, pin: fact.spec.digest };
        tools.insert(fact.spec.name.clone(), tool);
    }
    Ok(tools)
}

/// The slice of every action on every kind of object.
pub(crate) fn slice_accesses(
    checked: &Checked,
    names: &Names,
) -> Result<BTreeMap<(Action, &'static str), AccessSlice>, String> {
    let mut accesses = BTreeMap::new();
    for (action, kinds) in schema::ACCESSES {
        for &kind in kinds {
            let uid = names.action(action.name());
            let type_name = kind.parse().map_err(|cause| format!("`{kind}`: {cause}"))?;
            let scope = Scope::Type(&type_name);
            let slice = Slice::of(&checked.policies, &uid, &names.access_group(), &scope)?;
            let entity = names.action_entity(action.name(), schema::ACCESS);
            accesses.insert((action, kind), AccessSlice { slice, action: uid, entity });
        }
    }
    Ok(accesses)
}

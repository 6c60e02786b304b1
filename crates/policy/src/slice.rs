//! The policies that can matter for one kind of question. Cedar tries every policy of a set, so the others are left out at load.
//!
//! INVARIANT: a policy is left out only when its scope alone (action and resource, before any `when`) excludes the question.

use std::collections::HashSet;

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, ResourceConstraint};

use crate::mentions::Mentions;

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

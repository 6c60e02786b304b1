//! The policies that can matter for one question. Cedar tries every policy of a set, so the others are left out: by action and kind of
//! resource when the set is loaded, then by the principal's roles and tenant and by the resource itself when a question is asked.
//!
//! INVARIANT: a policy is left out only when its scope alone (principal, action and resource, before any `when`) excludes the question. Such a
//! policy is not satisfied and cannot err, so the answer is that of the whole set.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PrincipalConstraint, ResourceConstraint,
};
use countersign_core::{Action, Digest};

use crate::{
    entities::Names,
    facts::RegistryFacts,
    input::InputShape,
    judge::{Entity, Rule},
    load::{Checked, Loaded},
    mentions::Mentions,
    schema,
};

/// Policies that put-together slices may hold in all, so that many roles do not fill the memory.
const MAX_ASSEMBLED: usize = 100_000;

/// All that is known about a tool before a question is asked.
pub(crate) struct ToolSlice {
    /// The policies that can matter.
    pub(crate) index: Index,
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
    pub(crate) index: Index,
    /// The action.
    pub(crate) action: EntityUid,
    /// The action with its group.
    pub(crate) entity: Entity,
}

/// Policies for one question.
pub(crate) struct Slice {
    /// The policies.
    pub(crate) rules: Vec<Rule>,
    /// What they look at.
    pub(crate) mentions: Mentions,
}

/// Policies by what their scope demands of principal and resource.
#[derive(Default)]
pub(crate) struct Index {
    /// For any principal.
    any: ByResource,
    /// For this principal, or members of this role or tenant.
    by: HashMap<EntityUid, ByResource>,
    groups: Vec<Vec<Arc<Loaded>>>,
    /// What any of them looks at.
    pub(crate) mentions: Mentions,
    /// Slices that were put together before, by the numbers of their groups.
    assembled: RwLock<Assembled>,
}

/// Numbers of groups of policies.
#[derive(Default)]
struct ByResource {
    any: Option<usize>,
    by: HashMap<EntityUid, usize>,
}

#[derive(Default)]
struct Assembled {
    slices: HashMap<Vec<usize>, Arc<Slice>>,
    policies: usize,
}

/// What is known about the resource when the set is loaded.
enum Scope<'a> {
    /// Exactly this entity, with all that it is a member of.
    Entity { uid: &'a EntityUid, parents: &'a HashSet<EntityUid> },
    /// Any entity of this type.
    Type(&'a EntityTypeName),
}

impl Index {
    /// The policies whose scope admits `action` (of `group`) on the resource.
    fn of(policies: &[Arc<Loaded>], action: &EntityUid, group: &EntityUid, scope: &Scope<'_>) -> Index {
        let mut index = Index::default();
        for loaded in policies {
            let policy = &loaded.policy;
            let admitted = match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => uid == *action,
                ActionConstraint::In(uids) => uids.iter().any(|uid| uid == action || uid == group),
            };
            if admitted && scope.admits(&policy.resource_constraint()) {
                index.add(loaded, scope.key(&policy.resource_constraint()));
            }
        }
        index
    }

    fn add(&mut self, loaded: &Arc<Loaded>, resource: Option<EntityUid>) {
        self.mentions.join(&loaded.mentions);
        let by_resource = match principal_key(&loaded.policy) {
            None => &mut self.any,
            Some(principal) => self.by.entry(principal).or_default(),
        };
        let next = self.groups.len();
        let number = match resource {
            None => *by_resource.any.get_or_insert(next),
            Some(resource) => *by_resource.by.entry(resource).or_insert(next),
        };
        match self.groups.get_mut(number) {
            Some(group) => group.push(Arc::clone(loaded)),
            None => self.groups.push(vec![Arc::clone(loaded)]),
        }
    }

    /// The policies for a principal and a resource, each given as itself and all that it is a member of.
    pub(crate) fn slice(&self, principal: &[EntityUid], resource: &[EntityUid]) -> Arc<Slice> {
        let mut numbers = Vec::new();
        // MUTATE(H2-slices): policies for one role are not asked
        let principals = principal.iter().filter_map(|key| self.by.get(key));
        for by_resource in [&self.any].into_iter().chain(principals) {
            numbers.extend(by_resource.any);
            if !by_resource.by.is_empty() {
                numbers.extend(resource.iter().filter_map(|key| by_resource.by.get(key)));
            }
        }
        numbers.sort_unstable();
        let known = self.assembled.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = known.slices.get(&numbers) {
            return Arc::clone(slice);
        }
        drop(known);
        let slice = Arc::new(self.assemble(&numbers));
        let mut known = self.assembled.write().unwrap_or_else(PoisonError::into_inner);
        let size = slice.rules.len().saturating_add(1);
        if known.policies.saturating_add(size) > MAX_ASSEMBLED {
            *known = Assembled::default();
        }
        known.policies = known.policies.saturating_add(size);
        known.slices.insert(numbers, Arc::clone(&slice));
        slice
    }

    fn assemble(&self, numbers: &[usize]) -> Slice {
        let mut slice = Slice { rules: Vec::new(), mentions: Mentions::default() };
        for loaded in numbers.iter().filter_map(|number| self.groups.get(*number)).flatten() {
            slice.mentions.join(&loaded.mentions);
            slice.rules.push(Rule::new(&loaded.policy));
        }
        slice
    }

    /// All of these policies for every question, as if nothing were known of their scopes.
    #[cfg(test)]
    pub(crate) fn undivided(policies: &[Arc<Loaded>]) -> Index {
        let mut index =
            Index { any: ByResource { any: Some(0), ..ByResource::default() }, ..Index::default() };
        index.groups.push(policies.to_vec());
        policies.iter().for_each(|loaded| index.mentions.join(&loaded.mentions));
        index
    }

    /// All of its policies.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.groups.iter().flatten().map(|loaded| &loaded.policy)
    }

    /// Whether a decision may rest on what changes from call to call: arguments, plan, time.
    pub(crate) fn reads_the_call(&self) -> bool {
        ["input", "inputOpaque", "plan", "now"].iter().any(|member| self.mentions.has(member))
    }
}

/// The entity that a policy's scope demands the principal to be, or to be a member of.
fn principal_key(policy: &Policy) -> Option<EntityUid> {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            Some(uid)
        }
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

    /// The entity that the resource must be, or be a member of, where that is not decided yet.
    fn key(&self, constraint: &ResourceConstraint) -> Option<EntityUid> {
        match (self, constraint) {
            (Scope::Entity { .. }, _) | (_, ResourceConstraint::Any | ResourceConstraint::Is(_)) => None,
            (
                Scope::Type(_),
                ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid),
            ) => Some(uid.clone()),
        }
    }
}

/// The index and the entities of every tool.
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
        let index = Index::of(&checked.policies, &action, &names.action(schema::CALL), &scope);
        let entities = [names.tool_entity(fact), names.action_entity(&fact.spec.name, schema::CALL)];
        let shape = InputShape::of_schema(&fact.spec.input_schema);
        let tool = ToolSlice { index, action, resource, entities, shape, pin: fact.spec.digest };
        tools.insert(fact.spec.name.clone(), tool);
    }
    Ok(tools)
}

/// The index of every action on every kind of object.
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
            let index = Index::of(&checked.policies, &uid, &names.access_group(), &scope);
            let entity = names.action_entity(action.name(), schema::ACCESS);
            accesses.insert((action, kind), AccessSlice { index, action: uid, entity });
        }
    }
    Ok(accesses)
}

//! Does a new set of policies permit anything that the set in force does not? Answered from the texts, simply and on the safe side: a
//! permit that was not there, a forbid that is gone, a role that includes more, or less of what a forbid or a condition names. What only
//! tightens, or only moves and renames policies, does not loosen.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::decision::PolicySet as _;
use serde::{Deserialize, Serialize};

use crate::{decide::Policies, load::Loaded};

/// What one policy says, whatever its id, comments and layout.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Body {
    permits: bool,
    digest: String,
    id: String,
    hinders: BTreeSet<String>,
}

impl Body {
    pub(crate) fn of(loaded: &Loaded) -> Body {
        Body {
            permits: loaded.policy.effect() == cedar_policy::Effect::Permit,
            digest: loaded.body.to_string(),
            id: loaded.policy.id().to_string(),
            hinders: loaded.hinders.clone(),
        }
    }
}

/// What is kept of a set that was put in force, so that a later process can tell whether another one loosens it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InForce {
    /// The digest of the set.
    pub digest: String,
    /// SHA-256 of what each permit says.
    permits: BTreeSet<String>,
    /// The same of each forbid, with its id.
    forbids: BTreeMap<String, String>,
    /// What each role includes.
    roles: BTreeMap<String, BTreeSet<String>>,
}

impl InForce {
    /// What is kept of a set.
    pub fn of(policies: &Policies) -> InForce {
        let (permits, forbids): (Vec<&Body>, Vec<&Body>) =
            policies.bodies().iter().partition(|body| body.permits);
        InForce {
            digest: policies.digest().to_owned(),
            permits: permits.into_iter().map(|body| body.digest.clone()).collect(),
            forbids: forbids.into_iter().map(|body| (body.digest.clone(), body.id.clone())).collect(),
            roles: policies.roles().included().clone(),
        }
    }
}

/// Everything in which `new` loosens what was in force, as texts for people; none if it does not.
pub fn loosened(old: &InForce, new: &Policies) -> Vec<String> {
    let mut found = Vec::new();
    for body in new.bodies() {
        // MUTATE(H2-loosens): a permit that was not there passes for harmless
        if body.permits && !old.permits.contains(&body.digest) {
            found.push(format!(
                "`{}` permits what was not permitted in these words{}",
                body.id,
                place(new, &body.id)
            ));
        }
    }
    let now: BTreeSet<&str> =
        new.bodies().iter().filter(|body| !body.permits).map(|body| body.digest.as_str()).collect();
    for (digest, id) in &old.forbids {
        if !now.contains(digest.as_str()) {
            found.push(format!("`{id}` no longer forbids what it forbade"));
        }
    }
    for (role, includes) in new.roles().included() {
        let itself = BTreeSet::from([role.clone()]);
        let before = old.roles.get(role).unwrap_or(&itself);
        found.extend(
            includes.difference(before).map(|more| format!("the role `{role}` now includes `{more}`")),
        );
    }
    for (role, before) in &old.roles {
        let itself = BTreeSet::from([role.clone()]);
        let includes = new.roles().included().get(role).unwrap_or(&itself);
        for less in before.difference(includes) {
            // MUTATE(H2-role-lost): a role that sheds what a forbid names passes for harmless
            if let Some(body) = new.bodies().iter().find(|body| body.hinders.contains(less)) {
                found.push(format!(
                    "the role `{role}` no longer includes `{less}`, which `{}` names",
                    body.id
                ));
            }
        }
    }
    found
}

/// Everything in which `new` tightens `old`, as texts for people: the same comparison the other way round.
pub fn tightened(old: &Policies, new: &Policies) -> Vec<String> {
    let all = |set: &Policies, permits: bool| -> BTreeSet<String> {
        let bodies = set.bodies().iter().filter(|body| body.permits == permits);
        bodies.map(|body| body.digest.clone()).collect()
    };
    let (permits, forbids) = (all(new, true), all(old, false));
    let mut found = Vec::new();
    for body in old.bodies().iter().filter(|body| body.permits && !permits.contains(&body.digest)) {
        found.push(format!("`{}` no longer permits what it permitted{}", body.id, place(old, &body.id)));
    }
    for body in new.bodies().iter().filter(|body| !body.permits && !forbids.contains(&body.digest)) {
        let place = place(new, &body.id);
        found.push(format!("`{}` forbids what was not forbidden in these words{place}", body.id));
    }
    for (role, includes) in old.roles().included() {
        let itself = BTreeSet::from([role.clone()]);
        let now = new.roles().included().get(role).unwrap_or(&itself);
        let fewer = includes.difference(now);
        found.extend(fewer.map(|fewer| format!("the role `{role}` no longer includes `{fewer}`")));
    }
    found
}

/// Where a policy stands, for people.
fn place(policies: &Policies, id: &str) -> String {
    let info = policies.report().policies.iter().find(|info| info.id == id);
    info.map_or_else(String::new, |info| format!(" ({}:{})", info.file, info.line))
}

#[cfg(test)]
mod tests;

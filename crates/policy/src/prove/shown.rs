//! What a solver found, for people: the call, and which policies decide on it.

use std::{collections::BTreeMap, fmt};

use cedar_policy::{Authorizer, Decision, Entities, EntityUid, Request};
use cedar_policy_symcc::Env;

use super::{Kind, ProveError, Side};
use crate::{load::PolicyInfo, mentions::Mentions};

/// A call that a solver found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// `call write_shop`, or `connect on a Host`.
    pub question: String,
    /// `User` or `Agent`, with the roles that were given and its attributes, in Cedar's notation.
    pub principal: BTreeMap<String, String>,
    /// `Action::"pay"`.
    pub action: String,
    /// Of the tool or the object, what there is of the principal.
    pub resource: BTreeMap<String, String>,
    /// What policies look at of the context.
    pub context: BTreeMap<String, String>,
    /// The policies that permit it, or, of a difference, decide on it in the set that permits.
    pub permitted_by: Vec<PolicyInfo>,
    /// Of a difference: the policies that forbid it in the other set; none if no policy permits it there.
    pub forbidden_by: Vec<PolicyInfo>,
}

impl Found {
    /// Reads a model: a call that one side permits and, of a difference, the other does not.
    ///
    /// # Errors
    /// If Cedar itself decides otherwise on this call: then the solver is wrong, or we are.
    pub(super) fn new(
        kind: &Kind,
        env: &Env,
        mentions: &Mentions,
        permitting: &Side<'_>,
        denying: Option<&Side<'_>>,
    ) -> Result<Found, ProveError> {
        let (request, entities) = (&env.request, &env.entities);
        let decided = |side: &Side<'_>, expected: Decision| {
            let response = Authorizer::new().is_authorized(request, &side.set, entities);
            if response.decision() != expected {
                let cause = "the solver found a call on which Cedar decides otherwise".to_owned();
                return Err(ProveError::Undecided { question: kind.title.clone(), cause });
            }
            let ids: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
            Ok(side.infos.iter().filter(|info| ids.contains(&info.id)).cloned().collect())
        };
        Ok(Found {
            question: kind.title.clone(),
            principal: entity(request.principal(), entities),
            action: request.action().map(ToString::to_string).unwrap_or_default(),
            resource: entity(request.resource(), entities),
            context: context(request, mentions),
            permitted_by: decided(permitting, Decision::Allow)?,
            forbidden_by: denying.map(|side| decided(side, Decision::Deny)).transpose()?.unwrap_or_default(),
        })
    }
}

fn entity(uid: Option<&EntityUid>, entities: &Entities) -> BTreeMap<String, String> {
    let mut members = BTreeMap::new();
    let Some(uid) = uid else { return members };
    members.insert("is".into(), uid.to_string());
    let known = entities.get(uid);
    let attributes = known.into_iter().flat_map(|entity| entity.attrs());
    members.extend(attributes.filter_map(|(name, value)| Some((name.to_owned(), value.ok()?.to_string()))));
    let tags = known.into_iter().flat_map(|entity| entity.tags());
    members.extend(tags.filter_map(|(name, value)| Some((format!("claim {name}"), value.ok()?.to_string()))));
    let mut groups: Vec<String> =
        entities.ancestors(uid).into_iter().flatten().map(ToString::to_string).collect();
    groups.sort();
    if !groups.is_empty() {
        members.insert("in".into(), groups.join(", "));
    }
    members
}

fn context(request: &Request, mentions: &Mentions) -> BTreeMap<String, String> {
    let Some(context) = request.context() else { return BTreeMap::new() };
    let names = context.clone().into_iter().map(|(name, _)| name).filter(|name| mentions.has(name));
    names
        .filter_map(|name| {
            let value = context.get(&name)?.to_string();
            Some((name, value))
        })
        .collect()
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.question)?;
        for (what, members) in [("principal", &self.principal), ("resource", &self.resource)] {
            let part = |name: &str| members.get(name).map_or("", String::as_str);
            let (is, groups) = (part("is"), part("in"));
            write!(f, "  {what:<12} {is}")?;
            if !groups.is_empty() {
                write!(f, " in {groups}")?;
            }
            writeln!(f, ": {}", list(members))?;
            if what == "principal" {
                writeln!(f, "  {:<12} {}", "action", self.action)?;
            }
        }
        if !self.context.is_empty() {
            writeln!(f, "  {:<12} {}", "context", list(&self.context))?;
        }
        for (what, policies) in [("permitted by", &self.permitted_by), ("forbidden by", &self.forbidden_by)] {
            for info in policies {
                writeln!(f, "  {what:<12} {} ({}:{})", info.id, info.file, info.line)?;
            }
        }
        Ok(())
    }
}

/// `kind "person", tenant "acme"`: all but what an entity is and lies in.
fn list(members: &BTreeMap<String, String>) -> String {
    let told = members.iter().filter(|(name, _)| !["is", "in"].contains(&name.as_str()));
    told.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

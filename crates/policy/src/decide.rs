//! One immutable set of policies, and the road from a question to a verdict.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use cedar_policy::Request;
use cedar_policy_core::entities::Entities;
use countersign_core::{
    Access, Action, CallQuestion, Decision, Object, Phase, Principal, Verdict, decision::PolicySet,
};

use crate::{
    cache::{Cache, Key},
    context,
    entities::{Container, Names, container_of},
    error::{PolicyError, PolicyErrors},
    facts::{RegistryFacts, TrustedHosts},
    judge::{judge, store},
    load::{self, Report},
    loosen::Body,
    roles::Roles,
    slice::{AccessSlice, Index, Slice, ToolSlice, slice_accesses, slice_tools},
    source::{self, PolicyFile},
};

/// Asked in turn; the first number of approvals that is allowed decides.
const PROBES: [u8; 3] = [0, 1, 2];
/// A list shows what approvals could unlock.
const LISTING_PROBES: [u8; 1] = [2];

/// One immutable set of policies, validated and ready to decide.
pub struct Policies {
    pub(crate) epoch: u64,
    report: Report,
    names: Names,
    roles: Roles,
    /// What each policy says, whatever it is called.
    bodies: Vec<Body>,
    /// Another set that is asked as well and decides nothing.
    pub(crate) observed: Option<Arc<Policies>>,
    tools: BTreeMap<Arc<str>, ToolSlice>,
    accesses: BTreeMap<(Action, &'static str), AccessSlice>,
    /// Each configured database with the tenant that owns it, if one does.
    databases: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// The same for each root of files.
    roots: BTreeMap<Arc<str>, Option<Arc<str>>>,
    trusted: TrustedHosts,
    cache: Cache,
}

impl Policies {
    /// Reads, parses and validates the policies of a directory. All problems are reported at once; epoch 1.
    pub fn load(dir: &Path, facts: &RegistryFacts) -> Result<Policies, PolicyErrors> {
        Policies::from_files(&source::read_dir(dir)?, facts)
    }

    /// The same for texts that are at hand.
    pub fn from_files(files: &[PolicyFile], facts: &RegistryFacts) -> Result<Policies, PolicyErrors> {
        // INVARIANT: the floor set is part of every set.
        let floor = load::floor();
        let assembled = catch_unwind(AssertUnwindSafe(|| Policies::assemble(&floor, files, facts)));
        assembled.unwrap_or_else(|_| {
            Err(PolicyError::whole("policies", "the policy engine failed on them").into())
        })
    }

    /// Builds a set from a floor and user files.
    pub(crate) fn assemble(
        floor: &PolicyFile,
        files: &[PolicyFile],
        facts: &RegistryFacts,
    ) -> Result<Policies, PolicyErrors> {
        let internal = |cause: String| PolicyErrors::from(PolicyError::whole("policies", cause));
        let names = Names::new().map_err(internal)?;
        let checked = load::check(floor, files, facts, &names)?;
        Ok(Policies {
            epoch: 1,
            tools: slice_tools(&checked, facts, &names).map_err(internal)?,
            accesses: slice_accesses(&checked, &names).map_err(internal)?,
            databases: facts.databases.iter().map(|one| (one.name.clone(), one.tenant.clone())).collect(),
            roots: facts.roots.iter().map(|one| (one.name.clone(), one.tenant.clone())).collect(),
            trusted: facts.trusted.clone(),
            bodies: checked.policies.iter().map(|loaded| Body::of(loaded)).collect(),
            report: checked.report,
            roles: checked.roles,
            names,
            observed: None,
            cache: Cache::new(),
        })
    }

    /// What was found when the set was loaded: its policies, warnings, schema and digest.
    pub fn report(&self) -> &Report {
        &self.report
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The roles that `roles.toml` declares.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    pub(crate) fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    /// The policies that can decide on calls of a tool.
    pub(crate) fn tool_index(&self, name: &str) -> Option<&Index> {
        self.tools.get(name).map(|tool| &tool.index)
    }

    /// The policies that can decide on an access.
    pub(crate) fn access_index(&self, access: &Access) -> Option<&Index> {
        self.index_of(access.action, access.object.kind())
    }

    /// The policies that can decide on an action on a kind of object.
    pub(crate) fn index_of(&self, action: Action, kind: &'static str) -> Option<&Index> {
        self.accesses.get(&(action, kind)).map(|access| &access.index)
    }

    /// All policies that can decide on anything.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = &Index> {
        let tools = self.tools.values().map(|tool| &tool.index);
        tools.chain(self.accesses.values().map(|access| &access.index))
    }

    /// Decides on a call without the cache.
    pub(crate) fn evaluate_call(&self, question: &CallQuestion<'_>) -> Decision {
        closed(|| self.try_call(question, self.tool(question)?))
    }

    /// Decides on an access without the cache.
    pub(crate) fn evaluate_access(&self, question: &CallQuestion<'_>, access: &Access) -> Decision {
        closed(|| self.try_access(question, access))
    }

    /// The tool as it was when the policies were validated; another one of the same name is none.
    fn tool(&self, question: &CallQuestion<'_>) -> Result<&ToolSlice, String> {
        let spec = question.tool;
        // MUTATE(H2-pin): a tool that changed since the policies were validated is still decided on
        let known = self.tools.get(&spec.name).filter(|known| known.pin == spec.digest);
        known.ok_or_else(|| format!("the policies were not validated for this tool `{}`", spec.name))
    }

    fn try_call(&self, question: &CallQuestion<'_>, tool: &ToolSlice) -> Result<Decision, String> {
        let principal = self.names.principal(question.principal, &self.roles);
        let user = principal.uid.clone();
        // Which tool it is was settled when the index was made.
        let slice = tool.index.slice(&principal.keys, &[]);
        let entities = store(tool.entities.iter().cloned().chain([principal.entity]))?;
        let probes = match question.phase {
            Phase::Listing => &LISTING_PROBES[..],
            Phase::Calling { .. } | Phase::Previewed { .. } => &PROBES[..],
        };
        let context =
            |approvals| context::of_call(question, &tool.shape, &slice.mentions, &self.trusted, approvals);
        let request = |approvals| {
            let (user, action) = (user.clone(), tool.action.clone());
            Request::new(user, action, tool.resource.clone(), context(approvals)?, None).map_err(text)
        };
        settle(&slice, probes, &entities, request)
    }

    fn try_access(&self, question: &CallQuestion<'_>, access: &Access) -> Result<Decision, String> {
        self.tool(question)?;
        let kind = access.object.kind();
        let known = self.accesses.get(&(access.action, kind));
        let known = known
            .ok_or_else(|| format!("policies do not speak of `{}` on a {kind}", access.action.name()))?;
        let principal = self.names.principal(question.principal, &self.roles);
        let object = self.names.object(&access.object, self.owner(&access.object)?, &self.trusted);
        let slice = known.index.slice(&principal.keys, &object.keys);
        let (user, resource) = (principal.uid.clone(), object.uid.clone());
        let entities = store([principal.entity, object.entity, known.entity.clone()])?;
        let request = |approvals| {
            let (user, action) = (user.clone(), known.action.clone());
            let context = context::of_access(question, &slice.mentions, approvals)?;
            Request::new(user, action, resource.clone(), context, None).map_err(text)
        };
        let probes = match question.phase {
            Phase::Listing => &LISTING_PROBES[..],
            Phase::Calling { .. } | Phase::Previewed { .. } => &PROBES[..],
        };
        settle(&slice, probes, &entities, request)
    }

    /// The tenant that owns what the object lies in, if anyone does.
    fn owner(&self, object: &Object) -> Result<Option<&Arc<str>>, String> {
        let (kind, name, known) = match container_of(object) {
            Container::Database(name) => ("database", name, &self.databases),
            Container::Root(name) => ("root", name, &self.roots),
            Container::World => return Ok(None),
        };
        let owner =
            known.get(name).ok_or_else(|| format!("the policies were not validated for {kind} `{name}`"));
        owner.map(Option::as_ref)
    }
}

/// Asks with each number of approvals in turn until one is allowed.
fn settle(
    slice: &Slice,
    probes: &[u8],
    entities: &Entities,
    request: impl Fn(u8) -> Result<Request, String>,
) -> Result<Decision, String> {
    // Where no policy looks at approvals, they change nothing.
    let probes = if slice.mentions.has("approvals") { probes } else { probes.get(..1).unwrap_or(probes) };
    let mut refusal = None;
    for &approvals in probes {
        let judgement = judge(&slice.rules, &request(approvals)?, entities);
        // INVARIANT: an error denies. Cedar skips a policy whose evaluation errs, so that a `forbid` that errs would not forbid.
        // MUTATE(H2-erring-forbid): evaluation errors no longer deny
        if !judgement.errors.is_empty() {
            return Err(unevaluated(&judgement.errors));
        }
        if judgement.allowed {
            // A verdict names its reasons: of a hold, what holds it.
            let held = refusal.is_some();
            let verdict = if held { Verdict::Hold { approvals } } else { Verdict::Allow };
            let policies = refusal.unwrap_or(judgement.reasons);
            return Ok(Decision { verdict, policies, error: None });
        }
        refusal.get_or_insert(judgement.reasons);
    }
    // MUTATE(H1-default-deny): what no policy permits is allowed
    Ok(Decision { verdict: Verdict::Deny, policies: refusal.unwrap_or_default(), error: None })
}

impl PolicySet for Policies {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn digest(&self) -> &str {
        &self.report.digest
    }

    fn decide_call(&self, question: &CallQuestion<'_>) -> Decision {
        let tool = match self.tool(question) {
            Ok(tool) => tool,
            Err(error) => return closed(|| Err(error)),
        };
        // INVARIANT: a decision that may rest on what a preview found is made anew.
        if matches!(question.phase, Phase::Previewed { .. }) {
            return self.evaluate_call(question);
        }
        // INVARIANT: a decision that may rest on the arguments, the plan or the time is made anew for each call.
        // MUTATE(H2-arguments): the decision on one call's arguments is reused for other arguments
        if tool.index.reads_the_call() {
            return self.evaluate_call(question);
        }
        let phase = match question.phase {
            Phase::Listing => "listing",
            Phase::Calling { .. } | Phase::Previewed { .. } => "calling",
        };
        let parts = [phase, &question.tool.name].into_iter().chain(read_so_far(question));
        self.cached(question.principal, parts, || self.evaluate_call(question))
    }

    fn observed(&self) -> Option<&dyn PolicySet> {
        self.observed.as_deref().map(|set| set as &dyn PolicySet)
    }

    fn decide_access(&self, question: &CallQuestion<'_>, access: &Access) -> Decision {
        // The pin is compared before the cache is asked.
        if let Err(error) = self.tool(question) {
            return closed(|| Err(error));
        }
        let timed = self.access_index(access).is_some_and(Index::reads_the_call);
        if timed {
            return self.evaluate_access(question, access);
        }
        let phase = match question.phase {
            Phase::Listing => "listing access",
            Phase::Calling { .. } | Phase::Previewed { .. } => "calling access",
        };
        let port_text;
        let object: [&str; 3] = match &access.object {
            Object::Table { database, table } => [database, table, ""],
            Object::Column { database, table, column } => [database, table, column],
            Object::Function { database, name } | Object::Query { database, name } => [database, "", name],
            Object::File { root, path } => [root, path, ""],
            Object::Host { host, port } => {
                port_text = port.to_string();
                [host, &port_text, ""]
            }
            Object::Command { name } | Object::Interpreter { name } => [name, "", ""],
        };
        let parts = [phase, &question.tool.name, access.action.name(), access.object.kind()];
        let parts = parts.into_iter().chain(object).chain(read_so_far(question));
        self.cached(question.principal, parts, || self.evaluate_access(question, access))
    }
}

impl Policies {
    fn cached<'a>(
        &self,
        principal: &'a Principal,
        parts: impl IntoIterator<Item = &'a str>,
        decide: impl FnOnce() -> Decision,
    ) -> Decision {
        let key = Key::new(principal, parts);
        if let Some(decision) = self.cache.get(&key) {
            return decision;
        }
        let decision = decide();
        self.cache.put(key, &decision);
        decision
    }
}

/// INVARIANT: what a run has read is part of the question.
fn read_so_far(question: &CallQuestion<'_>) -> [&'static str; 2] {
    // MUTATE(M3-cache): a run that has read private data is decided on as one that has not
    [question.label.integrity.name(), question.label.confidentiality.name()]
}

/// Names the policies, and nothing more: Cedar's own words would quote the values that they failed on.
fn unevaluated(ids: &[String]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    format!("could not evaluate {}", quoted.join(", "))
}

/// A decision, or a denial that says why there is none. A panic inside the engine is such a reason.
fn closed(decide: impl FnOnce() -> Result<Decision, String>) -> Decision {
    let outcome =
        catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| Err("the policy engine failed".into()));
    outcome.unwrap_or_else(|error| Decision {
        verdict: Verdict::Deny,
        policies: Vec::new(),
        error: Some(error),
    })
}

fn text(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}

#[cfg(test)]
mod tests;

//! Proofs: what no call that could ever be made is permitted, and in what two sets of policies differ, found by a solver instead of by
//! trying.
//!
//! Each kind of question (a tool, or an action on a kind of object, asked by a user or an agent) becomes one query: is there a call that the
//! policies permit and a property forbids? The compiler from Cedar to SMT-LIB is `cedar-policy-symcc`; the solver, cvc5, is a program at the
//! other end of a stream. "No" is a proof. "Yes" comes with a call, which is shown; it is one of the schema, and of what [`world`] knows.
//!
//! Cedar skips a policy that cannot be evaluated, and the decision point denies then: it permits less than what is looked at here, never more.

mod question;
mod rewrite;
mod shown;
mod solver;
#[cfg(test)]
mod tests;
mod world;

use std::{collections::BTreeSet, time::Duration};

use cedar_policy::{Policy, PolicyId, PolicySet, Schema};
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env, err::Error as SymError};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    decide::Policies,
    entities::Names,
    error::{PolicyError, PolicyErrors},
    facts::RegistryFacts,
    load::{Effect, PolicyInfo},
    mentions::Mentions,
    schema,
    slice::Index,
    source::PolicyFile,
};
use question::Kind;
use rewrite::Rewritten;
pub use shown::Found;
use solver::Smt;
pub use solver::{TESTED, arguments as solver_arguments};

/// The properties that hold under any policies, since the floor ensures them.
const BUILT_IN: &str = include_str!("properties.cedar");

/// Why nothing was proved.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// There is no answer, or none of a solver that is known.
    #[error("the solver failed: {0}")]
    Solver(String),
    /// There is no answer to one question: out of time or memory, killed, or beyond what the solver can do.
    #[error("no answer to `{question}`: {cause}")]
    Undecided {
        /// The kind of question.
        question: String,
        /// What the solver said, or why it says nothing.
        cause: String,
    },
    /// The properties are not valid.
    #[error("{0}")]
    Properties(#[from] PolicyErrors),
    /// A policy that cannot be reasoned about, and why.
    #[error("{0}")]
    Unsupported(String),
    /// A bug.
    #[error("cannot compile the policies: {0}")]
    Internal(String),
}

/// What must never be permitted: each `forbid` is one property.
pub struct Properties {
    set: Policies,
}

impl Properties {
    /// The built-in properties and those of `files`, which are written like policies and may only forbid.
    ///
    /// # Errors
    /// All problems of the files, with their places.
    pub fn new(files: &[PolicyFile], facts: &RegistryFacts) -> Result<Properties, PolicyErrors> {
        let none = PolicyFile { name: "none".into(), text: String::new() };
        let built_in = PolicyFile { name: "built-in.cedar".into(), text: BUILT_IN.into() };
        let files: Vec<PolicyFile> = [built_in].into_iter().chain(files.iter().cloned()).collect();
        let set = Policies::assemble(&none, &files, facts)?;
        let permits = set.report().policies.iter().filter(|info| info.effect == Effect::Permit);
        let errors: Vec<_> = permits
            .map(|info| {
                PolicyError::whole(
                    &format!("{}:{}", info.file, info.line),
                    format!("`{}` permits; a property says what must never be permitted", info.id),
                )
                .help("write `forbid`")
            })
            .collect();
        if errors.is_empty() { Ok(Properties { set }) } else { Err(PolicyErrors { errors }) }
    }
}

/// What became of one property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The property.
    pub property: PolicyInfo,
    /// How many kinds of questions it was proved for.
    pub proved: usize,
    /// Calls that are permitted all the same: one for each kind of question that has any.
    pub broken: Vec<Found>,
}

/// In what two sets of policies differ.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Difference {
    /// How many kinds of questions both sets answer alike.
    pub same: usize,
    /// Calls that the new set permits and the old one did not.
    pub newly_permitted: Vec<Found>,
    /// Calls that the old set permitted and the new one does not.
    pub newly_denied: Vec<Found>,
}

/// Proves things about policies for one set of tools, databases and roots.
pub struct Prover<'f, S: AsyncRead + AsyncWrite + Unpin + Send> {
    facts: &'f RegistryFacts,
    schema: Schema,
    names: Names,
    solver: CedarSymCompiler<Smt<S>>,
}

/// What a set says to one kind of question.
struct Side<'p> {
    set: PolicySet,
    infos: &'p [PolicyInfo],
    mentions: Mentions,
}

impl<'f, S: AsyncRead + AsyncWrite + Unpin + Send> Prover<'f, S> {
    /// A prover that asks the solver at the other end of `stream`, which was started with [`solver_arguments`] and this limit.
    ///
    /// # Errors
    /// [`ProveError::Solver`], and [`ProveError::Properties`] if two things of `facts` share a name.
    pub async fn new(facts: &'f RegistryFacts, stream: S, limit: Duration) -> Result<Self, ProveError> {
        let (schema, _) = schema::generate(facts)?;
        let names = Names::new().map_err(ProveError::Internal)?;
        let solver = CedarSymCompiler::new(Smt::open(stream, limit).await?).map_err(internal)?;
        Ok(Prover { facts, schema, names, solver })
    }

    /// The version of the solver; one of [`TESTED`], if its answers are known to be right.
    pub fn solver_version(&self) -> &str {
        self.solver.solver().version()
    }

    /// Tries to prove every property for every kind of question that it speaks of.
    ///
    /// # Errors
    /// If any question has no answer: nothing is proved then.
    pub async fn prove(
        &mut self,
        policies: &Policies,
        properties: &Properties,
    ) -> Result<Vec<Proof>, ProveError> {
        let of = |info: &PolicyInfo| Proof { property: info.clone(), proved: 0, broken: Vec::new() };
        let mut proofs: Vec<Proof> = properties.set.report().policies.iter().map(of).collect();
        for kind in question::all(self.facts, &self.names)? {
            let Some(asked) = kind.index(&properties.set) else { continue };
            let side = Side::of(policies, &kind)?;
            let permitted = self.compile(&side.set, &kind)?;
            let world = self.world(&kind, [policies, &properties.set])?;
            let mut described = Vec::new();
            for property in asked.policies() {
                let property = Rewritten::of(property)?.permitting().with_roles(policies.roles())?;
                described.push(self.never_errs(property.within(world.clone()), &kind).await?);
            }
            // One question for all of them comes first, since mostly none is broken.
            let all_hold = self.in_both(&permitted, described.clone(), &kind).await?.is_none();
            for property in described {
                let id = property.id().to_string();
                let model = if all_hold { None } else { self.in_both(&permitted, [property], &kind).await? };
                let proof = proofs.iter_mut().find(|proof| proof.property.id == id);
                let proof = proof.ok_or_else(|| ProveError::Internal(format!("`{id}` is not listed")))?;
                let Some(env) = model else {
                    proof.proved += 1;
                    continue;
                };
                let mut mentions = side.mentions.clone();
                mentions.join(&asked.mentions);
                proof.broken.push(Found::new(&kind, &env, &mentions, &side, None)?);
            }
        }
        Ok(proofs)
    }

    /// Finds a call for every kind of question that the two sets answer differently.
    ///
    /// # Errors
    /// If any question has no answer: nothing is known then.
    pub async fn difference(&mut self, old: &Policies, new: &Policies) -> Result<Difference, ProveError> {
        let mut difference = Difference::default();
        for kind in question::all(self.facts, &self.names)? {
            let world = self.world(&kind, [old, new])?;
            let (was, is) = (Side::of(old, &kind)?, Side::of(new, &kind)?);
            if was.set == is.set {
                difference.same += 1;
                continue;
            }
            let mut mentions = was.mentions.clone();
            mentions.join(&is.mentions);
            let more = self.permits_more(&is, &was, &world, &mentions, &kind).await?;
            let less = self.permits_more(&was, &is, &world, &mentions, &kind).await?;
            difference.same += usize::from(more.is_none() && less.is_none());
            difference.newly_permitted.extend(more);
            difference.newly_denied.extend(less);
        }
        Ok(difference)
    }

    /// A call that a set permits and that one of these describes.
    async fn in_both(
        &mut self,
        permitted: &CompiledPolicySet,
        described: impl IntoIterator<Item = Policy>,
        kind: &Kind,
    ) -> Result<Option<Env>, ProveError> {
        let described = self.compile(&set_of(described)?, kind)?;
        let model = self.solver.check_disjoint_with_counterexample_opt(permitted, &described).await;
        model.map_err(|cause| undecided(cause, kind))
    }

    /// A call that one set permits and the other does not.
    async fn permits_more(
        &mut self,
        one: &Side<'_>,
        other: &Side<'_>,
        world: &[Value],
        mentions: &Mentions,
        kind: &Kind,
    ) -> Result<Option<Found>, ProveError> {
        let mut within = Vec::new();
        for policy in one.set.policies() {
            let bounded = self.never_errs(Rewritten::of(policy)?.within(world.to_vec()), kind).await?;
            // A permit only where the world is as it can be; a forbid anywhere.
            let permits = policy.effect() == cedar_policy::Effect::Permit;
            within.push(if permits { bounded } else { policy.clone() });
        }
        let permits = self.compile(&set_of(within)?, kind)?;
        let permitted = self.compile(&other.set, kind)?;
        let model = self.solver.check_implies_with_counterexample_opt(&permits, &permitted).await;
        let model = model.map_err(|cause| undecided(cause, kind))?;
        model.map(|env| Found::new(kind, &env, mentions, one, Some(other))).transpose()
    }

    /// What is known of a kind of question, as conditions of policies.
    fn world(&self, kind: &Kind, sets: [&Policies; 2]) -> Result<Vec<Value>, ProveError> {
        let indexes = sets.into_iter().filter_map(|set| kind.index(set));
        let literals = indexes.flat_map(Index::policies).flat_map(Policy::entity_literals);
        let tenants: BTreeSet<String> =
            literals.filter_map(|uid| self.names.tenant_name(&uid).map(world::of_tenant)).collect();
        let conditions = kind.known.iter().chain(&tenants).map(|one| format!(" when {{ {one} }}"));
        let text = format!("permit (principal, action, resource){};", conditions.collect::<String>());
        let policy = Policy::parse(Some(PolicyId::new("world")), text);
        Ok(Rewritten::of(&policy.map_err(|cause| ProveError::Internal(cause.to_string()))?)?.conditions())
    }

    /// Refuses a policy whose evaluation may fail: Cedar takes it for one that does not apply, and the decision point for a denial.
    async fn never_errs(&mut self, policy: Rewritten, kind: &Kind) -> Result<Policy, ProveError> {
        let reckons = policy.reckons();
        let policy = policy.policy()?;
        // MUTATE(H5-overflow): a property that cannot be evaluated is taken for one that forbids nothing
        if reckons {
            let compiled = CompiledPolicy::compile(&policy, &kind.env, &self.schema).map_err(internal)?;
            let never = self.solver.check_never_errors_opt(&compiled).await;
            if !never.map_err(|cause| undecided(cause, kind))? {
                return Err(ProveError::Unsupported(format!(
                    "`{}` may overflow in `{}`: bound its numbers before it reckons with them",
                    policy.id(),
                    kind.title
                )));
            }
        }
        Ok(policy)
    }

    fn compile(&self, set: &PolicySet, kind: &Kind) -> Result<CompiledPolicySet, ProveError> {
        CompiledPolicySet::compile(set, &kind.env, &self.schema).map_err(internal)
    }
}

impl<'p> Side<'p> {
    /// The policies that can decide on a kind of question, with their roles spelled out.
    fn of(policies: &'p Policies, kind: &Kind) -> Result<Side<'p>, ProveError> {
        let index = kind.index(policies);
        let of = index.into_iter().flat_map(Index::policies);
        let set: Result<Vec<Policy>, ProveError> =
            of.map(|policy| Rewritten::of(policy)?.with_roles(policies.roles())?.policy()).collect();
        let mentions = index.map(|index| index.mentions.clone()).unwrap_or_default();
        Ok(Side { set: set_of(set?)?, infos: &policies.report().policies, mentions })
    }
}

fn set_of(policies: impl IntoIterator<Item = Policy>) -> Result<PolicySet, ProveError> {
    PolicySet::from_policies(policies).map_err(|cause| ProveError::Internal(cause.to_string()))
}

fn internal(cause: SymError) -> ProveError {
    ProveError::Internal(cause.to_string())
}

fn undecided(cause: SymError, kind: &Kind) -> ProveError {
    let cause = match cause {
        SymError::SolverUnknown => "the solver gave up".into(),
        SymError::SolverError(error) => solver::cause(error),
        other => return internal(other),
    };
    ProveError::Undecided { question: kind.title.clone(), cause }
}

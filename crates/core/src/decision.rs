//! What the pipeline asks the policy decision point, and what it answers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    label::Label,
    plan::{Access, Effect, Plan},
    principal::Principal,
    tool::ToolSpec,
};

/// What policy says. `Hold` means: not now, but this many approvals would unlock it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Permitted.
    Allow,
    /// Refused, whatever anyone approves.
    Deny,
    /// Refused until `approvals` distinct people approve (1 or 2).
    Hold {
        /// How many.
        approvals: u8,
    },
}

/// A verdict with its reasons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Ids of the policies that decided (for a denial by default: none).
    pub policies: Vec<String>,
    /// Why a decision could not be had (an evaluation error); the verdict is then `Deny`.
    pub error: Option<String>,
}

/// Why the question is asked.
#[derive(Clone, Copy)]
pub enum Phase<'a> {
    /// May this principal see the tool at all? Asked for lists and to resolve names.
    Listing,
    /// May this call run? The arguments have passed the tool's schema.
    Calling {
        /// The validated arguments.
        arguments: &'a Value,
    },
    /// The same, now that its effect was tried out, or found to be beyond trying.
    Previewed {
        /// The validated arguments.
        arguments: &'a Value,
        /// What was found.
        foreseen: Foreseen,
    },
}

impl<'a> Phase<'a> {
    /// The validated arguments; none while tools are listed.
    pub fn arguments(&self) -> Option<&'a Value> {
        match self {
            Phase::Listing => None,
            Phase::Calling { arguments } | Phase::Previewed { arguments, .. } => Some(arguments),
        }
    }
}

/// What a preview found out, for policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Foreseen {
    /// How many objects change; none if nothing could be tried out.
    pub affected: Option<u64>,
}

/// What a tool's plan says that a call will do, for policy.
#[derive(Clone, Copy, Debug)]
pub struct PlanFacts<'a> {
    /// The class of effect.
    pub effect: Effect,
    /// Every object that the call touches.
    pub accesses: &'a [Access],
    /// Hosts, paths or accounts that data goes to.
    pub destinations: &'a [String],
    /// Short facts (`operation` = `select`).
    pub facts: &'a BTreeMap<&'static str, String>,
}

impl<'a> PlanFacts<'a> {
    /// The facts of a sealed plan.
    pub fn of(plan: &'a Plan) -> PlanFacts<'a> {
        PlanFacts {
            effect: plan.effect(),
            accesses: plan.accesses(),
            destinations: plan.destinations(),
            facts: plan.facts(),
        }
    }
}

/// May `principal` call `tool`?
#[derive(Clone, Copy)]
pub struct CallQuestion<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// Which tool.
    pub tool: &'a ToolSpec,
    /// Listing or calling.
    pub phase: Phase<'a>,
    /// What the call would do; none while tools are listed.
    pub plan: Option<PlanFacts<'a>>,
    /// When, in microseconds since 1970 UTC.
    pub at: u64,
    /// What the caller's run has read so far.
    pub label: Label,
}

impl<'a> CallQuestion<'a> {
    /// A question about a tool, asked `at` a time in microseconds since 1970 UTC.
    pub fn new(principal: &'a Principal, tool: &'a ToolSpec, phase: Phase<'a>, at: u64) -> CallQuestion<'a> {
        CallQuestion { principal, tool, phase, plan: None, at, label: Label::default() }
    }

    /// The same with what the tool's plan found out.
    #[must_use]
    pub fn planned(self, plan: PlanFacts<'a>) -> CallQuestion<'a> {
        CallQuestion { plan: Some(plan), ..self }
    }

    /// The same from a run that has read something.
    #[must_use]
    pub fn labelled(self, label: Label) -> CallQuestion<'a> {
        CallQuestion { label, ..self }
    }
}

/// One immutable set of policies: a call is decided by one version from start to end.
///
/// INVARIANT: implementations deny on any diagnostics error.
pub trait PolicySet: Send + Sync {
    /// A number that grows with every accepted reload.
    fn epoch(&self) -> u64;

    /// SHA-256 over the texts of all policies in force, in hexadecimal.
    fn digest(&self) -> &str;

    /// Decides on the tool as a whole.
    fn decide_call(&self, question: &CallQuestion<'_>) -> Decision;

    /// Decides on one action on one object.
    fn decide_access(&self, question: &CallQuestion<'_>, access: &Access) -> Decision;

    /// Another set that is asked as well and decides nothing: where it would differ is put on record.
    fn observed(&self) -> Option<&dyn PolicySet> {
        None
    }
}

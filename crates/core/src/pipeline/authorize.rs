//! The questions to policy about one call: on the tool, then on every access that its plan names.

use super::trail::Trail;
use crate::{
    call::Call,
    decision::{CallQuestion, Decision, Foreseen, Phase, PlanFacts, PolicySet, Verdict},
    denied::{Denied, Subsystem},
    plan::{Access, Action, Need, Plan},
    record::{MAX_ACCESSES, Observed},
    tool::ToolError,
};

/// What policy says to a call that it does not deny.
pub(super) struct Authorized {
    /// The accesses that it grants, once so many people approve.
    pub(super) granted: Vec<Access>,
    /// How many people must approve first.
    pub(super) holds: u8,
    /// Ids of the policies that say so.
    pub(super) held_by: Vec<String>,
}

/// Asks policy on the tool, then on every access. `foreseen` is what a preview found out, once there was one. A set that is only observed is
/// asked the same; where it differs is noted, and nothing else comes of it.
pub(super) async fn authorize(
    policy: &dyn PolicySet,
    call: &Call,
    plan: &Plan,
    foreseen: Option<Foreseen>,
    trail: &mut Trail<'_>,
) -> Result<Authorized, ToolError> {
    // INVARIANT: asked of the plan as well, since the plan is what runs.
    // MUTATE(G5-tools-plan): only the name that was asked for is compared with the credential's tools
    if !call.principal.may_use(&plan.spec().name) {
        return Err(Denied::UnknownTool.into());
    }
    let label = trail.label().await?;
    let arguments = plan.arguments().value();
    let phase = match foreseen {
        None => Phase::Calling { arguments },
        Some(foreseen) => Phase::Previewed { arguments, foreseen },
    };
    let question = CallQuestion::new(&call.principal, plan.spec(), phase, trail.now());
    // MUTATE(M3-label): policy takes every run for one that has read nothing
    let question = question.planned(PlanFacts::of(plan)).labelled(label);
    let mut policies = Vec::new();
    let decided = judge(policy, &question, plan, &mut policies);
    trail.decided(policies);
    // MUTATE(P7-observed): what the observed policies say is not asked
    if let Some(observed) = policy.observed() {
        let mut policies = Vec::new();
        let would = judge(observed, &question, plan, &mut policies);
        trail.observed(difference(observed.digest(), &decided, &would, policies));
    }
    decided
}

/// One set of policies on one plan. `policies` takes the ids of those that decided.
fn judge(
    policy: &dyn PolicySet,
    question: &CallQuestion<'_>,
    plan: &Plan,
    policies: &mut Vec<String>,
) -> Result<Authorized, ToolError> {
    let mut granted = Vec::with_capacity(plan.accesses().len());
    let decision = policy.decide_call(question);
    policies.extend(decision.policies.iter().cloned());
    let mut holds = gate(&decision, String::new())?;
    let mut held_by = if holds > 0 { decision.policies } else { Vec::new() };
    let mut optional = Vec::new();
    for access in plan.accesses() {
        let decision = policy.decide_access(question, access);
        match (decision.verdict, access.need) {
            // MUTATE(I4-policy-allow): an Allow beside an error of policy allows
            (Verdict::Allow, _) if decision.error.is_none() => granted.push(access.clone()),
            (Verdict::Hold { approvals }, Need::Filter) if decision.error.is_none() => {
                optional.push((approvals, access));
                continue;
            }
            (_, Need::Filter) if decision.error.is_none() => continue,
            (Verdict::Deny, Need::Maskable) if decision.error.is_none() => {
                let masked = Access { action: Action::Mask, need: Need::Required, ..access.clone() };
                let softened = policy.decide_access(question, &masked);
                // MUTATE(I4-policy-mask): a mask that policy could not decide on is taken
                if softened.error.is_none() && softened.verdict == Verdict::Allow {
                    policies.extend(softened.policies);
                    granted.push(masked);
                    continue;
                }
                policies.extend(decision.policies.iter().cloned());
                gate(&decision, access.object.to_string())?;
                continue;
            }
            _ => {
                policies.extend(decision.policies.iter().cloned());
                holds = holds.max(gate(&decision, access.object.to_string())?);
                if let Verdict::Hold { .. } = decision.verdict {
                    held_by.extend(decision.policies);
                }
                // INVARIANT: what is held is granted with the call, which takes as many people as its strictest part.
                // MUTATE(J1-granted): what people approved is not granted
                granted.push(access.clone());
                continue;
            }
        }
        policies.extend(decision.policies);
    }
    // INVARIANT: what may be left out asks nobody. It is granted where so many people are asked anyway, who see it in the request.
    // MUTATE(J1-optional): what may be left out is granted without the people that it takes
    let covered = optional.into_iter().filter(|(approvals, _)| *approvals <= holds);
    granted.extend(covered.map(|(_, access)| access.clone()));
    held_by.sort();
    held_by.dedup();
    Ok(Authorized { granted, holds, held_by })
}

/// What an observed set would have decided differently; none if nothing.
fn difference(
    digest: &str,
    decided: &Result<Authorized, ToolError>,
    would: &Result<Authorized, ToolError>,
    asked: Vec<String>,
) -> Option<Observed> {
    let word = |outcome: &Result<Authorized, ToolError>| match outcome {
        Ok(Authorized { holds: 0, .. }) => "allow",
        Ok(Authorized { holds: 1, .. }) => "hold 1",
        Ok(_) => "hold 2",
        Err(_) => "deny",
    };
    let objects = |outcome: &Result<Authorized, ToolError>, other: &Result<Authorized, ToolError>| {
        let (Ok(one), Ok(other)) = (outcome, other) else { return Vec::new() };
        let only = one.granted.iter().filter(|access| !other.granted.contains(access));
        only.take(MAX_ACCESSES).map(Access::to_string).collect()
    };
    let (gained, lost) = (objects(would, decided), objects(decided, would));
    if word(decided) == word(would) && gained.is_empty() && lost.is_empty() {
        return None;
    }
    let mut policies = match would {
        Err(ToolError { denied: Denied::Forbidden { policies, .. }, .. }) => policies.clone(),
        Ok(Authorized { holds: 1.., held_by, .. }) => held_by.clone(),
        _ => asked,
    };
    policies.sort();
    policies.dedup();
    Some(Observed { policy: digest.to_owned(), decision: word(would), policies, gained, lost })
}

/// `Ok(n)`: permitted once `n` people approve.
fn gate(decision: &Decision, object: String) -> Result<u8, ToolError> {
    if let Some(error) = &decision.error {
        let denied = Denied::Unavailable(Subsystem::Policy);
        return Err(ToolError { denied, cause: Some(error.clone()), detail: None });
    }
    match decision.verdict {
        Verdict::Allow => Ok(0),
        Verdict::Hold { approvals } => Ok(approvals),
        // MUTATE(H2-access): a refused access is granted
        Verdict::Deny => Err(Denied::Forbidden { object, policies: decision.policies.clone() }.into()),
    }
}

#[cfg(test)]
mod tests;

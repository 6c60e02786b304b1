//! The questions to policy about one call: on the tool, then on every access that its plan names.

use super::trail::Trail;
use crate::{
    call::Call,
    decision::{CallQuestion, Decision, Foreseen, Phase, PolicySet, Verdict},
    denied::{Denied, Subsystem},
    plan::{Access, Action, Need, Plan},
    tool::ToolError,
};

/// What policy says to a call that it does not deny.
pub(super) struct Authorized {
    /// The accesses that it grants.
    pub(super) granted: Vec<Access>,
    /// How many people must approve first.
    pub(super) holds: u8,
    /// Ids of the policies that say so.
    pub(super) held_by: Vec<String>,
}

/// Asks policy on the tool, then on every access. `foreseen` is what a preview found out, once there was one.
pub(super) fn authorize(
    policy: &dyn PolicySet,
    call: &Call,
    plan: &Plan,
    foreseen: Option<Foreseen>,
    trail: &mut Trail<'_>,
) -> Result<Authorized, ToolError> {
    let arguments = plan.arguments().value();
    let phase = match foreseen {
        None => Phase::Calling { arguments },
        Some(foreseen) => Phase::Previewed { arguments, foreseen },
    };
    let question = CallQuestion { principal: &call.principal, tool: plan.spec(), phase };
    let mut granted = Vec::with_capacity(plan.accesses().len());
    let decision = policy.decide_call(&question);
    let mut holds = gate(&decision, String::new())?;
    let mut held_by = if holds > 0 { decision.policies.clone() } else { Vec::new() };
    trail.decided(decision.policies);
    for access in plan.accesses() {
        let decision = policy.decide_access(&question, access);
        match (decision.verdict, access.need) {
            (Verdict::Allow, _) if decision.error.is_none() => granted.push(access.clone()),
            (_, Need::Filter) if decision.error.is_none() => continue,
            (Verdict::Deny, Need::Maskable) if decision.error.is_none() => {
                let masked = Access { action: Action::Mask, need: Need::Required, ..access.clone() };
                let softened = policy.decide_access(&question, &masked);
                if softened.error.is_none() && softened.verdict == Verdict::Allow {
                    trail.decided(softened.policies);
                    granted.push(masked);
                    continue;
                }
                let refused = gate(&decision, access.object.to_string());
                trail.decided(decision.policies);
                refused?;
                continue;
            }
            _ => {
                let refused = gate(&decision, access.object.to_string());
                if let Verdict::Hold { .. } = decision.verdict {
                    held_by.extend(decision.policies.iter().cloned());
                }
                trail.decided(decision.policies);
                holds = holds.max(refused?);
                continue;
            }
        }
        trail.decided(decision.policies);
    }
    held_by.sort();
    held_by.dedup();
    Ok(Authorized { granted, holds, held_by })
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

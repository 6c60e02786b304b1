//! Idempotency keys on the way of a call: a key that ran before is answered from its record, one under way refuses.

use super::{Attempt, Pipeline, hold::Held, trail::Trail, unavailable};
use crate::{
    denied::{Denied, Subsystem},
    ids::CallId,
    label::{Confidentiality, Integrity, Label},
    once::{Begun, OnceKey},
    output::Reply,
    plan::Effect,
    tool::ToolError,
};
use std::time::Duration;

/// When a caller may ask again for a call that is under way.
const RETRY: Duration = Duration::from_secs(1);

/// What is recorded of a change in our own databases and files is its outcome, in our words.
const RECORDED: Label = Label { integrity: Integrity::Trusted, confidentiality: Confidentiality::Private };

impl Pipeline {
    /// Takes the call's idempotency key, if it has one. Yields the recorded answer if the key ran before: nothing is executed then.
    pub(super) async fn once(
        &self,
        attempt: &Attempt<'_>,
        held: &mut Held,
        trail: &mut Trail<'_>,
    ) -> Result<Option<Reply>, ToolError> {
        let Attempt { id, call, entry, plan, .. } = attempt;
        let Some(given) = entry.tool.once_key(plan.arguments()) else { return Ok(None) };
        let Some(keys) = &self.once else { return Err(Denied::Unavailable(Subsystem::State).into()) };
        let key = OnceKey::new(&call.principal, &plan.spec().name, given, plan.arguments().canonical());
        let field = "/idempotency_key";
        match keys.begin(key, self.usage(*id, plan)).await.map_err(unavailable(Subsystem::State))? {
            Begun::Fresh => {
                held.once = Some(key);
                Ok(None)
            }
            Begun::Ran { call, answer } if answer.is_empty() => Err(ToolError::failed(format!(
                "call {call} with this idempotency key was cut off; an operator found that it took effect. Its answer is lost, and nothing \
                 was executed now"
            ))),
            Begun::Ran { call: first, answer } => {
                trail.replays(first);
                trail.intent(Effect::Read).await?;
                let answer = serde_json::from_str(&answer)
                    .map_err(|e| unavailable(Subsystem::State)(e.to_string()))?;
                let reply = Reply::replayed(answer, recorded(plan.effect()), self.redactor())
                    .map_err(ToolError::internal)?;
                let reply = reply.of_call(*id);
                // The run that repeats a key need not be the one that was answered first.
                // MUTATE(M3-replayed-join): a run that asks for a recorded answer has read nothing
                self.taint(call, &reply).await?;
                trail.outcome(&reply).await?;
                Ok(Some(reply))
            }
            Begun::Running => Err(Denied::Limited { limit: "idempotency key", retry_after: RETRY }.into()),
            Begun::InDoubt { call } => Err(ToolError::failed(format!(
                "call {call} with this idempotency key was cut off, and whether it took effect is not known; nothing was executed \
                 now. Look at the data, or ask an operator"
            ))),
            Begun::Differs => Err(ToolError::invalid(field, "was used before with other arguments")),
        }
    }

    /// Notes that the effect is about to happen.
    pub(super) async fn executing(&self, id: CallId, held: &mut Held) -> Result<(), ToolError> {
        if let (Some(keys), Some(key)) = (&self.once, held.once) {
            keys.executing(key, id).await.map_err(unavailable(Subsystem::State))?;
        }
        held.executing = true;
        Ok(())
    }
}

/// What a recorded answer is.
fn recorded(effect: Effect) -> Label {
    // INVARIANT: what another host said is no more to be believed when it is repeated.
    match effect == Effect::Egress {
        // MUTATE(M3-replayed): what a stranger answered counts as ours the second time
        true => Label::RETRIEVED,
        false => RECORDED,
    }
}

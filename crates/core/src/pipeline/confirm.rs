//! The question to the caller's own person while a low-impact call waits: see [`confirmation`] for what their word is worth.

use super::{Attempt, Pipeline, stopped, unavailable};
use crate::{
    approval::{Approvals, Claim, Request, confirmation},
    denied::{Failure, Subsystem},
    stops::Subject,
    tool::ToolError,
};

impl Pipeline {
    /// Asks the caller's own person about a request that waits, if their word is enough for it and their client can ask them. Without an
    /// answer it goes on waiting for an approver.
    pub(super) async fn confirm(
        &self,
        attempt: &Attempt<'_>,
        desk: &dyn Approvals,
        waiting: Claim,
    ) -> Result<Claim, ToolError> {
        let Claim::Waiting { id, request, .. } = &waiting else { return Ok(waiting) };
        let Some(answer) = self.ask_requester(attempt, id, request).await? else { return Ok(waiting) };
        let Some(said) = confirmation::said(&answer) else { return Ok(waiting) };
        // INVARIANT: nothing is confirmed that was stopped, or under policies that were replaced, while the person thought about it.
        let call = attempt.call;
        let tool = &attempt.plan.spec().name;
        // MUTATE(J4-stopped): a confirmation goes through although the caller was stopped meanwhile
        self.going(&Subject { principal: &call.principal, run: Some(&call.run), tool: Some(tool) })?;
        let now = self.policy.current().map_err(unavailable(Subsystem::Policy))?;
        // MUTATE(J4-policy): a confirmation outlives the policies under which it was asked for
        if now.digest() != attempt.policy.digest() {
            return Ok(waiting);
        }
        let by = self.usage(attempt.id, &attempt.plan);
        desk.answer(id, request, said, by).await.map_err(unavailable(Subsystem::State))
    }

    async fn ask_requester(
        &self,
        attempt: &Attempt<'_>,
        id: &str,
        request: &Request,
    ) -> Result<Option<serde_json::Value>, ToolError> {
        let may = confirmation::may_confirm(&attempt.call.principal, &attempt.plan, request.needed);
        // MUTATE(J4-off): clients are asked although the operator did not allow it
        if !(self.elicitation && may) {
            return Ok(None);
        }
        let sink = attempt.call.sink.as_ref().filter(|sink| sink.can_ask(confirmation::METHOD));
        let Some(sink) = sink else { return Ok(None) };
        let line = |text: &str| self.redactor().line(text).into_owned();
        let question = confirmation::question(id, request, line);
        tokio::select! {
            biased;
            answer = sink.ask(question) => Ok(answer.ok()),
            () = attempt.call.cancel.cancelled() => {
                Err(stopped(Failure::Cancelled, "cancelled; nothing was executed".into()))
            }
        }
    }
}

//! The hold: a call that policy lets through only with people's approval. The first time it is tried out and put to people; the same call,
//! made again, consumes what they approved.

use super::{
    Attempt, Authorized, Pipeline, authorize, permit::PreviewPermit, trail::Trail, unavailable, within,
};
use crate::{
    approval::{
        Approvals, Approved, AskFailed, BoundCall, Claim, End, LIFETIME_MICROS, Request, ShownPreview, Use,
        confirmation::may_confirm, people,
    },
    decision::Foreseen,
    denied::{Denied, Failure, Standing, Subsystem},
    ids::CallId,
    once::OnceKey,
    output::{Reply, rows_json},
    plan::{Access, Plan},
    tool::{Preview, ToolError},
};
use std::{sync::Arc, time::Duration};

#[cfg(test)]
mod tests;

/// What a call has taken from the state and must give account of.
#[derive(Default)]
pub(super) struct Held {
    /// The approval that it consumed.
    pub(super) approved: Option<Approved>,
    /// The idempotency key that it took.
    pub(super) once: Option<OnceKey>,
    /// Execution was about to begin.
    pub(super) executing: bool,
    /// Execution ended well.
    pub(super) executed: bool,
}

impl Held {
    /// How the use of approval and key ended. INVARIANT: only a tool's own refusal, or never having begun, is "did not happen".
    fn end<T>(&self, ran: &Result<T, ToolError>) -> End {
        match ran {
            _ if self.executed => End::Done,
            _ if !self.executing => End::Undone,
            Ok(_) => End::Done,
            Err(error) => match error.denied {
                // MUTATE(J2-doubt): a write that was cut off counts as one that did not happen
                Denied::Failed {
                    failure: Failure::Deadline | Failure::Cancelled | Failure::Internal,
                    ..
                }
                | Denied::Unavailable(_) => End::InDoubt,
                _ => End::Undone,
            },
        }
    }
}

/// Bytes of a diff that approvers are shown.
const SHOWN_DIFF: usize = 64 << 10;

/// Beyond the deadline of a call: when it is certainly over.
const SLACK: Duration = Duration::from_secs(10);

impl Pipeline {
    /// Lets a call through that needs nobody, or that people approved; puts any other to them. Yields the granted accesses.
    pub(super) async fn release(
        &self,
        attempt: &Attempt<'_>,
        decided: Authorized,
        held: &mut Held,
        trail: &mut Trail<'_>,
    ) -> Result<Vec<Access>, ToolError> {
        if decided.holds == 0 {
            return Ok(decided.granted);
        }
        let Attempt { id, call, plan, policy, .. } = attempt;
        let approvals = decided.holds;
        let Some(desk) = &self.approvals else {
            return Err(Denied::NotApproved { approvals, standing: Standing::NoChannel }.into());
        };
        let label = self.runs.label(&call.run).await.map_err(unavailable(Subsystem::State))?;
        let bound = BoundCall::of(call, plan, policy.digest(), label);
        let by = self.usage(*id, plan);
        let claim = match desk.claim(&bound, by).await.map_err(unavailable(Subsystem::State))? {
            Claim::Unasked => self.put_to_people(attempt, desk.as_ref(), decided, &bound, trail).await?,
            asked => asked,
        };
        match self.confirm(attempt, desk.as_ref(), claim).await? {
            Claim::Granted(approved) => {
                trail.approved(&approved);
                let approved = held.approved.insert(*approved);
                // Policy sees what approvers saw: it may ask for more people than it did for the bare call.
                let foreseen = Foreseen { affected: approved.request.preview.affected };
                let again = authorize(*policy, call, plan, Some(foreseen), trail).await?;
                let now = self.environment.unix_micros();
                fits(approved, &bound, attempt, again.holds.max(approvals), now)?;
                Ok(again.granted)
            }
            Claim::Waiting { id, request, have } => {
                trail.asked(&id, &request);
                let left = Duration::from_micros(request.expires.saturating_sub(by.now));
                let standing = Standing::Asked { id, have, left };
                Err(Denied::NotApproved { approvals: request.needed, standing }.into())
            }
            Claim::Denied { id, reason } => {
                Err(Denied::NotApproved { approvals, standing: Standing::Refused { id, reason } }.into())
            }
            Claim::Declined { id } => {
                Err(Denied::NotApproved { approvals, standing: Standing::Declined { id } }.into())
            }
            // The same call, sent twice: the other one has used what was asked for.
            Claim::Unasked => {
                Err(Denied::Limited { limit: "approvals", retry_after: Duration::from_secs(1) }.into())
            }
        }
    }

    /// Tries the call out, asks policy again with what was seen, and stores the request. The call waits then; repeated, it finds the request.
    async fn put_to_people(
        &self,
        attempt: &Attempt<'_>,
        desk: &dyn Approvals,
        decided: Authorized,
        bound: &BoundCall,
        trail: &mut Trail<'_>,
    ) -> Result<Claim, ToolError> {
        let Attempt { id, call, entry, plan, policy } = attempt;
        // INVARIANT: what nobody will be asked about is not tried out either: a preview is work, and holds locks.
        let room = desk.has_room(bound, self.environment.unix_micros()).await;
        // MUTATE(J2-room): who has flooded the approvers goes on trying calls out
        if !room.map_err(unavailable(Subsystem::State))? {
            return Err(too_many_requests());
        }
        // INVARIANT: a preview is an effect (locks, load): it is on record before it happens.
        trail.preview().await?;
        let permit = PreviewPermit::mint(*id, Arc::clone(&call.principal), decided.granted);
        let preview = within(entry.tool.spec().deadline, call, entry.tool.preview(plan, permit)).await?;
        let preview = self.shown(&preview);
        let foreseen = Foreseen { affected: preview.affected };
        let again = authorize(*policy, call, plan, Some(foreseen), trail).await?;
        let now = self.environment.unix_micros();
        let request = Request {
            call: bound.clone(),
            preview,
            policies: again.held_by,
            needed: again.holds.max(decided.holds),
            expires: now.saturating_add(LIFETIME_MICROS),
        };
        let id = desk.ask(&self.request_id()?, &request, now).await.map_err(|failed| match failed {
            AskFailed::TooMany => too_many_requests(),
            AskFailed::Unavailable(cause) => unavailable(Subsystem::State)(cause),
        })?;
        Ok(Claim::Waiting { id, request: Box::new(request), have: 0 })
    }

    /// What approvers see of a preview: redacted.
    fn shown(&self, preview: &Preview) -> ShownPreview {
        let redactor = self.redactor();
        let rows = |set: &Option<crate::output::RowSet>| set.as_ref().map(|set| rows_json(set, redactor));
        let mut warnings: Vec<String> =
            preview.warnings.iter().map(|text| redactor.line(text).into_owned()).collect();
        // Cut after redaction: half a secret is not found.
        let diff = preview.diff.as_ref().map(|diff| cut(&redactor.text(diff), SHOWN_DIFF));
        if let Some((_, hidden @ 1..)) = diff {
            warnings.push(format!("{hidden} lines of the diff are not shown: it is too long"));
        }
        ShownPreview {
            affected: preview.affected,
            before: rows(&preview.before),
            after: rows(&preview.after),
            diff: diff.map(|(text, _)| text),
            basis: preview.basis.map(|basis| basis.to_string()),
            warnings,
        }
    }

    /// Gives account of what a call took: how its use of approval and key ended. What cannot be noted stays in doubt.
    pub(super) async fn settle(
        &self,
        id: CallId,
        held: &Held,
        ran: &Result<Reply, ToolError>,
        trail: &mut Trail<'_>,
    ) {
        let end = held.end(ran);
        if let (Some(desk), Some(approved)) = (&self.approvals, &held.approved) {
            let closed = desk.close(&approved.id, id, end, self.environment.unix_micros()).await;
            trail.unsettled(closed.err());
        }
        if let (Some(keys), Some(key)) = (&self.once, held.once) {
            let answer = ran.as_ref().ok().and_then(Reply::structured).unwrap_or("{}");
            trail.unsettled(keys.end(key, id, end, answer).await.err());
        }
    }

    /// The use of approvals and keys by a call that begins now.
    pub(super) fn usage(&self, call: CallId, plan: &Plan) -> Use {
        let now = self.environment.unix_micros();
        let span = plan.spec().deadline.saturating_add(SLACK);
        let until = now.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
        Use { call, now, until }
    }

    /// Short, for people to type: `ap-` and eight letters and digits that cannot be mistaken for each other.
    fn request_id(&self) -> Result<String, ToolError> {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut random = [0; 8];
        self.environment.random(&mut random).map_err(unavailable(Subsystem::Server))?;
        let letter = |byte: u8| LETTERS.get(usize::from(byte & 31)).copied().map_or('a', char::from);
        Ok(format!("ap-{}", random.map(letter).iter().collect::<String>()))
    }
}

fn too_many_requests() -> ToolError {
    Denied::Limited { limit: "approvals", retry_after: Duration::from_micros(LIFETIME_MICROS) }.into()
}

/// A text cut after the last line that fits, and how many lines are missing.
fn cut(text: &str, bytes: usize) -> (String, usize) {
    if text.len() <= bytes {
        return (text.to_owned(), 0);
    }
    let lines = text.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        (*end <= bytes).then_some(*end)
    });
    let end = lines.last().unwrap_or(0);
    let (shown, hidden) = text.split_at_checked(end).unwrap_or(("", text));
    (shown.to_owned(), hidden.lines().count())
}

/// Whether what people approved is this call, by enough of them, in time. The store has checked the same; it is not believed.
fn fits(
    approved: &Approved,
    bound: &BoundCall,
    attempt: &Attempt<'_>,
    needed: u8,
    now: u64,
) -> Result<(), ToolError> {
    let refuse = |cause: &str| {
        let standing = Standing::Refused { id: approved.id.clone(), reason: String::new() };
        let denied = Denied::NotApproved { approvals: needed, standing };
        ToolError { denied, cause: Some(cause.to_owned()), detail: None }
    };
    let request = &approved.request;
    if request.call != *bound {
        return Err(refuse("what was approved is another call"));
    }
    if now >= request.expires {
        return Err(refuse("the approval has expired"));
    }
    let needed = needed.max(request.needed);
    if approved.confirmed {
        return match may_confirm(&attempt.call.principal, &attempt.plan, needed) {
            true => Ok(()),
            false => Err(refuse("the caller's own word is not enough for this call")),
        };
    }
    if people(bound, &approved.approvers) < usize::from(needed) {
        return Err(refuse("fewer people approved than are needed"));
    }
    Ok(())
}

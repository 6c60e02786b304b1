//! The word of a caller's own person on the desk. It is kept beside the votes and is none: it bears no signature and never counts as one.

use countersign_core::approval::{Approved, Claim, Request, Use, Vote};

use super::{Desk, Stage};
use crate::{
    error::StateError,
    store::{Judged, VoteRow},
};

/// Stands where votes name their key.
pub(super) const CONFIRMATION: &str = "elicitation";
/// How a request ended that its own requester declined.
pub(super) const DECLINED: &str = "declined";

impl Desk {
    pub(super) async fn try_confirm(
        &self,
        id: &str,
        request: &Request,
        said: Vote,
        by: Use,
    ) -> Result<Claim, StateError> {
        let pending = self.store.pending(request.call.digest().0, by.now).await?;
        let Some(row) = pending.filter(|row| row.id == *id) else { return Ok(Claim::Unasked) };
        let mut votes = row.votes.clone();
        let case = self.case(row, &self.keys().await?, by.now)?;
        // INVARIANT: what the person was shown is what waits, to the last field; and an approver's refusal stands.
        // MUTATE(J4-shown): a confirmation of one request releases another
        // MUTATE(J4-overrule): the requester overrules an approver
        if case.request != *request || !matches!(case.stage, Stage::Waiting | Stage::Approved) {
            return Ok(Claim::Unasked);
        }
        let word = VoteRow {
            key: CONFIRMATION.to_owned(),
            operator: request.call.requester().to_owned(),
            vote: said.name().to_owned(),
            reason: String::new(),
            signature: Vec::new(),
            at: by.now,
        };
        votes.retain(|vote| vote.key != CONFIRMATION);
        votes.push(word.clone());
        let judged = Judged { votes, keys: Vec::new() };
        if !(self.store.vote(id, word).await? && self.store.consume(id, self.usage(by), judged).await?) {
            return Ok(Claim::Unasked);
        }
        match said {
            Vote::Approve => Ok(Claim::Granted(Box::new(Approved {
                id: case.id,
                request: case.request,
                approvers: Vec::new(),
                confirmed: true,
            }))),
            Vote::Deny => {
                self.store.close(id, &by.call.to_string(), DECLINED).await?;
                Ok(Claim::Declined { id: case.id })
            }
        }
    }
}

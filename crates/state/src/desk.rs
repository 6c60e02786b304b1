//! The desk: where held calls wait for people, and where what people signed is verified and used.

mod confirm;
mod doubt;
mod once;
mod seals;

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_core::{
    CallId, Digest,
    approval::{
        Approvals, Approved, Approver, AskFailed, BoundCall, Claim, End, Operator, Request, Use, Vote, people,
    },
};

pub use doubt::Outcome;

use crate::{
    error::StateError,
    instance,
    operator::{OperatorKey, key_id, verifies},
    seal::Seal,
    store::{Judged, KeyRow, NewRequest, RequestRow, Store, UseRow, VoteRow},
};

/// Requests that one principal may have waiting: people who are asked too often stop reading.
const OPEN_REQUESTS: u32 = 20;
/// How often a request is judged again whose votes changed in the meantime. After that the caller comes back.
const JUDGEMENTS: u32 = 3;

/// Approvals and idempotency keys on one store.
pub struct Desk {
    store: Arc<dyn Store>,
    seal: Seal,
    instance: String,
}

/// Where a request stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It waits for people.
    Waiting,
    /// Enough people approved; the next same call runs.
    Approved,
    /// Somebody refused.
    Denied,
    /// Its time is over.
    Expired,
    /// A call used it, and this became of it.
    Used {
        /// The call.
        call: String,
        /// `done`, `undone`, `in doubt` or `running`; `declined` by the caller's own person; or what somebody found out about a use that
        /// was in doubt: `ran`, `did-not-run`.
        end: String,
    },
}

impl Stage {
    /// One word.
    pub fn name(&self) -> &str {
        match self {
            Stage::Waiting => "waiting",
            Stage::Approved => "approved",
            Stage::Denied => "denied",
            Stage::Expired => "expired",
            Stage::Used { end, .. } => end,
        }
    }
}

/// A request with all that is known about it. Only votes whose signature was verified are in it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its id.
    pub id: String,
    /// What was asked.
    pub request: Request,
    /// When, microseconds since 1970 UTC.
    pub created: u64,
    /// Where it stands.
    pub stage: Stage,
    /// Who approved.
    pub approvers: Vec<Approver>,
    /// Who refused, and why.
    pub denial: Option<Approver>,
    /// Whose word, given through the client, let it run or ended it, if nobody's signature did.
    pub confirmed: Option<String>,
    /// Votes that do not count: forged, by unknown or revoked keys, or by people who may not.
    pub void: usize,
}

/// A vote that is signed and not yet stored: it is put on record in between.
pub struct Signature {
    /// The request.
    pub id: String,
    /// Its digest, hexadecimal.
    pub digest: String,
    /// Who signed.
    pub operator: Operator,
    vote: VoteRow,
}

impl Desk {
    /// A desk on `store`; operators' keys are sealed with `seal`.
    pub fn new(store: Arc<dyn Store>, seal: Seal) -> Desk {
        Desk { store, seal, instance: instance::current() }
    }

    /// The latest requests, newest first.
    ///
    /// # Errors
    /// If the state cannot answer, or a row was tampered with.
    pub async fn list(&self, limit: u32, now: u64) -> Result<Vec<Case>, StateError> {
        let keys = self.keys().await?;
        let rows = self.store.requests(limit).await?;
        rows.into_iter().map(|row| self.case(row, &keys, now)).collect()
    }

    /// One request.
    ///
    /// # Errors
    /// If there is none, or the state cannot answer.
    pub async fn find(&self, id: &str, now: u64) -> Result<Case, StateError> {
        let keys = self.keys().await?;
        let row = self.store.request(id).await?;
        let row = row.ok_or_else(|| StateError::Refused(format!("no request has the id `{id}`")))?;
        self.case(row, &keys, now)
    }

    /// Signs a vote on a request with `key`.
    ///
    /// # Errors
    /// If the request does not wait, or this person may not vote on it.
    pub async fn sign(
        &self,
        id: &str,
        key: &OperatorKey,
        vote: Vote,
        reason: &str,
        now: u64,
    ) -> Result<Signature, StateError> {
        let refuse = |why: String| Err(StateError::Refused(why));
        let case = self.find(id, now).await?;
        if !matches!(case.stage, Stage::Waiting | Stage::Approved) {
            return refuse(format!("the request `{id}` is {}", case.stage.name()));
        }
        let known = self.keys().await?.into_iter().find(|row| row.public == key.public());
        let Some(row) = known.filter(|row| row.revoked.is_none()) else {
            return refuse("this key is not enrolled here, or was revoked".into());
        };
        let operator = operator(&row);
        if let (Vote::Approve, Err(why)) = (vote, operator.may_approve(&case.request.call)) {
            return refuse(why.to_owned());
        }
        let digest = case.request.digest();
        let vote = VoteRow {
            key: row.id.clone(),
            operator: row.name.clone(),
            vote: vote.name().to_owned(),
            reason: reason.to_owned(),
            signature: key.sign(vote, digest, &row.name, reason),
            at: now,
        };
        Ok(Signature { id: id.to_owned(), digest: digest.0.to_string(), operator, vote })
    }

    /// Stores a signed vote.
    ///
    /// # Errors
    /// If the request was used meanwhile, or the state cannot answer.
    pub async fn cast(&self, signature: Signature) -> Result<(), StateError> {
        match self.store.vote(&signature.id, signature.vote).await? {
            true => Ok(()),
            false => Err(StateError::Refused(format!("the request `{}` no longer waits", signature.id))),
        }
    }

    /// Enrols a public key as one person's.
    ///
    /// # Errors
    /// If the key is known, or its name has another that is not revoked.
    pub async fn enroll(&self, operator: Operator, public: [u8; 32], now: u64) -> Result<KeyRow, StateError> {
        let Operator { name, subjects, tenant } = operator;
        let id = key_id(&public);
        let row =
            KeyRow { id, name, subjects, tenant, public, enrolled: now, revoked: None, seal: Vec::new() };
        let row = KeyRow { seal: self.seal.seal(&row), ..row };
        match self.store.enroll(row.clone()).await? {
            true => Ok(row),
            false => Err(StateError::Refused(format!(
                "`{}` has a key already, or this key is enrolled; revoke it first",
                row.name
            ))),
        }
    }

    /// Revokes a key: from now on no vote of it counts, also none it gave before.
    ///
    /// # Errors
    /// If no key has this id.
    pub async fn revoke(&self, id: &str, now: u64) -> Result<KeyRow, StateError> {
        let row = self.keys().await?.into_iter().find(|row| row.id == id);
        let row = row.ok_or_else(|| StateError::Refused(format!("no key has the id `{id}`")))?;
        let row = KeyRow { revoked: row.revoked.or(Some(now)), ..row };
        let row = KeyRow { seal: self.seal.seal(&row), ..row };
        self.store.revoke(row.clone()).await?;
        Ok(row)
    }

    /// All keys whose seal holds.
    ///
    /// # Errors
    /// If the state cannot answer.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, StateError> {
        let mut keys = self.store.keys().await?;
        // MUTATE(J2-seal): whoever writes to the database enrols keys
        keys.retain(|row| self.seal.holds(row) && row.id == key_id(&row.public));
        Ok(keys)
    }

    fn case(&self, row: RequestRow, keys: &[KeyRow], now: u64) -> Result<Case, StateError> {
        let request: Request = serde_json::from_str(&row.request)
            .map_err(|e| StateError::Damaged(format!("request `{}`: {e}", row.id)))?;
        let mut case = Case {
            id: row.id,
            request,
            created: row.created,
            stage: Stage::Waiting,
            approvers: Vec::new(),
            denial: None,
            confirmed: None,
            void: 0,
        };
        for vote in &row.votes {
            if vote.key == confirm::CONFIRMATION {
                case.confirmed = Some(vote.operator.clone());
                continue;
            }
            match counted(vote, &case.request, keys) {
                Some((Vote::Approve, approver)) => case.approvers.push(approver),
                Some((Vote::Deny, approver)) => case.denial = Some(approver),
                None => case.void += 1,
            }
        }
        let enough = people(&case.request.call, &case.approvers) >= usize::from(case.request.needed.max(1));
        case.stage = match row.used {
            Some(used) => Stage::Used { end: self.ended(&used, now), call: used.call },
            None if case.denial.is_some() => Stage::Denied,
            // MUTATE(J2-expiry): an approval lasts for ever
            None if now >= case.request.expires => Stage::Expired,
            None if enough => Stage::Approved,
            None => Stage::Waiting,
        };
        Ok(case)
    }

    fn ended(&self, used: &UseRow, now: u64) -> String {
        match &used.end {
            Some(end) => end.clone(),
            None if self.is_over(&used.instance, used.until, now) => End::InDoubt.name().to_owned(),
            None => "running".to_owned(),
        }
    }

    fn is_over(&self, instance: &str, until: u64, now: u64) -> bool {
        now >= until || instance::is_gone(instance)
    }
}

/// A vote that counts: signed by an enrolled key that is not revoked, by somebody who may.
fn counted(vote: &VoteRow, request: &Request, keys: &[KeyRow]) -> Option<(Vote, Approver)> {
    let key = keys.iter().find(|key| key.id == vote.key)?;
    // MUTATE(J2-revoked): a revoked key goes on approving
    if key.revoked.is_some() {
        return None;
    }
    let said = Vote::from_name(&vote.vote)?;
    if !verifies(&key.public, &vote.signature, said, request.digest(), &key.name, &vote.reason) {
        return None;
    }
    let operator = operator(key);
    if said == Vote::Approve && operator.may_approve(&request.call).is_err() {
        return None;
    }
    let signature = STANDARD.encode(&vote.signature);
    Some((said, Approver { operator, key: key.id.clone(), signature, reason: vote.reason.clone() }))
}

/// Whose requests are counted together, as a text that any database holds.
fn requester(call: &BoundCall) -> String {
    let parts = [&call.tenant, &call.issuer, &call.subject];
    Digest::of_fields("countersign requester v1", parts.map(|part| part.as_bytes())).to_string()
}

fn operator(key: &KeyRow) -> Operator {
    Operator { name: key.name.clone(), subjects: key.subjects.clone(), tenant: key.tenant.clone() }
}

#[async_trait]
impl Approvals for Desk {
    async fn has_room(&self, call: &BoundCall, now: u64) -> Result<bool, String> {
        let open = self.store.open_requests(&requester(call), now).await;
        open.map(|open| open < OPEN_REQUESTS).map_err(|error| error.to_string())
    }

    async fn ask(&self, id: &str, request: &Request, now: u64) -> Result<String, AskFailed> {
        let text = |e: StateError| AskFailed::Unavailable(e.to_string());
        let json = serde_json::to_string(request).map_err(|e| AskFailed::Unavailable(e.to_string()))?;
        let call = &request.call;
        let new = NewRequest {
            id: id.to_owned(),
            bound: call.digest().0,
            tenant: call.tenant.clone(),
            principal: requester(call),
            request: json,
            created: now,
            expires: request.expires,
        };
        self.store.ask(new, OPEN_REQUESTS).await.map_err(text)?.ok_or(AskFailed::TooMany)
    }

    async fn claim(&self, call: &BoundCall, by: Use) -> Result<Claim, String> {
        let claimed = self.try_claim(call, by).await;
        claimed.map_err(|error| error.to_string())
    }

    async fn answer(&self, id: &str, request: &Request, said: Vote, by: Use) -> Result<Claim, String> {
        let confirmed = self.try_confirm(id, request, said, by).await;
        confirmed.map_err(|error| error.to_string())
    }

    async fn close(&self, id: &str, by: CallId, end: End, _now: u64) -> Result<(), String> {
        self.store.close(id, &by.to_string(), end.name()).await.map_err(|error| error.to_string())
    }
}

impl Desk {
    fn usage(&self, by: Use) -> UseRow {
        UseRow { call: by.call.to_string(), instance: self.instance.clone(), until: by.until, end: None }
    }

    async fn try_claim(&self, call: &BoundCall, by: Use) -> Result<Claim, StateError> {
        for _ in 0..JUDGEMENTS {
            let Some(row) = self.store.pending(call.digest().0, by.now).await? else {
                return Ok(Claim::Unasked);
            };
            if let Some(claim) = self.judge(row, call, by).await? {
                return Ok(claim);
            }
        }
        Ok(Claim::Unasked)
    }

    /// Judges a request and, if it is approved, uses it. None: it is no longer what was judged.
    async fn judge(&self, row: RequestRow, call: &BoundCall, by: Use) -> Result<Option<Claim>, StateError> {
        let votes = row.votes.clone();
        let keys = self.keys().await?;
        let case = self.case(row, &keys, by.now)?;
        // INVARIANT: what was asked is this call, field by field; a row that was found under its digest and says otherwise is forged.
        if case.request.call != *call {
            return Err(StateError::Damaged(format!("request `{}` is not what it is stored under", case.id)));
        }
        let Case { id, request, stage, approvers, denial, .. } = case;
        Ok(Some(match (stage, denial) {
            (Stage::Denied, Some(denial)) => Claim::Denied { id, reason: denial.reason },
            (Stage::Waiting, _) => {
                let have = u8::try_from(people(call, &approvers)).unwrap_or(u8::MAX);
                Claim::Waiting { id, request: Box::new(request), have }
            }
            (Stage::Approved, _) => {
                let keys = approvers.iter().map(|approver| approver.key.clone()).collect();
                if !self.store.consume(&id, self.usage(by), Judged { votes, keys }).await? {
                    return Ok(None);
                }
                Claim::Granted(Box::new(Approved { id, request, approvers, confirmed: false }))
            }
            _ => Claim::Unasked,
        }))
    }
}

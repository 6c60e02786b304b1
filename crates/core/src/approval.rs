//! Approvals: what people sign, whose signature counts, and the port through which the pipeline asks.
//!
//! A held call becomes a [`Request`]: the call as it is bound ([`BoundCall`]), what its preview showed, how many people it needs and until
//! when. People sign its [`ApprovalDigest`]. The same call, made again, finds the request by its [`BoundCall::digest`] and consumes it.
//!
//! A low-impact call may instead be confirmed by the caller's own person: [`confirmation`].
//!
//! INVARIANT: whoever shows a request, signs it or uses it computes the digest from the request's own fields, so that what was shown is
//! what was signed, and what was signed is what runs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    call::Call,
    ids::{CallId, Digest},
    label::Label,
    plan::Plan,
};

pub mod confirmation;
#[cfg(test)]
mod tests;

/// How long a request can be approved and used, in microseconds: ten minutes.
pub const LIFETIME_MICROS: u64 = 600_000_000;

/// A call with all circumstances that an approval holds for. A change of any of them makes it another call, which needs its own approval.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundCall {
    /// The tenant of the caller.
    pub tenant: String,
    /// Who vouches for the caller.
    pub issuer: String,
    /// The caller.
    pub subject: String,
    /// For whom an agent acts, if it acts for somebody.
    pub owner: Option<String>,
    /// What the issuer says of the caller: a tool may put it into what it runs.
    pub claims: BTreeMap<String, String>,
    /// The run.
    pub run: String,
    /// How far what the run has read can be believed.
    pub integrity: String,
    /// How far it may travel.
    pub confidentiality: String,
    /// The tool.
    pub tool: String,
    /// The tool's pin, hexadecimal.
    pub pin: String,
    /// Its power class.
    pub power: String,
    /// The arguments, canonical.
    pub arguments: String,
    /// What it touches.
    pub accesses: Vec<String>,
    /// Where data goes.
    pub destinations: Vec<String>,
    /// The digest of the policies in force.
    pub policy: String,
}

impl BoundCall {
    /// The call as it stands now.
    pub fn of(call: &Call, plan: &Plan, policy: &str, label: Label) -> BoundCall {
        let principal = &call.principal;
        BoundCall {
            tenant: principal.tenant().to_owned(),
            issuer: principal.issuer().to_owned(),
            subject: principal.subject().to_owned(),
            owner: principal.owner().map(str::to_owned),
            claims: principal.claims().clone(),
            run: call.run.as_str().to_owned(),
            integrity: label.integrity.name().to_owned(),
            confidentiality: label.confidentiality.name().to_owned(),
            tool: plan.spec().name.to_string(),
            pin: plan.spec().digest.to_string(),
            power: plan.spec().power.name().to_owned(),
            arguments: plan.arguments().canonical().to_owned(),
            accesses: plan.accesses().iter().map(ToString::to_string).collect(),
            destinations: plan.destinations().to_vec(),
            policy: policy.to_owned(),
        }
    }

    /// SHA-256 over every field: by this a repeated call finds its request.
    pub fn digest(&self) -> Digest {
        let claims: Vec<String> =
            self.claims.iter().map(|(name, value)| format!("{}:{name}={value}", name.len())).collect();
        let claims = joined(&claims);
        let accesses = joined(&self.accesses);
        let destinations = joined(&self.destinations);
        Digest::of_fields(
            "countersign bound call v1",
            [
                self.tenant.as_bytes(),
                self.issuer.as_bytes(),
                self.subject.as_bytes(),
                self.owner.as_deref().unwrap_or_default().as_bytes(),
                &claims.0,
                self.run.as_bytes(),
                self.integrity.as_bytes(),
                self.confidentiality.as_bytes(),
                self.tool.as_bytes(),
                // MUTATE(J2-pin): an approval outlives a change of the tool
                self.pin.as_bytes(),
                self.power.as_bytes(),
                // MUTATE(J2-arguments): an approval for one call's arguments releases another's
                self.arguments.as_bytes(),
                &accesses.0,
                &destinations.0,
                // MUTATE(J2-policy): an approval outlives a change of the policies
                self.policy.as_bytes(),
            ],
        )
    }
}

fn joined(items: &[String]) -> Digest {
    Digest::of_fields("list", items.iter().map(String::as_bytes))
}

/// What approvers are shown of a call's effect; every text in it has passed redaction.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownPreview {
    /// How many objects change; none if the effect could not be tried out.
    pub affected: Option<u64>,
    /// Some of them as they are, as JSON text (`{columns, rows}`).
    pub before: Option<String>,
    /// The same as they would be.
    pub after: Option<String>,
    /// What would change in a text, as a unified diff.
    #[serde(default)]
    pub diff: Option<String>,
    /// The digest of what the effect was worked out from, hexadecimal: it must still hold when the call runs.
    #[serde(default)]
    pub basis: Option<String>,
    /// What else approvers should know.
    pub warnings: Vec<String>,
}

/// A held call, as approvers see and sign it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The call.
    pub call: BoundCall,
    /// What it would do.
    pub preview: ShownPreview,
    /// Ids of the policies that hold it.
    pub policies: Vec<String>,
    /// How many people must approve.
    pub needed: u8,
    /// Until when, microseconds since 1970 UTC.
    pub expires: u64,
}

/// What people sign: a request, to the last field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApprovalDigest(pub Digest);

impl Request {
    /// The digest of everything in it.
    pub fn digest(&self) -> ApprovalDigest {
        let preview = &self.preview;
        let affected = preview.affected.map_or("unknown".to_owned(), |count| count.to_string());
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        ApprovalDigest(Digest::of_fields(
            "countersign approval v3",
            [
                &self.call.digest().0[..],
                // MUTATE(J2-preview): what was shown can be changed after it was signed
                affected.as_bytes(),
                text(&preview.before).as_bytes(),
                text(&preview.after).as_bytes(),
                text(&preview.diff).as_bytes(),
                // MUTATE(C3-basis-signed): what an approval rests on can be changed after it was signed
                text(&preview.basis).as_bytes(),
                &joined(&preview.warnings).0,
                &joined(&self.policies).0,
                &[self.needed],
                &self.expires.to_be_bytes(),
            ],
        ))
    }
}

/// What somebody says to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vote {
    /// It may run, once.
    Approve,
    /// It must not.
    Deny,
}

impl Vote {
    /// The name in records and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Vote::Approve => "approve",
            Vote::Deny => "deny",
        }
    }

    /// The vote of that name.
    pub fn from_name(name: &str) -> Option<Vote> {
        [Vote::Approve, Vote::Deny].into_iter().find(|vote| vote.name() == name)
    }

    /// The message that is signed: the vote, the request's digest, who signs and why.
    pub fn statement(self, digest: ApprovalDigest, operator: &str, reason: &str) -> [u8; 32] {
        let fields = [self.name().as_bytes(), &digest.0.0, operator.as_bytes(), reason.as_bytes()];
        Digest::of_fields("countersign vote v1", fields).0
    }
}

/// Somebody who can approve.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operator {
    /// One person's name. Two keys of one name are one person.
    pub name: String,
    /// Subjects of principals under which the same person makes calls, beside the name itself.
    pub subjects: Vec<String>,
    /// The only tenant whose calls this person may approve; any if none.
    pub tenant: Option<String>,
}

impl Operator {
    /// Whether this person's vote counts on a call. INVARIANT: nobody approves their own call, nor that of an agent that acts for them.
    pub fn may_approve(&self, call: &BoundCall) -> Result<(), &'static str> {
        let is = |subject: &str| {
            let own = std::iter::once(&self.name).chain(&self.subjects);
            own.into_iter().any(|name| name.eq_ignore_ascii_case(subject))
        };
        // MUTATE(J2-own): people approve their own calls
        if is(&call.subject) {
            return Err("nobody approves their own call");
        }
        // MUTATE(J2-owner): people approve the calls of their own agents
        if call.owner.as_deref().is_some_and(is) {
            return Err("nobody approves a call of an agent that acts for them");
        }
        // MUTATE(H7-approval): approvers reach into other tenants
        if self.tenant.as_ref().is_some_and(|tenant| *tenant != call.tenant) {
            return Err("this person approves calls of another tenant only");
        }
        Ok(())
    }
}

/// A vote for a request whose signature was verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approver {
    /// Who.
    pub operator: Operator,
    /// The id of the key.
    pub key: String,
    /// The signature over [`Vote::statement`], base64.
    pub signature: String,
    /// What they gave as their reason.
    pub reason: String,
}

/// How many different people approved who may.
pub fn people<'a>(call: &BoundCall, approvers: impl IntoIterator<Item = &'a Approver>) -> usize {
    let counted = approvers.into_iter().filter(|approver| approver.operator.may_approve(call).is_ok());
    let names = counted.map(|approver| approver.operator.name.to_ascii_lowercase());
    // MUTATE(J3-distinct): one person who signs twice counts as two
    names.collect::<std::collections::BTreeSet<_>>().len()
}

/// An approved request, consumed by one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approved {
    /// Its id.
    pub id: String,
    /// What was approved.
    pub request: Request,
    /// By whom.
    pub approvers: Vec<Approver>,
    /// The caller's own person said so through the client, and nobody signed: see [`confirmation`].
    pub confirmed: bool,
}

/// What became of an attempt to use an approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Nobody was asked yet, or what was asked has expired or been used.
    Unasked,
    /// People were asked and have not all answered.
    Waiting {
        /// Its id.
        id: String,
        /// What was asked.
        request: Box<Request>,
        /// How many approved so far.
        have: u8,
    },
    /// Somebody refused.
    Denied {
        /// The request.
        id: String,
        /// Why, in their words.
        reason: String,
    },
    /// The caller's own person said no.
    Declined {
        /// The request.
        id: String,
    },
    /// It is approved, and now consumed.
    Granted(Box<Approved>),
}

/// The call that uses an approval or an idempotency key, and until when it can be under way at the latest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// The call.
    pub call: CallId,
    /// Now, microseconds since 1970 UTC.
    pub now: u64,
    /// When the call's deadline has passed for certain.
    pub until: u64,
}

/// How the one use of an approval ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The effect happened.
    Done,
    /// It did not happen.
    Undone,
    /// Nobody knows: the work was cut off in the middle.
    InDoubt,
}

impl End {
    /// The name in the store.
    pub fn name(self) -> &'static str {
        match self {
            End::Done => "done",
            End::Undone => "undone",
            End::InDoubt => "in doubt",
        }
    }
}

/// Why a request cannot be put to people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AskFailed {
    /// This principal has too many requests open.
    TooMany,
    /// The state cannot be reached.
    Unavailable(String),
}

/// Where requests wait for people. Every method fails closed: an error refuses the call.
#[async_trait]
pub trait Approvals: Send + Sync {
    /// Whether another request of this caller can be put to people, as far as can be told before it is made; [`Approvals::ask`] decides.
    async fn has_room(&self, call: &BoundCall, now: u64) -> Result<bool, String>;

    /// Stores a request, durable, under `id` unless the same call already waits; returns the id under which it waits.
    async fn ask(&self, id: &str, request: &Request, now: u64) -> Result<String, AskFailed>;

    /// Where the request for this call stands; if it is approved, it is consumed by `by` here, durable, and by nobody else ever.
    ///
    /// INVARIANT: signatures are verified here, against the keys that are enrolled now; what a row says counts for nothing.
    async fn claim(&self, call: &BoundCall, by: Use) -> Result<Claim, String>;

    /// What the caller's own person said, through the client, to exactly this request. `Approve` consumes it, as [`Approvals::claim`]
    /// does; `Deny` ends it. [`Claim::Unasked`]: it no longer waits. Whether their word counts is not asked here.
    async fn answer(&self, id: &str, request: &Request, said: Vote, by: Use) -> Result<Claim, String>;

    /// Notes how the use ended. A use that never ends is in doubt.
    async fn close(&self, id: &str, by: CallId, end: End, now: u64) -> Result<(), String>;
}

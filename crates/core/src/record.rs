//! The entries of the audit log: what is written about a call, and what never is (arguments, SQL text, results, secrets).
//!
//! Two entries a permitted call: `intent` and `outcome`; one entry for a refused one: `refusal`; `event` for everything else (a reload,
//! a failed login, a start). Each is one JSON object with a format version `v`.

use serde::Serialize;

use crate::{
    call::{Origin, Target},
    ids::CallId,
    label::Label,
    principal::Principal,
};

/// The version of the record format.
pub const FORMAT: u32 = 1;

/// Who, as recorded.
#[derive(Serialize)]
pub struct Who<'a> {
    issuer: &'a str,
    subject: &'a str,
    kind: crate::principal::PrincipalKind,
    tenant: &'a str,
    auth: crate::principal::AuthMethod,
    #[serde(skip_serializing_if = "str::is_empty")]
    credential: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<&'a [String]>,
}

impl<'a> Who<'a> {
    /// The recorded form of a principal.
    pub fn of(principal: &'a Principal) -> Who<'a> {
        Who {
            issuer: principal.issuer(),
            subject: principal.subject(),
            kind: principal.kind(),
            tenant: principal.tenant(),
            auth: principal.method(),
            credential: principal.credential(),
            roles: principal.roles(),
            owner: principal.owner(),
            scopes: principal.scopes(),
        }
    }
}

/// From where, as recorded.
#[derive(Serialize)]
pub struct From<'a> {
    transport: &'static str,
    protocol: &'a str,
    peer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

impl<'a> From<'a> {
    /// The recorded form of an origin.
    pub fn of(origin: &'a Origin) -> From<'a> {
        From {
            transport: origin.transport.name(),
            protocol: origin.protocol,
            peer: &origin.peer,
            client: origin.client.as_deref(),
            session: origin.session.as_deref(),
            traceparent: origin.traceparent.as_deref(),
        }
    }
}

/// `intent`, `preview` and `refusal`: everything known before execution.
#[derive(Serialize)]
pub struct Opening<'a> {
    /// Format version.
    pub v: u32,
    /// `intent`, `preview` or `refusal`.
    pub kind: &'static str,
    /// The call.
    pub call: CallId,
    /// Microseconds since 1970 UTC.
    pub t: u64,
    /// Nanoseconds on the process's monotonic clock.
    pub mono: u64,
    /// Who.
    pub who: Who<'a>,
    /// The run.
    pub run: &'a str,
    /// From where.
    pub from: From<'a>,
    /// The tool asked for (cut to 128 characters), or the resource URI.
    pub tool: &'a str,
    /// HMAC-SHA256 of the canonical arguments, hexadecimal.
    pub args: String,
    /// SHA-256 of the plan, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The class of effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<crate::plan::Effect>,
    /// What the call touches, at most [`MAX_ACCESSES`], then `… and N more`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accesses: Vec<String>,
    /// Positions in `accesses` of those whose denial only hides the object.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub may_hide: Vec<usize>,
    /// Positions in `accesses` of those that may be masked instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub may_mask: Vec<usize>,
    /// What the run had read when policy was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Facts of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<&'a std::collections::BTreeMap<&'static str, String>>,
    /// `allow`, `deny` or `hold`.
    pub decision: &'static str,
    /// Ids of the deciding policies.
    pub policies: &'a [String],
    /// The digest of the policy set in force.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub policy: &'a str,
    /// What the observed policies would have decided, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<&'a Observed>,
    /// The approval that was asked for, or used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<&'a Approval>,
    /// The call whose recorded answer this one gets, instead of running again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replays: Option<&'a str>,
    /// For a refusal: its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// For a refusal: what the caller was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    /// For a refusal: how long it took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

/// What policies that are only observed would have decided differently, as recorded.
#[derive(Clone, Serialize)]
pub struct Observed {
    /// The digest of the observed set.
    pub policy: String,
    /// `allow`, `hold 1`, `hold 2`, `deny`; or `show`, where the tool was unknown to the caller and would not have been.
    pub decision: &'static str,
    /// Ids of its deciding policies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Accesses that it alone would have granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gained: Vec<String>,
    /// Accesses that it would not have granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

/// An approval, as recorded: enough to verify each signature from the record and the enrolled keys.
#[derive(Clone, Serialize)]
pub struct Approval {
    /// The id of the request.
    pub id: String,
    /// What was, or is to be, signed.
    pub digest: String,
    /// How many people it needs.
    pub needed: u8,
    /// Who signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Signed>,
    /// Nobody signed: the caller's own person said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmed>,
}

/// The word of the caller's own person. It came through the client, which could have given it by itself.
#[derive(Clone, Serialize)]
pub struct Confirmed {
    /// The requester: the caller, or the person for whom it acts.
    pub by: String,
    /// How: `elicitation`.
    pub through: &'static str,
}

/// One signature.
#[derive(Clone, Serialize)]
pub struct Signed {
    /// The operator.
    pub name: String,
    /// The id of the key.
    pub key: String,
    /// Base64.
    pub signature: String,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How many accesses a record spells out.
pub const MAX_ACCESSES: usize = 64;

/// `outcome`: what became of a permitted call.
#[derive(Serialize)]
pub struct Outcome<'a> {
    /// Format version.
    pub v: u32,
    /// `outcome`.
    pub kind: &'static str,
    /// The call.
    pub call: CallId,
    /// Microseconds since 1970 UTC.
    pub t: u64,
    /// `ok`, `tool-error`, or the code of the failure.
    pub result: &'a str,
    /// Rows returned.
    pub rows: u64,
    /// Bytes of text returned.
    pub bytes: u64,
    /// Why the result was cut, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<&'a str>,
    /// From arrival to reply, in microseconds.
    pub micros: u64,
    /// The label of what was read.
    pub label: Label,
}

/// `event`: anything worth a record that is not a call.
#[derive(Serialize)]
pub struct Event<'a> {
    /// Format version.
    pub v: u32,
    /// `event`.
    pub kind: &'static str,
    /// Microseconds since 1970 UTC.
    pub t: u64,
    /// What happened, a stable name such as `policy-reload`.
    pub event: &'a str,
    /// How often since the last such entry, for aggregated events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Who, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<Who<'a>>,
    /// From where, if known.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub peer: &'a str,
    /// More, such as a policy digest; never secrets.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub detail: &'a str,
}

/// What the operator's view shows of one decision.
pub struct Summary<'a> {
    /// The call.
    pub call: CallId,
    /// Who.
    pub principal: &'a Principal,
    /// Which tool or resource was asked for.
    pub tool: &'a str,
    /// What it touches, in short.
    pub touched: &'a [String],
    /// `ok`, or the code of the refusal or failure.
    pub result: &'a str,
    /// What the caller was told, for a refusal.
    pub message: &'a str,
    /// Ids of the deciding policies.
    pub policies: &'a [String],
    /// Rows returned.
    pub rows: u64,
    /// Microseconds.
    pub micros: u64,
    /// Microseconds since 1970 UTC.
    pub at: u64,
}

/// The name of a target as it is recorded: cut, so that a record stays small.
pub fn target_name(target: &Target) -> &str {
    let (Target::Tool(name) | Target::Resource(name)) = target;
    let end = name.char_indices().nth(128).map_or(name.len(), |(at, _)| at);
    name.get(..end).unwrap_or_default()
}

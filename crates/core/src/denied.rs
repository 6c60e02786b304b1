//! Why a call did not happen. The enum is closed: every refusal that a caller can meet is a variant here.
//!
//! Each refusal has two texts: the public message, which names the field and the rule and nothing internal, and an
//! optional internal cause, which goes to the operator's log under the call id and never to the caller.

use std::time::Duration;

use crate::ids::CallId;

/// A part of Countersign whose failure closes the gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subsystem {
    /// The policy decision point.
    Policy,
    /// The audit log.
    Audit,
    /// Durable state.
    State,
    /// The sandbox or a worker process.
    Sandbox,
    /// A database's server.
    Database,
    /// The authorization servers whose keys verify tokens.
    Identity,
    /// The server itself, while it drains or starts.
    Server,
}

impl Subsystem {
    /// The name used in messages and records.
    pub fn name(self) -> &'static str {
        match self {
            Subsystem::Policy => "policy",
            Subsystem::Audit => "audit log",
            Subsystem::State => "state",
            Subsystem::Sandbox => "sandbox",
            Subsystem::Database => "database",
            Subsystem::Identity => "identity provider",
            Subsystem::Server => "server",
        }
    }
}

/// How a permitted call failed while it ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The tool reported an error that the caller can act on.
    Tool,
    /// The deadline passed; the work was stopped.
    Deadline,
    /// The caller cancelled; the work was stopped.
    Cancelled,
    /// Something inside broke; the log has the cause under the call id.
    Internal,
}

/// Where a call stands that needs approvals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// This server has no way to give approvals.
    NoChannel,
    /// People were asked.
    Asked {
        /// The id of the request.
        id: String,
        /// How many approved so far.
        have: u8,
        /// How long the request lives.
        left: Duration,
    },
    /// Somebody refused.
    Refused {
        /// The id of the request.
        id: String,
        /// Why, in their words.
        reason: String,
    },
    /// The caller's own person was asked through the client, and said no.
    Declined {
        /// The id of the request.
        id: String,
    },
}

impl Standing {
    fn public(&self, approvals: u8) -> String {
        match self {
            Standing::NoChannel => {
                format!(
                    "not approved: this call needs {approvals} approval(s), and there is no way to give them"
                )
            }
            Standing::Asked { id, have, left } => format!(
                "not approved yet: this call needs {approvals} approval(s) and has {have}; nothing was executed. Request {id} waits: ask \
                 an operator to run `countersign approvals show {id}`, then repeat exactly the same call within {} minutes",
                left.as_secs().div_ceil(60)
            ),
            Standing::Refused { id, reason } if reason.is_empty() => {
                format!("not approved: an approver refused request {id}; do not repeat the call")
            }
            Standing::Refused { id, reason } => {
                format!("not approved: an approver refused request {id}: {reason}; do not repeat the call")
            }
            Standing::Declined { id } => {
                format!("not approved: the user was asked and declined request {id}; do not repeat the call")
            }
        }
    }
}

/// Why a call did not happen, or did not finish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// No valid credential.
    Unauthenticated,
    /// No such tool, or none that this principal may see: the two are indistinguishable.
    UnknownTool,
    /// The arguments break a rule. `field` is a JSON pointer or name, `rule` says what must hold.
    Invalid {
        /// Where: a JSON pointer into the arguments, or the argument's name.
        field: String,
        /// What must hold there; never holds the value.
        rule: String,
    },
    /// Policy refuses this call. `object` names what it touched that is not allowed.
    Forbidden {
        /// A name from the plan (for example `column shop.users.password_hash`), or empty for the call as a whole.
        object: String,
        /// Ids of the deciding policies.
        policies: Vec<String>,
    },
    /// The credential lacks a scope. All that the call needs, so that one new token does.
    InsufficientScope {
        /// The scopes, sorted.
        scopes: Vec<String>,
    },
    /// A limit is reached; try again after `retry_after`.
    Limited {
        /// Which limit: `principal`, `tenant`, `tool`, `run`, `repeat`, `run budget`, `rows per hour`, `bytes per hour`, `breaker`, `server`,
        /// `concurrency`, `workers`, `unauthenticated`.
        limit: &'static str,
        /// When a retry may succeed.
        retry_after: Duration,
    },
    /// The call needs approvals that it does not have.
    NotApproved {
        /// How many distinct approvals would unlock it.
        approvals: u8,
        /// What was done about that.
        standing: Standing,
    },
    /// A data-flow label forbids it.
    BlockedByLabel,
    /// An operator froze it: `everything`, `this tenant`, `this principal`, `this tool`.
    Frozen(&'static str),
    /// A part that must work does not: the call is refused.
    Unavailable(Subsystem),
    /// It was permitted and ran, and failed. `public` is safe to show.
    Failed {
        /// What class of failure.
        failure: Failure,
        /// What the caller may read.
        public: String,
    },
}

impl Denied {
    /// A stable code for programs and records.
    pub fn code(&self) -> &'static str {
        match self {
            Denied::Unauthenticated => "unauthenticated",
            Denied::UnknownTool => "unknown-tool",
            Denied::Invalid { .. } => "invalid",
            Denied::Forbidden { .. } => "forbidden",
            Denied::InsufficientScope { .. } => "insufficient-scope",
            Denied::Limited { .. } => "limited",
            Denied::NotApproved { .. } => "not-approved",
            Denied::BlockedByLabel => "blocked-by-label",
            Denied::Frozen(_) => "frozen",
            Denied::Unavailable(_) => "unavailable",
            Denied::Failed { failure: Failure::Tool, .. } => "failed",
            Denied::Failed { failure: Failure::Deadline, .. } => "deadline",
            Denied::Failed { failure: Failure::Cancelled, .. } => "cancelled",
            Denied::Failed { failure: Failure::Internal, .. } => "internal",
        }
    }

    /// What the caller reads: the rule, never internals.
    pub fn public(&self) -> String {
        match self {
            Denied::Unauthenticated => "a valid credential is required".into(),
            Denied::UnknownTool => "unknown tool".into(),
            Denied::Invalid { field, rule } if field.is_empty() => format!("invalid arguments: {rule}"),
            Denied::Invalid { field, rule } => format!("invalid argument `{field}`: {rule}"),
            Denied::Forbidden { object, policies } => {
                let what = if object.is_empty() { "this call" } else { object.as_str() };
                match policies.as_slice() {
                    [] => format!("policy does not permit {what}"),
                    some => format!("policy refuses {what} ({})", some.join(", ")),
                }
            }
            Denied::InsufficientScope { scopes } => format!(
                "the token lacks a scope; this call needs `{}`: get a token with it from the authorization server",
                scopes.join("` and `")
            ),
            Denied::Limited { limit, retry_after } => limited(limit, *retry_after),
            Denied::NotApproved { approvals, standing } => standing.public(*approvals),
            Denied::BlockedByLabel => "blocked: data from this run may not flow there".into(),
            Denied::Frozen(what) => format!("an operator has frozen {what}; nothing was executed"),
            Denied::Unavailable(part) => {
                format!("refused because the {} is unavailable; nothing was executed", part.name())
            }
            Denied::Failed { public, .. } => public.clone(),
        }
    }

    /// A failure whose cause only the log may hold.
    pub fn internal() -> Denied {
        Denied::Failed { failure: Failure::Internal, public: "internal error; the log has the cause".into() }
    }

    /// The caller may try again later with the same arguments.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Denied::Limited { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

/// What a model should do about a limit is not always to try again.
fn limited(limit: &str, retry_after: Duration) -> String {
    let wait = retry_after.as_millis();
    match limit {
        "repeat" => format!(
            "the same call was repeated too often: change it, use the answer you have, or stop; retry after {wait} ms"
        ),
        "run budget" => "this run has used up its calls; a person must start a new one".into(),
        "breaker" => format!("this tool failed several times in a row and rests; retry after {wait} ms"),
        limit => format!("{limit} limit reached; retry after {wait} ms"),
    }
}

/// A refusal as it leaves the pipeline: the call's id and the reason. The text has passed redaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The id under which the record and the operator's log hold this call.
    pub call: CallId,
    /// Why.
    pub denied: Denied,
    /// What the caller may read; redacted. This text is also in the record.
    pub message: String,
    /// More for the caller alone, such as an engine's own text about the caller's statement; redacted, and never recorded.
    pub detail: Option<String>,
}

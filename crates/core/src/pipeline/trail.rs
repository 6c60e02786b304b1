//! The paper trail of one call: intent, outcome, refusal. A call that is dropped half-way still leaves its outcome.

use super::Pipeline;
use crate::{
    approval::{Approved, Request},
    call::Call,
    decision::PolicySet,
    denied::{Denied, Refused, Subsystem},
    ids::CallId,
    label::Label,
    output::Reply,
    plan::{Access, Effect, Need, Plan},
    ports::{EntryClass, Ticket},
    record::{self, FORMAT, From, MAX_ACCESSES, Opening, Outcome, Summary, Who, target_name},
    tool::ToolError,
};

/// What is known about a call so far.
pub(super) struct Trail<'p> {
    pipeline: &'p Pipeline,
    pub(super) id: CallId,
    call: &'p Call,
    started: u64,
    pub(super) policies: Vec<String>,
    pub(super) policy_digest: String,
    plan: Option<String>,
    effect: Option<Effect>,
    accesses: Vec<String>,
    facts: Option<std::collections::BTreeMap<&'static str, String>>,
    may_hide: Vec<usize>,
    may_mask: Vec<usize>,
    label: Option<Label>,
    observed: Option<record::Observed>,
    approval: Option<record::Approval>,
    replays: Option<String>,
    unsettled: Option<String>,
    change: Change,
    open: bool,
}

/// How far a call that changes something came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing was begun, or nothing is changed.
    None,
    /// The tool runs: whether it took effect shows only at its end.
    Begun,
    /// The tool ended well.
    Done,
}

impl<'p> Trail<'p> {
    pub(super) fn begin(pipeline: &'p Pipeline, id: CallId, call: &'p Call) -> Trail<'p> {
        Trail {
            pipeline,
            id,
            call,
            started: pipeline.environment.monotonic_nanos(),
            policies: Vec::new(),
            policy_digest: String::new(),
            plan: None,
            effect: None,
            accesses: Vec::new(),
            facts: None,
            may_hide: Vec::new(),
            may_mask: Vec::new(),
            label: None,
            observed: None,
            approval: None,
            replays: None,
            unsettled: None,
            change: Change::None,
            open: false,
        }
    }

    /// People were asked.
    pub(super) fn asked(&mut self, id: &str, request: &Request) {
        let digest = request.digest().0.to_string();
        self.approval = Some(record::Approval {
            id: id.to_owned(),
            digest,
            needed: request.needed,
            approvers: Vec::new(),
            confirmed: None,
        });
    }

    /// People approved, or the caller's own person did: the intent names who, with their signatures.
    pub(super) fn approved(&mut self, approved: &Approved) {
        self.asked(&approved.id, &approved.request);
        let signed = approved.approvers.iter().map(|approver| record::Signed {
            name: approver.operator.name.clone(),
            key: approver.key.clone(),
            signature: approver.signature.clone(),
            reason: self.pipeline.redactor().line(&approver.reason).into_owned(),
        });
        let signed = signed.collect();
        let confirmed = approved.confirmed.then(|| record::Confirmed {
            by: approved.request.call.requester().to_owned(),
            through: "elicitation",
        });
        if let Some(approval) = &mut self.approval {
            approval.approvers = signed;
            approval.confirmed = confirmed;
        }
    }

    /// The call is answered from the record of this one.
    pub(super) fn replays(&mut self, call: String) {
        self.replays = Some(call);
    }

    /// The state could not be told how the call ended; the operator is.
    pub(super) fn unsettled(&mut self, cause: Option<String>) {
        self.unsettled = self.unsettled.take().or(cause);
    }

    /// Announces that the effect is tried out, durable before it is.
    pub(super) async fn preview(&mut self) -> Result<(), Denied> {
        let entry = self.opening("preview", "hold", None, None);
        let ticket = self.append(entry, EntryClass::Intent)?;
        self.wait(ticket).await
    }

    pub(super) fn planned(&mut self, plan: &Plan) {
        self.plan = Some(plan.digest().to_string());
        self.effect = Some(plan.effect());
        let all = plan.accesses();
        self.accesses = all.iter().take(MAX_ACCESSES).map(Access::to_string).collect();
        if let Some(more) = all.len().checked_sub(MAX_ACCESSES).filter(|more| *more > 0) {
            self.accesses.push(format!("… and {more} more"));
        }
        let places = |need: Need| {
            let known = all.iter().take(MAX_ACCESSES).enumerate();
            known.filter(|(_, access)| access.need == need).map(|(place, _)| place).collect()
        };
        (self.may_hide, self.may_mask) = (places(Need::Filter), places(Need::Maskable));
        self.facts = Some(plan.facts().clone());
    }

    /// The time of day, in microseconds since 1970 UTC.
    pub(super) fn now(&self) -> u64 {
        self.pipeline.environment.unix_micros()
    }

    /// What the run has read so far, which policy is told; it is on record with the decision.
    pub(super) async fn label(&mut self) -> Result<Label, ToolError> {
        let label = self.pipeline.runs.label(&self.call.run).await;
        let label = label.map_err(super::unavailable(Subsystem::State))?;
        self.label = Some(label);
        Ok(label)
    }

    /// The tool is unknown to the caller; `shown`: not so under the observed policies.
    pub(super) fn hidden(&mut self, observed: &dyn PolicySet, shown: bool) {
        let policy = observed.digest().to_owned();
        let (policies, gained, lost) = Default::default();
        self.observed =
            shown.then_some(record::Observed { policy, decision: "show", policies, gained, lost });
    }

    /// What the observed policies would have decided differently.
    pub(super) fn observed(&mut self, observed: Option<record::Observed>) {
        self.observed = observed;
    }

    pub(super) fn decided(&mut self, policies: impl IntoIterator<Item = String>) {
        for policy in policies {
            if !self.policies.contains(&policy) {
                self.policies.push(policy);
            }
        }
    }

    /// Announces execution. For anything but a read the intent is durable before this returns.
    pub(super) async fn intent(&mut self, effect: Effect) -> Result<(), Denied> {
        let entry = self.opening("intent", "allow", None, None);
        let ticket = self.append(entry, EntryClass::Intent)?;
        self.open = true;
        // MUTATE(L2-intent): a write starts before its intent is durable
        if effect != Effect::Read {
            self.wait(ticket).await?;
        }
        Ok(())
    }

    /// The tool runs, or has ended well.
    pub(super) fn changes(&mut self, change: Change) {
        if self.effect.is_some_and(|effect| effect != Effect::Read) {
            self.change = change;
        }
    }

    /// Closes a permitted call: durable before the reply leaves.
    pub(super) async fn outcome(&mut self, reply: &Reply) -> Result<(), Denied> {
        let result = if reply.is_error() { "tool-error" } else { "ok" };
        let entry = self.closing(result, reply.rows(), reply.bytes(), reply.truncated(), reply.label());
        let ticket = self.append(entry, EntryClass::Closing)?;
        self.open = false;
        // MUTATE(L2-outcome): the reply leaves before its record is durable
        self.wait(ticket).await?;
        self.show(result, "", reply.rows(), self.unsettled.as_deref());
        Ok(())
    }

    /// Closes a call that was permitted and failed, or refuses one that was not; durable before the refusal leaves.
    pub(super) async fn refused(&mut self, error: ToolError) -> Refused {
        let ToolError { denied, cause, detail } = error;
        let message = self.pipeline.redactor().text(&self.public(&denied)).into_owned();
        // An announced call has an outcome, whatever stopped it.
        // MUTATE(L2-limited): a call that is limited after its intent leaves no outcome
        let aggregated = matches!(denied, Denied::Limited { .. }) && !self.open;
        let entry = if self.open {
            self.closing(denied.code(), 0, 0, None, Label::default())
        } else if let Denied::NotApproved { .. } = denied {
            self.opening("refusal", "hold", Some(denied.code()), Some(&message))
        } else {
            self.opening("refusal", "deny", Some(denied.code()), Some(&message))
        };
        self.open = false;
        let recorded = if aggregated {
            // INVARIANT: a flood of limited calls leaves one entry a period, not one a call.
            self.pipeline.aggregate(denied.code(), Some(&self.call.principal), &self.call.origin.peer);
            Ok(())
        } else {
            match self.append(entry, EntryClass::Closing) {
                Ok(ticket) => self.wait(ticket).await,
                Err(e) => Err(e),
            }
        };
        let (denied, message, detail) = match recorded {
            Ok(()) => (denied, message, detail),
            Err(unrecorded) => {
                let message = self.public(&unrecorded);
                (unrecorded, message, None)
            }
        };
        self.show(denied.code(), &message, 0, cause.as_deref());
        let detail = detail.map(|text| self.pipeline.redactor().text(&text).into_owned());
        Refused { call: self.id, denied, message, detail }
    }

    /// What the caller reads: of a change that has begun nobody says that nothing was executed.
    fn public(&self, denied: &Denied) -> String {
        let part = match denied {
            Denied::Unavailable(part) => Some(part.name()),
            _ => None,
        };
        // MUTATE(L2-took-effect): a change that took effect is said not to have been executed
        match (self.change, part) {
            (Change::Begun, Some(part)) => {
                format!(
                    "stopped because the {part} is unavailable; whether the call took effect is not known"
                )
            }
            (Change::Done, Some(part)) => {
                format!("the {part} is unavailable, so the answer is withheld; the call took effect")
            }
            (Change::Done, None) => format!("{}; the call took effect", denied.public()),
            _ => denied.public(),
        }
    }

    fn append(&self, entry: Vec<u8>, class: EntryClass) -> Result<Ticket, Denied> {
        self.pipeline.audit.append(entry, class).map_err(|e| self.broken(&e.cause))
    }

    async fn wait(&self, ticket: Ticket) -> Result<(), Denied> {
        self.pipeline.audit.durable(ticket).await.map_err(|e| self.broken(&e.cause))
    }

    fn broken(&self, cause: &str) -> Denied {
        let denied = Denied::Unavailable(Subsystem::Audit);
        self.show(denied.code(), "the record could not be written", 0, Some(cause));
        denied
    }

    fn micros(&self) -> u64 {
        self.pipeline.environment.monotonic_nanos().saturating_sub(self.started) / 1000
    }

    fn opening(
        &self,
        kind: &'static str,
        decision: &'static str,
        code: Option<&'static str>,
        message: Option<&str>,
    ) -> Vec<u8> {
        let environment = &self.pipeline.environment;
        let redactor = self.pipeline.redactor();
        encode(&Opening {
            v: FORMAT,
            kind,
            call: self.id,
            t: environment.unix_micros(),
            mono: environment.monotonic_nanos(),
            who: Who::of(&self.call.principal),
            run: self.call.run.as_str(),
            from: From::of(&self.call.origin),
            tool: &redactor.line(target_name(&self.call.target)),
            args: hex(&self.pipeline.audit.fingerprint(self.call.arguments.canonical().as_bytes())),
            plan: self.plan.clone(),
            effect: self.effect,
            accesses: self.accesses.iter().map(|access| redactor.line(access).into_owned()).collect(),
            may_hide: self.may_hide.clone(),
            may_mask: self.may_mask.clone(),
            label: self.label,
            facts: self.facts.as_ref(),
            decision,
            policies: &self.policies,
            policy: &self.policy_digest,
            observed: self.observed.as_ref(),
            approval: self.approval.as_ref(),
            replays: self.replays.as_deref(),
            code,
            message,
            micros: code.map(|_| self.micros()),
        })
    }

    fn closing(&self, result: &str, rows: u64, bytes: u64, truncated: Option<&str>, label: Label) -> Vec<u8> {
        encode(&Outcome {
            v: FORMAT,
            kind: "outcome",
            call: self.id,
            t: self.pipeline.environment.unix_micros(),
            result,
            rows,
            bytes,
            truncated,
            micros: self.micros(),
            label,
        })
    }

    fn show(&self, result: &str, message: &str, rows: u64, cause: Option<&str>) {
        let summary = Summary {
            call: self.id,
            principal: &self.call.principal,
            tool: target_name(&self.call.target),
            touched: &self.accesses,
            result,
            message,
            policies: &self.policies,
            rows,
            micros: self.micros(),
            at: self.pipeline.environment.unix_micros(),
        };
        self.pipeline.observer.decided(&summary, cause);
    }
}

impl Drop for Trail<'_> {
    fn drop(&mut self) {
        if self.open {
            // The future was dropped while the tool ran: say so; nobody is left to wait for durability.
            let entry = self.closing("abandoned", 0, 0, None, Label::default());
            let _ = self.pipeline.audit.append(entry, EntryClass::Closing);
        }
    }
}

/// Serialises a record; one that cannot be serialised becomes an entry that says so.
pub(super) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut entry = Vec::with_capacity(768);
    match serde_json::to_writer(&mut entry, value) {
        Ok(()) => entry,
        Err(_) => format!(r#"{{"v":{},"kind":"unserialisable"}}"#, record::FORMAT).into_bytes(),
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    crate::ids::Digest(*bytes).to_string()
}

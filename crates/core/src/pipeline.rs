//! The life of a call, in one function: [`Pipeline::run`].
//!
//! ```text
//! resolve ─▶ limit ─▶ validate ─▶ plan ─▶ authorize ─▶ approve ─▶ record intent ─▶ execute ─▶ redact ─▶ label ─▶ record outcome
//! ```
//!
//! Before it, the transport identified the caller and asked [`Pipeline::admit`]; after it, the transport encodes the [`Reply`]. Each gate
//! yields the value that the next one demands: no [`Permit`] without a plan, grants and a recorded intent; no [`Reply`] without redaction.

mod admit;
mod authorize;
mod confirm;
mod events;
mod hold;
mod once;
mod permit;
mod trail;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use countersign_redact::Redactor;

pub use admit::NotAdmitted;
use authorize::{Authorized, authorize};
use hold::Held;
pub use permit::{Permit, PreviewPermit};
use trail::{Change, Trail};

use crate::{
    approval::Approvals,
    call::{Arguments, Call, Target},
    decision::{CallQuestion, Phase, PolicySet, Verdict},
    denied::{Denied, Failure, Refused, Subsystem},
    ids::CallId,
    limits::Limits,
    once::OnceKeys,
    output::{Output, Reply},
    plan::Plan,
    ports::{AuditLog, Environment, Observer, PolicySource, Runs},
    principal::Principal,
    registry::{Entry, Registry, Resource},
    scopes::ScopeRules,
    stops::{Stops, Subject},
    tool::{CallIo, ToolError, ToolSpec},
};

/// Everything that a call passes through.
pub struct Pipeline {
    registry: RwLock<Arc<Registry>>,
    /// The policy decision point.
    pub policy: Arc<dyn PolicySource>,
    /// The record.
    pub audit: Arc<dyn AuditLog>,
    /// Rates and slots.
    pub limits: Limits,
    /// Clock and entropy.
    pub environment: Arc<dyn Environment>,
    /// The operator's view.
    pub observer: Arc<dyn Observer>,
    /// The memory of runs.
    pub runs: Arc<dyn Runs>,
    /// The longest text that a reply may hold, in bytes.
    pub reply_bytes: u64,
    redactor: Redactor,
    events: events::Aggregates,
    approvals: Option<Arc<dyn Approvals>>,
    once: Option<Arc<dyn OnceKeys>>,
    stops: Option<Arc<dyn Stops>>,
    elicitation: bool,
    scopes: RwLock<Arc<ScopeRules>>,
}

/// One call on its way from the decision to the reply.
struct Attempt<'c> {
    id: CallId,
    call: &'c Call,
    entry: &'c Entry,
    plan: Plan,
    /// The policies that decided on it; no others do until it ends.
    policy: &'c dyn PolicySet,
}

/// What a pipeline is made of; see the fields of [`Pipeline`].
pub struct Parts {
    /// The tools that exist.
    pub registry: Registry,
    /// The policy decision point.
    pub policy: Arc<dyn PolicySource>,
    /// The record.
    pub audit: Arc<dyn AuditLog>,
    /// Rates and slots.
    pub limits: Limits,
    /// Clock and entropy.
    pub environment: Arc<dyn Environment>,
    /// The operator's view.
    pub observer: Arc<dyn Observer>,
    /// The memory of runs.
    pub runs: Arc<dyn Runs>,
    /// The longest text that a reply may hold, in bytes.
    pub reply_bytes: u64,
    /// Known secrets and Unicode rules.
    pub redactor: Redactor,
}

/// How long planning may take: it parses and reads catalogue metadata, nothing more.
const PLAN_DEADLINE: Duration = Duration::from_secs(5);

impl Pipeline {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Pipeline {
        Pipeline {
            registry: RwLock::new(Arc::new(parts.registry)),
            policy: parts.policy,
            audit: parts.audit,
            limits: parts.limits,
            environment: parts.environment,
            observer: parts.observer,
            runs: parts.runs,
            reply_bytes: parts.reply_bytes,
            redactor: parts.redactor,
            events: events::Aggregates::default(),
            approvals: None,
            once: None,
            stops: None,
            elicitation: false,
            scopes: RwLock::default(),
        }
    }

    /// The same with durable state: without it, what needs approval or an idempotency key is refused.
    #[must_use]
    pub fn with_state(mut self, approvals: Arc<dyn Approvals>, once: Arc<dyn OnceKeys>) -> Pipeline {
        self.approvals = Some(approvals);
        self.once = Some(once);
        self
    }

    /// The same with what operators have stopped.
    #[must_use]
    pub fn with_stops(mut self, stops: Arc<dyn Stops>) -> Pipeline {
        self.stops = Some(stops);
        self
    }

    /// The same, where a caller's own person may confirm low-impact calls through the client.
    #[must_use]
    pub fn with_elicitation(self, elicitation: bool) -> Pipeline {
        Pipeline { elicitation, ..self }
    }

    /// One call, from resolution to the redacted reply. Every way out has left its record, durable.
    pub async fn run(&self, call: Call) -> Result<Reply, Refused> {
        let id = match self.fresh_id() {
            Ok(id) => id,
            Err(denied) => return Err(self.nameless(denied)),
        };
        let mut trail = Trail::begin(self, id, &call);
        match self.steps(id, &call, &mut trail).await {
            Ok(reply) => Ok(reply),
            Err(error) => Err(trail.refused(error).await),
        }
    }

    async fn steps(&self, id: CallId, call: &Call, trail: &mut Trail<'_>) -> Result<Reply, ToolError> {
        let policy = self.policy.current().map_err(unavailable(Subsystem::Policy))?;
        trail.policy_digest = policy.digest().to_owned();

        let registry = self.registry();
        let now = self.environment.unix_micros();
        let resolved = resolve(&registry, call, policy.as_ref(), now);
        if let (Err(_), Some(observed)) = (&resolved, policy.observed()) {
            trail.hidden(observed, resolve(&registry, call, observed, now).is_ok());
        }
        let (entry, arguments) = resolved?;
        let spec = entry.tool.spec();
        let principal = &call.principal;
        // Not before the tool was found among those that the caller may know of: nobody else is told of a scope.
        // MUTATE(H3-scope): a token calls tools whose scope it lacks
        self.within_scopes(principal, spec)?;
        self.going(&Subject { principal, run: Some(&call.run), tool: Some(&spec.name) })?;
        self.limits.admit_call(principal, &call.run, &spec.name, arguments.canonical(), now).await?;
        let watch = self.limits.watch(principal.tenant(), &spec.name, now)?;
        let _slot = self.limits.slot(principal.key())?;

        entry.validator.check(arguments.value())?;
        let planning = entry.tool.plan(&call.principal, &arguments);
        let planned = within(PLAN_DEADLINE, call, planning).await?;
        let plan = Plan::seal(Arc::clone(spec), arguments, planned);
        trail.planned(&plan);

        let decided = authorize(policy.as_ref(), call, &plan, None, trail).await?;
        let attempt = Attempt { id, call, entry, plan, policy: policy.as_ref() };
        let mut held = Held::default();
        if let Some(reply) = self.once(&attempt, &mut held, trail).await? {
            return Ok(reply);
        }
        let ran = self.perform(attempt, decided, &mut held, trail).await;
        self.settle(id, &held, &ran, trail).await;
        watch.ended(&ran, self.environment.unix_micros());
        let reply = ran?;
        let now = self.environment.unix_micros();
        self.limits.given(principal, reply.rows(), reply.bytes(), now).await?;
        trail.outcome(&reply).await?;
        Ok(reply)
    }

    /// From the decision to the redacted reply: approve, record intent, execute, redact, label.
    async fn perform(
        &self,
        attempt: Attempt<'_>,
        decided: Authorized,
        held: &mut Held,
        trail: &mut Trail<'_>,
    ) -> Result<Reply, ToolError> {
        // MUTATE(J1-hold): a held call runs
        let granted = self.release(&attempt, decided, held, trail).await?;

        let Attempt { id, call, entry, plan, .. } = attempt;
        trail.intent(plan.effect()).await?;
        self.executing(id, held).await?;
        let approved = held.approved.clone();
        let permit = Permit::mint(id, Arc::clone(&call.principal), plan, granted, approved);
        trail.changes(Change::Begun);
        let output = self.execute(entry, permit, call).await?;
        held.executed = true;
        trail.changes(Change::Done);

        let reply = self.redact(output)?.of_call(id);
        self.taint(call, &reply).await?;
        Ok(reply)
    }

    /// Remembers of the run what it is about to be told.
    async fn taint(&self, call: &Call, reply: &Reply) -> Result<(), ToolError> {
        // MUTATE(M3-join): what a call has read is not remembered of its run
        self.runs.join(&call.run, reply.label()).await.map_err(unavailable(Subsystem::State))
    }

    async fn execute(&self, entry: &Entry, permit: Permit, call: &Call) -> Result<Output, ToolError> {
        let budget = entry.tool.spec().deadline;
        let io = CallIo {
            redactor: self.redactor.clone(),
            sink: call.sink.clone(),
            cancel: call.cancel.clone(),
            budget,
        };
        within(budget, call, entry.tool.execute(permit, &io)).await
    }

    fn redact(&self, output: Output) -> Result<Reply, ToolError> {
        let reply = Reply::redacted(output, &self.redactor).map_err(ToolError::internal)?;
        if reply.bytes() > self.reply_bytes {
            let rule = format!("the result is larger than {} bytes; ask for less", self.reply_bytes);
            return Err(ToolError::failed(rule));
        }
        Ok(reply)
    }

    /// The tools that policy shows this principal, sorted by name.
    pub fn tools(&self, principal: &Principal) -> Result<Vec<Arc<ToolSpec>>, Denied> {
        let policy = self.policy.current().map_err(|_| Denied::Unavailable(Subsystem::Policy))?;
        let registry = self.registry();
        let specs = registry.tools().map(|entry| entry.tool.spec());
        let now = self.environment.unix_micros();
        Ok(specs.filter(|spec| visible(policy.as_ref(), principal, spec, now)).cloned().collect())
    }

    /// The resources whose tool policy shows this principal.
    pub fn resources(&self, principal: &Principal) -> Result<Vec<Resource>, Denied> {
        let tools = self.tools(principal)?;
        let known = |name: &Arc<str>| tools.iter().any(|spec| spec.name == *name);
        let shown = |resource: &&Resource| {
            is_for(resource, principal) && known(&resource.tool) && resource.also.as_ref().is_none_or(known)
        };
        Ok(self.registry().resources().iter().filter(shown).cloned().collect())
    }

    /// The tools and resources that exist now.
    pub fn registry(&self) -> Arc<Registry> {
        // A panic elsewhere cannot have left half a pointer here.
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other tools in place. Calls that are under way keep theirs, and policy refuses a tool whose pin it was not loaded with.
    pub fn replace_registry(&self, registry: Registry) {
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }

    /// The redactor in force; its secrets are replaced in place when they rotate.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    fn fresh_id(&self) -> Result<CallId, Denied> {
        let mut random = [0; 10];
        let drawn = self.environment.random(&mut random);
        drawn.map_err(|_| Denied::Unavailable(Subsystem::Server))?;
        Ok(CallId::new(self.environment.unix_micros() / 1000, random))
    }

    /// Without entropy there is no id; the call is refused under the zero id.
    fn nameless(&self, denied: Denied) -> Refused {
        let message = denied.public();
        Refused { call: CallId::new(0, [0; 10]), denied, message, detail: None }
    }
}

/// Finds the tool among those that policy shows this principal and its credential is good for. A hidden one is as unknown as one that does not exist.
fn resolve<'r>(
    registry: &'r Registry,
    call: &Call,
    policy: &dyn PolicySet,
    now: u64,
) -> Result<(&'r Entry, Arguments), Denied> {
    let shown = |spec: &ToolSpec| visible(policy, &call.principal, spec, now);
    let (entry, arguments) = match &call.target {
        Target::Tool(name) => (registry.get(name).ok_or(Denied::UnknownTool)?, call.arguments.clone()),
        Target::Resource(uri) => {
            let found = registry.resource(uri).filter(|(resource, _)| is_for(resource, &call.principal));
            let (resource, variable) = found.ok_or(Denied::UnknownTool)?;
            let also = resource.also.as_ref().and_then(|name| registry.get(name));
            if resource.also.is_some() && !also.is_some_and(|entry| shown(entry.tool.spec())) {
                return Err(Denied::UnknownTool);
            }
            let entry = registry.get(&resource.tool).ok_or(Denied::UnknownTool)?;
            (entry, resource_arguments(entry, resource, variable.as_deref())?)
        }
    };
    // MUTATE(H1-hidden): a hidden tool can be called by its name
    if !shown(entry.tool.spec()) {
        return Err(Denied::UnknownTool);
    }
    Ok((entry, arguments))
}

fn visible(policy: &dyn PolicySet, principal: &Principal, spec: &ToolSpec, now: u64) -> bool {
    // MUTATE(G5-tools): a credential for one tool is good for every tool that policy shows
    if !principal.may_use(&spec.name) {
        return false;
    }
    let question = CallQuestion::new(principal, spec, Phase::Listing, now);
    let decision = policy.decide_call(&question);
    decision.error.is_none() && decision.verdict != Verdict::Deny
}

/// Whether a resource exists for a principal's tenant.
fn is_for(resource: &Resource, principal: &Principal) -> bool {
    // MUTATE(H7-resource): a tenant's resources exist for other tenants
    resource.tenant.as_deref().is_none_or(|tenant| tenant == principal.tenant())
}

/// Runs a step until it ends, its time is over, or the caller cancels. Dropping the step stops its work.
async fn within<T>(
    budget: Duration,
    call: &Call,
    step: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    tokio::select! {
        biased;
        done = step => done,
        () = call.cancel.cancelled() => Err(stopped(Failure::Cancelled, "cancelled; the work was stopped".into())),
        // MUTATE(I2-deadline): a step runs for as long as it likes
        () = tokio::time::sleep(budget) => {
            let public = format!("stopped: the deadline of {} ms passed", budget.as_millis());
            Err(stopped(Failure::Deadline, public))
        }
    }
}

fn stopped(failure: Failure, public: String) -> ToolError {
    Denied::Failed { failure, public }.into()
}

fn unavailable(part: Subsystem) -> impl Fn(String) -> ToolError {
    move |cause| ToolError { denied: Denied::Unavailable(part), cause: Some(cause), detail: None }
}

/// The arguments that a resource stands for. The value of its variable is a number where its tool takes nothing else.
fn resource_arguments(
    entry: &Entry,
    resource: &Resource,
    variable: Option<&str>,
) -> Result<Arguments, Denied> {
    let mut members = resource.fixed.clone();
    if let Some((name, text)) = resource.variable.clone().zip(variable) {
        let kind = entry.tool.spec().input_schema.pointer(&format!("/properties/{name}/type"));
        let number = text.parse::<i64>().ok().filter(|_| kind.is_some_and(|kind| kind == "integer"));
        members.insert(name, number.map_or_else(|| text.into(), Into::into));
    }
    let text = serde_json::Value::from_iter(members.iter().map(|(name, value)| (&**name, value.clone())))
        .to_string();
    let parsed = crate::json::parse(text.as_bytes(), crate::json::Limits::default());
    let value = parsed.map_err(|_| Denied::UnknownTool)?;
    Arguments::from_json(&value)
}

//! Starting a call: its way back to the client, its task, and what its outcome becomes.

use std::sync::{Arc, Mutex};

use countersign_core::{
    Arguments, Call, Denied, Origin, Refused, Reply, Target,
    json::{self, Value},
    tool::ClientSink,
};
use tokio::sync::mpsc;

use super::Context;
use crate::{
    ask::{EVENTS, Exchange, Questions, Rounds, write_open},
    encode,
    request_state::{Answers, Binding},
    rpc::{INVALID_PARAMS, INVALID_REQUEST, Id, MISSING_CAPABILITY, RESOURCE_NOT_FOUND, RpcError},
    running::{Answer, Running, Step},
};

/// What kind of result a call becomes.
pub(super) enum Shape {
    Tool,
    Resource { uri: String, mime: &'static str },
}

/// The method and the name that a call's state is bound to.
pub(super) struct Subject {
    pub(super) method: &'static str,
    pub(super) name: String,
    pub(super) arguments: Arguments,
}

/// The way back of one request, and where its notifications come out.
pub(super) struct Channel {
    pub(super) exchange: Option<Arc<Exchange>>,
    pub(super) events: Option<mpsc::Receiver<String>>,
}

/// Runs a call through the pipeline, in a task of its own.
pub(super) fn start(
    context: Context,
    id: &Id,
    params: Option<&Value<'_>>,
    target: Target,
    subject: Subject,
    shape: Shape,
) -> Result<Step, RpcError> {
    let channel = open(&context, params, &subject)?;
    let cancel = context.server.stop.child_token();
    let in_flight = context.track(id, &cancel)?;
    let call = Call {
        principal: Arc::clone(&context.principal),
        run: context.run.clone(),
        target,
        arguments: subject.arguments.clone(),
        origin: origin(&context, params),
        cancel: cancel.clone(),
        sink: channel.exchange.clone().map(|exchange| exchange as Arc<dyn ClientSink>),
    };
    let work = context.server.working.begin();
    let id = id.clone();
    let exchange = channel.exchange;
    let answer = tokio::spawn(async move {
        let (_work, _in_flight) = (work, in_flight);
        let outcome = context.server.pipeline.run(call).await;
        let satisfied = outcome.as_ref().is_ok_and(|reply| !reply.is_error());
        match unanswered(&context, &id, exchange.as_deref(), &subject, satisfied) {
            Some(answer) => answer,
            None => encode(&context, &id, &shape, outcome),
        }
    });
    Ok(Step::Running(Running { answer, events: channel.events, cancel }))
}

/// Opens the way back, if the request gives a reason for one. Checks answers and state of earlier rounds.
pub(super) fn open(
    context: &Context,
    params: Option<&Value<'_>>,
    subject: &Subject,
) -> Result<Channel, RpcError> {
    let answers =
        if context.revision.is_modern() { answers(context, params, subject)? } else { Answers::new() };
    let progress_token = progress_token(params)?;
    let wanted = progress_token.is_some() || context.level.is_some() || context.capabilities.any();
    // A stateless call may need a capability that nobody declared; only its exchange can tell which.
    if !(context.revision.is_modern() || wanted && context.streams) {
        return Ok(Channel { exchange: None, events: None });
    }
    let questions = match (&context.session, context.revision.is_modern()) {
        (Some(session), false) => {
            Questions::Session { session: Arc::clone(session), timeout: context.server.config.ask_timeout }
        }
        _ => Questions::Rounds(Mutex::new(Rounds { answers, ..Rounds::default() })),
    };
    let (events, receiver) = mpsc::channel(if wanted { EVENTS } else { 1 });
    let exchange = Arc::new(Exchange {
        pipeline: Arc::clone(&context.server.pipeline),
        events,
        progress_token: progress_token.filter(|_| context.streams),
        level: context.level.filter(|_| context.streams),
        capabilities: context.capabilities,
        questions,
    });
    Ok(Channel { exchange: Some(exchange), events: wanted.then_some(receiver) })
}

/// The answers that came with this request, on top of those that its state carries.
fn answers(context: &Context, params: Option<&Value<'_>>, subject: &Subject) -> Result<Answers, RpcError> {
    let member = |name: &str| params.and_then(|params| params.get(name));
    let mut answers = match member("requestState") {
        None => Answers::new(),
        Some(state) => {
            let state = state.as_str().ok_or_else(|| RpcError::params("`requestState` must be a string"))?;
            let binding = subject.binding(context);
            let opened = context.server.states.open(
                state,
                &binding,
                context.server.pipeline.environment.unix_micros(),
            );
            opened.ok_or_else(|| {
                RpcError::params("`requestState` is not valid for this request, or has expired")
            })?
        }
    };
    match member("inputResponses") {
        None => {}
        Some(Value::Object(given)) => {
            for response in given {
                let answer = json::to_serde(&response.value)
                    .map_err(|e| RpcError::params(format!("`inputResponses`: {e}")))?;
                answers.insert(response.key.to_string(), answer);
            }
        }
        Some(_) => return Err(RpcError::params("`inputResponses` must be an object")),
    }
    Ok(answers)
}

impl Subject {
    fn binding<'s>(&'s self, context: &'s Context) -> Binding<'s> {
        Binding {
            principal: &context.principal,
            method: self.method,
            name: &self.name,
            arguments: self.arguments.canonical(),
        }
    }
}

/// SPEC: progress tokens are strings or integers of the client's choice; the same JSON goes back.
fn progress_token(params: Option<&Value<'_>>) -> Result<Option<Box<str>>, RpcError> {
    let token = params.and_then(|params| params.get("_meta")).and_then(|meta| meta.get("progressToken"));
    match token.map(crate::envelope::read_id) {
        None => Ok(None),
        Some(Ok(token)) => Ok(Some(token.0)),
        Some(Err(_)) => Err(RpcError::params("`_meta.progressToken` must be a short string or an integer")),
    }
}

/// What a stateless call still needs from its client, if that is why it did not succeed.
pub(super) fn unanswered(
    context: &Context,
    id: &Id,
    exchange: Option<&Exchange>,
    subject: &Subject,
    satisfied: bool,
) -> Option<Answer> {
    let rounds = exchange?.rounds()?;
    if satisfied {
        return None;
    }
    if !rounds.open.is_empty() {
        // Only what was asked in this call travels on; unexpected answers are dropped here.
        let now = context.server.pipeline.environment.unix_micros();
        let state = context.server.states.seal(&subject.binding(context), &rounds.answers, now)?;
        return Some(Answer::ok(context.input_required(id, |result| {
            write_open(result, &rounds.open);
            result.text("requestState", &state);
        })));
    }
    if rounds.missing.is_empty() {
        return None;
    }
    let message = "the call needs a capability that the client did not declare";
    let error = RpcError::new(MISSING_CAPABILITY, 400, message).with_data(|data| {
        data.object("requiredCapabilities", |required| {
            let mut missing = rounds.missing.clone();
            missing.sort_unstable();
            missing.dedup();
            for capability in missing {
                required.object(capability, |_| {});
            }
        });
    });
    Some(Answer::error(&error, Some(id)))
}

/// The answer that an outcome becomes.
///
/// Refusals that a model can correct, or should read, are results with `isError`; what does not exist is an error.
fn encode(context: &Context, id: &Id, shape: &Shape, outcome: Result<Reply, Refused>) -> Answer {
    if let Err(refused) = &outcome
        && let Denied::InsufficientScope { scopes } = &refused.denied
    {
        return step_up(id, refused, scopes);
    }
    let text = match (shape, outcome) {
        (Shape::Tool, Ok(reply)) => context.result(
            id,
            |meta| encode::reply_meta(meta, &reply),
            |result| encode::reply(result, &reply),
        ),
        (Shape::Tool, Err(refused)) if refused.denied == Denied::UnknownTool => {
            return error(id, RpcError::new(INVALID_PARAMS, 200, "unknown tool"));
        }
        (Shape::Tool, Err(refused)) => context.result(
            id,
            |meta| encode::refused_meta(meta, &refused),
            |result| encode::refused(result, &refused),
        ),
        (Shape::Resource { uri, mime }, Ok(reply)) if !reply.is_error() => context.result(
            id,
            |meta| encode::reply_meta(meta, &reply),
            |result| {
                result.array("contents", reply.blocks(), |out, block| {
                    encode::resource_contents(out, block, uri, mime);
                });
                context.cacheable(result);
            },
        ),
        (Shape::Resource { uri, .. }, Err(refused)) if refused.denied == Denied::UnknownTool => {
            return error(id, not_found(context, uri));
        }
        (Shape::Resource { .. }, Err(refused)) => {
            let message = format!("{} (call {})", refused.message, refused.call);
            return error(
                id,
                RpcError { message: message.into(), status: 200, ..context.refused(&refused.denied) },
            );
        }
        (Shape::Resource { uri, .. }, Ok(_)) => return error(id, not_found(context, uri)),
    };
    Answer::ok(text)
}

fn error(id: &Id, error: RpcError) -> Answer {
    Answer::error(&error, Some(id))
}

/// SPEC: RFC 6750 §3.1, MCP 2025-11-25 and 2026-07-28 authorization, Runtime Insufficient Scope Errors: HTTP says it with 403, and the
/// challenge names every scope that the call needs.
fn step_up(id: &Id, refused: &Refused, scopes: &[String]) -> Answer {
    let message = format!("{} (call {})", refused.message, refused.call);
    let error = RpcError::new(INVALID_REQUEST, 403, message).with_data(|data| {
        data.text("code", refused.denied.code());
        data.array("scopes", scopes, |out, scope| encode::string(out, scope));
    });
    Answer { scopes: Some(scopes.join(" ")), ..Answer::error(&error, Some(id)) }
}

/// SPEC: 2026-07-28 resources, Error Handling: -32602 with the URI; before, -32002.
fn not_found(context: &Context, uri: &str) -> RpcError {
    let code = if context.revision.is_modern() { INVALID_PARAMS } else { RESOURCE_NOT_FOUND };
    RpcError::new(code, 200, "resource not found").with_data(|data| data.text("uri", uri))
}

fn origin(context: &Context, params: Option<&Value<'_>>) -> Origin {
    let traceparent = params
        .and_then(|params| params.get("_meta"))
        .and_then(|meta| meta.get("traceparent"))
        .and_then(Value::as_str)
        .filter(|text| is_traceparent(text));
    Origin {
        transport: context.transport,
        protocol: context.revision.name(),
        client: context.client.clone(),
        peer: Arc::clone(&context.peer),
        session: context.session.as_ref().map(|session| Arc::clone(&session.digest)),
        traceparent: traceparent.map(str::to_owned),
    }
}

/// SPEC: W3C Trace Context §3.2: version, trace id, parent id and flags in lower-case hexadecimal.
fn is_traceparent(text: &str) -> bool {
    let mut lengths = [2, 32, 16, 2].into_iter();
    text.len() == 55
        && text.split('-').all(|part| {
            lengths.next() == Some(part.len()) && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
}

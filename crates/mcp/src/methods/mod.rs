//! What each method of the protocol does. Transports dispatch here once a message is known to be a well-formed request of its era.

mod call;
mod completion;
mod handshake;
mod page;
mod prompts;
mod resources;
mod tools;

use std::sync::Arc;

use countersign_core::{Denied, Principal, RunId, Transport, json::Value, pipeline::NotAdmitted};
use hyper::HeaderMap;
use tokio_util::sync::CancellationToken;

pub(crate) use handshake::{initialize, initialized};

use crate::{
    envelope::Request,
    era::{Capabilities, Revision, Threshold},
    listen,
    rpc::{INTERNAL_ERROR, Id, METHOD_NOT_FOUND, Object, RpcError},
    running::{Answer, Step},
    server::Server,
    session::{InFlight, Session},
};

/// The circumstances of one request: all that a method may know about its caller.
pub(crate) struct Context {
    pub(crate) server: Arc<Server>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) revision: Revision,
    /// The legacy session, or the stdio process.
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) capabilities: Capabilities,
    pub(crate) client: Option<Arc<str>>,
    pub(crate) level: Option<Threshold>,
    pub(crate) run: RunId,
    pub(crate) peer: Arc<str>,
    pub(crate) transport: Transport,
    /// Whether the client can take notifications before the answer.
    pub(crate) streams: bool,
}

/// Does what the request asks, or starts it.
pub(crate) fn dispatch(context: Context, request: &Request<'_>, headers: Option<&HeaderMap>) -> Step {
    match step(context, request, headers) {
        Ok(step) => step,
        Err(error) => Step::Done(Answer::error(&error, Some(&request.id))),
    }
}

fn step(context: Context, request: &Request<'_>, headers: Option<&HeaderMap>) -> Result<Step, RpcError> {
    let (id, params) = (&request.id, request.params.as_ref());
    let done = |text: Result<String, RpcError>| text.map(|text| Step::Done(Answer::ok(text)));
    match (request.method.as_str(), context.revision.is_modern()) {
        ("tools/list", _) => done(tools::list(&context, id, params)),
        ("tools/call", _) => tools::call(context, id, params, headers),
        ("resources/list", _) => done(resources::list(&context, id, params)),
        ("resources/templates/list", _) => done(resources::templates(&context, id, params)),
        ("resources/read", _) => resources::read(context, id, params),
        ("prompts/list", _) => done(prompts::list(&context, id, params)),
        ("prompts/get", _) => prompts::get(context, id, params),
        ("completion/complete", _) if context.server.prompts.is_some() => {
            done(completion::complete(&context, id, params))
        }
        ("server/discover", true) => done(Ok(handshake::discover(&context, id))),
        ("subscriptions/listen", true) => listen::listen(&context, id, params),
        ("ping", false) => done(Ok(context.result(id, |_| {}, |_| {}))),
        ("logging/setLevel", false) => done(handshake::set_level(&context, id, params)),
        ("resources/subscribe", false) if context.server.config.resource_updates => {
            done(resources::subscribe(&context, id, params, true))
        }
        ("resources/unsubscribe", false) if context.server.config.resource_updates => {
            done(resources::subscribe(&context, id, params, false))
        }
        (_, modern) => Err(unknown_method(modern)),
    }
}

/// SPEC: 2026-07-28 streamable HTTP: an unknown method is 404 with -32601. Before, it was an answer like any other.
pub(crate) fn unknown_method(modern: bool) -> RpcError {
    RpcError::new(METHOD_NOT_FOUND, if modern { 404 } else { 200 }, "method not found")
}

impl Context {
    /// A whole result: `meta` and `members` write their parts of it.
    pub(crate) fn result(
        &self,
        id: &Id,
        meta: impl FnOnce(&mut Object<'_>),
        members: impl FnOnce(&mut Object<'_>),
    ) -> String {
        self.framed(id, "complete", meta, members)
    }

    /// A result that asks the client for more.
    pub(crate) fn input_required(&self, id: &Id, members: impl FnOnce(&mut Object<'_>)) -> String {
        self.framed(id, "input_required", |_| {}, members)
    }

    fn framed(
        &self,
        id: &Id,
        result_type: &str,
        meta: impl FnOnce(&mut Object<'_>),
        members: impl FnOnce(&mut Object<'_>),
    ) -> String {
        let modern = self.revision.is_modern();
        let mut own_meta = String::new();
        let mut object = Object::open(&mut own_meta);
        if modern {
            object.raw("io.modelcontextprotocol/serverInfo", &self.server.identity);
        }
        meta(&mut object);
        object.close();

        let mut out = String::with_capacity(512);
        let mut frame = Object::open(&mut out);
        frame.raw("jsonrpc", "\"2.0\"");
        frame.raw("id", &id.0);
        frame.object("result", |result| {
            if modern {
                result.text("resultType", result_type);
            }
            if own_meta.len() > "{}".len() {
                result.raw("_meta", &own_meta);
            }
            members(result);
        });
        frame.close();
        out
    }

    /// SPEC: 2026-07-28 caching: lists, resources and `server/discover` say for how long and for whom. What we list depends on who asks.
    pub(crate) fn cacheable(&self, result: &mut Object<'_>) {
        if self.revision.is_modern() {
            result.number("ttlMs", i64::try_from(self.server.config.ttl_ms).unwrap_or(i64::MAX));
            // MUTATE(H7-cache-scope): lists that depend on the caller may be shared
            result.text("cacheScope", "private");
        }
    }

    /// A refusal outside a call, as an error.
    pub(crate) fn refused(&self, denied: &Denied) -> RpcError {
        self.turned_away(&NotAdmitted { denied: denied.clone(), id: None })
    }

    /// The same for one that has an id.
    pub(crate) fn turned_away(&self, refused: &NotAdmitted) -> RpcError {
        let denied = &refused.denied;
        let status = match denied {
            Denied::Limited { .. } => 429,
            Denied::Frozen(_) => 403,
            Denied::Unavailable(_) => 503,
            _ => 500,
        };
        RpcError::new(INTERNAL_ERROR, status, refused.public()).with_data(|data| {
            data.text("code", denied.code());
            if let Some(wait) = denied.retry_after() {
                data.number("retryAfterMs", i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
            }
        })
    }

    /// Notes a request as under way where it can be cancelled by its id: within its own session, and nowhere else.
    pub(crate) fn track(&self, id: &Id, cancel: &CancellationToken) -> Result<Option<InFlight>, RpcError> {
        match &self.session {
            None => Ok(None),
            Some(session) => match session.begin(id, cancel) {
                Some(in_flight) => Ok(Some(in_flight)),
                None => Err(RpcError::invalid("a request with this `id` is under way")),
            },
        }
    }
}

/// A string member of the parameters.
fn text<'p>(params: Option<&'p Value<'_>>, name: &str) -> Result<&'p str, RpcError> {
    let value = params.and_then(|params| params.get(name));
    value.and_then(Value::as_str).ok_or_else(|| RpcError::params(format!("`{name}` must be a string")))
}

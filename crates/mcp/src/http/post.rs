//! POST: one message in, one answer out — as JSON, or as a stream once there is something to say before the answer.

use std::{pin::Pin, sync::Arc};

use countersign_core::{Principal, RunId, Transport, json::Value};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body as _, Bytes, Incoming},
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};

use super::{
    Connection,
    gate::{not_now, sole},
    response::{self, Body, SESSION_ID, refuse},
    sse::SseBody,
    stream,
};
use crate::{
    envelope::{self, Message, Request as RpcRequest, Response as RpcResponse, read_id},
    era::{self, RequestMeta, Revision},
    headers::{self, VERSION},
    methods::{self, Context, dispatch},
    rpc::RpcError,
    running::{Answer, CancelOnDrop, Running, Step},
    session::{Lookup, Session},
};

/// Media types that a client takes.
#[derive(Clone, Copy)]
pub(super) struct Accept {
    pub(super) json: bool,
    pub(super) events: bool,
}

/// One message of an authenticated caller.
pub(super) async fn post(
    connection: &Arc<Connection>,
    principal: Arc<Principal>,
    request: Request<Incoming>,
) -> Response<Body> {
    let accept = Accept::read(request.headers());
    if let Err(refused) = check_head(connection, request.headers(), accept) {
        return *refused;
    }
    let (head, body) = request.into_parts();
    let body = match read_body(body, connection).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let message = match envelope::parse(&body, connection.server.config.json_limits()) {
        Ok(message) => message,
        Err(malformed) => {
            let error = malformed.error;
            return response::json(Answer::error(&error, malformed.id.as_ref()));
        }
    };
    let arrival = Arrival { connection, principal, headers: &head.headers, accept };
    match message {
        Message::Request(request) => arrival.request(request).await,
        Message::Notification { method, params } => arrival.notification(&method, params.as_ref()),
        Message::Response(response) => arrival.response(response),
    }
}

/// Media types and the announced length.
pub(super) fn check_head(
    connection: &Connection,
    headers: &HeaderMap,
    accept: Accept,
) -> Result<(), Box<Response<Body>>> {
    let refused = |status, message| Err(Box::new(refuse(status, message)));
    let media = sole(headers, CONTENT_TYPE.as_str()).ok().flatten().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return refused(415, "the body must be `application/json`");
    }
    if !accept.json && !accept.events {
        return refused(406, "accept `application/json` and `text/event-stream`");
    }
    let length =
        sole(headers, CONTENT_LENGTH.as_str()).ok().flatten().and_then(|text| text.parse::<u64>().ok());
    let limit = u64::try_from(connection.server.config.body_bytes).unwrap_or(u64::MAX);
    // MUTATE(B2-length): a body of any announced length is read
    if length.is_some_and(|length| length > limit) {
        return refused(413, "the message is too large");
    }
    Ok(())
}

/// The body, within its limit and its time.
pub(super) async fn read_body(
    mut body: Incoming,
    connection: &Connection,
) -> Result<Bytes, Box<Response<Body>>> {
    let limit = connection.server.config.body_bytes;
    let read = async {
        let mut first = Bytes::new();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let Ok(Ok(chunk)) = frame.map(hyper::body::Frame::into_data) else {
                return Err(refuse(400, "the body could not be read"));
            };
            if first.len() + rest.len() + chunk.len() > limit {
                return Err(refuse(413, "the message is too large"));
            }
            if first.is_empty() {
                first = chunk;
            } else {
                rest.extend_from_slice(&chunk);
            }
        }
        Ok(if rest.is_empty() { first } else { [first.as_ref(), &rest].concat().into() })
    };
    match tokio::time::timeout(connection.server.config.body_timeout, read).await {
        Ok(read) => read.map_err(Box::new),
        Err(_) => Err(Box::new(refuse(408, "the body took too long to arrive"))),
    }
}

/// A message and the circumstances of its arrival.
struct Arrival<'a> {
    connection: &'a Arc<Connection>,
    principal: Arc<Principal>,
    headers: &'a HeaderMap,
    accept: Accept,
}

impl Arrival<'_> {
    async fn request(self, request: RpcRequest<'_>) -> Response<Body> {
        match self.prepare(&request).await {
            Ok(Prepared::Session(answer, id)) => {
                let mut response = self.whole(answer);
                if let Ok(id) = HeaderValue::from_str(&id) {
                    response.headers_mut().insert(SESSION_ID, id);
                }
                response
            }
            Ok(Prepared::Dispatch(context)) => {
                let (modern, run) = (context.revision.is_modern(), context.run.clone());
                match dispatch(*context, &request, Some(self.headers)) {
                    Step::Done(answer) => self.whole(answer),
                    Step::Running(running) => self.respond(running, modern, &run).await,
                }
            }
            Ok(Prepared::Refused(response)) => *response,
            Err(error) => response::json(Answer::error(&error, Some(&request.id))),
        }
    }

    /// Finds the era of a request and checks what that era asks of it.
    async fn prepare(&self, request: &RpcRequest<'_>) -> Result<Prepared, RpcError> {
        let params = request.params.as_ref();
        let server = &self.connection.server;
        if self.is_modern(params)? {
            let meta = RequestMeta::read(params)?;
            headers::check_method(self.headers, &request.method)?;
            headers::check_name(self.headers, &request.method, params)?;
            let run = match server.pipeline.run_of(&self.principal).await {
                Ok(run) => run,
                Err(denied) => return Ok(Prepared::Refused(Box::new(not_now(server, &denied)))),
            };
            return Ok(Prepared::Dispatch(Box::new(Context {
                server: Arc::clone(server),
                principal: Arc::clone(&self.principal),
                revision: Revision::V2026_07_28,
                session: None,
                capabilities: meta.capabilities,
                client: meta.client.map(Arc::from),
                level: meta.level,
                run,
                peer: Arc::clone(&self.connection.peer),
                transport: Transport::Http,
                streams: self.accept.events,
            })));
        }
        if request.method == "initialize" {
            let negotiated = methods::initialize(params)?;
            let environment = server.pipeline.environment.as_ref();
            return Ok(match server.sessions.open(&self.principal, negotiated, environment) {
                Ok((id, session)) => {
                    Prepared::Session(Answer::ok(methods::initialized(server, &session, &request.id)), id)
                }
                Err(denied) => Prepared::Refused(Box::new(not_now(server, &denied))),
            });
        }
        let session = find_session(self.connection, &self.principal, self.headers)?;
        let mut context = stream::context(self.connection, &self.principal, &session);
        context.streams = self.accept.events;
        Ok(Prepared::Dispatch(Box::new(context)))
    }

    /// SPEC: 2026-07-28 streamable HTTP, Protocol Version Header: the header and `_meta` agree, before either is believed.
    fn is_modern(&self, params: Option<&Value<'_>>) -> Result<bool, RpcError> {
        let header = sole(self.headers, VERSION)
            .map_err(|()| headers::mismatch("MCP-Protocol-Version"))?
            .map(str::trim);
        let named = era::meta_version(params);
        // MUTATE(MCP-version-header): the version header is not compared
        if named.is_some() && header != named {
            return Err(headers::mismatch("MCP-Protocol-Version"));
        }
        match header.map(|name| (name, Revision::parse(name))) {
            None => Ok(false),
            Some((_, Some(revision))) => Ok(revision.is_modern()),
            Some((name, None)) => Err(era::unsupported(name)),
        }
    }

    fn notification(&self, method: &str, params: Option<&Value<'_>>) -> Response<Body> {
        let modern = match self.is_modern(params) {
            Ok(modern) => modern,
            Err(error) => return response::rpc(&error),
        };
        if modern {
            // SPEC: the stateless era cancels by closing the stream; no notification means anything here.
            return response::accepted();
        }
        match find_session(self.connection, &self.principal, self.headers) {
            Ok(session) => {
                notified(&session, method, params);
                response::accepted()
            }
            Err(error) => response::rpc(&error),
        }
    }

    fn response(&self, answer: RpcResponse<'_>) -> Response<Body> {
        match self.is_modern(None) {
            Ok(false) => {}
            Ok(true) => {
                return response::rpc(&RpcError::invalid("this revision knows no responses from clients"));
            }
            Err(error) => return response::rpc(&error),
        }
        match find_session(self.connection, &self.principal, self.headers) {
            Ok(session) if reacted(&session, answer) => response::accepted(),
            Ok(_) => response::rpc(&RpcError::invalid("nothing was asked under this `id`")),
            Err(error) => response::rpc(&error),
        }
    }

    fn whole(&self, answer: Answer) -> Response<Body> {
        if let Some(scopes) = &answer.scopes {
            return response::step_up(self.connection.server.oauth().as_deref(), scopes, answer.text);
        }
        if self.accept.json || answer.status != 200 {
            response::json(answer)
        } else {
            response::one_event(&answer.text)
        }
    }

    /// JSON, unless something is to be said before the answer.
    async fn respond(self, mut running: Running, modern: bool, run: &RunId) -> Response<Body> {
        // SPEC: 2026-07-28: a client that goes away has cancelled; 2025-11-25: it has not.
        // MUTATE(I2-disconnect): a stateless call goes on when its client is gone
        let mut guard = CancelOnDrop(modern.then(|| running.cancel.clone()));
        let keep_alive = self.connection.server.config.keep_alive;
        let first = match &mut running.events {
            Some(events) => tokio::select! {
                biased;
                Some(first) = events.recv() => Some(first),
                answer = &mut running.answer => {
                    guard.0 = None;
                    return self.whole(finished(answer.ok()));
                }
                // Who takes nothing but a stream gets one in time; until then, a refusal still has its status.
                () = tokio::time::sleep(keep_alive), if !self.accept.json => None,
            },
            None => {
                let answer = (&mut running.answer).await;
                guard.0 = None;
                return self.whole(finished(answer.ok()));
            }
        };
        let recheck = stream::recheck(self.connection, &self.principal, run, &Method::POST, self.headers);
        response::stream(SseBody::new(running, first, guard, keep_alive, recheck))
    }
}

/// Where a request leads before its method is looked at.
enum Prepared {
    Dispatch(Box<Context>),
    /// A new session, and its id.
    Session(Answer, String),
    Refused(Box<Response<Body>>),
}

/// A task that broke has answered nothing; its call's record says so.
fn finished(answer: Option<Answer>) -> Answer {
    let broken = || RpcError::new(crate::rpc::INTERNAL_ERROR, 500, "internal error");
    answer.unwrap_or_else(|| Answer::error(&broken(), None))
}

/// The session that a request names, for its owner.
///
/// SPEC: 2025-11-25 transports, Session Management: 400 without the header, 404 when there is no such session.
pub(super) fn find_session(
    connection: &Connection,
    principal: &Principal,
    headers: &HeaderMap,
) -> Result<Arc<Session>, RpcError> {
    let id =
        sole(headers, SESSION_ID.as_str()).map_err(|()| RpcError::invalid("send one `Mcp-Session-Id`"))?;
    let id = id.ok_or_else(|| RpcError::invalid("`Mcp-Session-Id` is missing: send `initialize` first"))?;
    let server = &connection.server;
    let session = match server.sessions.find(id.as_bytes(), principal, server.now()) {
        Lookup::Found(session) => session,
        found => {
            if matches!(found, Lookup::Foreign) {
                server.pipeline.security_event(
                    "session-of-another-principal",
                    Some(principal),
                    &connection.peer,
                );
            }
            return Err(RpcError {
                status: 404,
                ..RpcError::invalid("no such session: send `initialize` again")
            });
        }
    };
    // The session knows its revision; the header must be one of ours, and changes nothing.
    let version = sole(headers, VERSION).map_err(|()| headers::mismatch("MCP-Protocol-Version"))?;
    if let Some(name) = version.filter(|name| Revision::parse(name).is_none()) {
        return Err(era::unsupported(name));
    }
    Ok(session)
}

/// Handles a notification within a session. Those that we do not know are ignored.
pub(crate) fn notified(session: &Session, method: &str, params: Option<&Value<'_>>) {
    if method == "notifications/cancelled"
        && let Some(Ok(id)) = params.and_then(|params| params.get("requestId")).map(read_id)
    {
        session.cancel(&id);
    }
}

/// Hands an answer to the question that it belongs to.
pub(crate) fn reacted(session: &Session, answer: RpcResponse<'_>) -> bool {
    let RpcResponse { id, result } = answer;
    let reaction = result.and_then(|value| countersign_core::json::to_serde(&value).map_err(|_| ()));
    session.react(&id, reaction)
}

impl Accept {
    /// SPEC: RFC 9110 §12.5.1; without the header everything is accepted.
    pub(super) fn read(headers: &HeaderMap) -> Accept {
        let mut accept = Accept { json: false, events: false };
        let mut present = false;
        for value in headers.get_all(ACCEPT) {
            present = true;
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let media = parts.next().unwrap_or_default().to_ascii_lowercase();
                if parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")) {
                    continue;
                }
                accept.json |= matches!(media.as_str(), "*/*" | "application/*" | "application/json");
                accept.events |= matches!(media.as_str(), "*/*" | "text/*" | "text/event-stream");
            }
        }
        if present { accept } else { Accept { json: true, events: true } }
    }
}

//! HTTP responses as we write them.

use std::{
    borrow::Cow,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Response, StatusCode,
    body::{Bytes, Frame, SizeHint},
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::sse::SseBody;
use crate::{config::OAuth, rpc::RpcError, running::Answer};

/// What a response carries.
pub(super) enum Body {
    Full(Bytes),
    Stream(Box<SseBody>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Stream(stream) => {
                stream.poll_next(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Body::Stream(_) => SizeHint::default(),
        }
    }
}

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

fn build(status: u16, content_type: Option<&'static str>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A whole JSON-RPC message.
pub(super) fn json(answer: Answer) -> Response<Body> {
    let retry = answer.status == 429 || answer.status == 503;
    let mut response = build(answer.status, Some("application/json"), Body::Full(answer.text.into()));
    if retry {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// An event stream.
pub(super) fn stream(body: SseBody) -> Response<Body> {
    let mut response = build(200, Some("text/event-stream"), Body::Stream(Box::new(body)));
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// An event stream of one message.
pub(super) fn one_event(text: &str) -> Response<Body> {
    let mut response = build(200, Some("text/event-stream"), Body::Full(super::sse::event(text)));
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// A message was taken; there is nothing to answer.
pub(super) fn accepted() -> Response<Body> {
    build(202, None, Body::Full(Bytes::new()))
}

/// `/healthz` and `/readyz`.
pub(super) fn health(good: bool) -> Response<Body> {
    let (status, text) = if good { (200, "ok\n") } else { (503, "not ready\n") };
    build(status, Some("text/plain; charset=utf-8"), Body::Full(Bytes::from_static(text.as_bytes())))
}

/// A refusal of the exchange itself. The code is the HTTP status: JSON-RPC reserves its own for messages that were read.
pub(super) fn refuse(status: u16, message: impl Into<Cow<'static, str>>) -> Response<Body> {
    rpc(&RpcError::new(i32::from(status), status, message))
}

/// A refusal with a JSON-RPC error that belongs to no request.
pub(super) fn rpc(error: &RpcError) -> Response<Body> {
    json(Answer::error(error, None))
}

/// A refusal that says when to come back.
pub(super) fn retry(status: u16, message: String, after: Duration) -> Response<Body> {
    let mut response = rpc(&RpcError::new(i32::from(status), status, message));
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// The metadata of the protected resource.
pub(super) fn document(text: &str) -> Response<Body> {
    build(200, Some("application/json"), Body::Full(Bytes::copy_from_slice(text.as_bytes())))
}

/// SPEC: RFC 6750 §3: a challenge, with `error` only when a credential was presented.
pub(super) fn unauthenticated(oauth: Option<&OAuth>, presented: bool) -> Response<Body> {
    let error = if presented { Some("invalid_token") } else { None };
    challenge(
        refuse(401, "a valid credential is required: send `Authorization: Bearer KEY`"),
        &bearer(oauth, error),
    )
}

/// The certificate of the connection is no longer accepted: the last answer on it.
pub(super) fn goodbye() -> Response<Body> {
    let mut response = refuse(401, "the certificate of this connection is no longer accepted");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// SPEC: RFC 6750 §3.1, MCP authorization: the scopes that would do, and where to get them.
pub(super) fn insufficient_scope(oauth: Option<&OAuth>) -> Response<Body> {
    challenge(refuse(403, "the token lacks a scope"), &bearer(oauth, Some("insufficient_scope")))
}

/// A call that the token has too few scopes for. What everything here needs stands beside what this call needs: the new token must do.
pub(super) fn step_up(oauth: Option<&OAuth>, scopes: &str, text: String) -> Response<Body> {
    let always = oauth.map_or("", |oauth| oauth.scope.as_str());
    let mut words: Vec<&str> =
        always.split_ascii_whitespace().chain(scopes.split_ascii_whitespace()).collect();
    words.sort_unstable();
    words.dedup();
    let oauth = OAuth { scope: words.join(" "), ..oauth.cloned().unwrap_or_default() };
    challenge(
        json(Answer { text, status: 403, scopes: None }),
        &bearer(Some(&oauth), Some("insufficient_scope")),
    )
}

/// SPEC: RFC 9449 §7.1 and §9.
pub(super) fn invalid_proof(nonce: Option<&str>) -> Response<Body> {
    let error = if nonce.is_some() { "use_dpop_nonce" } else { "invalid_dpop_proof" };
    let text = format!(r#"DPoP realm="countersign", error="{error}""#);
    let mut response = challenge(refuse(401, "the proof of possession is not valid"), &text);
    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// SPEC: RFC 9728 §5.1: the challenge says where the metadata is.
fn bearer(oauth: Option<&OAuth>, error: Option<&str>) -> String {
    let mut text = r#"Bearer realm="countersign""#.to_owned();
    let mut add = |name: &str, value: &str| text.push_str(&format!(r#", {name}="{value}""#));
    if let Some(error) = error {
        add("error", error);
    }
    if let Some(oauth) = oauth {
        if !oauth.scope.is_empty() {
            add("scope", &oauth.scope);
        }
        if !oauth.url.is_empty() {
            add("resource_metadata", &oauth.url);
        }
    }
    text
}

fn challenge(mut response: Response<Body>, text: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

pub(super) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = refuse(405, "method not allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

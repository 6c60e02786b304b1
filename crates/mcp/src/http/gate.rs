//! What is checked on the head of a request, before anything else of it is looked at.

use std::sync::Arc;

use countersign_core::{Denied, Principal, pipeline::NotAdmitted};
use hyper::{
    HeaderMap, Method, Request, Response,
    header::{AUTHORIZATION, HOST, ORIGIN},
};

use super::{
    Connection,
    response::{self, Body, refuse},
};
use crate::{
    config::{Config, OAuth},
    peer::Presented,
    server::{NotAuthenticated, Server},
};

/// A refusal of the head.
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) message: &'static str,
    /// The name under which it is recorded.
    pub(super) event: &'static str,
}

/// Defence against DNS rebinding: a page of another site that a browser led here carries that site's name in `Host` and `Origin`.
///
/// SPEC: 2026-07-28 streamable HTTP, Security & Endpoint: an invalid `Origin` is 403.
pub(super) fn check_host_and_origin<B>(config: &Config, request: &Request<B>) -> Result<(), Refused> {
    let headers = request.headers();
    let host = sole(headers, HOST.as_str()).ok().flatten();
    // MUTATE(G6-host): any Host is served
    if !host.is_some_and(|host| is_ours(config, host)) {
        return Err(Refused {
            status: 421,
            message: "this server is not known by that `Host`",
            event: "host-refused",
        });
    }
    if request.uri().authority().is_some_and(|authority| !is_ours(config, authority.as_str())) {
        return Err(Refused {
            status: 421,
            message: "this server is not known by that name",
            event: "host-refused",
        });
    }
    match sole(headers, ORIGIN.as_str()) {
        Ok(None) => Ok(()),
        // MUTATE(G6-origin): any Origin is served
        Ok(Some(origin)) if may_call(config, origin) => Ok(()),
        _ => Err(Refused {
            status: 403,
            message: "requests from this `Origin` are not allowed",
            event: "origin-refused",
        }),
    }
}

fn is_ours(config: &Config, host: &str) -> bool {
    host_name(host).is_some_and(|name| is_loopback(&name) || config.hosts.contains(&name))
}

fn may_call(config: &Config, origin: &str) -> bool {
    let origin = origin.to_ascii_lowercase();
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    config.origins.contains(&origin) || host.and_then(host_name).is_some_and(|name| is_loopback(&name))
}

fn is_loopback(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// The name of `name[:port]`, lower case; nothing else may be in it.
fn host_name(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            (format!("[{address}]"), rest.strip_prefix(':').or(rest.is_empty().then_some(""))?)
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name.to_owned(), port),
            None => (host.to_owned(), ""),
        },
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    let good = !name.is_empty()
        && name.bytes().all(plain)
        && port.len() <= 5
        && port.bytes().all(|b| b.is_ascii_digit());
    good.then(|| name.to_ascii_lowercase())
}

/// The one value of a header; more than one, or bytes that are not text, is an error.
pub(super) fn sole<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// Who is calling: the credential, then the principal's rate. No byte of the body has been read.
pub(super) async fn identify<B>(
    connection: &Connection,
    request: &Request<B>,
) -> Result<Arc<Principal>, Box<Response<Body>>> {
    let server = &connection.server;
    // SPEC: authorization: a token is never in the query string, where logs and histories keep it.
    // MUTATE(G1-query): the query string is ignored
    if request.uri().query().is_some() {
        // What it holds may be a credential: the record says that there was one, and no more.
        server.pipeline.unauthenticated("query-refused", "", &connection.peer);
        return Err(Box::new(refuse(
            400,
            "the endpoint takes no query string; send credentials in a header",
        )));
    }
    let presented = presented(connection, request.method(), request.headers())?;
    let refused = match server.authenticator.authenticate(&presented).await {
        Ok(principal) => {
            connection.authenticated();
            let admitted = server.pipeline.admit(&principal).await;
            admitted.map_err(|refused| Box::new(turned_away(server, &refused)))?;
            return Ok(principal);
        }
        Err(refused) => refused,
    };
    let oauth = server.oauth();
    let oauth = oauth.as_deref();
    let (code, answer) = match refused {
        NotAuthenticated::Unavailable(part) => {
            return Err(Box::new(not_now(server, &Denied::Unavailable(part))));
        }
        NotAuthenticated::Scope(code) => {
            server.pipeline.unauthenticated("insufficient-scope", code, &connection.peer);
            return Err(Box::new(response::insufficient_scope(oauth)));
        }
        NotAuthenticated::Credential(code) => {
            (code, response::unauthenticated(oauth, !presented.authorization.is_empty()))
        }
        NotAuthenticated::Proof(code) => (code, response::invalid_proof(None)),
        NotAuthenticated::Nonce(nonce) => ("proof-nonce", response::invalid_proof(Some(&nonce))),
    };
    let wait = server.sources.fail(connection.from.source, server.now());
    let event = match (wait, presented.authorization.is_empty()) {
        (Some(_), _) => "too-many-failures",
        (None, true) => "no-credential",
        (None, false) => "wrong-credential",
    };
    // MUTATE(L5-login-record): what was wrong with the credential is not recorded
    server.pipeline.unauthenticated(event, code, &connection.peer);
    Err(Box::new(match wait {
        Some(wait) => response::retry(429, "too many failed authentications".into(), wait),
        None => answer,
    }))
}

/// What a request shows of its sender. A header that is there twice says nothing.
pub(super) fn presented<'r>(
    connection: &'r Connection,
    method: &'r Method,
    headers: &'r HeaderMap,
) -> Result<Presented<'r>, Box<Response<Body>>> {
    let authorization = authorization(headers)?;
    let proof = sole(headers, "dpop").map_err(|()| Box::new(refuse(400, "send one `DPoP` header")))?;
    Ok(Presented { authorization, proof, method: method.as_str(), peer: &connection.from })
}

/// SPEC: RFC 9728 §3.1 and MCP 2026-07-28: the well-known path alone, and with the path of the resource behind it.
pub(super) fn is_metadata(oauth: &OAuth, path: &str) -> bool {
    let own = oauth.url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    path == WELL_KNOWN || Some(path) == own || path.strip_prefix(WELL_KNOWN) == Some("/mcp")
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

fn authorization(headers: &HeaderMap) -> Result<&[u8], Box<Response<Body>>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(b""),
        (Some(value), None) => Ok(value.as_bytes()),
        (Some(_), Some(_)) => Err(Box::new(refuse(400, "send one `Authorization` header"))),
    }
}

/// The answer to a request that was not admitted.
fn turned_away(server: &Server, refused: &NotAdmitted) -> Response<Body> {
    match refused.id {
        Some(_) => response::retry(503, refused.public(), std::time::Duration::from_secs(1)),
        None => not_now(server, &refused.denied),
    }
}

/// A limit is reached, or a part that must work does not.
pub(super) fn not_now(server: &Server, denied: &Denied) -> Response<Body> {
    let wait = denied.retry_after().unwrap_or(std::time::Duration::from_secs(1));
    match denied {
        Denied::Unauthenticated => response::unauthenticated(server.oauth().as_deref(), true),
        Denied::Frozen(_) => refuse(403, denied.public()),
        Denied::Limited { .. } => response::retry(429, denied.public(), wait),
        _ => response::retry(503, denied.public(), wait),
    }
}

//! GET and DELETE of the legacy era: the standalone stream of a session, and its end.

use std::sync::Arc;

use countersign_core::{Principal, RunId, Transport, stops::Subject};
use hyper::{HeaderMap, Method, Request, Response, header::AUTHORIZATION};

use super::{
    Connection,
    gate::{not_now, sole},
    post::find_session,
    response::{self, Body, SESSION_ID, refuse},
    sse::{Recheck, SseBody},
};
use crate::{
    era::Revision, headers::VERSION, listen, methods::Context, peer::Presented, running::CancelOnDrop,
    session::Session,
};

/// Opens the one standalone stream of a session.
pub(super) fn get<B>(
    connection: &Arc<Connection>,
    principal: &Arc<Principal>,
    request: &Request<B>,
) -> Response<Body> {
    let session = match legacy_session(connection, principal, request) {
        Ok(session) => session,
        Err(refused) => return *refused,
    };
    let accept = super::post::Accept::read(request.headers());
    if !accept.events {
        return refuse(406, "the stream is `text/event-stream`");
    }
    let server = &connection.server;
    let Some(stream) = session.open_stream() else {
        return refuse(409, "this session has a stream already");
    };
    let place = match server.streams.take(principal) {
        Ok(place) => place,
        Err(denied) => return not_now(server, &denied),
    };
    let context = context(connection, principal, &session);
    let running = listen::standalone(&context, &session, stream, place);
    let guard = CancelOnDrop(Some(running.cancel.clone()));
    let recheck = recheck(connection, principal, &session.run, request.method(), request.headers());
    response::stream(SseBody::new(running, None, guard, server.config.keep_alive, recheck))
}

/// Ends a session.
pub(super) fn delete<B>(
    connection: &Arc<Connection>,
    principal: &Arc<Principal>,
    request: &Request<B>,
) -> Response<Body> {
    match legacy_session(connection, principal, request) {
        Ok(_) => {
            let id = sole(request.headers(), SESSION_ID.as_str()).ok().flatten().unwrap_or_default();
            connection.server.sessions.close(id.as_bytes());
            response::accepted()
        }
        Err(refused) => *refused,
    }
}

/// SPEC: 2026-07-28 streamable HTTP, Earlier Revisions: the stateless era has neither method.
fn legacy_session<B>(
    connection: &Connection,
    principal: &Principal,
    request: &Request<B>,
) -> Result<Arc<Session>, Box<Response<Body>>> {
    let headers = request.headers();
    let version = sole(headers, VERSION).ok().flatten();
    let modern = version.and_then(Revision::parse).is_some_and(Revision::is_modern);
    if modern || (version.is_none() && !headers.contains_key(SESSION_ID)) {
        return Err(Box::new(response::method_not_allowed("POST")));
    }
    find_session(connection, principal, headers).map_err(|error| Box::new(response::rpc(&error)))
}

pub(super) fn context(
    connection: &Connection,
    principal: &Arc<Principal>,
    session: &Arc<Session>,
) -> Context {
    let negotiated = session.negotiated();
    Context {
        server: Arc::clone(&connection.server),
        principal: Arc::clone(principal),
        revision: negotiated.map_or(Revision::V2025_11_25, |negotiated| negotiated.revision),
        session: Some(Arc::clone(session)),
        capabilities: negotiated.map(|negotiated| negotiated.capabilities).unwrap_or_default(),
        client: negotiated.and_then(|negotiated| negotiated.client.clone()),
        level: session.level(),
        run: session.run.clone(),
        peer: Arc::clone(&connection.peer),
        transport: Transport::Http,
        streams: true,
    }
}

/// Asks again whether the credential of a request holds. It is kept for as long as the stream is open, and no longer.
pub(super) fn recheck(
    connection: &Arc<Connection>,
    principal: &Arc<Principal>,
    run: &RunId,
    method: &Method,
    headers: &HeaderMap,
) -> Recheck {
    let credential = headers.get(AUTHORIZATION).cloned();
    let (connection, principal) = (Arc::clone(connection), Arc::clone(principal));
    let (run, method) = (run.clone(), method.clone());
    Arc::new(move || {
        let presented = Presented {
            authorization: credential.as_ref().map_or(&b""[..], |value| value.as_bytes()),
            proof: None,
            method: method.as_str(),
            peer: &connection.from,
        };
        let server = &connection.server;
        let subject = Subject { principal: &principal, run: Some(&run), tool: None };
        let holds = server.authenticator.still_holds(&presented, &principal);
        // MUTATE(G5-stop-streams): a stream outlives the revocation of its principal
        let going = holds && server.pipeline.going(&subject).is_ok();
        // MUTATE(G3-open-streams): a stream outlives the certificate of its connection
        going && connection.still_trusted()
    })
}

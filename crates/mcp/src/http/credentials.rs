//! The two resources beside `/mcp` for holders of this server's own credentials: the public keys, and a narrower credential.

use std::sync::Arc;

use countersign_core::json;
use hyper::{Method, Request, Response, body::Incoming};

use super::{
    Connection, gate,
    post::{Accept, check_head, read_body},
    response::{self, Body, refuse},
};
use crate::credentials::{Credentials, NarrowRequest, NotNarrowed};

/// Where the public keys are. They need no credential: they are public.
pub(super) const KEYS: &str = "/.well-known/jwks.json";
/// Where a credential is narrowed.
pub(super) const NARROW: &str = "/credentials/narrow";

/// One request to one of the two paths.
pub(super) async fn serve(
    connection: &Arc<Connection>,
    credentials: &dyn Credentials,
    request: Request<Incoming>,
) -> Response<Body> {
    match (request.uri().path(), request.method()) {
        (KEYS, &Method::GET) => match credentials.keys() {
            Ok(keys) => response::document(&keys),
            Err(denied) => gate::not_now(&connection.server, &denied),
        },
        (KEYS, _) => response::method_not_allowed("GET"),
        (_, &Method::POST) => match narrow(connection, credentials, request).await {
            Ok(answer) => response::document(&answer),
            Err(refused) => *refused,
        },
        _ => response::method_not_allowed("POST"),
    }
}

/// The gates of `/mcp`, in their order: credential and rate, head, body; then the issue.
async fn narrow(
    connection: &Arc<Connection>,
    credentials: &dyn Credentials,
    request: Request<Incoming>,
) -> Result<String, Box<Response<Body>>> {
    let config = &connection.server.config;
    // MUTATE(G5-narrow-gate): a revoked credential is narrowed
    let principal = gate::identify(connection, &request).await?;
    check_head(connection, request.headers(), Accept::read(request.headers()))?;
    let (head, body) = request.into_parts();
    let body = read_body(body, connection).await?;
    let parsed = json::parse(&body, config.json_limits()).ok().filter(json::Value::is_object);
    let body = parsed.ok_or_else(|| Box::new(refuse(400, "the body must be one JSON object")))?;
    let presented = gate::presented(connection, &head.method, &head.headers)?;
    let request = NarrowRequest { principal: &principal, presented: &presented, body: &body };
    credentials.narrow(request).await.map_err(|refused| {
        Box::new(match refused {
            NotNarrowed::Invalid(rule) => refuse(400, rule),
            NotNarrowed::Forbidden(rule) => refuse(403, rule),
            NotNarrowed::Denied(denied) => gate::not_now(&connection.server, &denied),
        })
    })
}

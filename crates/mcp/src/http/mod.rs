//! Streamable HTTP: connections, and the order in which a request passes its gates.
//!
//! ```text
//! Host and Origin ─▶ path and method ─▶ credential ─▶ rate of the principal ─▶ media types and size ─▶ body ─▶ envelope ─▶ era ─▶ method
//! ```
//! Nothing of a body is read before its sender is known. This server speaks plain HTTP; the binary binds it to loopback only.

mod gate;
mod post;
mod response;
mod sources;
mod sse;
mod stream;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub(crate) use post::{notified, reacted};
pub(crate) use sources::Sources;

use self::response::{Body, refuse};
use crate::server::Server;

/// One client connection.
struct Connection {
    server: Arc<Server>,
    ip: IpAddr,
    peer: Arc<str>,
    /// Held until somebody has authenticated on this connection.
    anonymous: Mutex<Option<sources::Place>>,
}

/// Serves until `shutdown` fires, then lets requests finish within the configured time.
pub async fn serve_http(
    listener: TcpListener,
    server: Arc<Server>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
            _ = sweep.tick() => {
                server.sessions.sweep(server.now());
                continue;
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, address)) => admit(&server, &mut connections, stream, address),
            // Out of file descriptors, or the peer is gone already: neither is a reason to stop.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    drop(listener);
    server.closing.cancel();
    let deadline = Instant::now() + server.config.drain;
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout_at(deadline, drained).await;
    // A legacy call goes on without its connection: it has the rest of the time.
    server.finish(deadline.saturating_duration_since(Instant::now())).await;
    server.sessions.end_all();
    connections.shutdown().await;
    Ok(())
}

/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// Takes a connection in, unless there are too many: in all, or from an address that has not shown who it is.
fn admit(server: &Arc<Server>, connections: &mut JoinSet<()>, stream: TcpStream, address: SocketAddr) {
    let full = connections.len() >= server.config.connections;
    let place = if full { None } else { server.sources.connect(address.ip()) };
    let Some(place) = place else {
        server.pipeline.unauthenticated("connections", "", &address.ip().to_string());
        let _ = stream.try_write(BUSY);
        return;
    };
    // Answers are single writes; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let connection = Arc::new(Connection {
        server: Arc::clone(server),
        ip: address.ip(),
        peer: address.ip().to_string().into(),
        anonymous: Mutex::new(Some(place)),
    });
    connections.spawn(run(connection, stream));
}

const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

async fn run(connection: Arc<Connection>, stream: TcpStream) {
    let config = &connection.server.config;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_headers(config.header_count)
        .max_buf_size(config.header_bytes.max(8192));
    let closing = connection.server.closing.clone();
    let service = service_fn(|request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(serve(&connection, request).await) }
    });
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = served.as_mut() => {}
        () = closing.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}

/// One request, from its head on.
async fn serve(connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
    let server = &connection.server;
    if let Err(refused) = gate::check_host_and_origin(&server.config, &request) {
        server.pipeline.security_event(refused.event, None, &connection.peer);
        return refuse(refused.status, refused.message);
    }
    match (request.uri().path(), request.method()) {
        ("/healthz", &Method::GET) => response::health(true),
        ("/readyz", &Method::GET) => {
            response::health(!server.closing.is_cancelled() && server.pipeline.policy.current().is_ok())
        }
        ("/mcp", &Method::POST | &Method::GET | &Method::DELETE) => {
            match gate::identify(connection, &request) {
                Ok(principal) => match *request.method() {
                    Method::POST => post::post(connection, principal, request).await,
                    Method::GET => stream::get(connection, &principal, &request),
                    _ => stream::delete(connection, &principal, &request),
                },
                Err(refused) => *refused,
            }
        }
        ("/mcp", _) => response::method_not_allowed("POST, GET, DELETE"),
        _ => refuse(404, "not found"),
    }
}

impl Connection {
    /// Somebody has authenticated here: the connection no longer counts against its address.
    fn authenticated(&self) {
        self.anonymous.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

//! Streamable HTTP: connections, and the order in which a request passes its gates.
//!
//! ```text
//! client certificate ─▶ Host and Origin ─▶ path and method ─▶ credential ─▶ rate of the principal ─▶ media types and size ─▶ body ─▶ envelope ─▶ era ─▶ method
//! ```
//! Nothing of a body is read before its sender is known.

mod certificate;
mod credentials;
mod gate;
mod listener;
mod post;
mod response;
mod sources;
mod sse;
mod stream;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use listener::{Listener, Tls, TlsSettings};
pub(crate) use post::{notified, reacted};
pub(crate) use sources::Sources;

use self::{
    certificate::Shown,
    listener::Accepted,
    response::{Body, refuse},
};
use crate::{peer::Peer, server::Server};

/// One client connection.
struct Connection {
    server: Arc<Server>,
    from: Peer,
    /// The certificate in `from`, with what it takes to judge it again.
    shown: Option<Shown>,
    /// Where it comes from, as records show it.
    peer: Arc<str>,
    /// Held until somebody has authenticated on this connection.
    anonymous: Mutex<Option<sources::Place>>,
}

/// Serves until `shutdown` fires, then lets requests finish within the configured time.
pub async fn serve_http(
    listener: impl Into<Listener>,
    server: Arc<Server>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let listener = listener.into();
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
            Ok((stream, from)) => admit(&server, &mut connections, stream, from),
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
fn admit(server: &Arc<Server>, connections: &mut JoinSet<()>, stream: Accepted, from: Peer) {
    let full = connections.len() >= server.config.connections;
    let place = if full { None } else { server.sources.connect(from.source) };
    let peer = from.source.to_string();
    let Some(place) = place else {
        server.pipeline.unauthenticated("connections", "", &peer);
        stream.refuse(BUSY);
        return;
    };
    let anonymous = Mutex::new(Some(place));
    let connection =
        Connection { server: Arc::clone(server), from, shown: None, peer: peer.into(), anonymous };
    connections.spawn(open(connection, stream));
}

const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Does what must be done before HTTP can be spoken: nothing, or the handshake of TLS, in the time that a head may take.
async fn open(mut connection: Connection, stream: Accepted) {
    let (stream, settings) = match stream {
        Accepted::Unix(stream) => return run(Arc::new(connection), stream).await,
        Accepted::Tcp(stream, None) => return run(Arc::new(connection), stream).await,
        Accepted::Tcp(stream, Some(settings)) => (stream, settings),
    };
    let rules = settings().config;
    let handshake = TlsAcceptor::from(Arc::clone(&rules)).accept(stream);
    let server = &connection.server;
    match tokio::time::timeout(server.config.header_timeout, handshake).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            connection.shown = Shown::in_handshake(session, settings, rules);
            connection.from.certificate = connection.shown.as_ref().and_then(Shown::leaf);
            run(Arc::new(connection), stream).await;
        }
        Ok(Err(_)) => server.pipeline.unauthenticated("tls-refused", "handshake", &connection.peer),
        Err(_) => server.pipeline.unauthenticated("tls-refused", "time", &connection.peer),
    }
}

async fn run<S>(connection: Arc<Connection>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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
    if !connection.still_trusted() {
        server.pipeline.unauthenticated("wrong-credential", "certificate-withdrawn", &connection.peer);
        return response::goodbye();
    }
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
            match gate::identify(connection, &request).await {
                Ok(principal) => match *request.method() {
                    Method::POST => post::post(connection, principal, request).await,
                    Method::GET => stream::get(connection, &principal, &request),
                    _ => stream::delete(connection, &principal, &request),
                },
                Err(refused) => *refused,
            }
        }
        (credentials::KEYS | credentials::NARROW, _) => match &server.credentials {
            Some(own) => credentials::serve(connection, own.as_ref(), request).await,
            None => refuse(404, "not found"),
        },
        ("/mcp", _) => response::method_not_allowed("POST, GET, DELETE"),
        (path, &Method::GET) => match server.oauth() {
            Some(oauth) if gate::is_metadata(&oauth, path) => response::document(&oauth.document),
            _ => refuse(404, "not found"),
        },
        _ => refuse(404, "not found"),
    }
}

impl Connection {
    /// Whether the client's certificate, if it showed one, is one that a handshake would accept now.
    fn still_trusted(&self) -> bool {
        // MUTATE(G3-open-connections): a revoked certificate lasts as long as its connection
        self.shown.as_ref().is_none_or(Shown::holds)
    }

    /// Somebody has authenticated here: the connection no longer counts against its address.
    fn authenticated(&self) {
        self.anonymous.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

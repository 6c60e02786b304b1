//! The hop loop. [`Client::open`] is the whole of it.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, StatusCode, Version,
    body::{Body as _, Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::time::timeout_at;

use super::{
    body::Streaming,
    connect::{Dialling, Duplex, Reached, connect},
    error::FetchError,
    limits::{Clock, Limits},
    names::NameClass,
    policy::{Policy, Proxy},
    request::{Request, Response, content_type},
    target::Target,
};
use crate::{
    address::AddressClass,
    resolve::{Resolver, SystemResolver},
    tls::{Roots, Tls, TlsError},
};

/// Makes requests, each under a policy. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    tls: Tls,
    resolver: Arc<dyn Resolver>,
    proxy: Option<Arc<Proxy>>,
}

impl Client {
    /// A client that trusts these authorities and asks the operating system's resolver. The environment is not asked for a proxy.
    ///
    /// # Errors
    /// [`TlsError`] if no authority can be read.
    pub fn new(roots: &Roots) -> Result<Client, TlsError> {
        Ok(Client { tls: Tls::new(roots)?.for_http(), resolver: Arc::new(SystemResolver), proxy: None })
    }

    /// With another resolver.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Client {
        self.resolver = resolver;
        self
    }

    /// Through a proxy of the operator's.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Client {
        self.proxy = Some(Arc::new(proxy));
        self
    }

    /// Fetches a URL.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn get(&self, url: &str, policy: &Policy) -> Result<Response, FetchError> {
        self.send(Request::get(url), policy).await
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn send(&self, request: Request, policy: &Policy) -> Result<Response, FetchError> {
        self.open(request, policy).await?.collect().await
    }

    /// Sends a request, follows redirects of a `GET`, and yields the last answer with its body still to be read.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn open(&self, request: Request, policy: &Policy) -> Result<Streaming, FetchError> {
        let limits = policy.limits();
        let clock = Clock::start(limits);
        let mut target = Target::parse(&request.url).map_err(FetchError::Url)?;
        let mut headers = request.headers.clone();
        let mut hops = 0;
        loop {
            // INVARIANT: nothing of a hop happens before its URL is judged, whoever wrote it.
            // MUTATE(F1-hop): a redirect is followed unjudged
            policy.judge(&target)?;
            let hop =
                Hop { target: &target, method: &request.method, headers: &headers, body: &request.body };
            let hop = hop.request()?;
            let with =
                Dialling { resolver: self.resolver.as_ref(), tls: &self.tls, proxy: self.proxy.as_deref() };
            let reached = connect(&target, policy, with, clock).await?;
            let answer = exchange(reached, hop, limits, clock).await.map_err(|cause| match request.once {
                // MUTATE(F1-sent): a request that was sent and not answered passes for one that did not happen
                true => FetchError::Unanswered(Box::new(cause)),
                false => cause,
            })?;
            let status = answer.head.status().as_u16();
            let Some(location) = location(&answer.head).filter(|_| !request.once) else {
                return finish(answer, &target, policy, clock).map_err(|cause| match request.once {
                    true => FetchError::Unread { status, cause: Box::new(cause) },
                    false => cause,
                });
            };
            // INVARIANT: what a request carries goes to the host in its URL and to no other.
            // MUTATE(F1-resent): a redirect has the body sent to where it leads
            if request.method != Method::GET {
                return Err(FetchError::Redirected);
            }
            // MUTATE(F2-redirects): redirects are followed without end
            if hops >= limits.redirects {
                return Err(FetchError::Redirects(limits.redirects));
            }
            hops += 1;
            let next = follow(&target, location)?;
            // MUTATE(F2-origin): another origin is told the caller's credentials
            if !next.same_origin(&target) {
                headers = across_origins(&headers);
            }
            target = next;
        }
    }
}

/// One request on one connection, up to the end of the answer's head.
async fn exchange(
    reached: Reached,
    request: hyper::Request<Full<Bytes>>,
    limits: &Limits,
    clock: Clock,
) -> Result<Answer, FetchError> {
    let deadline = clock.limit("the head of the answer", limits.head);
    let exchanging = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(limits.headers)
            // MUTATE(F2-head): a head of any size is read
            .max_header_size(limits.head_bytes)
            .handshake(TokioIo::new(reached.stream))
            .await?;
        let mut wire = Wire(Some(Box::pin(connection)));
        let head = wire.drive(sender.send_request(request)).await?;
        Ok(Answer { head, wire, peer: reached.peer })
    };
    match timeout_at(deadline.at, exchanging).await {
        Ok(answer) => answer.map_err(FetchError::Protocol),
        Err(_) => Err(deadline.passed()),
    }
}

/// One request of the chain.
struct Hop<'r> {
    target: &'r Target,
    method: &'r Method,
    headers: &'r HeaderMap,
    body: &'r Bytes,
}

impl Hop<'_> {
    /// The request as it is sent. INVARIANT: it asks for what was judged; a URL that cannot be sent as it is, is not sent otherwise.
    fn request(&self) -> Result<hyper::Request<Full<Bytes>>, FetchError> {
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.version_mut() = Version::HTTP_11;
        let unsendable = || FetchError::Url(super::UrlRule::Syntax);
        *request.uri_mut() = self.target.path().parse().map_err(|_| unsendable())?;
        let host = HeaderValue::from_str(&self.target.authority()).map_err(|_| unsendable())?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().extend(self.headers.clone());
        let own = request.headers_mut();
        // INVARIANT: a body's size is what comes over the wire; an answer that is encoded all the same is refused.
        own.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        own.insert(header::CONNECTION, HeaderValue::from_static("close"));
        own.entry(header::USER_AGENT).or_insert(HeaderValue::from_static("countersign"));
        own.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        Ok(request)
    }
}

/// The head of an answer, and the connection that its body comes over.
struct Answer {
    head: hyper::Response<Incoming>,
    wire: Wire,
    peer: Option<SocketAddr>,
}

/// The state of a connection, polled together with what waits for it: dropping either ends both.
pub(super) struct Wire(Option<Pin<Box<Connection>>>);

type Connection = http1::Connection<TokioIo<Box<dyn Duplex>>, Full<Bytes>>;

impl Wire {
    /// Waits for `work` while the connection moves.
    pub(super) async fn drive<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            self.advance(context);
            work.as_mut().poll(context)
        })
        .await
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        // What goes wrong with the connection, `work` is told as well.
        if let Some(connection) = &mut self.0
            && let Poll::Ready(_) = connection.as_mut().poll(context)
        {
            self.0 = None;
        }
    }
}

/// Where a redirect leads, if the answer is one (RFC 9110 §15.4).
fn location(head: &hyper::Response<Incoming>) -> Option<&HeaderValue> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    head.headers().get(header::LOCATION).filter(|_| redirects.contains(&head.status()))
}

fn follow(from: &Target, location: &HeaderValue) -> Result<Target, FetchError> {
    // Names outside ASCII are sent encoded.
    let location = location.to_str().map_err(|_| FetchError::Location(super::UrlRule::Character))?;
    let next = from.join(location).map_err(FetchError::Location)?;
    // MUTATE(F2-downgrade): a redirect leaves https
    match from.is_tls() && !next.is_tls() {
        true => Err(FetchError::Downgrade),
        false => Ok(next),
    }
}

/// INVARIANT: another origin learns nothing that was meant for this one: credentials travel in headers of many names.
fn across_origins(headers: &HeaderMap) -> HeaderMap {
    let harmless = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];
    let kept = headers.iter().filter(|(name, _)| harmless.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Judges the head of the last answer.
fn finish(answer: Answer, target: &Target, policy: &Policy, clock: Clock) -> Result<Streaming, FetchError> {
    let (head, body) = answer.head.into_parts();
    let limits = policy.limits();
    let of = |name, plain: &'static str| {
        let mut values = head.headers.get_all(name).iter();
        values.all(move |value| value.as_bytes().eq_ignore_ascii_case(plain.as_bytes()))
    };
    // MUTATE(F2-encoded): a compressed answer is passed on
    if !of(header::CONTENT_ENCODING, "identity") || !of(header::TRANSFER_ENCODING, "chunked") {
        return Err(FetchError::Encoded);
    }
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length > limits.body) {
        return Err(FetchError::Large(limits.body));
    }
    let kind = content_type(&head.headers).unwrap_or_default();
    // MUTATE(F2-type): an answer of any type is read
    if length != Some(0) && !policy.takes(&kind) {
        return Err(FetchError::Type(kind));
    }
    let outside = match answer.peer {
        // MUTATE(M3-outside): a page of this machine or of the inside passes for one of the world
        Some(peer) => policy.addresses().judge(peer.ip()) == Ok(AddressClass::Public),
        None => NameClass::of(target.host()) == NameClass::Public,
    };
    Ok(Streaming::new(head, target, outside, body, answer.wire).under(limits.clone(), clock))
}

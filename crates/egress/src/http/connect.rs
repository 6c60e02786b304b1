//! From a judged URL to a stream: resolve once, judge every address, dial one of them, through the operator's proxy if there is one, and
//! have the server prove its name.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

use super::{
    error::FetchError,
    limits::Clock,
    names::is_platform_port,
    policy::{Cleartext, Policy, Proxy, ProxyLogin},
    target::{Target, authority},
};
use crate::{
    address::{AddressClass, AddressPolicy},
    dial::{DialError, Endpoint, Stream, dial_resolved, judged, open_any, resolve},
    resolve::Resolver,
    tls::Tls,
};

/// Bytes both ways, encrypted or not.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Duplex for T {}

/// Whom a stream leads to.
pub(super) struct Reached {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) peer: Option<SocketAddr>,
}

/// What a client dials with.
pub(super) struct Dialling<'c> {
    pub(super) resolver: &'c dyn Resolver,
    pub(super) tls: &'c Tls,
    pub(super) proxy: Option<&'c Proxy>,
}

/// Connects to a target that the policy has judged.
pub(super) async fn connect(
    target: &Target,
    policy: &Policy,
    with: Dialling<'_>,
    clock: Clock,
) -> Result<Reached, FetchError> {
    let deadline = clock.limit("connecting", policy.limits().connect);
    let connecting = async {
        let (stream, peer) = match with.proxy {
            Some(proxy) => tunnel(target, policy, with.resolver, proxy, deadline.at).await?,
            None => {
                let addresses = addresses(target, policy, with.resolver).await?;
                let dialed = open_any(&addresses, deadline.at).await?;
                (dialed.stream, dialed.peer)
            }
        };
        let stream: Box<dyn Duplex> = match target.is_tls() {
            // INVARIANT: the certificate is for the name in the URL, whatever address was dialled.
            true => Box::new(with.tls.connect(stream, target.host()).await.map_err(FetchError::Tls)?),
            false => Box::new(stream),
        };
        Ok(Reached { stream, peer })
    };
    match timeout_at(deadline.at, connecting).await {
        Ok(Err(FetchError::Connect(DialError::Deadline))) | Err(_) => Err(deadline.passed()),
        Ok(reached) => reached,
    }
}

/// The addresses of a target, every one judged.
async fn addresses(
    target: &Target,
    policy: &Policy,
    resolver: &dyn Resolver,
) -> Result<Vec<SocketAddr>, FetchError> {
    let found = resolve(resolver, target.host(), target.port()).await?;
    let found = judged(found, policy.addresses())?;
    let class = |address: &SocketAddr| AddressClass::of(address.ip());
    let on_loopback = found.iter().all(|address| class(address) == AddressClass::Loopback);
    if !target.is_tls() && policy.cleartext() == Cleartext::Loopback && !on_loopback {
        return Err(FetchError::Cleartext);
    }
    let inside = found.iter().any(|address| class(address) != AddressClass::Public);
    // MUTATE(F3-port): a private network that may be reached gives away its orchestrator
    if inside && is_platform_port(target.port()) && !policy.names(target.host(), target.port()) {
        return Err(FetchError::PlatformPort(target.port()));
    }
    Ok(found)
}

/// A stream through the proxy: to the address that we judged, unless the operator leaves names to the proxy.
async fn tunnel(
    target: &Target,
    policy: &Policy,
    resolver: &dyn Resolver,
    proxy: &Proxy,
    deadline: Instant,
) -> Result<(Stream, Option<SocketAddr>), FetchError> {
    let (peer, to) = match proxy.resolves && target.address().is_none() {
        true => (None, authority(target.host(), Some(target.port()))),
        false => {
            let first = addresses(target, policy, resolver).await?.into_iter().next();
            let first = first.ok_or_else(|| FetchError::Resolve(std::io::ErrorKind::NotFound.into()))?;
            (Some(first), first.to_string())
        }
    };
    let endpoint = Endpoint::Tcp { host: proxy.host.clone(), port: proxy.port };
    let dialed = dial_resolved(resolver, &endpoint, &AddressPolicy::operator_named(), deadline).await?;
    let mut stream = dialed.stream;
    stream.write_all(ask(&to, proxy.login.as_ref()).as_bytes()).await.map_err(|_| FetchError::Proxy)?;
    match answer(&mut stream).await {
        Some(200..=299) => Ok((stream, peer)),
        Some(407) => Err(FetchError::ProxyLogin),
        _ => Err(FetchError::Proxy),
    }
}

/// What the proxy is asked. INVARIANT: the login is in this request alone, which ends at the proxy.
fn ask(to: &str, login: Option<&ProxyLogin>) -> Zeroizing<String> {
    let login = login.map(ProxyLogin::header).unwrap_or_default();
    let login = login.as_str();
    let name = if login.is_empty() { "" } else { "Proxy-Authorization: " };
    let end = if login.is_empty() { "" } else { "\r\n" };
    Zeroizing::new(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{name}{login}{end}\r\n"))
}

/// The status of the proxy's answer, read to the end of its head and no byte further: what follows is the server's.
async fn answer(stream: &mut Stream) -> Option<u16> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_PROXY_HEAD {
            return None;
        }
        head.push(stream.read_u8().await.ok()?);
    }
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let status = rest.split(' ').next().filter(|status| status.len() == 3)?;
    version.starts_with("HTTP/1.").then(|| status.parse().ok())?
}

/// Bytes of the proxy's head.
const MAX_PROXY_HEAD: usize = 8 * 1024;

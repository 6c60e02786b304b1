//! Dialling: resolve once, judge every answer, connect to one that was judged, and check who answered.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream, UnixStream},
    time::{Instant, timeout_at},
};

use crate::{
    address::{AddressClass, AddressPolicy},
    resolve::{Resolver, SystemResolver},
};

/// Where to connect.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// A host name or IP address, and a port.
    Tcp {
        /// A DNS name, or an address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(f, "{host}:{port}"),
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("the name cannot be resolved")]
    Resolve(#[source] io::Error),
    /// One of the name's addresses may not be dialled; none of them is then.
    #[error("the address {address} may not be dialled: it is {class}")]
    Forbidden {
        /// The address.
        address: IpAddr,
        /// What it is.
        class: AddressClass,
    },
    /// No address accepted a connection; the last error.
    #[error("the connection failed")]
    Connect(#[source] io::Error),
    /// The connection leads to another address than the one that was dialled.
    #[error("another address answered than was dialled")]
    Peer,
    /// The deadline passed.
    #[error("connecting took too long")]
    Deadline,
}

/// A connection, and to whom.
#[derive(Debug)]
pub struct Dialed {
    /// The connection.
    pub stream: Stream,
    /// The address that was dialled; none for a unix socket.
    pub peer: Option<SocketAddr>,
}

impl Dialed {
    /// Whether the connection never leaves this machine.
    pub fn is_local(&self) -> bool {
        self.peer.is_none_or(|peer| AddressClass::of(peer.ip()) == AddressClass::Loopback)
    }
}

/// A stream of bytes to an endpoint.
#[derive(Debug)]
pub enum Stream {
    /// TCP, without delay.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

/// Connects to `endpoint` before `deadline`; the operating system resolves its name.
///
/// # Errors
/// [`DialError`]. A name of which a single address is forbidden is refused whole.
pub async fn dial(
    endpoint: &Endpoint,
    policy: &AddressPolicy,
    deadline: Instant,
) -> Result<Dialed, DialError> {
    dial_resolved(&SystemResolver, endpoint, policy, deadline).await
}

/// As [`dial`], with names resolved by `resolver`.
///
/// # Errors
/// [`DialError`].
pub async fn dial_resolved(
    resolver: &dyn Resolver,
    endpoint: &Endpoint,
    policy: &AddressPolicy,
    deadline: Instant,
) -> Result<Dialed, DialError> {
    match timeout_at(deadline, connect(resolver, endpoint, policy, deadline)).await {
        Ok(dialed) => dialed,
        Err(_) => Err(DialError::Deadline),
    }
}

async fn connect(
    resolver: &dyn Resolver,
    endpoint: &Endpoint,
    policy: &AddressPolicy,
    deadline: Instant,
) -> Result<Dialed, DialError> {
    match endpoint {
        Endpoint::Tcp { host, port } => {
            open_any(&judged(resolve(resolver, host, *port).await?, policy)?, deadline).await
        }
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(DialError::Connect)?;
            Ok(Dialed { stream: Stream::Unix(stream), peer: None })
        }
    }
}

/// All addresses of a host. An address is its own answer: no resolver sees it.
pub(crate) async fn resolve(
    resolver: &dyn Resolver,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(address) = IpAddr::from_str(host) {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = resolver.resolve(host).await.map_err(DialError::Resolve)?;
    match found.is_empty() {
        true => Err(DialError::Resolve(io::ErrorKind::NotFound.into())),
        false => Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect()),
    }
}

/// INVARIANT: what is dialled is what was judged. Nothing resolves a name after this.
pub(crate) fn judged(
    addresses: Vec<SocketAddr>,
    policy: &AddressPolicy,
) -> Result<Vec<SocketAddr>, DialError> {
    for address in &addresses {
        // MUTATE(F1-dial-policy): any address is dialled
        if let Err(class) = policy.judge(address.ip()) {
            return Err(DialError::Forbidden { address: address.ip(), class });
        }
    }
    Ok(addresses)
}

/// Connects to the first address that answers; one that is silent does not use up the time of the others.
pub(crate) async fn open_any(addresses: &[SocketAddr], deadline: Instant) -> Result<Dialed, DialError> {
    let mut last = DialError::Connect(io::ErrorKind::NotFound.into());
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for &address in addresses {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now).checked_div(left).unwrap_or_default();
        left = left.saturating_sub(1);
        match timeout_at(now + share, open(address)).await {
            // INVARIANT: whoever answers is whom we judged.
            Ok(Ok(stream)) if stream.peer_addr().is_ok_and(|peer| peer == address) => {
                return Ok(Dialed { stream: Stream::Tcp(stream), peer: Some(address) });
            }
            Ok(Ok(_)) => return Err(DialError::Peer),
            Ok(Err(error)) => last = DialError::Connect(error),
            Err(_) => last = DialError::Deadline,
        }
    }
    Err(last)
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_keepalive(true)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests;

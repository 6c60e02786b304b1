//! Where connections come from: TCP on this machine, TLS, or a unix socket whose peers the kernel names.

use std::{io, net::IpAddr, sync::Arc};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::rustls::{ServerConfig, server::danger::ClientCertVerifier};

use crate::peer::{Peer, Source};

/// Certificate and rules of TLS.
#[derive(Clone)]
pub struct Tls {
    /// For a handshake. Other rules are another value, not this one changed.
    pub config: Arc<ServerConfig>,
    /// The same rules for clients' certificates, for connections that are open; none if clients are not asked for one.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// Says what holds now. Asked for every connection and request, so that other rules need no restart.
pub type TlsSettings = Arc<dyn Fn() -> Tls + Send + Sync>;

/// A bound listener.
pub enum Listener {
    /// Plain HTTP; the binary binds it to loopback only.
    Tcp(TcpListener),
    /// HTTP over TLS.
    Tls(TcpListener, TlsSettings),
    /// Plain HTTP on a unix socket.
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener::Tcp(listener)
    }
}

/// A connection, before a byte of it was read.
pub(super) enum Accepted {
    Tcp(TcpStream, Option<TlsSettings>),
    Unix(UnixStream),
}

impl Listener {
    /// The next connection. A peer whose user the kernel does not tell is none.
    pub(super) async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        let (listener, tls) = match self {
            Listener::Tcp(listener) => (listener, None),
            Listener::Tls(listener, settings) => (listener, Some(Arc::clone(settings))),
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let source = Source::User(stream.peer_cred()?.uid());
                return Ok((Accepted::Unix(stream), Peer { source, certificate: None }));
            }
        };
        let (stream, address) = listener.accept().await?;
        // Answers are single writes; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        Ok((Accepted::Tcp(stream, tls), Peer::from(unmapped(address.ip()))))
    }
}

impl Accepted {
    /// Says at once that there is no room. Not over TLS, where it would take a handshake.
    pub(super) fn refuse(&self, answer: &[u8]) {
        let _ = match self {
            Accepted::Tcp(stream, None) => stream.try_write(answer),
            Accepted::Tcp(_, Some(_)) => Ok(0),
            Accepted::Unix(stream) => stream.try_write(answer),
        };
    }
}

/// An IPv4 address in an IPv6 disguise is that IPv4 address, in budgets and in records.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

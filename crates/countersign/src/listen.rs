//! The listener of the HTTP transport: bound before anything else happens, then handed to the data plane.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::Arc,
};

use countersign_identity::{ServerTls, TlsRules};
use countersign_mcp::{Listener, Tls};

use crate::config::{Listen, Server};

/// A listener that was bound.
pub(crate) enum Bound {
    /// A port.
    Tcp(std::net::TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// Binds what the configuration names.
pub(crate) fn bind(listen: &Listen) -> io::Result<Bound> {
    let bound = match listen {
        Listen::Tcp(address) => Bound::Tcp(std::net::TcpListener::bind(address)?),
        Listen::Unix(path) => Bound::Unix(bind_socket(path)?),
    };
    match &bound {
        Bound::Tcp(listener) => listener.set_nonblocking(true)?,
        Bound::Unix(listener) => listener.set_nonblocking(true)?,
    }
    Ok(bound)
}

/// INVARIANT: only a socket that nobody answers on is removed; a file of another kind never is.
fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = UnixListener::bind(path)?;
    // Whoever may reach the directory may connect; who they are, the kernel says, and `identity.users` decides.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Hands a bound listener to the data plane. Only within a runtime.
pub(crate) fn listener(bound: Bound, tls: Option<&Arc<ServerTls>>) -> io::Result<Listener> {
    Ok(match (bound, tls) {
        (Bound::Unix(listener), _) => Listener::Unix(tokio::net::UnixListener::from_std(listener)?),
        (Bound::Tcp(listener), None) => Listener::Tcp(tokio::net::TcpListener::from_std(listener)?),
        (Bound::Tcp(listener), Some(tls)) => {
            let tls = Arc::clone(tls);
            let rules = move || {
                let TlsRules { config, clients } = tls.current();
                Tls { config, clients }
            };
            Listener::Tls(tokio::net::TcpListener::from_std(listener)?, Arc::new(rules))
        }
    })
}

/// How clients reach the server.
pub(crate) fn url(server: &Server) -> String {
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    match &server.listen {
        Listen::Tcp(address) => format!("{scheme}://{address}/mcp"),
        Listen::Unix(path) => format!("http://localhost/mcp on the socket {}", path.display()),
    }
}

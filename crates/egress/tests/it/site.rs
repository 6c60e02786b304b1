//! A server that answers as a test tells it, byte by byte, and remembers who asked for what, at which of its addresses.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// What a connection was for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Seen {
    /// The address that was dialled.
    pub(crate) to: SocketAddr,
    /// The server name of the TLS handshake.
    pub(crate) sni: Option<String>,
    /// The request: its head, as it came.
    pub(crate) head: String,
}

/// One step of an answer.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Sends these bytes until nobody reads them.
    Endless(Vec<u8>),
}

/// The answer to a request's head.
pub(crate) type Script = Arc<dyn Fn(&str) -> Vec<Step> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Site {
    /// Serves on a free port of 127.0.0.1.
    pub(crate) fn start(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Site {
        Site::listen("127.0.0.1:0", None, Arc::new(script))
    }

    /// The same with TLS, with the certificate in `dir`.
    pub(crate) fn start_tls(dir: &Path, script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Site {
        Site::listen("127.0.0.1:0", Some(acceptor(dir)), Arc::new(script))
    }

    pub(crate) fn listen(address: &str, tls: Option<TlsAcceptor>, script: Script) -> Site {
        let address: SocketAddr = address.parse().unwrap();
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let site = Site { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        tokio::spawn(accept(listener, tls, script, Arc::clone(&site.seen)));
        site
    }

    /// What was asked, and forgets it.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

pub(crate) fn acceptor(dir: &Path) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(dir.join("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, tls.clone(), Arc::clone(&script), Arc::clone(&seen)));
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, script: Script, seen: Arc<Mutex<Vec<Seen>>>) {
    let local = stream.local_addr().unwrap();
    let to = SocketAddr::new(local.ip().to_canonical(), local.port());
    // INVARIANT: a connection counts from its first packet, whatever follows.
    let mut visit = Visit { seen, one: Seen { to, sni: None, head: String::new() } };
    visit.seen.lock().unwrap().push(visit.one.clone());
    match tls {
        Some(tls) => {
            if let Ok(mut stream) = tls.accept(stream).await {
                let sni = stream.get_ref().1.server_name().map(str::to_owned);
                visit.note(|one| one.sni = sni);
                talk(&mut stream, &script, visit).await;
            }
        }
        None => {
            let mut stream = stream;
            talk(&mut stream, &script, visit).await;
        }
    }
}

/// A connection's entry in the list of what was seen.
struct Visit {
    seen: Arc<Mutex<Vec<Seen>>>,
    one: Seen,
}

impl Visit {
    fn note(&mut self, change: impl FnOnce(&mut Seen)) {
        let before = self.one.clone();
        change(&mut self.one);
        let mut seen = self.seen.lock().unwrap();
        if let Some(entry) = seen.iter_mut().find(|entry| **entry == before) {
            *entry = self.one.clone();
        }
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, script: &Script, mut visit: Visit) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    visit.note(|one| one.head = head.clone());
    for step in script(&head) {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Endless(bytes) => while stream.write_all(&bytes).await.is_ok() {},
        }
    }
    let _ = stream.shutdown().await;
}

/// A whole answer with this body.
pub(crate) fn ok(body: &str) -> Vec<Step> {
    answer("200 OK", "content-type: text/plain\r\n", body)
}

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    send(&format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}"))
}

pub(crate) fn redirect(to: &str) -> Vec<Step> {
    answer("302 Found", &format!("location: {to}\r\n"), "")
}

pub(crate) fn send(text: &str) -> Vec<Step> {
    vec![Step::Send(text.as_bytes().to_vec())]
}

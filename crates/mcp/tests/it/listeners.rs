//! TLS with certificates of clients, and unix sockets: what a connection proves before HTTP is spoken.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign_mcp::{Config, Listener, Tls, serve_http};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixListener, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};

use crate::site::{Http, Reply, Site, server};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of this authority, and its key.
fn signed(by: &Authority, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.into()]).unwrap().signed_by(&key, by).unwrap();
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add(authority.der().clone()).unwrap();
    Arc::new(store)
}

/// The server's side: its own certificate, and clients' certificates of one authority.
fn settings(own: &Authority, clients: &Authority) -> Tls {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(clients), Arc::clone(&provider));
    let verifier = verifier.build().unwrap();
    let (certificate, key) = signed(own, "localhost");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::clone(&verifier))
        .with_single_cert(vec![certificate], key);
    Tls { config: Arc::new(config.unwrap()), clients: Some(verifier) }
}

/// A connection of a client with a certificate of `client`.
async fn connect(
    site: &Site,
    trusted: &Authority,
    client: &Authority,
) -> std::io::Result<TlsStream<TcpStream>> {
    let (certificate, key) = signed(client, "agent.bank.example");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(trusted))
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    let stream = TcpStream::connect(site.address).await?;
    let name = "localhost".try_into().unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn call(
    site: &Site,
    trusted: &Authority,
    client: &Authority,
    request: &Http,
) -> std::io::Result<Reply> {
    let mut stream = connect(site, trusted, client).await?;
    stream.write_all(&request.bytes()).await?;
    let mut first = [0; 1];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await?;
    Ok(Reply::read(tokio::io::AsyncReadExt::chain(&first[..], stream)).await)
}

fn request(who: &str) -> Http {
    Http::modern(who, 1, "tools/call", json!({"name": "echo", "arguments": {"text": "hi"}}))
}

#[tokio::test]
async fn tls_is_spoken_with_those_whose_certificate_the_authority_signed() {
    let (own, clients, other) = (authority(), authority(), authority());
    let current = Arc::new(Mutex::new(settings(&own, &clients)));
    let asked = Arc::clone(&current);
    let site = Site::behind(Config::default(), |listener| {
        Listener::Tls(listener, Arc::new(move || asked.lock().unwrap().clone()))
    })
    .await;
    assert_eq!(call(&site, &own, &clients, &request("alice")).await.unwrap().text(), "hi");
    assert_eq!(call(&site, &own, &clients, &request("")).await.unwrap().status, 401);
    assert!(call(&site, &own, &other, &request("alice")).await.is_err(), "another authority");
    assert!(site.logged("tls-refused"));
    // Plain HTTP gets no answer.
    let mut plain = TcpStream::connect(site.address).await.unwrap();
    plain.write_all(&request("alice").bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    // What is set holds from the next connection on: another authority for clients, another certificate.
    let renewed = authority();
    *current.lock().unwrap() = settings(&renewed, &other);
    assert_eq!(call(&site, &renewed, &other, &request("alice")).await.unwrap().status, 200);
    assert!(call(&site, &renewed, &clients, &request("alice")).await.is_err());
    assert_eq!(site.ran(), 2);
}

/// What comes until there is this text; all of it.
async fn until(stream: &mut TlsStream<TcpStream>, text: &str) -> String {
    let mut heard = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&heard).contains(text) {
            let mut some = [0; 4096];
            let read = tokio::io::AsyncReadExt::read(stream, &mut some).await.unwrap();
            assert_ne!(read, 0, "the connection ends");
            heard.extend_from_slice(&some[..read]);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect(text);
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn a_connection_ends_with_the_trust_in_its_certificate() {
    let (own, clients, other) = (authority(), authority(), authority());
    let current = Arc::new(Mutex::new(settings(&own, &clients)));
    let asked = Arc::clone(&current);
    let site = Site::behind(Config::default(), |listener| {
        Listener::Tls(listener, Arc::new(move || asked.lock().unwrap().clone()))
    })
    .await;
    let kept = |request: Http| request.without("Connection").bytes();
    let mut calling = connect(&site, &own, &clients).await.unwrap();
    let mut listening = connect(&site, &own, &clients).await.unwrap();
    calling.write_all(&kept(request("alice"))).await.unwrap();
    assert!(until(&mut calling, "\"hi\"").await.starts_with("HTTP/1.1 200"));
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    listening.write_all(&kept(Http::modern("alice", 7, "subscriptions/listen", wanted))).await.unwrap();
    until(&mut listening, "acknowledged").await;

    // Other rules that trust the same certificates end nothing.
    *current.lock().unwrap() = settings(&own, &clients);
    calling.write_all(&kept(request("alice"))).await.unwrap();
    assert!(until(&mut calling, "\"hi\"").await.starts_with("HTTP/1.1 200"));

    *current.lock().unwrap() = settings(&own, &other);
    calling.write_all(&kept(request("alice"))).await.unwrap();
    let mut last = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut calling, &mut last).await;
    assert!(String::from_utf8_lossy(&last).starts_with("HTTP/1.1 401"), "{last:?}");
    assert!(site.logged("certificate-withdrawn"));
    assert_eq!(site.ran(), 2);
    until(&mut listening, "0\r\n\r\n").await;
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_is_cut_off() {
    let own = authority();
    let config = settings(&own, &own);
    let limits = Config { header_timeout: Duration::from_millis(200), ..Config::default() };
    let site =
        Site::behind(limits, |listener| Listener::Tls(listener, Arc::new(move || config.clone()))).await;
    let mut silent = TcpStream::connect(site.address).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut answer);
    tokio::time::timeout(Duration::from_secs(5), read).await.expect("the handshake was waited for").unwrap();
    assert!(site.logged(r#""detail":"time""#));
}

#[tokio::test]
async fn a_unix_socket_says_which_user_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.sock");
    let (server, _, log, _, _) = server(Config::default());
    let listener = Listener::Unix(UnixListener::bind(&path).unwrap());
    let shutdown = tokio_util::sync::CancellationToken::new();
    let served = tokio::spawn(serve_http(listener, server, shutdown.clone()));
    for (who, status) in [("alice", 200), ("mallory", 401)] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(&request(who).bytes()).await.unwrap();
        assert_eq!(Reply::read(stream).await.status, status, "{who}");
    }
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
    let wanted = format!("unix:{uid}");
    assert!(log.entries.lock().unwrap().iter().any(|entry| entry.contains(&wanted)), "{wanted}");
    shutdown.cancel();
    served.await.unwrap().unwrap();
}

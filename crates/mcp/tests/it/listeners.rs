//! TLS with certificates of clients, and unix sockets: what a connection proves before HTTP is spoken.

use std::sync::{Arc, Mutex};

use countersign_mcp::{Config, Listener, serve_http};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixListener, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
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
fn settings(own: &Authority, clients: &Authority) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(clients), Arc::clone(&provider));
    let (certificate, key) = signed(own, "localhost");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap())
}

async fn call(
    site: &Site,
    trusted: &Authority,
    client: &Authority,
    request: &Http,
) -> std::io::Result<Reply> {
    let (certificate, key) = signed(client, "agent.bank.example");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(trusted))
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    let stream = TcpStream::connect(site.address).await?;
    let name = "localhost".try_into().unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
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
        Listener::Tls(listener, Arc::new(move || Arc::clone(&asked.lock().unwrap())))
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

#[tokio::test]
async fn a_handshake_that_is_not_finished_is_cut_off() {
    let own = authority();
    let config = settings(&own, &own);
    let limits = Config { header_timeout: std::time::Duration::from_millis(200), ..Config::default() };
    let site =
        Site::behind(limits, |listener| Listener::Tls(listener, Arc::new(move || Arc::clone(&config)))).await;
    let mut silent = TcpStream::connect(site.address).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(5), read)
        .await
        .expect("the handshake was waited for")
        .unwrap();
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

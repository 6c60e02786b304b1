//! Files that TLS can be served with, and those that it cannot.

use std::fs::Permissions;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls::ClientConfig};

use super::*;

fn files(dir: &TempDir, mode: u32) -> TlsFiles {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let (certificate_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs::write(&certificate_file, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_file, Permissions::from_mode(mode)).unwrap();
    let clients = ClientCertificates::Off;
    TlsFiles { certificate: certificate_file, key: key_file, clients, client_ca: None, client_crl: None }
}

#[test]
fn a_certificate_is_replaced_without_a_restart_and_a_broken_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::open(files(&dir, 0o600)).unwrap();
    let first = tls.fingerprint();
    assert!(!tls.reload().unwrap());
    files(&dir, 0o600);
    assert!(tls.reload().unwrap());
    let second = tls.fingerprint();
    assert_ne!(first, second);
    fs::write(dir.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(tls.fingerprint(), second);
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(ServerTls::open(files(&dir, 0o640)).is_ok());
    let refused = ServerTls::open(files(&dir, 0o644)).err().unwrap();
    assert!(matches!(refused, TlsFilesError::Readable { mode: 0o644, .. }), "{refused}");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (files(&one, 0o600), files(&two, 0o600));
    let mixed = TlsFiles { key: second.key, ..first.clone() };
    assert!(matches!(ServerTls::open(mixed), Err(TlsFilesError::Setup(_))));
    let blind = TlsFiles { clients: ClientCertificates::Required, ..first.clone() };
    assert!(matches!(ServerTls::open(blind), Err(TlsFilesError::NoAuthority)));
    let missing = TlsFiles { certificate: one.path().join("none.pem"), ..first };
    assert!(matches!(ServerTls::open(missing), Err(TlsFilesError::File { .. })));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let dir = tempfile::tempdir().unwrap();
    let own = files(&dir, 0o600);
    let authority = Some(own.certificate.clone());
    for (clients, served) in [(ClientCertificates::Optional, true), (ClientCertificates::Required, false)] {
        let tls = ServerTls::open(TlsFiles { clients, client_ca: authority.clone(), ..own.clone() }).unwrap();
        assert_eq!(greeted(&tls, &own.certificate).await, served, "{clients:?}");
    }
}

/// Whether a client that shows no certificate hears from the server.
async fn greeted(tls: &ServerTls, trusted: &Path) -> bool {
    let (near, far) = tokio::io::duplex(64 << 10);
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(trusted).unwrap())
        .with_no_client_auth();
    let acceptor = TlsAcceptor::from(tls.current().config);
    let server = tokio::spawn(async move {
        if let Ok(mut stream) = acceptor.accept(far).await {
            let _ = stream.write_all(b"hello").await;
            let _ = stream.shutdown().await;
        }
    });
    let mut heard = Vec::new();
    if let Ok(mut stream) =
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), near).await
    {
        let _ = stream.read_to_end(&mut heard).await;
    }
    server.await.unwrap();
    heard == b"hello"
}

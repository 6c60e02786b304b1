//! TLS with verification that cannot be switched off: a chain to a trusted authority, and the name that was asked for.

use std::{path::PathBuf, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// A verified stream.
pub type TlsStream<S> = tokio_rustls::client::TlsStream<S>;

/// Whose certificates are trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Roots {
    /// The authorities of the operating system.
    System,
    /// The authorities of a PEM file, and no other.
    File(PathBuf),
}

/// Why there is no verified stream.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No authority can be read.
    #[error("no certificate authority can be read from {0}")]
    Roots(String),
    /// The cryptographic provider cannot be used.
    #[error("TLS cannot be set up")]
    Setup(#[source] tokio_rustls::rustls::Error),
    /// The name is neither a DNS name nor an address.
    #[error("the server's name is neither a DNS name nor an address")]
    Name,
    /// The handshake failed: the certificate is for another name, from another authority, or the server speaks no TLS.
    #[error("the TLS handshake failed")]
    Handshake(#[source] std::io::Error),
}

/// What clients verify servers with. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// Reads the authorities, once.
    ///
    /// # Errors
    /// [`TlsError::Roots`] if there is none.
    pub fn new(roots: &Roots) -> Result<Tls, TlsError> {
        let store = match roots {
            Roots::System => system()?,
            Roots::File(path) => {
                let named = || TlsError::Roots(path.display().to_string());
                let certificates = CertificateDer::pem_file_iter(path).map_err(|_| named())?;
                let mut store = RootCertStore::empty();
                for certificate in certificates {
                    // A file that is only partly understood is not what the operator meant.
                    store.add(certificate.map_err(|_| named())?).map_err(|_| named())?;
                }
                match store.is_empty() {
                    true => return Err(named()),
                    false => store,
                }
            }
        };
        // INVARIANT: one provider in the whole build, named here; nothing depends on a process-wide default.
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// The same for HTTP/1.1 alone: a server that speaks something else on that port is told so in the handshake (RFC 7301).
    #[must_use]
    pub fn for_http(self) -> Tls {
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Tls { connector: TlsConnector::from(Arc::new(config)) }
    }

    /// Makes a stream a verified one: the other end proves to be `name`.
    ///
    /// # Errors
    /// [`TlsError::Name`] or [`TlsError::Handshake`]. The stream is gone then.
    pub async fn connect<S>(&self, stream: S, name: &str) -> Result<TlsStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name)?;
        self.connector.connect(name, stream).await.map_err(TlsError::Handshake)
    }
}

fn system() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    // Systems carry old certificates that nobody can parse; those are left out.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match store.is_empty() {
        true => Err(TlsError::Roots("the operating system".into())),
        false => Ok(store),
    }
}

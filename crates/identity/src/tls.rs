//! The server's side of TLS: its certificate, and which clients it asks for one. Read again on request, without a restart.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::oauth::sha256;

mod facts;
#[cfg(test)]
mod tests;

pub use facts::CertificateFacts;

/// Whether clients show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientCertificates {
    /// They are not asked for one.
    Off,
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// `[server.tls]`: PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The server's certificate and what leads from it to its authority.
    pub certificate: PathBuf,
    /// Its private key; nobody else may read it.
    pub key: PathBuf,
    /// Whether clients show one.
    pub clients: ClientCertificates,
    /// The authority that signs clients' certificates. Needed unless they are off.
    pub client_ca: Option<PathBuf>,
    /// Revoked certificates of clients.
    pub client_crl: Option<PathBuf>,
}

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// A file cannot be read or holds nothing of the kind.
    #[error("cannot read {what} from `{}`: {cause}", path.display())]
    File {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// Others can read the key.
    #[error("the private key `{}` can be read by every user of this machine (mode {mode:o}); make it 0600 or 0640", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Clients cannot be verified without an authority.
    #[error("clients' certificates cannot be verified without `server.tls.client_ca`")]
    NoAuthority,
    /// The certificate and the key do not belong together, or the authority cannot be used.
    #[error("TLS cannot be set up with these files: {0}")]
    Setup(String),
}

/// The settings of TLS in force.
pub struct ServerTls {
    files: TlsFiles,
    current: RwLock<Loaded>,
}

/// What holds for connections.
#[derive(Clone)]
pub struct TlsRules {
    /// For handshakes; another value after every reload.
    pub config: Arc<ServerConfig>,
    /// Judges the certificates of clients, as `config` does; none if they are not asked for one.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
}

struct Loaded {
    rules: TlsRules,
    fingerprint: [u8; 32],
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsFilesError`] names the file.
    pub fn open(files: TlsFiles) -> Result<ServerTls, TlsFilesError> {
        let current = RwLock::new(load(&files)?);
        Ok(ServerTls { files, current })
    }

    /// Reads the files again; what cannot be used changes nothing. Says whether the certificate is another one.
    ///
    /// # Errors
    /// [`TlsFilesError`]; the settings in force stay.
    pub fn reload(&self) -> Result<bool, TlsFilesError> {
        let loaded = load(&self.files)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = loaded.fingerprint != current.fingerprint;
        *current = loaded;
        Ok(changed)
    }

    /// What holds now.
    pub fn current(&self) -> TlsRules {
        self.current.read().unwrap_or_else(PoisonError::into_inner).rules.clone()
    }

    /// SHA-256 of the server's certificate, in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn load(files: &TlsFiles) -> Result<Loaded, TlsFilesError> {
    let chain = certificates("a certificate", &files.certificate)?;
    let fingerprint = chain.first().map(|leaf| sha256(leaf)).unwrap_or_default();
    let key = key(&files.key)?;
    // INVARIANT: one provider in the whole build, named here; nothing depends on a process-wide default.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let setup = |error: &dyn std::fmt::Display| TlsFilesError::Setup(error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| setup(&e))?;
    let clients = clients(files, &provider)?;
    let builder = match &clients {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| setup(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { rules: TlsRules { config: Arc::new(config), clients }, fingerprint })
}

/// What judges the certificates of clients.
fn clients(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsFilesError> {
    if files.clients == ClientCertificates::Off {
        return Ok(None);
    }
    let roots = Arc::new(roots(files.client_ca.as_deref().ok_or(TlsFilesError::NoAuthority)?)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let verifier = verifier.with_crls(revoked(files.client_crl.as_deref())?);
    // MUTATE(G1-certificate-required): a certificate is asked for, and its absence passed over
    let verifier = if files.clients == ClientCertificates::Required {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    Ok(Some(verifier.build().map_err(|e| TlsFilesError::Setup(e.to_string()))?))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let failed = |cause: String| TlsFilesError::File { what, path: path.to_owned(), cause };
    let read = CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(|e| failed(e.to_string()))?;
    if found.is_empty() { Err(failed("there is none in it".into())) } else { Ok(found) }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsFilesError> {
    let what = "the authority of clients";
    let mut store = RootCertStore::empty();
    for certificate in certificates(what, path)? {
        // A file that is only partly understood is not what the operator meant.
        store.add(certificate).map_err(|e| TlsFilesError::File {
            what,
            path: path.to_owned(),
            cause: e.to_string(),
        })?;
    }
    Ok(store)
}

fn revoked(path: Option<&Path>) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFilesError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let what = "revoked certificates";
    let failed = |cause: String| TlsFilesError::File { what, path: path.to_owned(), cause };
    let read = CertificateRevocationListDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(|e| failed(e.to_string()))?;
    if found.is_empty() { Err(failed("there is no list in it".into())) } else { Ok(found) }
}

/// INVARIANT: a key that every user of the machine can read proves nothing about who uses it.
fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFilesError> {
    let failed = |cause: String| TlsFilesError::File { what: "a private key", path: path.to_owned(), cause };
    let mode = fs::metadata(path).map_err(|e: io::Error| failed(e.to_string()))?.permissions().mode() & 0o777;
    // MUTATE(G3-key-mode): a private key that everybody can read is used
    if mode & 0o007 != 0 {
        return Err(TlsFilesError::Readable { path: path.to_owned(), mode });
    }
    // The parser's own text could quote the file.
    PrivateKeyDer::from_pem_file(path).map_err(|_| failed("it is no PEM private key".into()))
}

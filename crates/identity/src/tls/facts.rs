//! What a server's certificate says of itself: for `doctor`, not for any decision.

use std::{net::IpAddr, path::Path};

use x509_cert::{
    Certificate,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::{TlsFilesError, certificates};
use crate::time::Timestamp;

/// The leaf certificate of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFacts {
    /// It is not valid before.
    pub from: Timestamp,
    /// It is not valid after.
    pub until: Timestamp,
    /// The DNS names that it is for, in lower case; `*.` stands for one label.
    pub names: Vec<String>,
    /// The addresses that it is for.
    pub addresses: Vec<IpAddr>,
}

impl CertificateFacts {
    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    /// [`TlsFilesError`] names the file.
    pub fn read(path: &Path) -> Result<CertificateFacts, TlsFilesError> {
        let what = "a certificate";
        let failed = |cause: String| TlsFilesError::File { what, path: path.to_owned(), cause };
        let chain = certificates(what, path)?;
        let leaf = chain.first().ok_or_else(|| failed("there is none in it".into()))?;
        let leaf = Certificate::from_der(leaf).map_err(|e| failed(e.to_string()))?;
        let body = leaf.tbs_certificate();
        let time = |time: x509_cert::time::Time| Timestamp::from_unix(time.to_unix_duration().as_secs());
        let mut facts = CertificateFacts {
            from: time(body.validity().not_before),
            until: time(body.validity().not_after),
            names: Vec::new(),
            addresses: Vec::new(),
        };
        let extension = body.get_extension::<SubjectAltName>().map_err(|e| failed(e.to_string()))?;
        for name in extension.into_iter().flat_map(|(_, names)| names.0) {
            match name {
                GeneralName::DnsName(name) => facts.names.push(name.as_str().to_ascii_lowercase()),
                GeneralName::IpAddress(bytes) => facts.addresses.extend(address(bytes.as_bytes())),
                _ => {}
            }
        }
        Ok(facts)
    }

    /// Whether it is for this host: a DNS name, or an address, in brackets if it is one of IPv6.
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let rest = host.split_once('.').map(|(_, rest)| rest);
        // SPEC: RFC 9525 §6.3: a wildcard is the whole of the first label.
        self.names
            .iter()
            .any(|name| *name == host || name.strip_prefix("*.").is_some_and(|own| Some(own) == rest))
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

//! Client certificates: which of those that the configured authority signed are which principal.
//!
//! TLS has verified the chain, the time and the possession of the key before anybody asks here.

use std::sync::Arc;

use countersign_core::{AuthMethod, Principal, PrincipalKind};
use x509_cert::{
    Certificate,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use crate::{CERTIFICATE_ISSUER, oauth::sha256};

/// How a certificate is recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateMatch {
    /// It is exactly this one: SHA-256 of its DER form.
    Sha256([u8; 32]),
    /// It carries this DNS name, spelt so; a wildcard stands for nobody.
    Dns(String),
    /// It carries this URI, such as a SPIFFE id.
    Uri(String),
}

/// `[identity.certificates.NAME]`, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateRule {
    /// The subject's name in policies and records.
    pub subject: String,
    /// How it is recognised.
    pub matches: CertificateMatch,
    /// What holds the certificate.
    pub kind: PrincipalKind,
    /// The tenant.
    pub tenant: String,
    /// The roles.
    pub roles: Vec<String>,
}

/// The text says nothing by which a certificate could be recognised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a certificate is recognised by `dns:NAME`, `uri:URI` or `sha256:` and 64 hexadecimal digits")]
pub struct NotAMatch;

impl CertificateMatch {
    /// Reads `dns:NAME`, `uri:URI` or `sha256:HEX`.
    ///
    /// # Errors
    /// [`NotAMatch`].
    pub fn parse(text: &str) -> Result<CertificateMatch, NotAMatch> {
        let (form, value) = text.split_once(':').ok_or(NotAMatch)?;
        let plain = !value.is_empty() && value.len() <= 255 && value.bytes().all(|b| b.is_ascii_graphic());
        match form {
            "dns" if plain && !value.contains('*') => Ok(CertificateMatch::Dns(value.to_ascii_lowercase())),
            "uri" if plain && value.contains(':') => Ok(CertificateMatch::Uri(value.to_owned())),
            "sha256" => hex(value).map(CertificateMatch::Sha256).ok_or(NotAMatch),
            _ => Err(NotAMatch),
        }
    }
}

/// The certificates that are somebody.
#[derive(Clone, Default, Debug)]
pub struct Certificates {
    rules: Vec<(CertificateMatch, Arc<Principal>)>,
}

impl Certificates {
    /// By these rules.
    pub fn new(rules: Vec<CertificateRule>) -> Certificates {
        let one = |rule: CertificateRule| {
            let principal = Principal::new(
                CERTIFICATE_ISSUER,
                &rule.subject,
                rule.kind,
                rule.tenant,
                AuthMethod::Certificate,
            );
            let principal = principal.with_roles(rule.roles).with_credential(rule.subject);
            (rule.matches, Arc::new(principal))
        };
        Certificates { rules: rules.into_iter().map(one).collect() }
    }

    /// Whose certificate this is (DER). A certificate that two rules recognise is nobody's: which one would be a guess.
    pub fn identify(&self, der: &[u8]) -> Option<Arc<Principal>> {
        if self.rules.is_empty() {
            return None;
        }
        let hash = sha256(der);
        let names = names(der).unwrap_or_default();
        let mut found = self.rules.iter().filter(|(matches, _)| match matches {
            CertificateMatch::Sha256(own) => *own == hash,
            // MUTATE(G1-certificate-name): any certificate of the authority is anybody
            other => names.contains(other),
        });
        match (found.next(), found.next()) {
            (Some((_, principal)), None) => Some(Arc::clone(principal)),
            _ => None,
        }
    }
}

/// The DNS names and URIs of a certificate.
fn names(der: &[u8]) -> Option<Vec<CertificateMatch>> {
    let certificate = Certificate::from_der(der).ok()?;
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()?;
    let (_, names) = extension?;
    let one = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(CertificateMatch::Dns(name.as_str().to_ascii_lowercase())),
        GeneralName::UniformResourceIdentifier(uri) => Some(CertificateMatch::Uri(uri.as_str().to_owned())),
        _ => None,
    };
    Some(names.0.iter().filter_map(one).collect())
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| d.try_into().ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, d| sum << 4 | d)).collect();
    (digits.len() == 64).then_some(bytes)?.try_into().ok()
}

#[cfg(test)]
mod tests;

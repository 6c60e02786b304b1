//! Public keys as issuers and callers state them: JSON Web Keys.
//!
//! SPEC: RFC 7517, RFC 7518 §6, RFC 8037 §2, thumbprints RFC 7638.

use aws_lc_rs::{
    digest,
    signature::{RsaPublicKeyComponents, UnparsedPublicKey},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_core::json::{self, Limits, Value};

use super::algorithm::Algorithm;

/// More keys than any issuer publishes.
const MAX_KEYS: usize = 100;
/// The longest document of keys that is read, in bytes.
pub(super) const MAX_SET: usize = 256 << 10;

/// Key material, checked in length; the curve or modulus is checked when it verifies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PublicKey {
    /// Modulus and exponent, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point: 4, x, y.
    P256(Vec<u8>),
    /// An uncompressed point: 4, x, y.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

/// One key of an issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Jwk {
    pub(crate) kid: Option<String>,
    /// The only algorithm for this key, if the issuer says so.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) key: PublicKey,
}

impl PublicKey {
    /// Reads a public key. `None` for a kind that we do not know, a wrong length, or any private or symmetric member.
    pub(crate) fn read(jwk: &Value<'_>) -> Option<PublicKey> {
        let secret = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        // INVARIANT: a key that was published with its private half, or is a shared secret, proves nothing.
        if secret.iter().any(|name| jwk.get(name).is_some()) {
            return None;
        }
        let bytes = |name: &str| BASE64URL.decode(jwk.get(name)?.as_str()?).ok();
        let sized = |name: &str, length: usize| bytes(name).filter(|bytes| bytes.len() == length);
        let point = |length: usize| Some([vec![4], sized("x", length)?, sized("y", length)?].concat());
        let curve = jwk.get("crv").and_then(Value::as_str);
        match (jwk.get("kty")?.as_str()?, curve) {
            ("RSA", _) => {
                let trimmed = |name: &str| {
                    let bytes = bytes(name)?;
                    let first = bytes.iter().position(|byte| *byte != 0)?;
                    bytes.get(first..).map(<[u8]>::to_vec)
                };
                Some(PublicKey::Rsa { n: trimmed("n")?, e: trimmed("e")? })
            }
            ("EC", Some("P-256")) => point(32).map(PublicKey::P256),
            ("EC", Some("P-384")) => point(48).map(PublicKey::P384),
            ("OKP", Some("Ed25519")) => sized("x", 32).map(PublicKey::Ed25519),
            _ => None,
        }
    }

    /// Whether a signature of this algorithm can come from this kind of key.
    pub(crate) fn suits(&self, algorithm: Algorithm) -> bool {
        match self {
            PublicKey::Rsa { .. } => algorithm.rsa().is_some(),
            PublicKey::P256(_) => algorithm == Algorithm::Es256,
            PublicKey::P384(_) => algorithm == Algorithm::Es384,
            PublicKey::Ed25519(_) => algorithm == Algorithm::EdDsa,
        }
    }

    /// Whether `signature` over `message` was made with the private half. A key of another kind than the algorithm's never verifies.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.suits(algorithm) {
            return false;
        }
        match self {
            PublicKey::Rsa { n, e } => algorithm.rsa().is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            PublicKey::P256(bytes) | PublicKey::P384(bytes) | PublicKey::Ed25519(bytes) => algorithm
                .curve()
                .is_some_and(|curve| UnparsedPublicKey::new(curve, bytes).verify(message, signature).is_ok()),
        }
    }

    /// SPEC: RFC 7638 §3: the hash of the required members in the order of their names.
    pub(crate) fn thumbprint(&self) -> [u8; 32] {
        let text = |bytes: &[u8]| BASE64URL.encode(bytes);
        let point = |curve: &str, bytes: &[u8]| {
            let (x, y) = bytes.get(1..).unwrap_or_default().split_at(bytes.len() / 2);
            format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
        };
        let canonical = match self {
            PublicKey::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            PublicKey::P256(bytes) => point("P-256", bytes),
            PublicKey::P384(bytes) => point("P-384", bytes),
            PublicKey::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
        };
        sha256(canonical.as_bytes())
    }
}

/// Reads a JSON Web Key Set. Keys that are not for signatures, or that we cannot use, are left out.
///
/// # Errors
/// The rule that the document breaks.
pub(crate) fn read_set(text: &[u8]) -> Result<Vec<Jwk>, &'static str> {
    let limits = Limits { bytes: MAX_SET, depth: 8, nodes: 10_000 };
    let document =
        json::parse(text, limits).map_err(|_| "the document of keys is not JSON within its limits")?;
    let Some(Value::Array(items)) = document.get("keys") else {
        return Err("the document has no list of `keys`");
    };
    if items.len() > MAX_KEYS {
        return Err("the document has more than 100 keys");
    }
    let keys: Vec<Jwk> = items.iter().filter_map(read_one).collect();
    if keys.is_empty() { Err("the document has no key that can verify signatures") } else { Ok(keys) }
}

fn read_one(item: &Value<'_>) -> Option<Jwk> {
    let for_signatures = item.get("use").is_none_or(|usage| usage.as_str() == Some("sig"));
    let may_verify = match item.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|one| one.as_str() == Some("verify")),
        Some(_) => false,
    };
    if !for_signatures || !may_verify {
        return None;
    }
    let algorithm = match item.get("alg") {
        None => None,
        Some(name) => Some(Algorithm::parse(name.as_str()?)?),
    };
    let kid = item.get("kid").and_then(Value::as_str).map(str::to_owned);
    let key = PublicKey::read(item)?;
    algorithm.is_none_or(|algorithm| key.suits(algorithm)).then_some(Jwk { kid, algorithm, key })
}

/// SHA-256, by the provider that verifies signatures too.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

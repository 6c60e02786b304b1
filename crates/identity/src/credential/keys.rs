//! The keys that sign credentials: one that signs, and those that did, for as long as anything that they signed is alive.
//!
//! INVARIANT: the private half of a key is gone from the file as soon as the key is retired.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    key::random_chars,
    keyfile::{KeyFileError, text},
    oauth::PublicKey,
    time::Timestamp,
};

/// Characters of a key's id that are drawn.
const ID_CHARS: usize = 12;

/// The key that signs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SigningKey {
    pub(super) kid: String,
    #[serde(with = "text")]
    pub(super) made: Timestamp,
    /// When the last credential ends that it signed.
    #[serde(with = "text")]
    pub(super) until: Timestamp,
    seed: Seed,
}

/// A key that signs no more.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetiredKey {
    pub(super) kid: String,
    /// When the last credential ends that it signed.
    #[serde(with = "text")]
    pub(super) until: Timestamp,
    /// The public half, in base64url.
    public: String,
}

/// What credentials are verified with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct VerifyingKey {
    pub(super) kid: String,
    pub(super) key: PublicKey,
    /// When the last credential ends that it signed; none while it signs.
    pub(super) until: Option<Timestamp>,
}

impl SigningKey {
    /// A fresh key from the operating system's entropy.
    pub(super) fn generate(now: Timestamp) -> Result<SigningKey, KeyFileError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut_slice())?;
        let mut kid = String::from("csk-");
        random_chars(&mut kid, ID_CHARS)?;
        Ok(SigningKey { kid, made: now, until: now, seed: Seed(seed) })
    }

    /// Signs a text; none if the key in the file is none.
    pub(super) fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        Some(self.pair()?.sign(text).as_ref().to_vec())
    }

    pub(super) fn verifying(&self) -> Option<VerifyingKey> {
        Some(VerifyingKey { kid: self.kid.clone(), key: PublicKey::Ed25519(self.public()?), until: None })
    }

    /// What stays of it when another key signs.
    pub(super) fn retired(&self) -> Option<RetiredKey> {
        Some(RetiredKey {
            kid: self.kid.clone(),
            until: self.until,
            public: BASE64URL.encode(self.public()?),
        })
    }

    fn public(&self) -> Option<Vec<u8>> {
        Some(self.pair()?.public_key().as_ref().to_vec())
    }

    fn pair(&self) -> Option<Ed25519KeyPair> {
        Ed25519KeyPair::from_seed_unchecked(self.seed.0.as_slice()).ok()
    }
}

impl RetiredKey {
    pub(super) fn verifying(&self) -> Option<VerifyingKey> {
        let public = BASE64URL.decode(&self.public).ok().filter(|public| public.len() == 32)?;
        Some(VerifyingKey { kid: self.kid.clone(), key: PublicKey::Ed25519(public), until: Some(self.until) })
    }
}

/// The public keys as others read them.
///
/// SPEC: RFC 7517 §5, RFC 8037 §2.
pub(super) fn jwks(keys: &[VerifyingKey]) -> String {
    let one = |key: &VerifyingKey| match &key.key {
        PublicKey::Ed25519(x) => Some(json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": BASE64URL.encode(x),
        })),
        _ => None,
    };
    json!({ "keys": keys.iter().filter_map(one).collect::<Vec<_>>() }).to_string()
}

/// 32 secret bytes, wiped when they are dropped; base64url in the file.
struct Seed(Zeroizing<[u8; 32]>);

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64URL.encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seed, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let wrong = || D::Error::custom("a seed is 32 bytes in base64url");
        let bytes = Zeroizing::new(BASE64URL.decode(text.as_bytes()).map_err(|_| wrong())?);
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| wrong())?;
        Ok(Seed(Zeroizing::new(bytes)))
    }
}

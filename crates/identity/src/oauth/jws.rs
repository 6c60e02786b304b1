//! Signed tokens in their compact form, read strictly: what is not understood is refused before anything of it is believed.
//!
//! SPEC: RFC 7515 §3.1 and §4, RFC 8725 §3.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use countersign_core::json::{self, Limits, Value};

use super::{algorithm::Algorithm, jwk::PublicKey, refused::TokenRefused};

/// The longest token that is read, in bytes.
pub(super) const MAX_TOKEN: usize = 16 << 10;

/// Header members that name or carry a key, or change how a token is to be read. A token that brings its own key proves nothing.
const FORBIDDEN: &[&str] = &["jku", "x5u", "x5c", "jwk", "crit", "b64", "zip", "enc"];

/// A token that was taken apart. Nothing of it is true before [`Jws::verify`].
#[derive(Debug)]
pub(crate) struct Jws<'t> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    /// `typ`, lower case, without `application/`.
    pub(crate) kind: String,
    /// The key in the header; only a proof may have one.
    pub(crate) key: Option<PublicKey>,
    pub(crate) payload: Vec<u8>,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Takes an access token apart.
    ///
    /// # Errors
    /// [`TokenRefused`] for anything but three parts, an algorithm that does not exist here, or a header that brings a key.
    pub(crate) fn read(token: &'t str) -> Result<Jws<'t>, TokenRefused> {
        // MUTATE(G1-header-keys): a token may name the key that verifies it
        Jws::with(token, FORBIDDEN)
    }

    /// Takes a proof of possession apart: its key stands in its header, as RFC 9449 asks.
    ///
    /// # Errors
    /// As [`Jws::read`], and when there is no key.
    pub(crate) fn read_proof(proof: &'t str) -> Result<Jws<'t>, TokenRefused> {
        let jws = Jws::with(proof, &["jku", "x5u", "x5c", "crit", "b64", "zip", "enc"])?;
        if jws.key.is_none() { Err(TokenRefused::Header) } else { Ok(jws) }
    }

    fn with(token: &'t str, forbidden: &[&str]) -> Result<Jws<'t>, TokenRefused> {
        if token.len() > MAX_TOKEN {
            return Err(TokenRefused::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefused::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenRefused::Malformed)?;
        let decode = |text: &str| BASE64URL.decode(text).map_err(|_| TokenRefused::Malformed);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header = parse(&header)?;
        if forbidden.iter().any(|name| header.get(name).is_some()) {
            return Err(TokenRefused::Header);
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(TokenRefused::Header),
        };
        let algorithm = text("alg")?.and_then(Algorithm::parse).ok_or(TokenRefused::Algorithm)?;
        let kind = text("typ")?.unwrap_or_default().to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind).to_owned();
        let kid = text("kid")?.map(str::to_owned);
        let key = match header.get("jwk") {
            None => None,
            Some(jwk) => Some(PublicKey::read(jwk).ok_or(TokenRefused::Header)?),
        };
        Ok(Jws { algorithm, kid, kind, key, payload, signed, signature })
    }

    /// Whether this key signed the token.
    pub(crate) fn verify(&self, key: &PublicKey) -> bool {
        // MUTATE(G1-signature): any signature is taken
        key.verifies(self.algorithm, self.signed.as_bytes(), &self.signature)
    }

    /// The members of the payload.
    ///
    /// # Errors
    /// [`TokenRefused::Malformed`] for anything but one JSON object without duplicate members.
    pub(crate) fn claims(&self) -> Result<Value<'_>, TokenRefused> {
        parse(&self.payload)
    }
}

fn parse(text: &[u8]) -> Result<Value<'_>, TokenRefused> {
    let limits = Limits { bytes: MAX_TOKEN, depth: 16, nodes: 4096 };
    json::parse(text, limits).ok().filter(Value::is_object).ok_or(TokenRefused::Malformed)
}

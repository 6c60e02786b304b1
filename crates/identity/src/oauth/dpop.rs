//! Proof of possession: a caller signs each request with the key that its token is bound to, so that a stolen token is worth nothing.
//!
//! SPEC: RFC 9449 §4.3 (checks), §8 and §9 (nonces), §11.1 (replay).

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};

use super::{algorithm::Algorithm, claims::Claims, jwk::sha256, jws::Jws, refused::TokenRefused};

/// The algorithms of proofs; they stand in the metadata too.
pub(super) const ALGORITHMS: &[Algorithm] =
    &[Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Rs256];

/// How far the time of a proof may be from ours, in seconds.
const WINDOW: u64 = 60;
/// How long a nonce is handed out, in seconds; it is good for one such time more.
const NONCE_SECONDS: u64 = 300;
/// The longest `jti`.
const MAX_ID: usize = 256;
/// Proofs that are remembered in each of two generations. Only holders of valid tokens get here.
const MAX_SEEN: usize = 200_000;

/// The request that a proof must be for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'r> {
    pub(super) method: &'r str,
    /// Our own address, without query and fragment.
    pub(super) url: &'r str,
    pub(super) token: &'r str,
}

/// Remembers proofs for several processes behind one address.
#[async_trait]
pub trait SharedProofs: Send + Sync {
    /// Whether nobody has used this proof before. It need not be remembered after `until`, in seconds since 1970.
    ///
    /// # Errors
    /// When nobody can tell; the text is for the operator.
    async fn is_first(&self, proof: [u8; 32], until: u64) -> Result<bool, String>;
}

/// A proof that fits, and that this process has not seen before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fresh {
    /// What it is known by.
    pub(super) id: [u8; 32],
    /// From this second on it fits no more.
    pub(super) until: u64,
}

/// Checks proofs and remembers them for as long as they could be used again.
pub(super) struct Proofs {
    seen: Mutex<Seen>,
    key: hmac::Key,
}

#[derive(Default)]
struct Seen {
    /// The period of the young generation.
    period: u64,
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

impl Proofs {
    /// With a fresh key for nonces.
    ///
    /// # Errors
    /// When the operating system has no entropy.
    pub(super) fn new() -> Result<Proofs, getrandom::Error> {
        let mut secret = zeroize::Zeroizing::new([0_u8; 32]);
        getrandom::fill(secret.as_mut_slice())?;
        Ok(Proofs { seen: Mutex::default(), key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice()) })
    }

    /// Checks a proof by the holder of the key with this thumbprint, at `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`TokenRefused::Proof`] when it does not fit, [`TokenRefused::Nonce`] with the nonce that it must carry, and
    /// [`TokenRefused::Replay`] when it was used before.
    pub(super) fn check(
        &self,
        proof: &str,
        target: Target<'_>,
        thumbprint: &[u8; 32],
        nonce: bool,
        now: u64,
    ) -> Result<Fresh, TokenRefused> {
        let jws = Jws::read_proof(proof).map_err(|_| TokenRefused::Proof)?;
        if jws.kind != "dpop+jwt" || !ALGORITHMS.contains(&jws.algorithm) {
            return Err(TokenRefused::Proof);
        }
        let key = jws.key.as_ref().ok_or(TokenRefused::Proof)?;
        // MUTATE(G1-dpop-key): whoever steals a bound token uses it with a key of their own
        if key.thumbprint() != *thumbprint || !jws.verify(key) {
            return Err(TokenRefused::Proof);
        }
        let value = jws.claims().map_err(|_| TokenRefused::Proof)?;
        let claims = Claims(&value);
        let text = |name| claims.text(name).ok().flatten();
        // MUTATE(G1-dpop-target): a proof for another request is taken
        if text("htm") != Some(target.method) || !text("htu").is_some_and(|htu| is_same(htu, target.url)) {
            return Err(TokenRefused::Proof);
        }
        let expected = BASE64URL.encode(sha256(target.token.as_bytes()));
        if text("ath") != Some(expected.as_str()) {
            return Err(TokenRefused::Proof);
        }
        let issued = claims.time("iat").ok().flatten().ok_or(TokenRefused::Proof)?;
        // MUTATE(G1-dpop-time): a proof is good for ever
        if issued.abs_diff(now) > WINDOW {
            return Err(TokenRefused::Proof);
        }
        if nonce && !text("nonce").is_some_and(|given| self.is_current(given, now)) {
            return Err(TokenRefused::Nonce(self.nonce(now / NONCE_SECONDS)));
        }
        let id = text("jti").filter(|id| (1..=MAX_ID).contains(&id.len())).ok_or(TokenRefused::Proof)?;
        let id = sha256(&[thumbprint, id.as_bytes()].concat());
        self.remember(id, now)?;
        Ok(Fresh { id, until: issued.saturating_add(WINDOW + 1) })
    }

    /// INVARIANT: a proof is remembered for longer than its window: an entry lives for one to two periods, each as long as two windows.
    fn remember(&self, proof: [u8; 32], now: u64) -> Result<(), TokenRefused> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let period = now / (2 * WINDOW + 1);
        // A clock that is set back forgets nothing.
        if period > seen.period {
            let young = std::mem::take(&mut seen.young);
            seen.old = if period == seen.period + 1 { young } else { HashSet::new() };
            seen.period = period;
        }
        // MUTATE(G1-dpop-replay): a proof that was seen on the way is used again
        if seen.old.contains(&proof) || seen.young.contains(&proof) {
            return Err(TokenRefused::Replay);
        }
        if seen.young.len() >= MAX_SEEN {
            return Err(TokenRefused::Unavailable);
        }
        seen.young.insert(proof);
        Ok(())
    }

    fn is_current(&self, nonce: &str, now: u64) -> bool {
        let slot = now / NONCE_SECONDS;
        nonce == self.nonce(slot) || slot.checked_sub(1).is_some_and(|before| nonce == self.nonce(before))
    }

    /// Nobody can tell a nonce before its time; nothing is stored for it.
    fn nonce(&self, slot: u64) -> String {
        let tag = hmac::sign(&self.key, &slot.to_be_bytes());
        BASE64URL.encode(tag.as_ref().get(..18).unwrap_or_default())
    }
}

/// SPEC: RFC 9449 §4.3: compared without query and fragment, after the normalisation of RFC 3986 §6.2.2 and §6.2.3.
fn is_same(htu: &str, own: &str) -> bool {
    let bare = htu.split(['?', '#']).next().unwrap_or_default();
    normal(bare).is_some_and(|given| normal(own) == Some(given))
}

fn normal(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at)?;
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let default = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default).unwrap_or(&authority);
    Some(format!("{scheme}://{authority}{}", if path.is_empty() { "/" } else { path }))
}

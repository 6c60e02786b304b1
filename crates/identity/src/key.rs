//! The text of an API key: `cs_`, 43 characters that carry 256 random bits, and 6 that catch typing errors.
//!
//! The prefix and the checksum let secret scanners find a leaked key without asking the server, and let the server tell a
//! mistyped key from one that it does not know.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

const PREFIX: &str = "cs_";
/// 43 characters of 62: 62^43 > 2^256.
const SECRET_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;
const KEY_CHARS: usize = PREFIX.len() + SECRET_CHARS + CHECK_CHARS;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key in the clear. It exists twice in its life: when it is minted, and while a request is checked. `Debug` hides it,
/// dropping wipes it.
pub struct ApiKey(Zeroizing<String>);

/// The text is no API key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an API key is `cs_` and 49 letters and digits, the last 6 of which must agree with the rest")]
pub struct Malformed;

impl ApiKey {
    /// A fresh key from the operating system's entropy.
    ///
    /// # Errors
    /// When the operating system has no entropy to give.
    pub fn generate() -> Result<ApiKey, getrandom::Error> {
        let mut text = Zeroizing::new(String::with_capacity(KEY_CHARS));
        text.push_str(PREFIX);
        random_chars(&mut text, SECRET_CHARS)?;
        let check = checksum(text.as_bytes());
        text.push_str(&check);
        Ok(ApiKey(text))
    }

    /// Reads a key: prefix, length, alphabet and checksum must all be right.
    ///
    /// # Errors
    /// [`Malformed`]; it does not say where, since the text may be a secret of something else.
    pub fn parse(text: &str) -> Result<ApiKey, Malformed> {
        is_well_formed(text).then(|| ApiKey(Zeroizing::new(text.to_owned()))).ok_or(Malformed)
    }

    /// The text, for showing it once to whoever asked for the key.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored: SHA-256 of the text.
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(cs_…)")
    }
}

/// SHA-256 of a key's text.
///
/// A slow password hash would protect nothing here: it exists to make guessing a *low-entropy* secret expensive, and 256
/// random bits cannot be guessed at any speed. It would cost every request what an attacker never has to pay.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Whether a text has the shape of a key, checksum included.
pub(crate) fn is_well_formed(text: &str) -> bool {
    let Some((body, check)) = text.split_at_checked(KEY_CHARS - CHECK_CHARS) else { return false };
    let Some(secret) = body.strip_prefix(PREFIX) else { return false };
    secret.bytes().all(|b| b.is_ascii_alphanumeric()) && check == checksum(body.as_bytes())
}

/// Appends `count` characters of the alphabet, each drawn with equal probability.
pub(crate) fn random_chars(text: &mut String, count: usize) -> Result<(), getrandom::Error> {
    let wanted = text.len() + count;
    while text.len() < wanted {
        let mut bytes = Zeroizing::new([0_u8; 64]);
        getrandom::fill(bytes.as_mut_slice())?;
        // INVARIANT: bytes of 248 and above are dropped, or the first characters of the alphabet would come more often.
        let drawn =
            bytes.iter().filter(|byte| **byte < 248).filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        text.extend(drawn.take(wanted - text.len()).map(|byte| char::from(*byte)));
    }
    Ok(())
}

/// Six characters that depend on all of `body`: the first 32 bits of its SHA-256 in base 62.
fn checksum(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let mut rest = digest.iter().take(4).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut check = String::with_capacity(CHECK_CHARS);
    for _ in 0..CHECK_CHARS {
        let place = usize::try_from(rest % 62).unwrap_or_default();
        check.extend(ALPHABET.get(place).map(|byte| char::from(*byte)));
        rest /= 62;
    }
    check
}

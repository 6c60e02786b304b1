//! Signed notes and their keys, Ed25519 only. SPEC: C2SP signed-note; the key lines are those of Go's
//! `x/mod/sumdb/note`, so that any tool of that family reads ours.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The longest key name that is accepted, in bytes.
pub const MAX_KEY_NAME: usize = 100;
/// Notes longer than this are refused unread.
const MAX_NOTE: usize = 64 * 1024;
/// Signature type byte of plain Ed25519.
const ED25519: u8 = 0x01;

/// The text of a note whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// All lines before the signatures, each with its newline.
    pub text: String,
}

/// Why a note is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not of the form text, blank line, signature lines.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// No signature of the key that was asked for.
    #[error("the note is not signed by this key")]
    Unsigned,
    /// The key's signature is there and wrong.
    #[error("the signature does not match the text")]
    BadSignature,
}

/// Why a key line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty, too long, or with white space or `+`.
    #[error("the key name is empty, longer than {MAX_KEY_NAME} bytes, or holds white space or `+`")]
    Name,
    /// Not `NAME+ID+BASE64`, or another signature type than Ed25519.
    #[error("the key line does not have the form `NAME+ID+KEY` with an Ed25519 key")]
    Malformed,
    /// The id in the line is not the hash of name and key.
    #[error("the key id does not belong to the name and key")]
    Id,
}

/// A public key with its name: what a verifier pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl Verifier {
    fn new(name: &str, key: VerifyingKey) -> Result<Verifier, KeyError> {
        if name.is_empty()
            || name.len() > MAX_KEY_NAME
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
        {
            return Err(KeyError::Name);
        }
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        hash.update([b'\n', ED25519]);
        hash.update(key.as_bytes());
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        Ok(Verifier { name: name.to_owned(), id: [a, b, c, d], key })
    }

    /// Parses a verifier key line, `NAME+ID+BASE64(0x01 || public key)`.
    pub fn parse(line: &str) -> Result<Verifier, KeyError> {
        let (name, id, key) = split_key(line)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| KeyError::Malformed)?;
        let verifier = Verifier::new(name, key)?;
        if hex(verifier.id) == id { Ok(verifier) } else { Err(KeyError::Id) }
    }

    /// The key's name, which opens each signature line.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, text: &str, signature: &[u8]) -> Result<(), NoteError> {
        let signature = Signature::from_slice(signature).map_err(|_| NoteError::BadSignature)?;
        self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| NoteError::BadSignature)
    }
}

/// The verifier key line.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex(self.id), STANDARD.encode(key))
    }
}

/// A private key with its name. The seed is wiped when it is dropped, and never printed.
pub struct Signer {
    key: SigningKey,
    verifier: Verifier,
}

impl Signer {
    /// A signer from a 32-byte seed.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Signer, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let verifier = Verifier::new(name, key.verifying_key())?;
        Ok(Signer { key, verifier })
    }

    /// Parses a signer key line, `PRIVATE+KEY+NAME+ID+BASE64(0x01 || seed)`.
    pub fn parse(line: &str) -> Result<Signer, KeyError> {
        let rest = line.strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Malformed)?;
        let (name, id, seed) = split_key(rest)?;
        let signer = Signer::from_seed(name, &Zeroizing::new(seed))?;
        if hex(signer.verifier.id) == id { Ok(signer) } else { Err(KeyError::Id) }
    }

    /// The signer key line. Secret: write it to a key file and nowhere else.
    pub fn private_line(&self) -> Zeroizing<String> {
        let mut seed = Zeroizing::new(vec![ED25519]);
        seed.extend_from_slice(self.key.as_bytes());
        let encoded = Zeroizing::new(STANDARD.encode(&*seed));
        Zeroizing::new(format!("PRIVATE+KEY+{}+{}+{}", self.verifier.name, hex(self.verifier.id), *encoded))
    }

    /// The matching public key.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

/// `NAME+ID+BASE64(0x01 || 32 bytes)`; the base64 part may hold `+` itself.
fn split_key(line: &str) -> Result<(&str, &str, [u8; 32]), KeyError> {
    let mut parts = line.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Malformed);
    };
    let decoded = Zeroizing::new(STANDARD.decode(key).map_err(|_| KeyError::Malformed)?);
    match decoded.split_first() {
        Some((&ED25519, key)) => Ok((name, id, key.try_into().map_err(|_| KeyError::Malformed)?)),
        _ => Err(KeyError::Malformed),
    }
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// Signs `text`, which must end in a newline, hold no control character but newlines, and no line that
/// would end the text early.
pub fn sign(text: &str, signer: &Signer) -> Result<String, NoteError> {
    if !text.ends_with('\n') || text.contains(|c: char| c.is_ascii_control() && c != '\n') {
        return Err(NoteError::Malformed("the text must be lines without control characters"));
    }
    let mut signature = signer.verifier.id.to_vec();
    signature.extend_from_slice(&signer.key.sign(text.as_bytes()).to_bytes());
    Ok(format!("{text}\n\u{2014} {} {}\n", signer.verifier.name, STANDARD.encode(signature)))
}

/// Checks the form of a note and the signature of `verifier`; signatures of other keys are read over.
pub fn open(note: &str, verifier: &Verifier) -> Result<Note, NoteError> {
    if note.len() > MAX_NOTE || note.contains(|c: char| c.is_ascii_control() && c != '\n') {
        return Err(NoteError::Malformed("too long or with control characters"));
    }
    let (text, signatures) =
        note.rsplit_once("\n\n").ok_or(NoteError::Malformed("no blank line before the signatures"))?;
    let signatures =
        signatures.strip_suffix('\n').ok_or(NoteError::Malformed("the last line is not complete"))?;
    let text = format!("{text}\n");
    let mut signed = false;
    for line in signatures.split('\n') {
        let (name, signature) = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or(NoteError::Malformed("a signature line has the wrong form"))?;
        let signature = STANDARD.decode(signature).ok();
        let (id, signature) = signature
            .as_deref()
            .and_then(<[u8]>::split_first_chunk::<4>)
            .ok_or(NoteError::Malformed("a signature is not base64"))?;
        if name == verifier.name && *id == verifier.id {
            verifier.check(&text, signature)?;
            signed = true;
        }
    }
    if signed { Ok(Note { text }) } else { Err(NoteError::Unsigned) }
}

/// Cuts a text that holds several notes, one after the other, into single notes.
///
/// Works for notes whose text has no blank line, as checkpoints have none.
pub fn split_notes(text: &str) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut in_signatures = true;
    for line in text.lines() {
        let is_signature = line.starts_with("\u{2014} ");
        if in_signatures && !is_signature {
            if line.is_empty() {
                continue;
            }
            notes.push(String::new());
        }
        in_signatures = is_signature;
        if let Some(note) = notes.last_mut() {
            note.push_str(line);
            note.push('\n');
        }
    }
    notes
}

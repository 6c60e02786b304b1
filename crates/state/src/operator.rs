//! An operator's signing key: an Ed25519 key in a file of the operator's own, mode 0600. The file has no passphrase: whoever can read it
//! can approve.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_core::{
    Digest,
    approval::{ApprovalDigest, Vote},
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// The first word of a key file.
const FORMAT: &str = "countersign-operator-key-v1";
/// Longer than any key file.
const MAX_BYTES: u64 = 4096;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system said no.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner can read it.
    #[error(
        "the key file `{path}` is open to others (mode {mode:03o}): whoever reads it can approve; run `chmod 600 {path}`"
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("`{0}` is no operator's key file")]
    Malformed(PathBuf),
    /// The operating system has no entropy to give.
    #[error("the operating system gives no random bytes: {0}")]
    Entropy(String),
}

/// An operator's key, able to sign. The seed is wiped when it is dropped.
pub struct OperatorKey {
    name: String,
    signing: SigningKey,
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OperatorKey {
    /// A new key in a new file at `path`.
    ///
    /// # Errors
    /// If there is a file already, or none can be made.
    pub fn create(path: &Path, name: &str) -> Result<OperatorKey, KeyFileError> {
        let io = |source| KeyFileError::Io { action: "make", path: path.to_owned(), source };
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|e| KeyFileError::Entropy(e.to_string()))?;
        let line = Zeroizing::new(format!("{FORMAT} {name} {}\n", STANDARD.encode(seed.as_slice())));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        Ok(OperatorKey { name: name.to_owned(), signing: SigningKey::from_bytes(&seed) })
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// If it cannot be read, is open to others, or holds something else.
    pub fn read(path: &Path) -> Result<OperatorKey, KeyFileError> {
        let io = |source| KeyFileError::Io { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o777;
        // MUTATE(J2-key-file): a key that anybody can read is used
        if mode & 0o077 != 0 {
            return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(io)?;
        parse(&text).ok_or_else(|| KeyFileError::Malformed(path.to_owned()))
    }

    /// Whose key it is, as the file says.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// The key's id.
    pub fn id(&self) -> String {
        key_id(&self.public())
    }

    /// Signs a vote on a request.
    pub(crate) fn sign(&self, vote: Vote, digest: ApprovalDigest, operator: &str, reason: &str) -> Vec<u8> {
        self.signing.sign(&vote.statement(digest, operator, reason)).to_bytes().to_vec()
    }
}

fn parse(text: &str) -> Option<OperatorKey> {
    let mut words = text.strip_suffix('\n').unwrap_or(text).split(' ');
    let (format, name, seed) = (words.next()?, words.next()?, words.next()?);
    if format != FORMAT || name.is_empty() || words.next().is_some() {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(seed).ok()?);
    let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?);
    Some(OperatorKey { name: name.to_owned(), signing: SigningKey::from_bytes(&seed) })
}

/// The id of a public key: `op-` and 16 hexadecimal digits of its SHA-256.
pub(crate) fn key_id(public: &[u8; 32]) -> String {
    let digest = Digest::of(public).to_string();
    format!("op-{}", digest.get(..16).unwrap_or_default())
}

/// Whether `signature` is by this key over this vote. Strict: no malleable form, no key of small order.
pub(crate) fn verifies(
    public: &[u8; 32],
    signature: &[u8],
    vote: Vote,
    digest: ApprovalDigest,
    operator: &str,
    reason: &str,
) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(public) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    // MUTATE(J2-signature): a vote needs no signature
    key.verify_strict(&vote.statement(digest, operator, reason), &signature).is_ok()
}

//! The signing key of a log directory and the fingerprint keys of its epochs: made at first use, mode 0600.

use crate::error::{FileError, OpenError};
use crate::files::{create_dir, create_private, read_if_there};
use crate::layout;
use crate::tlog::{Signer, Verifier};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Loads the signing key, or makes one and writes `vkey` beside it.
///
/// A new key is named `NAME/audit-RANDOM`, so that the origins of two log directories never meet.
pub(crate) fn load_or_create_signer(dir: &Path, name: &str) -> Result<Signer, OpenError> {
    create_dir(&layout::keys(dir))?;
    let path = layout::signing_key(dir);
    if read_if_there(&path)?.is_none() {
        let mut random = Zeroizing::new([0u8; 36]);
        fill_random(&mut *random)?;
        let (id, seed) = random.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        let name = format!("{name}/audit-{:08x}", u32::from_be_bytes(*id));
        let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).unwrap_or_default());
        let signer = Signer::from_seed(&name, &seed)
            .map_err(|source| OpenError::Key { path: path.clone(), source })?;
        // Another process may have been first: whatever lies there now is the key.
        create_private(&path, signer.private_line().as_bytes())?;
    }
    let line = Zeroizing::new(read_if_there(&path)?.ok_or_else(|| missing(&path))?);
    let signer = std::str::from_utf8(&line)
        .map_err(|_| crate::tlog::KeyError::Malformed)
        .and_then(|line| Signer::parse(line.trim_end()))
        .map_err(|source| OpenError::Key { path, source })?;

    let vkey = layout::vkey(dir);
    let expected = format!("{}\n", signer.verifier());
    if !create_private(&vkey, expected.as_bytes())? && read_if_there(&vkey)? != Some(expected.into_bytes()) {
        return Err(OpenError::KeyMismatch { path: vkey });
    }
    Ok(signer)
}

/// Loads the verifier key line `DIR/vkey`.
pub(crate) fn load_verifier(dir: &Path) -> Result<Verifier, OpenError> {
    let path = layout::vkey(dir);
    let line = read_if_there(&path)?.ok_or_else(|| missing(&path))?;
    std::str::from_utf8(&line)
        .ok()
        .and_then(|line| line.strip_suffix('\n'))
        .ok_or(crate::tlog::KeyError::Malformed)
        .and_then(Verifier::parse)
        .map_err(|source| OpenError::Key { path, source })
}

/// The key of one epoch under which arguments become fingerprints. Deleting its file erases what they meant.
pub(crate) struct FingerprintKey(Hmac<Sha256>);

impl FingerprintKey {
    pub(crate) fn load_or_create(dir: &Path, slot: u32, epoch: u32) -> Result<FingerprintKey, OpenError> {
        let path = layout::fingerprint_key(dir, slot, epoch);
        if let Some(key) = FingerprintKey::load(&path)? {
            return Ok(key);
        }
        let mut key = Zeroizing::new([0u8; 32]);
        fill_random(&mut *key)?;
        create_private(&path, &*key)?;
        FingerprintKey::load(&path)?.ok_or_else(|| missing(&path).into())
    }

    /// The key at `path`, or `None` when it was destroyed.
    pub(crate) fn load(path: &Path) -> Result<Option<FingerprintKey>, OpenError> {
        let Some(bytes) = read_if_there(path)?.map(Zeroizing::new) else { return Ok(None) };
        let malformed = || OpenError::Key { path: path.to_owned(), source: crate::tlog::KeyError::Malformed };
        if bytes.len() != 32 {
            return Err(malformed());
        }
        let mac = Hmac::<Sha256>::new_from_slice(&bytes).map_err(|_| malformed())?;
        Ok(Some(FingerprintKey(mac)))
    }

    /// HMAC-SHA256 of `message`.
    pub(crate) fn fingerprint(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

fn fill_random(bytes: &mut [u8]) -> Result<(), OpenError> {
    getrandom::fill(bytes).map_err(|error| OpenError::Entropy(error.to_string()))
}

fn missing(path: &Path) -> FileError {
    let path: PathBuf = path.to_owned();
    FileError { action: "read", path, source: io::ErrorKind::NotFound.into() }
}

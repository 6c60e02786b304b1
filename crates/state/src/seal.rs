//! The seal of the state directory: rows that say whose key counts carry a MAC under a key that lies in a file of its own, so that writing
//! to the database alone enrols nobody.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{error::StateError, store::KeyRow};

/// The key under which rows are sealed.
pub struct Seal(Hmac<Sha256>);

impl Seal {
    /// Reads the key at `path`, or makes one there, readable by its owner alone.
    ///
    /// # Errors
    /// If it cannot be read or made, is open to others, or is no key.
    pub fn open(path: &Path) -> Result<Seal, StateError> {
        let io = |action, source| StateError::Io { action, path: path.to_owned(), source };
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let mut key = Zeroizing::new([0; 32]);
                getrandom::fill(&mut *key).map_err(|e| StateError::Entropy(e.to_string()))?;
                file.write_all(&*key).and_then(|()| file.sync_all()).map_err(|e| io("write", e))?;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io("make", error)),
        }
        let file = File::open(path).map_err(|e| io("read", e))?;
        let mode = file.metadata().map_err(|e| io("read", e))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StateError::OpenToOthers { path: path.to_owned(), mode });
        }
        let mut key = Zeroizing::new(Vec::new());
        file.take(33).read_to_end(&mut key).map_err(|e| io("read", e))?;
        let damaged = || StateError::Damaged(format!("`{}` is no seal key", path.display()));
        if key.len() != 32 {
            return Err(damaged());
        }
        Hmac::new_from_slice(&key).map(Seal).map_err(|_| damaged())
    }

    /// Seals a row: every field of it.
    pub(crate) fn seal(&self, row: &KeyRow) -> Vec<u8> {
        self.mac(row).finalize().into_bytes().to_vec()
    }

    /// Whether the row is as it was sealed.
    pub(crate) fn holds(&self, row: &KeyRow) -> bool {
        self.mac(row).verify_slice(&row.seal).is_ok()
    }

    fn mac(&self, row: &KeyRow) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        let revoked = row.revoked.map_or(String::new(), |time| time.to_string());
        let subjects = row.subjects.join("\u{0}");
        let tenant = row.tenant.as_deref().map_or(String::new(), |tenant| format!("={tenant}"));
        let enrolled = row.enrolled.to_string();
        let texts = [&row.id, &row.name, &subjects, &tenant, &enrolled, &revoked];
        for field in texts.into_iter().map(String::as_bytes).chain([row.public.as_slice()]) {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        mac
    }
}

//! The key file: who holds which key, in versioned JSON that people can read. It holds hashes, never keys.
//!
//! Writing is atomic (a new file, synced and renamed over the old one, mode 0600), so a reader sees either the old set or the new
//! one. A file that others could write to is refused: whoever writes it can become anybody.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use countersign_core::PrincipalKind;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// The version of the format that this program writes, and the only one it reads.
const VERSION: u32 = 1;
/// Far more keys than a server has; a longer file is no key file.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// The declared kind of the key's holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// One natural person.
    Person,
    /// A program that acts for itself.
    Service,
    /// Several people: gets no high-impact rights.
    Shared,
}

impl From<KeyKind> for PrincipalKind {
    fn from(kind: KeyKind) -> PrincipalKind {
        match kind {
            KeyKind::Person => PrincipalKind::Person,
            KeyKind::Service => PrincipalKind::Service,
            KeyKind::Shared => PrincipalKind::Shared,
        }
    }
}

/// One key: everything but the key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// A short public name of the key, for logs and commands.
    pub id: String,
    /// SHA-256 of the key's text.
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
    /// Whose key it is.
    pub subject: String,
    /// What kind of principal that is.
    pub kind: KeyKind,
    /// The tenant.
    pub tenant: String,
    /// The roles.
    pub roles: Vec<String>,
    /// What the operator says of its holder besides, by name: catalog queries can be bound to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// When the key was minted.
    #[serde(with = "text")]
    pub created: Timestamp,
    /// From when on it no longer counts.
    #[serde(with = "text")]
    pub expires: Timestamp,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_text")]
    pub revoked: Option<Timestamp>,
    /// The key that this one replaces, if it was made by renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<String>,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system said no.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried: `read`, `write`, `lock`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Someone other than the owner may write to it.
    #[error("the key file `{path}` can be written by others (mode {mode:03o}); run `chmod 600 {path}`")]
    WritableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Someone other than the owner may read secrets in it.
    #[error(
        "`{path}` holds signing keys and can be read by others (mode {mode:03o}); run `chmod 600 {path}`"
    )]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold what a key file holds.
    #[error("`{path}` is not a key file: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A newer program wrote it.
    #[error("the key file `{path}` has version {found}; this program reads version {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
    },
    /// No key has this id.
    #[error("no key has the id `{id}`; `countersign token key list` shows them")]
    UnknownId {
        /// The id asked for.
        id: String,
    },
    /// A revoked key cannot be renewed.
    #[error("key `{id}` was revoked; mint a new one with `countersign token key create`")]
    Revoked {
        /// The id asked for.
        id: String,
    },
    /// A name breaks the rules.
    #[error(transparent)]
    Name(#[from] crate::names::NameError),
    /// A claim breaks the rules.
    #[error(transparent)]
    Claim(#[from] crate::names::ClaimError),
    /// The operating system has no entropy to give.
    #[error("the operating system gives no random bytes: {0}")]
    Entropy(#[from] getrandom::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    keys: Vec<KeyRecord>,
}

/// Identifies one state of the file: any write by any program changes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Stamp {
        Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// The state of the file now; `None` when there is none.
pub(crate) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(Stamp::of(&meta))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Who may look into a private file besides its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holds {
    /// Hashes: others may read it, and must not write it.
    Hashes,
    /// Secrets: others may do neither.
    Secrets,
}

/// A private file as it was read.
pub(crate) struct Loaded {
    /// All of it.
    pub(crate) text: Zeroizing<Vec<u8>>,
    /// The state that it was read in.
    pub(crate) stamp: Stamp,
}

/// Reads a private file; `None` when there is none.
pub(crate) fn load(path: &Path, holds: Holds) -> Result<Option<Loaded>, KeyFileError> {
    let io = |source| KeyFileError::Io { action: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let meta = file.metadata().map_err(io)?;
    let mode = meta.mode() & 0o777;
    // MUTATE(G1-key-file): a key file that anybody can write to is believed
    if mode & 0o022 != 0 {
        return Err(KeyFileError::WritableByOthers { path: path.to_owned(), mode });
    }
    // MUTATE(G5-private-file): signing keys that anybody can read are used
    if holds == Holds::Secrets && mode & 0o044 != 0 {
        return Err(KeyFileError::ReadableByOthers { path: path.to_owned(), mode });
    }
    if meta.len() > MAX_BYTES {
        let reason = format!("it is longer than {MAX_BYTES} bytes");
        return Err(KeyFileError::Malformed { path: path.to_owned(), reason });
    }
    // INVARIANT: room for all of it at once, since a buffer that grows leaves copies behind that nobody wipes.
    let length = usize::try_from(meta.len()).unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(io)?;
    Ok(Some(Loaded { text, stamp: Stamp::of(&meta) }))
}

/// Reads all keys, and the state that they were read in. No file means no keys.
pub(crate) fn read(path: &Path) -> Result<(Vec<KeyRecord>, Option<Stamp>), KeyFileError> {
    let malformed = |reason: String| KeyFileError::Malformed { path: path.to_owned(), reason };
    let Some(Loaded { text, stamp }) = load(path, Holds::Hashes)? else { return Ok((Vec::new(), None)) };
    let version: Version = serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;
    if version.version != VERSION {
        return Err(KeyFileError::Version { path: path.to_owned(), found: version.version });
    }
    let document: Document = serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;
    Ok((document.keys, Some(stamp)))
}

/// The version alone, read first so that a newer format is named as such.
#[derive(Deserialize)]
pub(crate) struct Version {
    pub(crate) version: u32,
}

/// Replaces the keys. The caller holds the lock of [`lock`].
pub(crate) fn write(path: &Path, keys: Vec<KeyRecord>) -> Result<(), KeyFileError> {
    let io = |source| KeyFileError::Io { action: "write", path: path.to_owned(), source };
    let mut text =
        serde_json::to_vec_pretty(&Document { version: VERSION, keys }).map_err(|e| io(e.into()))?;
    text.push(b'\n');
    replace(path, &text)
}

/// Replaces the file with this text, atomically and durably, mode 0600. The caller holds the lock of [`lock`].
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<(), KeyFileError> {
    let io = |source| KeyFileError::Io { action: "write", path: path.to_owned(), source };
    let fresh = suffixed(path, ".new");
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(io)?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&fresh, path).map_err(io)?;
    // INVARIANT: once a key is shown or declared revoked, a power cut does not undo it.
    File::open(directory(path)).and_then(|dir| dir.sync_all()).map_err(io)
}

/// Keeps other processes from changing the file until the guard is dropped. Creates the directory (mode 0700) if need be.
pub(crate) fn lock(path: &Path) -> Result<File, KeyFileError> {
    let io = |source| KeyFileError::Io { action: "lock", path: path.to_owned(), source };
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory(path)).map_err(io)?;
    let guard = suffixed(path, ".lock");
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(guard).map_err(io)?;
    file.lock().map_err(io)?;
    Ok(file)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// 32 bytes as 64 hexadecimal digits.
mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("`sha256` must be 64 hexadecimal digits");
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * place..2 * place + 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(bytes)
    }
}

/// Times as text.
pub(crate) mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::time::Timestamp;

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Times as text, where there may be none.
mod optional_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::time::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

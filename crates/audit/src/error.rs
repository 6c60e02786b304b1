//! Errors of the log. Each names the file and what went wrong, for the operator; callers of tools see none of it.

use crate::tlog::{KeyError, NoteError};
use std::io;
use std::path::{Path, PathBuf};

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct FileError {
    /// What was attempted, for example `create`.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Why a log cannot be opened. All of them mean: nothing may be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file cannot be created, read or written: a full disk, a read-only mount, missing rights.
    #[error("the audit log cannot be used: {0}")]
    File(#[from] FileError),
    /// What was acknowledged before is no longer there as it was signed.
    #[error(
        "the audit log is damaged: `{}` at byte {offset}: {what}; nothing is written until it is restored \
         from a copy, or the log directory is kept aside and a new one begun",
        path.display()
    )]
    Damaged {
        /// The file that is damaged.
        path: PathBuf,
        /// Where the damage begins, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A key file is not what it should be.
    #[error("the key file `{}` is not valid: {source}", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// `vkey` is not the public half of the signing key.
    #[error("`{}` is not the public half of the signing key beside it", path.display())]
    KeyMismatch {
        /// The verifier key file.
        path: PathBuf,
    },
    /// Every slot is held by another process.
    #[error("all {slots} slots of the audit log `{}` are held by other processes", path.display())]
    NoFreeSlot {
        /// How many slots there may be.
        slots: u32,
        /// The log directory.
        path: PathBuf,
    },
    /// A checkpoint could not be signed.
    #[error("a checkpoint cannot be signed: {0}")]
    Sign(#[from] NoteError),
    /// The operating system gave no randomness for a new key.
    #[error("no randomness for a new key: {0}")]
    Entropy(String),
}

/// Why an entry is not recorded. The call that it belongs to must be refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A write or sync failed earlier; this log accepts nothing more until it is opened anew.
    #[error("audit unavailable: {0}")]
    Poisoned(String),
    /// The log was closed.
    #[error("audit unavailable: the log is closed")]
    Closed,
    /// More waits to be written than may wait.
    #[error("audit unavailable: {0} bytes wait to be written")]
    Backlog(usize),
    /// Free space fell below the reserve that is kept for the outcomes of running calls.
    #[error("audit unavailable: {free} bytes are free on the log's disk, below the reserve of {reserve}")]
    DiskReserve {
        /// Free bytes.
        free: u64,
        /// Bytes that are kept.
        reserve: u64,
    },
    /// The entry is empty or too long.
    #[error("an audit entry must have 1 to {max} bytes, not {actual}")]
    Size {
        /// The longest entry.
        max: usize,
        /// This entry.
        actual: usize,
    },
}

/// Adds action and path to an I/O error.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

impl<T> At<T> for Result<T, rustix::io::Errno> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(io::Error::from).at(action, path)
    }
}
